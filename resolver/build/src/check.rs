//! Whether a capsule's manifest, sources, tools and component agree.
//!
//! The bus drops what no manifest declares, without a word to the capsule. What would be silence at run
//! time is a complaint here.

use std::collections::BTreeSet;
use std::path::Path;

use astrid_authority::Topic;
use astrid_manifest::{Diagnostic, Diagnostics, Severity, effective_authority, inspect};

use crate::project::{Project, ProjectError};
use crate::scan::{self, Declared, ScanError};
use crate::tools::{self, TOOLS_FILE};

const EXECUTE: &str = "tool.v1.execute.";
const DESCRIBED: &str = "tool.v1.response.describe.self";

/// The rules' names, as [`Diagnostic::rule`] bears them.
pub mod rule {
    /// A tool that no subscription routes calls to.
    pub const UNROUTED_TOOL: &str = "unrouted-tool";
    /// A tool whose result or description may not be published.
    pub const MISSING_PUBLISH: &str = "missing-publish";
    /// A subscription for calls of a tool that is not there.
    pub const DANGLING_SUBSCRIPTION: &str = "dangling-subscription";
    /// A subscription that calls another handler than its tool's.
    pub const HANDLER_MISMATCH: &str = "handler-mismatch";
    /// A handler that the sources do not have.
    pub const UNKNOWN_HANDLER: &str = "unknown-handler";
    /// A component that was not built.
    pub const MISSING_COMPONENT: &str = "missing-component";
    /// Bytes that are no component.
    pub const INVALID_COMPONENT: &str = "invalid-component";
    /// An interface that is imported while nothing is granted for it.
    pub const UNGRANTED_IMPORT: &str = "ungranted-import";
    /// An interface that the platform does not have.
    pub const UNKNOWN_INTERFACE: &str = "unknown-interface";
    /// A grant that the component can't use.
    pub const UNUSED_GRANT: &str = "unused-grant";
    /// Handlers without a component that could be called.
    pub const NO_ENTRY_POINT: &str = "no-entry-point";
    /// A `tools.json` that is not one, or not of this component.
    pub const TOOLS_FILE: &str = "tools-file";
    /// A tool that does not say what it does.
    pub const UNDESCRIBED_TOOL: &str = "undescribed-tool";
}

/// Why a capsule can't be checked at all.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The folder or its manifest.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// Its sources.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// A file.
    #[error("{}: {source}", file.display())]
    File {
        /// The file.
        file: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Checks the capsule in `folder`. No complaint means that all its parts agree.
///
/// # Errors
/// When the manifest breaks a rule of its own, or sources can't be parsed.
pub fn check(folder: &Path) -> Result<Diagnostics, CheckError> {
    let project = Project::read(folder)?;
    let declared = scan::scan(folder)?;
    let mut findings = Findings { project: &project, found: Vec::new() };
    let described = findings.tools_file()?;
    // Sources know the tools best; a capsule without sources has at least its description.
    let tools: Option<BTreeSet<String>> = match (&declared, &described) {
        (Some(declared), _) => Some(declared.tools.keys().cloned().collect()),
        (None, described) => described.clone(),
    };
    if let Some(tools) = &tools {
        findings.routes(tools, declared.as_ref());
    }
    if let (Some(declared), Some(described)) = (&declared, &described) {
        findings.same_tools(declared, described);
    }
    if let Some(declared) = &declared {
        findings.handlers(declared);
    }
    findings.component()?;
    let mut all = Diagnostics::new(findings.found);
    all.merge(project.warnings);
    Ok(all)
}

struct Findings<'a> {
    project: &'a Project,
    found: Vec<Diagnostic>,
}

impl Findings<'_> {
    fn add(&mut self, rule: &'static str, message: String, help: impl Into<String>) {
        let file = self.project.manifest_file();
        self.found.push(Diagnostic::of_file(&file, rule, message).with_help(help));
    }

    fn add_at(&mut self, place: Option<&scan::Place>, rule: &'static str, message: String, help: String) {
        let Some(place) = place else { return self.add(rule, message, help) };
        let file = self.project.folder.join(&place.file).display().to_string();
        let mut finding = Diagnostic::of_file(&file, rule, message).with_help(help);
        (finding.line, finding.column) = (place.at.line, place.at.column);
        self.found.push(finding);
    }

    fn warn(&mut self, rule: &'static str, message: String, help: String) {
        self.add(rule, message, help);
        if let Some(last) = self.found.last_mut() {
            last.severity = Severity::Warning;
        }
    }

    /// Every tool is called by its own handler, and may answer.
    fn routes(&mut self, tools: &BTreeSet<String>, declared: Option<&Declared>) {
        let manifest = &self.project.manifest;
        let mut routed = BTreeSet::new();
        for (pattern, subscription) in &manifest.subscribe {
            let Some(name) = pattern.as_str().strip_prefix(EXECUTE) else { continue };
            // Patterns and longer topics (results) are not calls of one tool.
            if name.contains(['.', '*']) {
                continue;
            }
            let Some(handler) = subscription.handler.as_deref() else { continue };
            let wanted = format!("tool_execute_{name}");
            if tools.contains(name) {
                routed.insert(name.to_owned());
                if handler != wanted {
                    let message = format!("calls of the tool `{name}` go to the handler `{handler}`");
                    self.add(rule::HANDLER_MISMATCH, message, format!("write `handler = \"{wanted}\"`"));
                }
            } else {
                let message = format!("`{pattern}` is subscribed, but there is no tool `{name}`");
                self.add(rule::DANGLING_SUBSCRIPTION, message, "remove the line, or add the tool");
            }
        }
        for tool in tools {
            let place = declared.and_then(|declared| declared.tools.get(tool));
            if !routed.contains(tool) {
                let help = format!(
                    "add to [subscribe]:\n\"{EXECUTE}{tool}\" = {{ wit = \"@unicity-astrid/wit/types/tool-call\", \
                     handler = \"tool_execute_{tool}\" }}"
                );
                self.add_at(place, rule::UNROUTED_TOOL, format!("no call reaches the tool `{tool}`"), help);
            }
            if !self.may_publish(&format!("{EXECUTE}{tool}.result")) {
                let help = "add to [publish]:\n\"tool.v1.execute.*.result\" = \
                            \"@unicity-astrid/wit/types/tool-call-result\"";
                let message = format!("the tool `{tool}` may not publish its result");
                self.add_at(place, rule::MISSING_PUBLISH, message, help.to_owned());
            }
        }
        if !tools.is_empty() && !self.may_publish(DESCRIBED) {
            let help = "add to [publish]:\n\"tool.v1.response.describe.*\" = \
                        \"@unicity-astrid/wit/tool/describe-response\"";
            self.add(rule::MISSING_PUBLISH, "it may not publish what its tools are".to_owned(), help);
        }
    }

    fn may_publish(&self, topic: &str) -> bool {
        topic.parse::<Topic>().is_ok_and(|topic| {
            self.project.manifest.publish.keys().any(|pattern| pattern.matches_subtree(&topic))
        })
    }

    /// Every handler that is named exists.
    fn handlers(&mut self, declared: &Declared) {
        for (pattern, handler, _) in self.project.manifest.handlers() {
            let is_tool =
                handler.strip_prefix("tool_execute_").is_some_and(|name| declared.tools.contains_key(name));
            let is_describe = handler == "tool_describe" && !declared.tools.is_empty();
            // Calls of tools have rules of their own.
            let is_route = pattern.as_str().starts_with(EXECUTE);
            if !is_tool && !is_describe && !is_route && !declared.actions.contains_key(handler) {
                let message =
                    format!("`{pattern}` calls the handler `{handler}`, which the sources do not have");
                let help =
                    format!("add a method with #[astrid::interceptor(\"{handler}\")], or correct the name");
                self.add(rule::UNKNOWN_HANDLER, message, help);
            }
        }
    }

    /// The names in `tools.json`; `None` when there is no such file, or not one that can be read.
    fn tools_file(&mut self) -> Result<Option<BTreeSet<String>>, CheckError> {
        let file = self.project.folder.join(TOOLS_FILE);
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(CheckError::File { file, source }),
        };
        let found = match tools::read(&text) {
            Ok(found) => found,
            Err(error) => {
                self.add(rule::TOOLS_FILE, format!("{TOOLS_FILE}: {error}"), "run `astrid capsule build`");
                return Ok(None);
            }
        };
        for tool in found.iter().filter(|tool| !tool.is_described) {
            let message = format!("the tool `{}` does not say what it does", tool.name);
            let help = "write a doc comment above its method; a model reads it to choose the tool".to_owned();
            self.warn(rule::UNDESCRIBED_TOOL, message, help);
        }
        Ok(Some(found.into_iter().map(|tool| tool.name).collect()))
    }

    fn same_tools(&mut self, declared: &Declared, described: &BTreeSet<String>) {
        let sources: BTreeSet<String> = declared.tools.keys().cloned().collect();
        let differing: Vec<&str> = sources.symmetric_difference(described).map(String::as_str).collect();
        if !differing.is_empty() {
            let message = format!("{TOOLS_FILE} and the sources disagree about: {}", differing.join(", "));
            self.add(rule::TOOLS_FILE, message, "run `astrid capsule build`");
        }
    }

    /// The component is there, and asks for no more than the manifest grants.
    fn component(&mut self) -> Result<(), CheckError> {
        let Some(file) = self.project.component_file() else { return Ok(()) };
        let name = self.project.component_name().unwrap_or_default();
        let bytes = match std::fs::read(&file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let message = format!("the component `{name}` is not there");
                self.add(rule::MISSING_COMPONENT, message, "run `astrid capsule build`");
                return Ok(());
            }
            Err(source) => return Err(CheckError::File { file, source }),
        };
        let surface = match inspect(&bytes) {
            Ok(surface) => surface,
            Err(error) => {
                self.add(rule::INVALID_COMPONENT, format!("`{name}`: {error}"), "run `astrid capsule build`");
                return Ok(());
            }
        };
        for interface in surface.unknown_interfaces() {
            let message = format!("`{name}` imports `{interface}`, which the platform does not have");
            self.add(rule::UNKNOWN_INTERFACE, message, "build for wasm32-unknown-unknown, without WASI");
        }
        let authority = effective_authority(&self.project.manifest, Some(&surface));
        for import in &authority.ungranted_imports {
            let kinds: Vec<String> = import.needs.iter().map(|kind| format!("`{}`", kind.as_str())).collect();
            let message = format!(
                "`{name}` imports `{}`, and nothing is granted for it: every such call would be denied",
                import.interface
            );
            let help = format!("grant {} in [capabilities], or do not use it", kinds.join(" or "));
            self.add(rule::UNGRANTED_IMPORT, message, help);
        }
        for grant in authority.unused.iter() {
            let message = format!("`{grant}` is granted, but `{name}` has no way to use it");
            let help = "remove it: people are asked to trust what a manifest grants".to_owned();
            self.warn(rule::UNUSED_GRANT, message, help);
        }
        let has_handlers = !self.project.manifest.handlers().is_empty();
        if has_handlers && !surface.has_hook_trigger() {
            let message = format!("handlers are declared, but `{name}` exports nothing that could be called");
            let help = "mark the `impl` block with #[capsule]".to_owned();
            self.add(rule::NO_ENTRY_POINT, message, help);
        }
        Ok(())
    }
}
