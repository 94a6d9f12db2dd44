//! `capsule check` and `capsule build`.

use std::path::PathBuf;

use astrid_build::{BuildError, CheckError, Environment, ProjectError};
use astrid_manifest::Severity;
use serde_json::json;

use crate::args::{CapsuleBuildArgs, CapsuleCheckArgs, CapsuleVerb};
use crate::exit::{DONE, Failure, Kind, Outcome};
use crate::render::safe;
use crate::session::Session;
use crate::shell::{count, size};

pub(crate) fn run(session: &mut Session, verb: &CapsuleVerb) -> Outcome {
    match verb {
        CapsuleVerb::Check(args) => check(session, args),
        CapsuleVerb::Build(args) => build(session, args),
    }
}

fn project(error: ProjectError) -> Failure {
    match error {
        ProjectError::Manifest(complaints) => Failure::diagnostics(complaints),
        error @ ProjectError::NoManifest(_) => Failure::invalid(error.to_string()),
        error @ ProjectError::File { .. } => Failure::failed(error.to_string()),
    }
}

fn check(session: &mut Session, args: &CapsuleCheckArgs) -> Outcome {
    let folder = session.world.path(&args.path);
    let findings = astrid_build::check(&folder).map_err(|error| match error {
        CheckError::Project(error) => project(error),
        CheckError::Scan(error) => Failure::invalid(error.to_string()),
        error @ CheckError::File { .. } => Failure::failed(error.to_string()),
    })?;
    let errors = findings.iter().filter(|one| one.severity == Severity::Error).count();
    let total = findings.len();
    let document = json!({ "errors": errors, "findings": findings });
    session.shell.show(&document, "")?;
    if !session.shell.for_programs() {
        session.shell.complain(findings);
    }
    if total > 0 {
        let failure = Failure::new(Kind::Invalid, format!("the capsule has {}", count(total, "finding")));
        return Err(
            failure.hint("each names its rule; a capsule without findings builds and runs as declared")
        );
    }
    session.shell.note("no finding");
    Ok(DONE)
}

fn build(session: &mut Session, args: &CapsuleBuildArgs) -> Outcome {
    let folder = session.world.path(&args.path);
    let output: PathBuf =
        args.output.as_ref().map_or_else(|| folder.join("dist"), |path| session.world.path(path));
    let environment = Environment::new(std::env::vars_os());
    let request = astrid_build::Request {
        folder: &folder,
        output: &output,
        environment: &environment,
        describe: &super::kernel::Sandbox,
    };
    let mut lines = Vec::new();
    let verbose = session.shell.is_verbose();
    let built = {
        let shell = &mut session.shell;
        astrid_build::build(&request, &mut |line| {
            if verbose {
                shell.say(&safe(line));
            } else {
                lines.push(safe(line));
            }
        })
    };
    let built = built.map_err(|error| match error {
        BuildError::Project(error) => project(error),
        BuildError::Compile(_) => Failure::failed(error.to_string())
            .because(lines.iter().filter(|line| !line.trim().is_empty()).cloned()),
        error => Failure::failed(error.to_string()),
    })?;
    session.shell.complain(built.warnings.iter().cloned());
    let document = json!({
        "file": built.file.display().to_string(),
        "content": built.packed.content,
        "archive": built.packed.archive,
        "bytes": built.packed.bytes.len(),
        "toolchain": built.toolchain,
    });
    let pretty = format!(
        "{} ({})\ncontent {}\narchive {}\n",
        built.file.display(),
        size(built.packed.bytes.len() as u64),
        built.packed.content,
        built.packed.archive
    );
    session.shell.show(&document, &pretty)?;
    Ok(DONE)
}
