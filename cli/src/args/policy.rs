//! Arguments of `policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What is asked of the policy.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyVerb {
    /// Say of every artifact of the distro whether the policy lets it in, and why not
    Check(PolicyCheckArgs),
    /// Say what the policy asks of one artifact, by which rule, and what was found
    Explain(PolicyExplainArgs),
}

/// `policy check`
#[derive(Debug, Args)]
pub(crate) struct PolicyCheckArgs {
    /// A folder, a Distro.toml, or a source
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,
}

/// `policy explain`
#[derive(Debug, Args)]
pub(crate) struct PolicyExplainArgs {
    /// A capsule, a pack, or the distro, such as capsule:fs
    pub(crate) artifact: String,
    /// A folder, a Distro.toml, or a source
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,
}
