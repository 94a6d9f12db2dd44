//! Arguments of `packs`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::lifecycle::{
    PackFilterArgs, PackIndexArgs, PackInspectArgs, PackInstallArgs, PackRollbackArgs, PackSearchArgs,
    PackUninstallArgs, PackUpdateArgs,
};
use super::run::{PackEnterArgs, PackRunArgs};

/// What is done with packs.
#[derive(Debug, Subcommand)]
pub(crate) enum PacksVerb {
    /// List the packs that are installed
    #[command(visible_alias = "ls")]
    List(PackFilterArgs),
    /// Show what a pack discloses, what its capsules may do, and what was accepted of it; writes nothing
    Inspect(PackInspectArgs),
    /// Add a pack to the distro, then apply: its trust summary is shown, and trust in it asked for
    Install(PackInstallArgs),
    /// Take what the source of a pack has now, then apply; trust is asked for again
    Update(PackUpdateArgs),
    /// Take a pack out of the distro, then apply
    Uninstall(PackUninstallArgs),
    /// Go back to an earlier revision of one pack, in a new generation
    Rollback(PackRollbackArgs),
    /// Find packs by words
    Search(PackSearchArgs),
    /// What agents have to know about the packs that are installed
    AgentIndex(PackIndexArgs),
    /// Run an executor or orchestrator of a pack: a process with all that you may do
    Run(PackRunArgs),
    /// Check a pack's manifests without running anything of it, and show every complaint with its place
    Validate(PackValidateArgs),
    /// Write a new pack that validates and runs
    New(PackNewArgs),
    /// Enter the sandbox of a run
    #[command(hide = true)]
    Enter(PackEnterArgs),
}

/// `packs validate`
#[derive(Debug, Args)]
pub(crate) struct PackValidateArgs {
    /// The folder of the pack
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,
    /// Show warnings too
    #[arg(long)]
    pub(crate) warnings: bool,
}

/// `packs new`
#[derive(Debug, Args)]
pub(crate) struct PackNewArgs {
    /// Its id, which becomes the name of its folder
    pub(crate) id: String,
    /// The folder that it is made in
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) path: PathBuf,
    /// What it begins with
    #[arg(long, value_enum, default_value_t)]
    pub(crate) template: PackTemplate,
}

/// What a new pack begins with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum PackTemplate {
    /// Two files: an executor that runs a command
    #[default]
    Minimal,
    /// An executor in Python
    Python,
    /// An executor in shell
    Shell,
}
