//! `validate`: every complaint about the files that people write, with its place, all at once.

use std::path::{Path, PathBuf};

use astrid_manifest::capsule::Strictness;
use astrid_manifest::diagnostic::{Diagnostic, Diagnostics, Severity};
use astrid_manifest::lock::AnyLock;
use astrid_manifest::{AckFile, CapsuleManifest, Distro, HomePolicy, PackManifest, pack};
use serde_json::json;

use crate::args::ValidateArgs;
use crate::exit::{DONE, Failure, Kind, Outcome};
use crate::session::Session;
use crate::shell::count;

/// What a file is, by its name and then by what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FileKind {
    Distro,
    Lock,
    Capsule,
    Pack,
    Acks,
    Policy,
}

/// Folders that hold no sources of ours.
const SKIPPED: [&str; 7] = [".git", ".astrid", "target", "node_modules", ".venv", "venv", "__pycache__"];

/// A folder is searched this deep.
const DEPTH: usize = 12;

pub(crate) fn run(session: &mut Session, args: &ValidateArgs) -> Outcome {
    let path = session.world.path(&args.path);
    let mut files: Vec<(PathBuf, FileKind)> = Vec::new();
    if path.is_dir() {
        search(&path, DEPTH, &mut files)?;
    } else {
        let text = std::fs::read(&path)
            .map_err(|error| Failure::failed(format!("{} can't be read: {error}", args.path.display())))?;
        let kind = kind_by_name(&path).or_else(|| kind_by_text(&String::from_utf8_lossy(&text)));
        let kind = kind.ok_or_else(|| {
            Failure::invalid(format!("{} is no file that Astrid knows", args.path.display())).hint(
                "it checks Distro.toml, Distro.lock, Capsule.toml, pack.yaml, trust/*.toml and policy.toml",
            )
        })?;
        files.push((path.clone(), kind));
    }
    files.sort();
    let mut complaints: Vec<Diagnostic> = Vec::new();
    for (file, kind) in &files {
        complaints.extend(check(&session.world.folder, file, *kind)?);
    }
    let complaints = Diagnostics::new(complaints);
    let errors = complaints.iter().filter(|one| one.severity == Severity::Error).count();
    let warnings = complaints.len() - errors;
    let document = json!({
        "files": files.iter().map(|(file, _)| shown(&session.world.folder, file)).collect::<Vec<_>>(),
        "errors": errors,
        "warnings": warnings,
        "diagnostics": complaints,
    });
    let summary = if files.is_empty() {
        format!("nothing to check in {}", args.path.display())
    } else {
        let warned = if warnings > 0 { format!(", {}", count(warnings, "warning")) } else { String::new() };
        let refused = if errors > 0 { count(errors, "error") } else { "no error".to_owned() };
        format!("{} checked: {refused}{warned}", count(files.len(), "file"))
    };
    if session.shell.for_programs() {
        session.shell.show(&document, "")?;
    } else {
        session.shell.complain(complaints);
    }
    if errors > 0 {
        return Err(Failure { told: true, ..Failure::invalid(summary.clone()) }).inspect_err(|_| {
            session.shell.say(&summary);
        });
    }
    session.shell.note(&summary);
    Ok(DONE)
}

impl PartialOrd for FileKind {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for FileKind {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (*self as u8).cmp(&(*other as u8))
    }
}

fn kind_by_name(path: &Path) -> Option<FileKind> {
    let in_trust = path.parent().and_then(Path::file_name).is_some_and(|folder| folder == "trust");
    let is_toml = path.extension().is_some_and(|extension| extension == "toml");
    match path.file_name()?.to_str()? {
        "Distro.toml" => Some(FileKind::Distro),
        "Distro.lock" => Some(FileKind::Lock),
        "Capsule.toml" => Some(FileKind::Capsule),
        name if pack::FILE_NAMES.contains(&name) => Some(FileKind::Pack),
        "policy.toml" => Some(FileKind::Policy),
        "floors.toml" => None,
        _ if in_trust && is_toml => Some(FileKind::Acks),
        _ => None,
    }
}

/// A file of another name, by the tables that only one kind has.
fn kind_by_text(text: &str) -> Option<FileKind> {
    let has = |start: &str| text.lines().any(|line| line.trim_start().starts_with(start));
    if has("must-understand") || has("manifest-hash") {
        Some(FileKind::Lock)
    } else if has("[[ack]]") {
        Some(FileKind::Acks)
    } else if has("[distro]") {
        Some(FileKind::Distro)
    } else if has("[package]") {
        Some(FileKind::Capsule)
    } else if has("[[believe]]") {
        Some(FileKind::Policy)
    } else if has("schema_version:") {
        Some(FileKind::Pack)
    } else {
        None
    }
}

fn search(folder: &Path, depth: usize, found: &mut Vec<(PathBuf, FileKind)>) -> Result<(), Failure> {
    let unreadable =
        |error: std::io::Error| Failure::failed(format!("{} can't be read: {error}", folder.display()));
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let kind = entry.file_type().map_err(unreadable)?;
        let path = entry.path();
        if kind.is_dir() {
            let skipped = entry.file_name().to_str().is_some_and(|name| SKIPPED.contains(&name));
            if depth > 0 && !skipped {
                search(&path, depth - 1, found)?;
            }
        } else if kind.is_file()
            && let Some(kind) = kind_by_name(&path)
        {
            found.push((path, kind));
        }
    }
    Ok(())
}

fn shown(folder: &Path, file: &Path) -> String {
    file.strip_prefix(folder).unwrap_or(file).display().to_string()
}

fn check(folder: &Path, file: &Path, kind: FileKind) -> Result<Diagnostics, Failure> {
    let name = shown(folder, file);
    // A pack is more than its manifest: its components and what holds across them are checked with it.
    if kind == FileKind::Pack
        && let (Some(FileKind::Pack), Some(pack)) = (kind_by_name(file), file.parent())
    {
        let below = shown(folder, pack);
        let complaints = super::packs::complaints(pack, if below.is_empty() { "." } else { &below })?;
        return Ok(Diagnostics::new(complaints));
    }
    let limit = match kind {
        FileKind::Lock => astrid_manifest::MAX_LOCK_BYTES,
        FileKind::Distro => astrid_manifest::MAX_DISTRO_BYTES,
        _ => astrid_manifest::MAX_FILE_BYTES,
    };
    let length = std::fs::metadata(file).map_or(0, |found| found.len());
    if length > limit as u64 {
        return Ok(Diagnostic::of_file(&name, "too-large", format!("it is larger than {limit} bytes")).into());
    }
    let bytes = std::fs::read(file)
        .map_err(|error| Failure::new(Kind::Failed, format!("{name} can't be read: {error}")))?;
    let Ok(text) = String::from_utf8(bytes) else {
        return Ok(Diagnostic::of_file(&name, "utf-8", "it is no UTF-8").into());
    };
    let complaints = match kind {
        FileKind::Distro => Distro::parse(&name, &text).map(|parsed| parsed.warnings),
        FileKind::Lock => AnyLock::parse(&name, &text).map(|parsed| parsed.warnings),
        FileKind::Capsule => {
            CapsuleManifest::parse(&name, &text, Strictness::Check).map(|parsed| parsed.warnings)
        }
        FileKind::Pack => PackManifest::parse(&name, &text).map(|parsed| parsed.warnings),
        FileKind::Acks => AckFile::parse(&name, &text).map(|parsed| parsed.warnings),
        FileKind::Policy => HomePolicy::parse(&name, &text).map(|parsed| parsed.warnings),
    };
    Ok(complaints.unwrap_or_else(|complaints| complaints))
}
