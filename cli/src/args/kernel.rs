//! Arguments of the verbs that talk with the kernel, and of `capsule`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

/// `start`
#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    /// How long to wait until it is ready
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = super::duration)]
    pub(crate) timeout: Duration,
}

/// `stop`
#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    /// How long to wait until it is gone
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = super::duration)]
    pub(crate) timeout: Duration,
}

/// `daemon`
#[derive(Debug, Args)]
pub(crate) struct DaemonArgs {}

/// What is done with tools.
#[derive(Debug, Subcommand)]
pub(crate) enum ToolsVerb {
    /// List the tools of running capsules
    List,
    /// Call a tool and print its answer
    Call(ToolsCallArgs),
}

/// `tools call`
#[derive(Debug, Args)]
pub(crate) struct ToolsCallArgs {
    /// The tool
    pub(crate) name: String,
    /// Its arguments as a JSON object; `-` reads them from standard input
    #[arg(long, value_name = "JSON", default_value = "{}")]
    pub(crate) args: String,
    /// How long to wait for the answer
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = super::duration)]
    pub(crate) timeout: Duration,
}

/// What is done with capsules.
#[derive(Debug, Subcommand)]
pub(crate) enum CapsuleVerb {
    /// Check a capsule's manifest against its sources and its component
    Check(CapsuleCheckArgs),
    /// Build a capsule from its sources into a .capsule file
    Build(CapsuleBuildArgs),
}

/// `capsule check`
#[derive(Debug, Args)]
pub(crate) struct CapsuleCheckArgs {
    /// The capsule's folder
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,
}

/// `capsule build`
#[derive(Debug, Args)]
pub(crate) struct CapsuleBuildArgs {
    /// The capsule's folder
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,
    /// The folder for the .capsule file; without it, dist/ in the capsule's folder
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}
