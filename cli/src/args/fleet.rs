//! Arguments of the verbs that work on the fleet as a whole.

use std::path::PathBuf;

use clap::Args;

/// Values for variables of the distro.
#[derive(Debug, Default, Clone, Args)]
pub(crate) struct VariableArgs {
    /// Give a variable a value; never a secret, which others could see in the process list
    #[arg(long = "var", value_name = "NAME=VALUE")]
    pub(crate) variables: Vec<String>,
    /// Choose a member of a provider group
    #[arg(long = "select", value_name = "GROUP=CAPSULE[,CAPSULE]")]
    pub(crate) selections: Vec<String>,
}

/// What a person consents to on the command line. None of these implies another.
#[derive(Debug, Default, Clone, Args)]
#[command(next_help_heading = "Consent")]
#[expect(clippy::struct_excessive_bools, reason = "each is one flag")]
pub(crate) struct ConsentArgs {
    /// Acknowledge everything in this plan, or just SUBJECT at DIGEST (64 hex digits)
    #[arg(long, value_name = "SUBJECT@DIGEST", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub(crate) trust: Vec<String>,
    /// Take the acknowledgements of this folder's trust/ as consent, for this run
    #[arg(long, value_name = "WHERE", value_parser = ["repository"])]
    pub(crate) acks: Option<String>,
    /// Allow a version lower than the highest that was applied
    #[arg(long)]
    pub(crate) allow_downgrade: bool,
    /// Take a distro that comes from somewhere else and is not signed
    #[arg(long)]
    pub(crate) allow_unsigned: bool,
    /// Take a distro that is signed by somebody else than before
    #[arg(long)]
    pub(crate) accept_new_key: bool,
    /// Allow to remove everything
    #[arg(long)]
    pub(crate) allow_empty: bool,
    /// Allow another distro, or another origin of it, in place of the applied one
    #[arg(long)]
    pub(crate) replace_distro: bool,
}

/// `init`
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// A folder, git+URL or @org/repo; without it, the embedded starter
    #[arg(conflicts_with = "distro")]
    pub(crate) source: Option<String>,
    /// The same as SOURCE
    #[arg(long, value_name = "SOURCE", hide = true)]
    pub(crate) distro: Option<String>,
    /// Write a declaration into this folder instead, and install nothing
    #[arg(long, conflicts_with_all = ["source", "distro"])]
    pub(crate) here: bool,
    /// What --here writes
    #[arg(long, requires = "here", value_parser = ["starter", "minimal"], default_value = "minimal")]
    pub(crate) template: String,
    #[command(flatten)]
    pub(crate) variables: VariableArgs,
    #[command(flatten)]
    pub(crate) boot: BootArgs,
    #[command(flatten)]
    pub(crate) consent: ConsentArgs,
}

/// Whether an apply starts the kernel.
#[derive(Debug, Default, Clone, Args)]
pub(crate) struct BootArgs {
    /// Start the kernel when it does not run
    #[arg(long, conflicts_with = "no_boot")]
    pub(crate) boot: bool,
    /// Only switch the generation; leave the kernel alone
    #[arg(long)]
    pub(crate) no_boot: bool,
}

/// `validate`
#[derive(Debug, Args)]
pub(crate) struct ValidateArgs {
    /// A manifest, lock or acknowledgement file, or a folder that holds some
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,
}

/// `plan`
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// A folder or a Distro.toml
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,
    /// Save the plan, for `astrid apply FILE`
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Exit with 2 when something would change
    #[arg(long)]
    pub(crate) detailed_exitcode: bool,
    #[command(flatten)]
    pub(crate) variables: VariableArgs,
}

/// `show`
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// A saved plan, a manifest, a lock or a folder; a capsule or pack of the current generation by name
    pub(crate) what: String,
}

/// `diff`
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// A generation, by number
    pub(crate) from: Option<u64>,
    /// Another one
    pub(crate) to: Option<u64>,
    /// Exit with 2 when something differs
    #[arg(long)]
    pub(crate) detailed_exitcode: bool,
}

/// `apply`
#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// A folder, a Distro.toml or a saved plan
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,
    /// Show the plan and its trust summaries; change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) variables: VariableArgs,
    #[command(flatten)]
    pub(crate) boot: BootArgs,
    #[command(flatten)]
    pub(crate) consent: ConsentArgs,
}

/// `up`
#[derive(Debug, Args)]
pub(crate) struct UpArgs {}

/// `rollback`
#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    /// The generation to go back to; without it, the one before
    pub(crate) generation: Option<u64>,
    /// Show what would change; change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) boot: BootArgs,
    #[command(flatten)]
    pub(crate) consent: ConsentArgs,
}

/// `history`
#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// Show the last N only
    #[arg(short = 'n', value_name = "N")]
    pub(crate) last: Option<usize>,
}

/// `gc`
#[derive(Debug, Args)]
pub(crate) struct GcArgs {
    /// Remove it; without this, only show it
    #[arg(long)]
    pub(crate) force: bool,
    /// Keep the last N generations
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) keep: usize,
}

/// `why`
#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// A capsule or a pack
    pub(crate) name: String,
}

/// `add`
#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// Where it comes from: ./path, git+URL?ref=TAG, @org/repo or index:NAME
    pub(crate) source: String,
    /// Its name, when the source does not say it
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// The versions that are wanted
    #[arg(long = "version", value_name = "RANGE")]
    pub(crate) requirement: Option<String>,
    /// A remote source is a pack, not a capsule
    #[arg(long)]
    pub(crate) pack: bool,
    /// Only change Distro.toml
    #[arg(long)]
    pub(crate) no_apply: bool,
    #[command(flatten)]
    pub(crate) boot: BootArgs,
    #[command(flatten)]
    pub(crate) variables: VariableArgs,
    #[command(flatten)]
    pub(crate) consent: ConsentArgs,
}

/// `remove`
#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// Capsules or packs
    #[arg(required = true)]
    pub(crate) names: Vec<String>,
    /// Only change Distro.toml
    #[arg(long)]
    pub(crate) no_apply: bool,
    #[command(flatten)]
    pub(crate) boot: BootArgs,
    #[command(flatten)]
    pub(crate) variables: VariableArgs,
    #[command(flatten)]
    pub(crate) consent: ConsentArgs,
}

/// `update`
#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    /// Capsules or packs
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub(crate) names: Vec<String>,
    /// Everything
    #[arg(long)]
    pub(crate) all: bool,
    /// Only change Distro.lock
    #[arg(long)]
    pub(crate) no_apply: bool,
    #[command(flatten)]
    pub(crate) boot: BootArgs,
    #[command(flatten)]
    pub(crate) variables: VariableArgs,
    #[command(flatten)]
    pub(crate) consent: ConsentArgs,
}
