//! `version`: the program, the platform whose manifests it takes, and the formats it writes.

use serde_json::json;

use crate::exit::{DONE, Outcome};
use crate::session::Session;

pub(crate) fn run(session: &mut Session) -> Outcome {
    let program = env!("CARGO_PKG_VERSION");
    let platform = astrid_manifest::PLATFORM_COMPAT;
    let layout = astrid_store::home::LAYOUT_VERSION;
    let document = json!({
        "version": program,
        "platform": platform.to_string(),
        "formats": { "distro": 1, "lock": 2, "plan": 1, "home": layout },
    });
    let pretty = format!(
        "astrid {program}\nplatform {platform} (what `astrid-version` in manifests is matched against)\nformats: Distro.toml 1, Distro.lock 2, plan 1, home {layout}\n"
    );
    session.shell.show(&document, &pretty)?;
    Ok(DONE)
}
