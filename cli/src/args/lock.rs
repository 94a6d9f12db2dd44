//! Arguments of `lock`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `lock`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct LockArgs {
    #[command(subcommand)]
    pub(crate) verb: Option<LockVerb>,
    /// Only say whether Distro.lock matches Distro.toml
    #[arg(long, conflicts_with_all = ["upgrade", "dry_run"])]
    pub(crate) check: bool,
    /// Take the newest versions that the ranges allow: of everything, or of NAME only
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "")]
    pub(crate) upgrade: Vec<String>,
    /// Show what the lock would become; write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Choose a member of a provider group
    #[arg(long = "select", value_name = "GROUP=CAPSULE[,CAPSULE]")]
    pub(crate) selections: Vec<String>,
}

/// What is done with locks besides writing one.
#[derive(Debug, Subcommand)]
pub(crate) enum LockVerb {
    /// Show what differs between two locks, or between this one and what would be locked now
    Diff(LockDiffArgs),
}

/// `lock diff`
#[derive(Debug, Args)]
pub(crate) struct LockDiffArgs {
    /// The lock before; without it, the one of the current generation
    pub(crate) before: Option<PathBuf>,
    /// The lock after; without it, ./Distro.lock
    pub(crate) after: Option<PathBuf>,
    /// Exit with 2 when they differ
    #[arg(long)]
    pub(crate) detailed_exitcode: bool,
}
