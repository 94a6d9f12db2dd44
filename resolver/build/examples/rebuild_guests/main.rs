//! Rebuilds the capsules of `packs/` and the archives of `distros/` made from them, and compares all of it
//! with what is committed, or replaces that. Run from the repository's root:
//!
//! ```text
//! cargo run -p astrid-build --example rebuild_guests -- --check    fails when something is not what its source says
//! cargo run -p astrid-build --example rebuild_guests -- --write    replaces components, tools.json, archives, record
//! ```
#![expect(clippy::print_stderr, reason = "a program for people and for logs of continuous integration")]

mod describer;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use astrid_build::rebuild::{Agreement, Rebuilt, Record, rebuild};
use astrid_build::tools::{self, Describe as _, TOOLS_FILE};
use astrid_build::{Environment, Project, component, pack, toolchain};
use describer::Describer;

const USAGE: &str = "usage: rebuild_guests --check|--write, in the repository's root";

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Check,
    Write,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.as_slice() {
        [mode] if mode == "--check" => run(Mode::Check),
        [mode] if mode == "--write" => run(Mode::Write),
        _ => Err(USAGE.into()),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("error: something is not what its source says; run with --write and review the change");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// True when everything agrees, or was made to.
fn run(mode: Mode) -> Outcome<bool> {
    let root = Path::new("packs").canonicalize()?;
    let environment = Environment::new(std::env::vars_os());
    let toolchain = toolchain::find(&environment, &root)?;
    eprintln!("using {toolchain}");
    let record = Record::of(&toolchain, component::encoder_version()?);
    let is_same_toolchain = Record::read(&root)?.as_ref() == Some(&record);
    if !is_same_toolchain && mode == Mode::Check {
        eprintln!("not the recorded toolchain: what components can do is compared, their bytes are not");
    }
    let sandbox = Describer::new()?;
    let mut all_agree = true;
    for guest in rebuild(&environment, &toolchain, &root, &mut |line| eprintln!("{line}"))? {
        let agreement = guest.compare()?;
        let name = guest.file.strip_prefix(&root).unwrap_or(&guest.file).display();
        eprintln!("{name}: {} KiB, {}", guest.component.len() / 1024, in_words(&agreement));
        if mode == Mode::Write {
            guest.write()?;
        }
        all_agree &= mode == Mode::Write || agreement.is_accepted(is_same_toolchain);
        all_agree &= tools_file(&sandbox, &guest, mode)?;
    }
    all_agree &= archives(mode)?;
    if mode == Mode::Write {
        record.write(&root)?;
    }
    Ok(all_agree)
}

fn in_words(agreement: &Agreement) -> String {
    match agreement {
        Agreement::SameBytes => "same bytes".to_owned(),
        Agreement::SameInterfaces => "other bytes, same abilities".to_owned(),
        Agreement::OtherInterfaces { added, removed } => {
            format!("other abilities: added {added:?}, removed {removed:?}")
        }
        Agreement::Missing => "not committed".to_owned(),
    }
}

fn tools_file(sandbox: &Describer, guest: &Rebuilt, mode: Mode) -> Outcome<bool> {
    let described = sandbox.describe(&guest.component)?;
    let Some(text) = described.map(|text| tools::canonical(&text)).transpose()?.flatten() else {
        return Ok(true);
    };
    same_file(&guest.folder.join(TOOLS_FILE), text.as_bytes(), mode)
}

/// Packs the capsules that distros hold archives of, from the committed components.
fn archives(mode: Mode) -> Outcome<bool> {
    let mut all_agree = true;
    for distro in folders(Path::new("distros"))? {
        let held = distro.join("capsules");
        for archive in entries(&held)? {
            let name = archive.file_stem().unwrap_or_default();
            let source = folders(Path::new("packs"))?
                .into_iter()
                .map(|pack| pack.join("capsules").join(name))
                .find(|folder| folder.is_dir())
                .ok_or_else(|| format!("{}: no pack has its source", archive.display()))?;
            all_agree &= same_file(&archive, &pack(&Project::read(&source)?)?.bytes, mode)?;
        }
    }
    Ok(all_agree)
}

fn same_file(file: &Path, bytes: &[u8], mode: Mode) -> Outcome<bool> {
    if std::fs::read(file).is_ok_and(|known| known == bytes) {
        return Ok(true);
    }
    eprintln!("{}: {}", file.display(), if mode == Mode::Write { "written" } else { "differs" });
    if mode == Mode::Write {
        std::fs::write(file, bytes)?;
    }
    Ok(mode == Mode::Write)
}

fn folders(folder: &Path) -> Outcome<Vec<PathBuf>> {
    Ok(entries(folder)?.into_iter().filter(|entry| entry.is_dir()).collect())
}

fn entries(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        entries.push(entry?.path());
    }
    entries.sort();
    Ok(entries)
}
