//! One run of cargo, from a capsule's sources to core modules.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use serde::Deserialize;

use crate::environment::Environment;
use crate::flags::{self, Remap};
use crate::toolchain::{StandardLibrary, TARGET, Toolchain};

/// How many of the compiler's last lines an error carries.
const KEPT_LINES: usize = 40;

/// Why there is no core module.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// A program did not start.
    #[error("`{program}` can't be run: {source}")]
    Start {
        /// The program.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// Cargo refused or failed.
    #[error("`cargo {what}` failed ({status}) in {}\n{output}", folder.display())]
    Failed {
        /// The subcommand.
        what: &'static str,
        /// The folder of the package.
        folder: PathBuf,
        /// How it ended.
        status: ExitStatus,
        /// Its last lines.
        output: String,
    },
    /// Cargo said something that is not understood.
    #[error("cargo's description of {} can't be read: {source}", folder.display())]
    Description {
        /// The folder of the package.
        folder: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// The build succeeded without leaving a module.
    #[error(
        "{} builds no WebAssembly module; its Cargo.toml needs:\n  [lib]\n  crate-type = [\"cdylib\"]",
        folder.display()
    )]
    NoModule {
        /// The folder of the package.
        folder: PathBuf,
    },
}

/// A core module that cargo left, and the package that it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// The folder of the package's `Cargo.toml`.
    pub package: PathBuf,
    /// The module's file.
    pub file: PathBuf,
}

/// Compiles the package in `folder`, or every member when `folder` is the root of a workspace.
///
/// `on_line` gets the compiler's output as it comes. The lock file is respected when there is one, and
/// paths of this machine are kept out of the result.
///
/// # Errors
/// When cargo fails, with its last lines, or when it leaves no module.
pub fn compile(
    environment: &Environment,
    toolchain: &Toolchain,
    folder: &Path,
    on_line: &mut dyn FnMut(&str),
) -> Result<Vec<Module>, CompileError> {
    let cargo = Cargo { environment, toolchain, folder };
    let workspace = cargo.workspace()?;
    let is_locked = workspace.workspace_root.join("Cargo.lock").is_file();
    let locked = if is_locked { &["--locked"][..] } else { &[] };
    // The registry's folders must exist before their names can be hidden.
    cargo.run("fetch", &[locked, &["--target", TARGET]].concat(), None, on_line)?;

    let remaps = remaps(environment, toolchain, &workspace);
    let encoded = flags::encoded(environment, folder, &remaps);
    let extra = toolchain.cargo_arguments();
    let mut arguments = vec!["--release", "--message-format=json-render-diagnostics", "--target", TARGET];
    arguments.extend(locked);
    if folder == workspace.workspace_root {
        arguments.push("--workspace");
    }
    arguments.extend(extra.iter().map(String::as_str));
    let messages = cargo.run("build", &arguments, Some(&encoded), on_line)?;

    let modules = modules(&messages);
    if modules.is_empty() {
        return Err(CompileError::NoModule { folder: folder.to_owned() });
    }
    Ok(modules)
}

/// What cargo says about a workspace; everything else in its answer is of no interest here.
#[derive(Debug, Deserialize)]
struct Workspace {
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

struct Cargo<'a> {
    environment: &'a Environment,
    toolchain: &'a Toolchain,
    folder: &'a Path,
}

impl Cargo<'_> {
    fn workspace(&self) -> Result<Workspace, CompileError> {
        let arguments = ["--no-deps", "--offline", "--format-version=1"];
        let described = self.run("metadata", &arguments, None, &mut |_| {})?;
        serde_json::from_str(&described)
            .map_err(|source| CompileError::Description { folder: self.folder.to_owned(), source })
    }

    /// Runs one subcommand and returns what it printed on standard output.
    fn run(
        &self,
        what: &'static str,
        arguments: &[&str],
        encoded_flags: Option<&str>,
        on_line: &mut dyn FnMut(&str),
    ) -> Result<String, CompileError> {
        let start =
            |source| CompileError::Start { program: self.toolchain.cargo.display().to_string(), source };
        let mut command = self.environment.command(&self.toolchain.cargo);
        command
            .arg(what)
            .args(arguments)
            .current_dir(self.folder)
            .env("RUSTC", &self.toolchain.rustc)
            .env_remove("CARGO_BUILD_TARGET")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if self.toolchain.needs_bootstrap() {
            command.env("RUSTC_BOOTSTRAP", "1");
        }
        if let Some(flags) = encoded_flags {
            command.env_remove("RUSTFLAGS").env("CARGO_ENCODED_RUSTFLAGS", flags);
        }
        let mut child = command.spawn().map_err(start)?;
        // Two pipes: one is drained by a thread, so that neither side can block on the other.
        let printed = child.stdout.take().map(|mut stdout| {
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                stdout.read_to_end(&mut bytes).map(|_| bytes)
            })
        });
        let mut last_lines: Vec<String> = Vec::new();
        if let Some(stderr) = child.stderr.take() {
            for line in BufReader::new(stderr).lines() {
                let line = line.map_err(start)?;
                on_line(&line);
                if last_lines.len() == KEPT_LINES {
                    last_lines.remove(0);
                }
                last_lines.push(line);
            }
        }
        let status = child.wait().map_err(start)?;
        let printed = match printed.map(std::thread::JoinHandle::join) {
            Some(Ok(bytes)) => bytes.map_err(start)?,
            _ => Vec::new(),
        };
        if !status.success() {
            let folder = self.folder.to_owned();
            return Err(CompileError::Failed { what, folder, status, output: last_lines.join("\n") });
        }
        Ok(String::from_utf8_lossy(&printed).into_owned())
    }
}

/// Which of this machine's folders must not show in a component, the most specific last: the compiler
/// takes the last match.
fn remaps(environment: &Environment, toolchain: &Toolchain, workspace: &Workspace) -> Vec<Remap> {
    let mut remaps = Vec::new();
    let mut hide = |from: &Path, to: &str| {
        // The compiler may see a folder under either of its names.
        for from in [Some(from.to_owned()), from.canonicalize().ok()].into_iter().flatten() {
            let remap = Remap { from, to: to.to_owned() };
            if !remaps.contains(&remap) {
                remaps.push(remap);
            }
        }
    };
    hide(&workspace.workspace_root, "/capsule");
    hide(&workspace.target_directory, "/target");
    if let Some(home) = environment.cargo_home() {
        hide(&home, "/cargo");
        // One folder per registry, and a mirror's name differs from that of the registry it mirrors.
        let registries = std::fs::read_dir(home.join("registry/src"));
        let mut folders: Vec<PathBuf> = registries
            .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
            .unwrap_or_default();
        folders.sort();
        for folder in folders {
            hide(&folder, "/cargo/registry");
        }
    }
    if let StandardLibrary::FromSource { source, .. } = &toolchain.library {
        let commit = toolchain.commit.as_deref().unwrap_or(&toolchain.release);
        hide(source, &format!("/rustc/{commit}"));
    }
    remaps
}

/// One line of cargo's machine-readable output.
#[derive(Debug, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
enum Message {
    CompilerArtifact {
        manifest_path: PathBuf,
        filenames: Vec<PathBuf>,
        target: ArtifactTarget,
    },
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
struct ArtifactTarget {
    crate_types: Vec<String>,
}

fn modules(messages: &str) -> Vec<Module> {
    let mut modules: Vec<Module> = messages
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter_map(|message| match message {
            Message::CompilerArtifact { manifest_path, filenames, target } => {
                let is_module = target.crate_types.iter().any(|kind| kind == "cdylib");
                let file =
                    filenames.into_iter().find(|file| file.extension().is_some_and(|end| end == "wasm"))?;
                let package = manifest_path.parent()?.to_owned();
                is_module.then_some(Module { package, file })
            }
            Message::Other => None,
        })
        .collect();
    modules.sort_by(|left, right| left.package.cmp(&right.package));
    modules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_read_from_cargos_messages_in_a_fixed_order() {
        let messages = r#"{"reason":"compiler-artifact","package_id":"b","manifest_path":"/w/b/Cargo.toml","target":{"crate_types":["cdylib"]},"filenames":["/t/b.wasm"]}
{"reason":"compiler-artifact","package_id":"c","manifest_path":"/w/c/Cargo.toml","target":{"crate_types":["lib"]},"filenames":["/t/libc.rlib"]}
{"reason":"build-script-executed","package_id":"x"}
not json
{"reason":"compiler-artifact","package_id":"a","manifest_path":"/w/a/Cargo.toml","target":{"crate_types":["cdylib","rlib"]},"filenames":["/t/liba.rlib","/t/a.wasm"]}
{"reason":"build-finished","success":true}"#;
        let found = modules(messages);
        let packages: Vec<_> = found.iter().map(|module| module.package.display().to_string()).collect();
        assert_eq!(packages, ["/w/a", "/w/b"]);
    }
}
