//! Arguments of `packs run`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::duration;

/// `packs run`
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is one flag")]
pub(crate) struct PackRunArgs {
    /// The executor or orchestrator, such as repo_report.size; an alias of one
    #[arg(value_name = "EXECUTOR")]
    pub(crate) component: String,
    /// Its inputs, and where its outputs go
    #[arg(value_name = "INPUT=VALUE")]
    pub(crate) inputs: Vec<String>,
    /// The same, for names that begin with a dash
    #[arg(long = "input", value_name = "NAME=VALUE")]
    pub(crate) more: Vec<String>,
    /// Run it from the pack in DIR, which is not installed; trust in it is asked for each time
    #[arg(long, value_name = "DIR")]
    pub(crate) path: Option<PathBuf>,
    /// Acknowledge the pack of --path, or just ID at DIGEST (64 hex digits), for this run
    #[arg(
        long,
        value_name = "ID@DIGEST",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "",
        requires = "path"
    )]
    pub(crate) trust: Vec<String>,
    /// Run it in the operating system's sandbox. Beyond what version 1 promises; it says what that covers
    #[arg(long)]
    pub(crate) isolate: bool,
    /// End it when it takes longer, such as 30s or 10m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// Run it also when its results are there
    #[arg(long)]
    pub(crate) again: bool,
    /// Run it also when something that it needs seems to be missing
    #[arg(long)]
    pub(crate) skip_checks: bool,
    /// Show what would be run, and how; run nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// The orchestrator that runs it as a child
    #[arg(long, value_name = "ORCHESTRATOR", hide = true)]
    pub(crate) parent: Option<String>,
}

/// What enters the sandbox of `packs run --isolate`.
#[derive(Debug, Args)]
pub(crate) struct PackEnterArgs {
    /// What `packs run` wrote for it
    pub(crate) order: PathBuf,
}
