//! Arguments of `packs`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What is done with packs.
#[derive(Debug, Subcommand)]
pub(crate) enum PacksVerb {
    /// Check a pack's manifests without running anything of it, and show every complaint with its place
    Validate(PackValidateArgs),
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
