//! What can be typed: types only, no work. Each verb's work is in `command`.

mod discover;
mod distro;
mod fleet;
mod kernel;
mod keypair;
mod lifecycle;
mod lock;
mod packs;
mod policy;
mod run;
mod sign;
mod trust;
mod verify;

pub(crate) use discover::DiscoverArgs;
#[cfg(feature = "sign")]
pub(crate) use distro::ServiceArgs;
pub(crate) use distro::{BundleArgs, BundleVerifyArgs, DistroVerb, SealArgs, Sealing};
pub(crate) use fleet::{
    AddArgs, ApplyArgs, BootArgs, ConsentArgs, DiffArgs, GcArgs, HistoryArgs, InitArgs, PlanArgs, RemoveArgs,
    RollbackArgs, ShowArgs, UpArgs, UpdateArgs, ValidateArgs, VariableArgs, WhyArgs,
};
pub(crate) use kernel::{
    CapsuleBuildArgs, CapsuleCheckArgs, CapsuleVerb, DaemonArgs, StartArgs, StopArgs, ToolsCallArgs,
    ToolsVerb,
};
pub(crate) use keypair::{EndorseArgs, GenerateArgs, KeyNameArgs, KeypairVerb};
pub(crate) use lifecycle::{
    PackFilterArgs, PackIndexArgs, PackInspectArgs, PackInstallArgs, PackRollbackArgs, PackSearchArgs,
    PackUninstallArgs, PackUpdateArgs,
};
pub(crate) use lock::{LockArgs, LockDiffArgs, LockVerb};
pub(crate) use packs::{PackNewArgs, PackTemplate, PackValidateArgs, PacksVerb};
pub(crate) use run::{PackEnterArgs, PackRunArgs};
pub(crate) use sign::SignArgs;
pub(crate) use trust::{
    AckArgs, BelieveArgs, ReviewArgs, RevokeArgs, RootVerb, SecretNameArgs, SecretSetArgs, SecretVerb,
    TrustKeysVerb, TrustVerb,
};

pub(crate) use policy::{PolicyCheckArgs, PolicyExplainArgs, PolicyVerb};
pub(crate) use verify::{SignatureArgs, VerifyArgs};

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::shell::{Color, Format};

/// From a repository of manifests to a running fleet
#[derive(Debug, Parser)]
#[command(name = "astrid", version, disable_help_subcommand = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Option<Verb>,
}

/// What every verb takes.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is one flag")]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Run as if started in DIR
    #[arg(short = 'C', value_name = "DIR", global = true)]
    pub(crate) directory: Option<PathBuf>,
    /// Where Astrid keeps everything [env: ASTRID_HOME] [default: ~/.astrid]
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) home: Option<PathBuf>,
    /// Use no network
    #[arg(long, global = true)]
    pub(crate) offline: bool,
    /// Refuse when Distro.lock does not match Distro.toml
    #[arg(long, global = true)]
    pub(crate) locked: bool,
    /// Both --locked and --offline; write nothing in the repository
    #[arg(long, global = true)]
    pub(crate) frozen: bool,
    /// Skip the ordinary confirmation; never grants trust
    #[arg(short, long, global = true)]
    pub(crate) yes: bool,
    /// How long to wait for another writer, such as 500ms, 10s or 2m
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration, global = true)]
    pub(crate) lock_timeout: Duration,
    /// How data is written
    #[arg(
        long,
        value_enum,
        default_value_t,
        hide_possible_values = false,
        value_name = "FORMAT",
        global = true
    )]
    pub(crate) format: Format,
    /// Short for --format json
    #[arg(long, global = true, conflicts_with = "format")]
    pub(crate) json: bool,
    /// Tell about the work as lines of JSON while it goes on
    #[arg(long, global = true, conflicts_with_all = ["format", "json"])]
    pub(crate) json_stream: bool,
    /// When colours are used
    #[arg(long, value_enum, default_value_t, value_name = "WHEN", global = true)]
    pub(crate) color: Color,
    /// Say less
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
}

impl Global {
    /// The format that was asked for.
    pub(crate) fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format }
    }
}

/// Every verb that works.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Install a distro: SOURCE, or the starter that comes with this program
    Init(InitArgs),
    /// Check manifests, locks and acknowledgements, and show every complaint with its place
    Validate(ValidateArgs),
    /// Pin every artifact of the distro in Distro.lock
    Lock(LockArgs),
    /// Get everything that Distro.lock pins into the store
    Fetch,
    /// Show what apply would change, and what authority that gives; changes nothing
    Plan(PlanArgs),
    /// Show a saved plan, a pack, a capsule or a distro
    Show(ShowArgs),
    /// Show what differs between two generations, or between the current one and this folder
    Diff(DiffArgs),
    /// Make this machine what the distro declares
    Apply(ApplyArgs),
    /// Run the current generation in the foreground, until interrupted
    Up(UpArgs),
    /// Say what is applied, whether it is in sync, and whether the kernel runs
    Status,
    /// Go back to an earlier generation
    Rollback(RollbackArgs),
    /// List the generations that are kept
    Generations,
    /// List what was applied, when and by whom
    History(HistoryArgs),
    /// Find what no generation needs; --force removes it
    Gc(GcArgs),
    /// Say who made an artifact, or check the store, a lock, or what is applied and runs
    Verify(VerifyArgs),
    /// Say why something is in the fleet
    Why(WhyArgs),
    /// Show the fleet as a tree of what needs what
    Tree,
    /// Add a capsule or a pack to the distro, then apply
    Add(AddArgs),
    /// Remove capsules or packs from the distro, then apply
    Remove(RemoveArgs),
    /// Take newer versions within the declared ranges, then apply
    Update(UpdateArgs),
    /// Review, give and take back trust
    #[command(subcommand)]
    Trust(TrustVerb),
    /// Make and keep keys to sign with
    #[command(subcommand)]
    Keypair(KeypairVerb),
    /// Say who made an artifact: write a signed bundle beside it
    Sign(SignArgs),
    /// Say what the policy asks of artifacts, and what it finds
    #[command(subcommand)]
    Policy(PolicyVerb),
    /// Seal a distro into one file, and look at such files
    #[command(subcommand)]
    Distro(DistroVerb),
    /// Look at packs, install, update and run them, and write new ones
    #[command(subcommand)]
    Packs(PacksVerb),
    /// Say what packs are around, and what they offer and disclose; only looks
    Discover(DiscoverArgs),
    /// Keep secrets for capsules
    #[command(subcommand)]
    Secret(SecretVerb),
    /// Start the kernel in the background
    Start(StartArgs),
    /// Stop the kernel
    Stop(StopArgs),
    /// List the capsules that run
    Ps,
    /// List and call the tools of running capsules
    #[command(subcommand)]
    Tools(ToolsVerb),
    /// Check and build capsules
    #[command(subcommand)]
    Capsule(CapsuleVerb),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print versions
    Version,
    /// The kernel in this process
    #[command(hide = true)]
    Daemon(DaemonArgs),
}

impl Verb {
    /// Whether it plans in order to switch to what it planned.
    pub(crate) fn changes_the_machine(&self) -> bool {
        match self {
            Self::Apply(args) => !args.dry_run,
            Self::Init(args) => !args.here,
            Self::Add(_) | Self::Remove(_) | Self::Update(_) => true,
            Self::Distro(verb) => {
                matches!(verb, DistroVerb::Apply(args) | DistroVerb::Update(args) if !args.dry_run)
            }
            Self::Packs(verb) => match verb {
                PacksVerb::Install(args) => !args.dry_run,
                PacksVerb::Update(args) => !args.dry_run,
                PacksVerb::Uninstall(_) | PacksVerb::Rollback(_) => true,
                _ => false,
            },
            _ => false,
        }
    }
}

/// Parses `500ms`, `10s`, `2m`, `1h`; a bare number is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| "write a number and a unit, such as 10s".to_owned())?;
    let (seconds, millis) = match unit {
        "ms" => (0, number),
        "" | "s" => (number, 0),
        "m" => (number.saturating_mul(60), 0),
        "h" => (number.saturating_mul(3600), 0),
        _ => return Err(format!("`{unit}` is no unit: write ms, s, m or h")),
    };
    Ok(Duration::from_secs(seconds).saturating_add(Duration::from_millis(millis)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("10"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("2m"), Ok(Duration::from_mins(2)));
    }

    #[test]
    fn other_durations_are_refused_denied() {
        for text in ["", "s", "-1s", "1d", "1 s", "99999999999999999999s"] {
            assert!(duration(text).is_err(), "{text:?}");
        }
    }
}
