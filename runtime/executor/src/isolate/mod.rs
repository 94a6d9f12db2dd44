//! `--isolate`: a run inside the sandbox of the operating system, when a person asks for it.
//!
//! This is beyond version 1 of the platform contract, which promises no sandbox. What a manifest declares under
//! `permissions` plays no part in it. The sandbox is entered by a process of its own, which then becomes the
//! program: see [`enter`]. Where it can't be entered in full, nothing is run.

#[cfg(target_os = "linux")]
mod linux;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::machine::Machine;
use crate::process::{Environment, Invocation};

/// The variables that an isolated run keeps besides those that its manifest asks for.
pub const KEPT_VARIABLES: [&str; 6] = ["PATH", "LANG", "LC_ALL", "LC_CTYPE", "TERM", "TZ"];

/// What programs need of the system to start: read, never written.
const SYSTEM: [&str; 33] = [
    "/bin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/sbin",
    "/usr",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/fonts",
    "/etc/gitconfig",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.preload",
    "/etc/localtime",
    "/etc/magic",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/pki/tls",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl",
    "/etc/timezone",
    "/proc",
    "/sys/devices/system/cpu",
];

/// Devices without a state that could be shared.
const DEVICES: [&str; 5] = ["/dev/full", "/dev/null", "/dev/random", "/dev/urandom", "/dev/zero"];

/// How the sandbox is entered: this program again, with arguments that a file is added to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Helper {
    /// The program.
    pub program: PathBuf,
    /// Its arguments, before the file.
    pub arguments: Vec<OsString>,
}

/// What an isolated run is let near.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// Files and folders that are read.
    pub read: BTreeSet<PathBuf>,
    /// Files and folders that are read and written.
    pub write: BTreeSet<PathBuf>,
    /// It may use the network.
    pub network: bool,
    /// The variables that its manifest asks for.
    pub variables: BTreeSet<String>,
}

/// What no isolated run may write to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Protected {
    /// Folders that are not opened, nor any above them; those in them are.
    pub around: Vec<PathBuf>,
    /// Folders that are not opened, nor any above or in them.
    pub whole: Vec<PathBuf>,
}

impl Protected {
    fn check(&self, reach: &Reach) -> Result<()> {
        for path in &reach.write {
            let opened = real(path);
            let above = self.around.iter().chain(&self.whole).find(|one| real(one).starts_with(&opened));
            let inside = || self.whole.iter().find(|one| opened.starts_with(real(one)));
            if let Some(one) = above.or_else(inside) {
                return Err(Error::usage(format!(
                    "{} can't be opened to an isolated run: what is to be kept from it is there ({})",
                    path.display(),
                    one.display()
                ))
                .hint("start it in the folder of a project, such as with `-C DIR`"));
            }
        }
        Ok(())
    }
}

/// A path without links, as far as it is there. What would climb out of what is not there yet may be anywhere.
fn real(path: &Path) -> PathBuf {
    let there = path.ancestors().find_map(|one| Some((one, one.canonicalize().ok()?)));
    let Some((one, found)) = there else { return PathBuf::from("/") };
    let rest = path.strip_prefix(one).unwrap_or(Path::new(""));
    let climbs = rest.components().any(|part| part == std::path::Component::ParentDir);
    if climbs { PathBuf::from("/") } else { found.join(rest) }
}

/// What the process that enters the sandbox is told.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    read: Vec<PathBuf>,
    write: Vec<PathBuf>,
    network: bool,
    program: OsString,
    arguments: Vec<OsString>,
    folder: PathBuf,
    environment: Vec<(OsString, OsString)>,
}

/// A sandbox that a run will be in. Its own folder goes away with it.
#[derive(Debug)]
pub struct Sandbox {
    own: tempfile::TempDir,
    reach: Reach,
}

impl Sandbox {
    /// Makes one, when this system can keep what it promises.
    ///
    /// # Errors
    /// When the system can't, or when the reach holds what a sandbox is to protect.
    pub fn new(mut reach: Reach, protected: &Protected) -> Result<Self> {
        supported()?;
        protected.check(&reach)?;
        reach.read.retain(|path| SYSTEM.iter().all(|system| !path.starts_with(system)));
        let own = tempfile::Builder::new().prefix("astrid-run-").tempdir();
        let own = own.map_err(|error| Error::failed(format!("there is no temporary folder: {error}")))?;
        let folder = own.path().join("tmp");
        let made = std::fs::DirBuilder::new().mode(0o700).create(&folder);
        made.map_err(|error| Error::failed(format!("there is no temporary folder: {error}")))?;
        reach.write.insert(folder);
        Ok(Self { own, reach })
    }

    /// The invocation that enters the sandbox and then is `inner`.
    ///
    /// # Errors
    /// When the order can't be written.
    pub fn around(&self, inner: &Invocation, helper: &Helper, machine: &Machine<'_>) -> Result<Invocation> {
        let environment = self.environment(inner, machine);
        let order = Order {
            read: self.reach.read.iter().cloned().collect(),
            write: self.reach.write.iter().cloned().collect(),
            network: self.reach.network,
            program: inner.program.clone(),
            arguments: inner.arguments.clone(),
            folder: inner.folder.clone(),
            environment: environment.clone().into_iter().collect(),
        };
        let path = self.own.path().join("order.json");
        let written = serde_json::to_vec(&order).map_err(std::io::Error::other).and_then(|bytes| {
            let opened =
                std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
            opened.and_then(|mut file| std::io::Write::write_all(&mut file, &bytes))
        });
        written.map_err(|error| Error::failed(format!("the sandbox can't be prepared: {error}")))?;
        let mut arguments = helper.arguments.clone();
        arguments.push(path.into());
        Ok(Invocation {
            program: helper.program.clone().into(),
            arguments,
            folder: inner.folder.clone(),
            environment: Environment::Only(environment),
        })
    }

    fn environment(&self, inner: &Invocation, machine: &Machine<'_>) -> BTreeMap<OsString, OsString> {
        let asked = self.reach.variables.iter().map(String::as_str);
        let mut kept: BTreeMap<OsString, OsString> = KEPT_VARIABLES
            .into_iter()
            .chain(asked)
            .filter_map(|name| Some((name.into(), machine.variable(name)?)))
            .collect();
        if let Environment::Users(set) = &inner.environment {
            kept.extend(set.iter().map(|(name, value)| (name.into(), value.into())));
        }
        // Its own: what programs look for in a home or write to a temporary folder is neither the user's nor shared.
        let folder = self.own.path().join("tmp");
        for name in ["HOME", "TMPDIR"] {
            kept.insert(name.into(), folder.clone().into());
        }
        kept
    }

    /// What it covers and what it does not, in lines for people.
    #[must_use]
    pub fn coverage(&self) -> Vec<String> {
        let list = |paths: &BTreeSet<PathBuf>| {
            paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
        };
        let variables: Vec<&str> =
            KEPT_VARIABLES.into_iter().chain(self.reach.variables.iter().map(String::as_str)).collect();
        let mut lines = vec![
            "isolated: this run is in a sandbox of the operating system, which is BEYOND the v1 contract"
                .to_owned(),
            "  the contract promises no sandbox, and what the pack declares does not shape this one"
                .to_owned(),
            format!("  covered: reads only the system's programs and {}", list(&self.reach.read)),
            format!("  covered: writes only {}", list(&self.reach.write)),
        ];
        lines.push(if self.reach.network {
            "  NOT covered: the network is open, as `isolation.network` asks; sockets of this machine are closed"
                .to_owned()
        } else {
            "  covered: no socket can be opened".to_owned()
        });
        lines.push(format!(
            "  covered: sees only these variables: {}; HOME and TMPDIR are its own folder",
            variables.join(", ")
        ));
        lines.push("  covered: has and gains no privileges, and can't look into other processes".to_owned());
        lines.extend(gaps().into_iter().map(|gap| format!("  NOT covered: {gap}")));
        lines
    }
}

/// What the sandbox of this system leaves open.
fn gaps() -> Vec<String> {
    let mut gaps = vec![
        "names, sizes, times and modes of files elsewhere can be seen, and those of the user's own files changed"
            .to_owned(),
        "the arguments of the user's other processes can be read in /proc".to_owned(),
        "processors, memory and disk are shared without a limit; the kernel itself is trusted".to_owned(),
    ];
    if !scopes_signals() {
        gaps.push(
            "this kernel is too old to keep it from sending signals to the user's processes".to_owned(),
        );
    }
    gaps
}

/// Refuses where the sandbox can't be entered in full.
///
/// # Errors
/// When the kernel lacks what it is made of, or the system is not Linux.
pub fn supported() -> Result<()> {
    #[cfg(target_os = "linux")]
    let found = linux::supported();
    #[cfg(not(target_os = "linux"))]
    let found: std::result::Result<(), String> = Err("only Linux has the sandbox that it uses".to_owned());
    found.map_err(|why| {
        Error::failed(format!("`--isolate` can't be kept on this machine: {why}"))
            .hint("nothing was run; use a container or a virtual machine, or leave out --isolate")
    })
}

fn scopes_signals() -> bool {
    #[cfg(target_os = "linux")]
    let scopes = linux::scopes_signals();
    #[cfg(not(target_os = "linux"))]
    let scopes = false;
    scopes
}

/// Enters the sandbox that the file at `order` describes and becomes its program; returns only to say why not.
pub fn enter(order: &Path) -> Error {
    let read = std::fs::read(order).map_err(|error| error.to_string());
    let order =
        read.and_then(|bytes| serde_json::from_slice::<Order>(&bytes).map_err(|error| error.to_string()));
    let order = match order {
        Ok(order) => order,
        Err(why) => return refused(&why),
    };
    #[cfg(target_os = "linux")]
    let why = linux::enter(&order);
    #[cfg(not(target_os = "linux"))]
    let why = format!("`{}`: only Linux has the sandbox that it uses", Path::new(&order.program).display());
    refused(&why)
}

fn refused(why: &str) -> Error {
    Error::failed(format!("it could not be isolated, and was not run: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(protected: &Protected, path: &Path) -> Result<()> {
        protected.check(&Reach { write: BTreeSet::from([path.to_owned()]), ..Reach::default() })
    }

    #[test]
    fn folders_of_projects_are_opened() {
        let root = tempfile::tempdir().unwrap();
        let user = root.path().join("ada");
        std::fs::create_dir_all(user.join("project")).unwrap();
        let protected = Protected { around: vec![user.clone()], whole: vec![user.join(".astrid")] };
        assert!(check(&protected, &user.join("project")).is_ok());
        assert!(check(&protected, &user.join("project/new/report")).is_ok());
        assert!(check(&protected, &root.path().join("other")).is_ok());
    }

    #[test]
    fn what_is_to_be_kept_is_not_opened_denied() {
        let root = tempfile::tempdir().unwrap();
        let user = root.path().join("ada");
        std::fs::create_dir_all(user.join("project")).unwrap();
        std::fs::create_dir_all(user.join(".astrid/keys")).unwrap();
        std::os::unix::fs::symlink(user.join(".astrid"), user.join("project/link")).unwrap();
        let protected = Protected { around: vec![user.clone()], whole: vec![user.join(".astrid")] };
        for path in
            ["", ".", "..", ".astrid", ".astrid/keys", ".astrid/new", "project/link/new", "project/no/../.."]
        {
            assert!(check(&protected, &user.join(path)).is_err(), "{path}");
        }
        assert!(check(&protected, Path::new("/")).is_err());
    }
}
