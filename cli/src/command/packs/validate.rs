//! `packs validate`: every complaint about a pack's files, with its place, all at once. Static: nothing of the pack
//! is run or imported, and no link is followed.

use std::path::{Path, PathBuf};

use astrid_manifest::diagnostic::{Diagnostic, Severity};
use astrid_manifest::pack;
use astrid_resolver::pack_folder::{self, Checked};
use serde_json::json;

use crate::args::PackValidateArgs;
use crate::exit::{DONE, Failure, Outcome};
use crate::session::Session;
use crate::shell::count;

pub(crate) fn run(session: &mut Session, args: &PackValidateArgs) -> Outcome {
    let (folder, shown) = folder(&session.world.path(&args.path), &args.path)?;
    let Checked { contents, complaints } = pack_folder::check(&folder, &shown)?;
    let errors = complaints.iter().filter(|one| one.severity == Severity::Error).count();
    let warnings = complaints.len() - errors;
    let document = json!({
        "path": folder.display().to_string(),
        "valid": errors == 0,
        "pack_id": contents.as_ref().map(|contents| contents.manifest.id.as_str()),
        "component_counts": contents.as_ref().map(pack::Contents::counts),
        "errors": errors,
        "warnings": warnings,
        "diagnostics": complaints,
    });
    if session.shell.for_programs() {
        session.shell.show(&document, "")?;
    } else {
        let shown = complaints.into_iter().filter(|one| args.warnings || one.severity == Severity::Error);
        session.shell.complain(shown);
        if warnings > 0 && !args.warnings {
            session.shell.note(&format!("{}: add --warnings to see them", count(warnings, "warning")));
        }
        if errors == 0 {
            session.shell.show(&document, &format!("valid: {}\n", folder.display()))?;
        }
    }
    if errors > 0 {
        return Err(refusal(&shown, errors));
    }
    Ok(DONE)
}

fn refusal(shown: &str, errors: usize) -> Failure {
    let what = if shown == "." { "this folder" } else { shown };
    Failure::invalid(format!("{what} holds no valid pack: {}", count(errors, "error")))
}

/// The folder that a person means by `path`, and what files below it are called.
fn folder(path: &Path, typed: &Path) -> Result<(PathBuf, String), Failure> {
    // Without a slash at its end, a link is seen as one.
    let path: PathBuf = path.components().collect();
    let typed: PathBuf = typed.components().collect();
    let found = std::fs::symlink_metadata(&path)
        .map_err(|error| Failure::invalid(format!("{} can't be read: {error}", typed.display())))?;
    if found.is_symlink() {
        return Err(Failure::invalid(format!(
            "{} is a symbolic link, and none is followed",
            typed.display()
        ))
        .hint("name the folder that it leads to"));
    }
    if found.is_dir() {
        return Ok((path, typed.display().to_string()));
    }
    let is_manifest = path.file_name().is_some_and(|name| pack::FILE_NAMES.iter().any(|own| name == *own));
    match (is_manifest, path.parent(), typed.parent()) {
        (true, Some(folder), Some(typed)) => {
            let typed = if typed.as_os_str().is_empty() { Path::new(".") } else { typed };
            Ok((folder.to_owned(), typed.display().to_string()))
        }
        _ => Err(Failure::invalid(format!("{} is no folder of a pack", typed.display()))
            .hint("name the folder that holds pack.yaml")),
    }
}

/// Every complaint about the pack that has its manifest in `folder`, for `validate`.
pub(in crate::command) fn complaints(folder: &Path, shown: &str) -> Result<Vec<Diagnostic>, Failure> {
    Ok(pack_folder::check(folder, shown)?.complaints.into_iter().collect())
}
