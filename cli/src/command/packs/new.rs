//! `packs new`: a pack that validates and runs, in as few files as it takes.

use std::path::{Path, PathBuf};

use astrid_authority::PackId;
use astrid_resolver::pack_folder;
use serde_json::json;

use crate::args::{PackNewArgs, PackTemplate};
use crate::exit::{DONE, Failure, Kind, Outcome};
use crate::session::Session;

/// A file of a template: its path, and its text with `@ID@`, `@NAME@` and `@PERMISSIONS@` to be replaced.
type File = (&'static str, &'static str);

const MINIMAL: &[File] = &[
    ("pack.yaml", include_str!("new/pack.yaml")),
    ("executors/hello/executor.yaml", include_str!("new/minimal.yaml")),
];

const PYTHON: &[File] = &[
    ("pack.yaml", include_str!("new/pack.yaml")),
    ("executors/hello/executor.yaml", include_str!("new/python.yaml")),
    ("executors/hello/hello.py", include_str!("new/hello.py")),
];

const SHELL: &[File] = &[
    ("pack.yaml", include_str!("new/pack.yaml")),
    ("executors/hello/executor.yaml", include_str!("new/shell.yaml")),
    ("executors/hello/hello.sh", include_str!("new/hello.sh")),
];

impl PackTemplate {
    fn files(self) -> &'static [File] {
        match self {
            Self::Minimal => MINIMAL,
            Self::Python => PYTHON,
            Self::Shell => SHELL,
        }
    }

    /// What the code of the template does to the machine.
    fn permissions(self) -> &'static str {
        match self {
            Self::Minimal => "\n  - id: subprocess\n    reason: Starts echo, which prints the greeting.",
            Self::Python => " []",
            Self::Shell => "\n  - id: subprocess\n    reason: Starts sh, which prints the greeting.",
        }
    }
}

pub(crate) fn run(session: &mut Session, args: &PackNewArgs) -> Outcome {
    session.may_write_repository()?;
    let id: PackId = args.id.parse().map_err(|error| {
        Failure::usage(format!("{error}")).hint("it becomes the name of the folder, such as media_tools")
    })?;
    let typed = args.path.join(id.as_str());
    let shown = typed.strip_prefix(".").unwrap_or(&typed).display().to_string();
    let folder = session.world.path(&args.path).join(id.as_str());
    make(&folder, &shown)?;
    let files = args.template.files();
    write(&folder, &id, args.template).and_then(|()| check(&folder, &shown)).inspect_err(|_| {
        // It was made by this run a moment ago, and nothing else is in it.
        let _ = std::fs::remove_dir_all(&folder);
    })?;
    let document = json!({
        "pack_id": id,
        "path": folder.display().to_string(),
        "files": files.iter().map(|(path, _)| path).collect::<Vec<_>>(),
    });
    let mut pretty = String::new();
    for (path, _) in files {
        crate::render::put!(pretty, "{shown}/{path}\n");
    }
    session.shell.show(&document, &pretty)?;
    session.shell.note(&format!("check it: astrid packs validate {shown}"));
    session.shell.note(&format!("run it:   astrid packs run --path {shown} {id}.hello who=you"));
    Ok(DONE)
}

/// Makes the folder, which must not be there, whatever it is.
fn make(folder: &Path, shown: &str) -> Result<(), Failure> {
    let parent = folder.parent().unwrap_or(folder);
    std::fs::create_dir_all(parent)?;
    std::fs::create_dir(folder).map_err(|error| {
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            Failure::usage(format!("{shown} is there already")).hint("choose another id, or another --path")
        } else {
            Failure::failed(format!("{shown} can't be made: {error}"))
        }
    })
}

fn write(folder: &Path, id: &PackId, template: PackTemplate) -> Result<(), Failure> {
    let name = people_name(id);
    for (path, text) in template.files() {
        let path: PathBuf = folder.join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let text = text.replace("@PERMISSIONS@", template.permissions());
        std::fs::write(&path, text.replace("@ID@", id.as_str()).replace("@NAME@", &name))?;
    }
    Ok(())
}

/// `media_tools` as people write it: `Media tools`.
fn people_name(id: &PackId) -> String {
    let words = id.as_str().replace('_', " ");
    let mut characters = words.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(characters).collect()
}

/// What was written is checked as anybody's pack is: a template that is no pack is a fault of ours.
fn check(folder: &Path, shown: &str) -> Result<(), Failure> {
    let complaints = pack_folder::check(folder, shown)?.complaints;
    if complaints.is_empty() {
        return Ok(());
    }
    Err(Failure::new(Kind::Internal, format!("the new pack is not valid: {complaints}")))
}
