//! Rebuilds the capsules of `packs/` and compares them with the committed components, or replaces
//! those. Run from the repository's root:
//!
//! ```text
//! cargo run -p astrid-build --example rebuild_guests -- --check     exit 1 when a component is not what its source says
//! cargo run -p astrid-build --example rebuild_guests -- --write     replace the components and the record
//! cargo run -p astrid-build --example rebuild_guests -- --check PATH
//! ```
#![expect(clippy::print_stderr, reason = "a program for people and CI logs")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use astrid_build::rebuild::{Agreement, Record, rebuild};
use astrid_build::{Environment, component, toolchain};

const USAGE: &str = "usage: rebuild_guests --check|--write [PATH of the guest workspace, default: packs]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (mode, root) = match arguments.as_slice() {
        [mode] => (mode.as_str(), PathBuf::from("packs")),
        [mode, root] => (mode.as_str(), PathBuf::from(root)),
        _ => ("", PathBuf::new()),
    };
    let outcome = match mode {
        "--check" => run(&root, false),
        "--write" => run(&root, true),
        _ => Err(USAGE.into()),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(root: &Path, is_writing: bool) -> Result<bool, Box<dyn std::error::Error>> {
    let root = root.canonicalize()?;
    let environment = Environment::new(std::env::vars_os());
    let toolchain = toolchain::find(&environment, &root)?;
    eprintln!("using {toolchain}");
    let record = Record::of(&toolchain, component::encoder_version()?);
    let recorded = Record::read(&root)?;
    let is_same_toolchain = recorded.as_ref() == Some(&record);
    if !is_same_toolchain && !is_writing {
        eprintln!("not the recorded toolchain: interfaces are compared, bytes are not");
    }
    let mut is_accepted = true;
    for guest in rebuild(&environment, &toolchain, &root, &mut |line| eprintln!("{line}"))? {
        let name = guest.file.strip_prefix(&root).unwrap_or(&guest.file).display();
        let agreement = guest.compare()?;
        let verdict = match &agreement {
            Agreement::SameBytes => "same bytes".to_owned(),
            Agreement::SameInterfaces => "other bytes, same interfaces".to_owned(),
            Agreement::OtherInterfaces { added, removed } => {
                format!("other interfaces: added {added:?}, removed {removed:?}")
            }
            Agreement::Missing => "not committed".to_owned(),
        };
        eprintln!("{name}: {} KiB, {verdict}", guest.component.len() / 1024);
        if is_writing {
            guest.write()?;
        } else {
            is_accepted &= agreement.is_accepted(is_same_toolchain);
        }
    }
    if is_writing {
        record.write(&root)?;
    } else if !is_accepted {
        eprintln!("error: a component is not what its source says; run with --write and review the change");
    }
    Ok(is_accepted)
}
