//! A compiler that can make guests, found on this machine.
//!
//! Guests are compiled for `wasm32-unknown-unknown`. A compiler can do that when it has the standard
//! library of that target, or when it has the library's source and a WebAssembly linker: then the
//! library is built along with the guest. Nothing is ever installed from here.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::environment::Environment;

/// The target of every guest: no WASI, so that a component's imports are all that it can do.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Where a distribution's packages put a compiler that rustup does not know of.
const PACKAGED: &str = "/usr/bin";

/// Linkers that understand WebAssembly, in order of preference.
const LINKERS: [&str; 5] = ["wasm-ld", "wasm-ld-21", "wasm-ld-20", "wasm-ld-19", "rust-lld"];

/// Where the standard library of the target comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StandardLibrary {
    /// It is installed beside the compiler.
    Prebuilt,
    /// It is compiled along with the guest.
    FromSource {
        /// The folder that holds `library/`.
        source: PathBuf,
        /// The linker's path.
        linker: PathBuf,
        /// What the linker says about its own version, one line.
        linker_version: String,
    },
}

/// A compiler that can make guests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toolchain {
    /// The `cargo` to run.
    pub cargo: PathBuf,
    /// The `rustc` that it must use.
    pub rustc: PathBuf,
    /// The compiler's release, such as `1.96.0`.
    pub release: String,
    /// The commit that the compiler was made from, when it says so.
    pub commit: Option<String>,
    /// What `cargo --version` prints, one line.
    pub cargo_version: String,
    /// How it gets a standard library.
    pub library: StandardLibrary,
}

/// No compiler on this machine can make guests.
#[derive(Debug, thiserror::Error)]
#[error(
    "no Rust compiler here can build for {TARGET}\n\
     {looked_at}\
     install one of:\n  \
       rustup target add {TARGET}\n  \
       apt-get install --no-install-recommends rustc-web cargo-web rust-web-src lld-19   (Debian, no rustup needed)"
)]
pub struct ToolchainError {
    looked_at: String,
}

/// Finds a compiler, as `cargo` would in `project`: the one on `PATH` first, then the packaged one.
/// An installed standard library is preferred to building one.
///
/// # Errors
/// When there is none; the error says what each compiler lacks and what to install.
pub fn find(environment: &Environment, project: &Path) -> Result<Toolchain, ToolchainError> {
    let mut compilers = Vec::new();
    let on_path = environment.find_program("rustc").zip(environment.find_program("cargo"));
    let packaged = Path::new(PACKAGED);
    for (rustc, cargo) in on_path.into_iter().chain([(packaged.join("rustc"), packaged.join("cargo"))]) {
        if compilers.iter().all(|known: &Compiler| known.rustc != rustc)
            && let Some(compiler) = Compiler::ask(environment, project, rustc, cargo)
        {
            compilers.push(compiler);
        }
    }
    if let Some(compiler) = compilers.iter().find(|compiler| compiler.has_target()) {
        return Ok(compiler.with(StandardLibrary::Prebuilt));
    }
    let mut looked_at = String::new();
    for compiler in &compilers {
        match compiler.library_from_source(environment) {
            Ok(library) => return Ok(compiler.with(library)),
            Err(lacks) => {
                let path = compiler.rustc.display();
                // Writing to a string can't fail.
                let _ = writeln!(looked_at, "  {path} ({}) {lacks}", compiler.release);
            }
        }
    }
    if compilers.is_empty() {
        looked_at.push_str("  no rustc with a cargo beside it is on PATH\n");
    }
    Err(ToolchainError { looked_at })
}

impl Toolchain {
    /// The arguments that this toolchain adds to `cargo build`.
    pub(crate) fn cargo_arguments(&self) -> Vec<String> {
        match &self.library {
            StandardLibrary::Prebuilt => Vec::new(),
            StandardLibrary::FromSource { linker, .. } => vec![
                "-Zbuild-std=std,panic_abort".to_owned(),
                "--config".to_owned(),
                format!("target.{TARGET}.linker={:?}", linker.display().to_string()),
            ],
        }
    }

    /// Whether stable compilers must be told to accept the unstable switch that builds the library.
    pub(crate) fn needs_bootstrap(&self) -> bool {
        matches!(self.library, StandardLibrary::FromSource { .. })
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rustc {}", self.release)?;
        match &self.library {
            StandardLibrary::Prebuilt => f.write_str(", installed standard library"),
            StandardLibrary::FromSource { linker_version, .. } => {
                write!(f, ", standard library from source, {linker_version}")
            }
        }
    }
}

/// A compiler, and what it said about itself.
struct Compiler {
    rustc: PathBuf,
    cargo: PathBuf,
    release: String,
    commit: Option<String>,
    host: String,
    cargo_version: String,
    sysroot: PathBuf,
}

impl Compiler {
    fn ask(environment: &Environment, project: &Path, rustc: PathBuf, cargo: PathBuf) -> Option<Self> {
        let about = output(environment, project, &rustc, &["-vV"])?;
        let field = |name: &str| {
            about.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(str::to_owned)
        };
        let sysroot = output(environment, project, &rustc, &["--print", "sysroot"])?;
        let cargo_version = output(environment, project, &cargo, &["--version"])?;
        Some(Self {
            release: field("release")?,
            commit: field("commit-hash").filter(|hash| hash != "unknown"),
            host: field("host")?,
            cargo_version: cargo_version.trim().to_owned(),
            sysroot: PathBuf::from(sysroot.trim()),
            rustc,
            cargo,
        })
    }

    fn has_target(&self) -> bool {
        let libraries = self.sysroot.join("lib/rustlib").join(TARGET).join("lib");
        std::fs::read_dir(libraries).is_ok_and(|entries| {
            entries.flatten().any(|entry| {
                entry.file_name().to_str().is_some_and(|name| {
                    name.starts_with("libstd-")
                        && Path::new(name).extension().is_some_and(|end| end == "rlib")
                })
            })
        })
    }

    fn library_from_source(&self, environment: &Environment) -> Result<StandardLibrary, &'static str> {
        let source = self.sysroot.join("lib/rustlib/src/rust");
        if !source.join("library/std/Cargo.toml").is_file() {
            return Err("has neither this target's standard library nor the library's source");
        }
        let own = self.sysroot.join("lib/rustlib").join(&self.host).join("bin/rust-lld");
        let linker = LINKERS
            .iter()
            .find_map(|name| environment.find_program(name))
            .or_else(|| own.is_file().then_some(own))
            .ok_or("has the library's source, but there is no linker for WebAssembly (wasm-ld)")?;
        let linker_version = output(environment, Path::new("/"), &linker, &["--version"])
            .and_then(|text| text.lines().next().map(str::to_owned))
            .ok_or("has the library's source, but the linker for WebAssembly does not start")?;
        Ok(StandardLibrary::FromSource { source, linker, linker_version })
    }

    fn with(&self, library: StandardLibrary) -> Toolchain {
        Toolchain {
            cargo: self.cargo.clone(),
            rustc: self.rustc.clone(),
            release: self.release.clone(),
            commit: self.commit.clone(),
            cargo_version: self.cargo_version.clone(),
            library,
        }
    }
}

/// What a program prints when it succeeds. Run in `folder`, because rustup chooses by folder.
fn output(environment: &Environment, folder: &Path, program: &Path, arguments: &[&str]) -> Option<String> {
    let result = environment.command(program).current_dir(folder).args(arguments).output().ok()?;
    result.status.success().then(|| String::from_utf8_lossy(&result.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_says_what_to_install() {
        let error = ToolchainError { looked_at: "  /x/rustc (1.0.0) lacks a thing\n".to_owned() }.to_string();
        assert!(error.contains("rustup target add wasm32-unknown-unknown"), "{error}");
        assert!(error.contains("rust-web-src"), "{error}");
        assert!(error.contains("lacks a thing"), "{error}");
    }

    #[test]
    fn building_the_library_adds_a_linker_and_a_switch() {
        let toolchain = Toolchain {
            cargo: "/usr/bin/cargo".into(),
            rustc: "/usr/bin/rustc".into(),
            release: "1.96.0".to_owned(),
            commit: None,
            cargo_version: "cargo 1.96.0".to_owned(),
            library: StandardLibrary::FromSource {
                source: "/src".into(),
                linker: "/usr/bin/wasm-ld-19".into(),
                linker_version: "LLD 19".to_owned(),
            },
        };
        let arguments = toolchain.cargo_arguments();
        assert!(
            arguments.contains(&r#"target.wasm32-unknown-unknown.linker="/usr/bin/wasm-ld-19""#.to_owned())
        );
        assert!(toolchain.needs_bootstrap());
        let installed = Toolchain { library: StandardLibrary::Prebuilt, ..toolchain };
        assert!(installed.cargo_arguments().is_empty() && !installed.needs_bootstrap());
    }
}
