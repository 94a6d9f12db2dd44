//! What a run says about itself: before, in its log, and afterwards.

use std::path::Path;

use astrid_executor::process::Environment;
use astrid_executor::requirements::Missing;
use astrid_executor::run::words;
use astrid_executor::{Ended, Outcome as Ran, Task};
use astrid_manifest::pack::executor::IsolationMode;
use astrid_manifest::pack::summary::TRUST;
use serde_json::{Value, json};

use super::admit::Admission;
use super::going::Written;
use super::{Chosen, code_of};
use crate::exit::{DONE, Outcome};
use crate::render::{put, safe};
use crate::session::Session;

/// Everything that is said about one run.
pub(super) struct Report<'a> {
    pub(super) admission: &'a Admission,
    pub(super) chosen: &'a Chosen<'a>,
    pub(super) task: &'a Task,
    pub(super) missing: &'a [Missing],
    /// Variables with secrets that it needs, and that are not set.
    pub(super) unset: Vec<String>,
    /// What the sandbox covers, when there is one.
    pub(super) coverage: Vec<String>,
    pub(super) logs: &'a Path,
}

impl Report<'_> {
    /// The head of the log: what the pack discloses, and that nothing enforces it.
    pub(super) fn disclosure(&self) -> Vec<String> {
        let pack = &self.admission.pack;
        let summary = pack.summary();
        let mut lines = vec![
            format!("run: {} (pack {} {})", self.chosen.action.id, pack.id, safe(&summary.version)),
            format!("content: {}", pack.content),
            match &pack.accepted {
                Some(how) => {
                    format!(
                        "accepted: {} by {} ({}), from {}",
                        how.at,
                        how.method,
                        how.actor,
                        safe(&how.source)
                    )
                }
                None => "accepted: by nobody; acknowledged for this run".to_owned(),
            },
        ];
        lines.extend(TRUST.lines());
        if summary.permissions.is_empty() {
            lines.push("permissions: none declared".to_owned());
        }
        for permission in &summary.permissions {
            let mut line = format!("permission: {}: {}", permission.id, safe(&permission.reason));
            if let Some(access) = &permission.access {
                put!(line, "; access={}", safe(access));
            }
            if !permission.services.is_empty() {
                put!(line, "; services={}", safe(&permission.services.join(", ")));
            }
            lines.push(line);
        }
        for secret in &self.chosen.action.secrets {
            lines.push(format!(
                "secret: {}{}",
                secret.name,
                if secret.required { " (required)" } else { "" }
            ));
        }
        lines.push("these are declarations of its author; nothing holds it to them".to_owned());
        if self.chosen.is_orchestrator {
            lines.push(
                "an orchestrator: what it says about its children is disclosed, too, and not enforced"
                    .to_owned(),
            );
        }
        if self.chosen.action.isolation.mode == IsolationMode::InProcess {
            lines.push(
                "isolation.mode in_process: there is no process to share, so it runs in one of its own"
                    .to_owned(),
            );
        }
        lines
    }

    /// What a person should know before it runs.
    pub(super) fn warn(&self, session: &mut Session) {
        let shell = &mut session.shell;
        if let Some(deprecated) = &self.chosen.deprecated {
            shell.warn(deprecated);
        }
        if self.chosen.action.isolation.mode == IsolationMode::InProcess {
            shell.note(
                "isolation.mode is in_process: there is no process to share, so it runs in one of its own",
            );
        }
        for name in &self.unset {
            shell.warn(&format!("`{name}` is not set, and its author says that nothing works without it"));
        }
        for line in &self.coverage {
            shell.say(&safe(line));
        }
    }

    /// What would be run. Nothing is.
    pub(super) fn dry_run(&self, session: &mut Session) -> Outcome {
        let task = self.task;
        let mut pretty = String::new();
        put!(pretty, "would run {}\n", self.chosen.action.id);
        put!(
            pretty,
            "  command      {}\n",
            self.argv().iter().map(|one| quoted(one)).collect::<Vec<_>>().join(" ")
        );
        put!(pretty, "  folder       {}\n", safe(&task.invocation.folder.display().to_string()));
        put!(pretty, "  environment  yours, unchanged; Astrid adds: nothing\n");
        for (name, value) in self.set() {
            put!(pretty, "  manifest sets {}={}\n", safe(name), quoted(value));
        }
        for product in &task.products {
            put!(
                pretty,
                "  output       {} → {}\n",
                safe(&product.name),
                safe(&product.path.display().to_string())
            );
        }
        if let Some(kept) = task.kept() {
            let paths: Vec<String> = kept.iter().map(|path| safe(&path.display().to_string())).collect();
            put!(pretty, "  nothing to do, there is {}\n", paths.join(", "));
        }
        for one in self.missing {
            let whose = if one.needed { "missing     " } else { "perhaps missing" };
            put!(pretty, "  {whose} {}: {}; {}\n", safe(&one.name), safe(&one.found), safe(&one.hint));
        }
        for name in &self.unset {
            put!(pretty, "  not set      {name}, without which nothing works, its author says\n");
        }
        put!(pretty, "  log          {}\n", safe(&self.logs.display().to_string()));
        for line in self.disclosure().iter().chain(&self.coverage) {
            put!(pretty, "# {line}\n");
        }
        self.warn_of_check(session);
        session.shell.show(&self.document("dry-run", json!({})), &pretty)?;
        Ok(DONE)
    }

    fn warn_of_check(&self, session: &mut Session) {
        if let Err(error) = self.task.check() {
            session.shell.warn(&format!("it would be refused: {}", safe(&error.to_string())));
        }
    }

    /// What came of it.
    pub(super) fn ended(&self, session: &mut Session, outcome: &Ran, written: Written) -> Outcome {
        let code = code_of(outcome);
        let id = &self.chosen.action.id;
        let more = match outcome {
            Ran::Kept(paths) => json!({ "kept": paths, "exit": { "code": code } }),
            Ran::Ran(report) => json!({
                "exit": { "code": code, "how": words(report.ended) },
                "log": report.log,
                "unmade": report.unmade,
                "stdout": String::from_utf8_lossy(&written.bytes),
                "stdout_cut": written.is_cut,
            }),
        };
        let word = if matches!(outcome, Ran::Kept(_)) { "kept" } else { "ran" };
        if session.shell.for_programs() {
            session.shell.show(&self.document(word, more), "")?;
        }
        match outcome {
            Ran::Kept(paths) => {
                let paths: Vec<String> = paths.iter().map(|path| safe(&path.display().to_string())).collect();
                session.shell.note(&format!(
                    "{id}: nothing to do, its results are there ({}); --again runs it",
                    paths.join(", ")
                ));
            }
            Ran::Ran(report) => {
                let log = safe(&report.log.display().to_string());
                if report.is_well() {
                    session.shell.note(&format!("{id}: done; log: {log}"));
                    return Ok(code);
                }
                let mut lines: Vec<String> = report.unmade.iter().map(|line| safe(line)).collect();
                if report.ended != Ended::Exited(0) {
                    lines.insert(0, format!("{id} ended with {}", words(report.ended)));
                }
                for line in lines {
                    session.shell.say(&line);
                }
                session.shell.say(&format!("log: {log}"));
            }
        }
        Ok(code)
    }

    fn argv(&self) -> Vec<String> {
        let invocation = &self.task.invocation;
        let program = std::iter::once(&invocation.program);
        program.chain(&invocation.arguments).map(|one| one.to_string_lossy().into_owned()).collect()
    }

    fn set(&self) -> impl Iterator<Item = (&String, &String)> {
        let set = match &self.task.invocation.environment {
            Environment::Users(set) => Some(set),
            Environment::Only(_) => None,
        };
        set.into_iter().flatten()
    }

    fn document(&self, outcome: &str, more: Value) -> Value {
        let pack = &self.admission.pack;
        let summary = pack.summary();
        let accepted = pack.accepted.as_ref().map(
            |how| json!({ "at": how.at, "method": how.method, "actor": how.actor, "source": how.source }),
        );
        let outputs: Vec<Value> = self
            .task
            .products
            .iter()
            .map(|product| json!({ "name": product.name, "path": product.path, "there": product.path.exists() }))
            .collect();
        let set: Vec<&String> = self.set().map(|(name, _)| name).collect();
        let mut document = json!({
            "component": self.chosen.action.id,
            "kind": if self.chosen.is_orchestrator { "orchestrator" } else { "executor" },
            "pack": pack.id,
            "version": summary.version,
            "content_digest": pack.content,
            "accepted": accepted,
            "outcome": outcome,
            "argv": self.argv(),
            "folder": self.task.invocation.folder,
            "environment": { "added": [], "set_by_manifest": set },
            "outputs": outputs,
            "missing": self.missing,
            "permissions": summary.permissions,
            "secrets": self.chosen.action.secrets,
            "trust": summary.trust,
            "isolated": if self.coverage.is_empty() { Value::Null } else { json!(self.coverage) },
        });
        if let (Value::Object(into), Value::Object(more)) = (&mut document, more) {
            into.extend(more);
        }
        document
    }
}

/// An argument as a shell would need it written.
fn quoted(text: &str) -> String {
    let plain = |one: char| one.is_ascii_alphanumeric() || "_-./=:,+@%".contains(one);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", safe(text).replace('\'', "'\\''"))
    }
}
