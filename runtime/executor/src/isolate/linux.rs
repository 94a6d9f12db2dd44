//! Landlock for files, seccomp for sockets: both need no privileges, and neither can be left again.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use landlock::{
    ABI, Access as _, AccessFs, BitFlags, CompatLevel, Compatible as _, PathBeneath, PathFd, Ruleset,
    RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope,
};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

use super::{DEVICES, Order, SYSTEM};

/// The oldest kernel whose sandbox also keeps files from being cut short: Linux 6.2.
const NEEDED: ABI = ABI::V3;
/// Taken as well where the kernel has it: control of devices.
const WISHED: ABI = ABI::V5;

/// System calls that open sockets, besides `socket` itself; `socketpair` opens nothing.
const IO_URING: [i64; 3] = [libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register];
/// Requests that type into a terminal as if the person had.
const TERMINAL_INPUT: [u64; 2] = [0x5412, 0x541c];
/// The other numbers of the same calls on x86-64.
const X32: i64 = 0x4000_0000;

pub(super) fn supported() -> Result<(), String> {
    let landlock = |error: RulesetError| {
        format!("this kernel has no Landlock of Linux 6.2 or later, or it is switched off ({error})")
    };
    ruleset().and_then(Ruleset::create).map_err(landlock)?;
    if !Path::new("/proc/sys/kernel/seccomp/actions_avail").exists() {
        return Err("this kernel has no seccomp filters".to_owned());
    }
    filter(false).map(drop)
}

pub(super) fn scopes_signals() -> bool {
    let made =
        Ruleset::default().set_compatibility(CompatLevel::HardRequirement).scope(Scope::from_all(ABI::V6));
    made.and_then(Ruleset::create).is_ok()
}

fn ruleset() -> Result<Ruleset, RulesetError> {
    Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(NEEDED))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(WISHED))?
        .scope(Scope::from_all(ABI::V6))
}

/// Enters, and becomes the program; what is returned is why not.
pub(super) fn enter(order: &Order) -> String {
    if let Err(why) = restrict(order) {
        return why;
    }
    let mut command = Command::new(&order.program);
    command.args(&order.arguments).current_dir(&order.folder).env_clear();
    command.envs(order.environment.iter().map(|(name, value)| (name, value)));
    let error = command.exec();
    format!("`{}` can't be started in the sandbox: {error}", Path::new(&order.program).display())
}

fn restrict(order: &Order) -> Result<(), String> {
    let program = filter(order.network)?;
    close_inherited()?;
    drop_capabilities()?;
    let words = |error: RulesetError| error.to_string();
    let mut rules = ruleset().and_then(Ruleset::create).map_err(words)?;
    let read = AccessFs::from_read(WISHED);
    let write = AccessFs::from_all(WISHED) & !(AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev);
    let device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
    for path in SYSTEM {
        rules = allow(rules, Path::new(path), read, false)?;
    }
    for path in DEVICES {
        rules = allow(rules, Path::new(path), device, false)?;
    }
    for path in &order.read {
        rules = allow(rules, path, read, true)?;
    }
    for path in &order.write {
        rules = allow(rules, path, write, true)?;
    }
    let status = rules.restrict_self().map_err(words)?;
    if status.ruleset == RulesetStatus::NotEnforced || !status.no_new_privs {
        return Err("Landlock was not enforced".to_owned());
    }
    seccompiler::apply_filter(&program).map_err(|error| error.to_string())
}

fn allow(
    rules: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
    needed: bool,
) -> Result<RulesetCreated, String> {
    let said = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let is_folder = match std::fs::metadata(path) {
        Ok(found) => found.is_dir(),
        Err(error) if needed => return Err(said(&error)),
        Err(_) => return Ok(rules),
    };
    let opened = PathFd::new(path).map_err(|error| said(&error))?;
    let access = if is_folder { access } else { access & AccessFs::from_file(WISHED) };
    rules.add_rule(PathBeneath::new(opened, access)).map_err(|error| said(&error))
}

/// What was open in the user's shell is not for this process: a file or socket that is open stays usable.
fn close_inherited() -> Result<(), String> {
    let said = |error: std::io::Error| format!("its open files can't be listed: {error}");
    let mut open = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd").map_err(said)? {
        let name = entry.map_err(said)?.file_name();
        open.extend(name.to_str().and_then(|text| text.parse::<i32>().ok()).filter(|number| *number > 2));
    }
    for number in open {
        // The folder that was just read is closed already.
        let _ = nix::unistd::close(number);
    }
    Ok(())
}

/// What makes root more than a user: with some of it, a sandbox would not hold. Without the right to gain any, the
/// program has none either.
fn drop_capabilities() -> Result<(), String> {
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    set_capabilities(None, sets).map_err(|error| format!("its capabilities can't be given up: {error}"))
}

fn filter(network: bool) -> Result<BpfProgram, String> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    let said = |error: seccompiler::BackendError| error.to_string();
    let equal = |argument, operator, value: u64| {
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)
    };
    let socket = if network {
        // Sockets of this machine lead to its services, and those are not in the sandbox.
        let families = [libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
        let conditions: Result<Vec<_>, _> = families
            .into_iter()
            .map(|family| equal(0, SeccompCmpOp::Ne, u64::from(family.unsigned_abs())))
            .collect();
        vec![SeccompRule::new(conditions.map_err(said)?).map_err(said)?]
    } else {
        Vec::new()
    };
    rules.insert(libc::SYS_socket, socket);
    for call in IO_URING {
        rules.insert(call, Vec::new());
    }
    let mut typing = Vec::new();
    for request in TERMINAL_INPUT {
        let condition = equal(1, SeccompCmpOp::Eq, request).map_err(said)?;
        typing.push(SeccompRule::new(vec![condition]).map_err(said)?);
    }
    rules.insert(libc::SYS_ioctl, typing);
    if cfg!(target_arch = "x86_64") {
        let again: Vec<_> = rules.iter().map(|(call, rules)| (call | X32, rules.clone())).collect();
        rules.extend(again);
    }
    let refused = SeccompAction::Errno(libc::EACCES.unsigned_abs());
    let architecture = std::env::consts::ARCH.try_into().map_err(said)?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refused, architecture).map_err(said)?;
    filter.try_into().map_err(said)
}
