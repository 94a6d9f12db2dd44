//! `packs validate`: every complaint about a pack's manifests, with its place, all at once. Static: nothing of
//! the pack is run or imported.

use std::path::Path;

use astrid_manifest::diagnostic::{Diagnostic, Diagnostics, Severity};
use astrid_manifest::{MAX_FILE_BYTES, PackManifest, pack};
use serde_json::json;

use crate::args::PackValidateArgs;
use crate::exit::{DONE, Failure, Outcome};
use crate::session::Session;
use crate::shell::count;

pub(crate) fn run(session: &mut Session, args: &PackValidateArgs) -> Outcome {
    let folder = session.world.path(&args.path);
    let complaints = check(&folder, &args.path)?;
    let errors = complaints.iter().filter(|one| one.severity == Severity::Error).count();
    let warnings = complaints.len() - errors;
    let document = json!({
        "path": folder.display().to_string(),
        "valid": errors == 0,
        "errors": errors,
        "warnings": warnings,
        "diagnostics": complaints,
    });
    let pretty = if errors == 0 { format!("valid: {}\n", folder.display()) } else { String::new() };
    session.shell.show(&document, &pretty)?;
    if !session.shell.for_programs() {
        let shown = complaints.into_iter().filter(|one| args.warnings || one.severity == Severity::Error);
        session.shell.complain(shown);
        if warnings > 0 && !args.warnings {
            session.shell.note(&format!("{}: add --warnings to see them", count(warnings, "warning")));
        }
    }
    if errors > 0 {
        return Err(Failure::invalid(format!("{} is no valid pack", args.path.display())));
    }
    Ok(DONE)
}

fn check(folder: &Path, shown: &Path) -> Result<Diagnostics, Failure> {
    let found = pack::FILE_NAMES.iter().find(|name| folder.join(name).is_file());
    let Some(name) = found else {
        let missing = Diagnostic::of_file(
            &shown.display().to_string(),
            "no-manifest",
            "there is no pack.yaml, pack.yml or pack.json",
        );
        return Ok(missing.into());
    };
    let path = folder.join(name);
    let file = shown.join(name).display().to_string();
    let length = std::fs::metadata(&path)?.len();
    if length > MAX_FILE_BYTES as u64 {
        return Ok(Diagnostic::of_file(
            &file,
            "too-large",
            format!("it is larger than {MAX_FILE_BYTES} bytes"),
        )
        .into());
    }
    let Ok(text) = String::from_utf8(std::fs::read(&path)?) else {
        return Ok(Diagnostic::of_file(&file, "utf-8", "it is no UTF-8").into());
    };
    Ok(PackManifest::parse(&file, &text).map_or_else(|complaints| complaints, |parsed| parsed.warnings))
}
