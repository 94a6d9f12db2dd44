//! Arguments of `distro`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::ApplyArgs;

/// What is done with bundles.
#[derive(Debug, Subcommand)]
pub(crate) enum DistroVerb {
    /// Put a distro with everything it needs into one file
    Seal(Box<SealArgs>),
    /// Say what a bundle holds, who sealed it, and what it may do
    Inspect(BundleArgs),
    /// Check everything about a bundle; apply nothing
    Verify(BundleVerifyArgs),
    /// Show the declaration in a bundle, and what its lock pins
    Show(BundleArgs),
    /// Make this machine what the bundle declares: the same as `astrid apply FILE`
    Apply(Box<ApplyArgs>),
    /// Bring the distro that is applied to the version in a bundle; another distro and an older version are refused
    Update(Box<ApplyArgs>),
}

/// Who seals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sealing {
    /// The key of --key
    Key,
    /// The CI job that runs this
    #[cfg(feature = "sign")]
    Keyless,
}

/// `distro seal`
#[derive(Debug, Args)]
pub(crate) struct SealArgs {
    /// The distro: a folder, its Distro.toml, or `git+URL?ref=…&path=…`
    #[arg(default_value = ".")]
    pub(crate) source: PathBuf,
    /// The file that is written
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// How it is signed; --key alone says `key`
    #[arg(long, value_enum, value_name = "HOW")]
    pub(crate) sign: Option<Sealing>,
    /// Sign with a key, without any network: its name, or a file with its 32 bytes (a path with `/` or `.`)
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) key: Option<String>,
    /// Leave out what the fleet of this lock has already
    #[arg(long, value_name = "LOCK")]
    pub(crate) since: Option<PathBuf>,
    /// Leave out the trust root
    #[arg(long)]
    pub(crate) no_root: bool,
    /// Choose a member of a provider group
    #[arg(long = "select", value_name = "GROUP=CAPSULE[,CAPSULE]")]
    pub(crate) selections: Vec<String>,
    #[cfg(feature = "sign")]
    #[command(flatten)]
    pub(crate) services: ServiceArgs,
}

/// Where keyless signing asks, with `--sign keyless`.
#[cfg(feature = "sign")]
#[derive(Debug, Args)]
#[command(next_help_heading = "Keyless")]
pub(crate) struct ServiceArgs {
    /// Read the identity token from a file
    #[arg(long, value_name = "FILE", requires = "sign")]
    pub(crate) token_file: Option<PathBuf>,
    /// The trust root of the services; the signature must verify against it
    #[arg(long, value_name = "FILE", requires = "sign")]
    pub(crate) trusted_root: Option<PathBuf>,
    /// Another certificate authority than Sigstore's public one
    #[arg(long, value_name = "URL", requires_all = ["sign", "rekor", "trusted_root"])]
    pub(crate) fulcio: Option<String>,
    /// Another log
    #[arg(long, value_name = "URL", requires = "fulcio")]
    pub(crate) rekor: Option<String>,
    /// The version of that log's API; 2 needs a timestamp authority
    #[arg(long, value_name = "VERSION", default_value = "1", value_parser = ["1", "2"], requires = "rekor")]
    pub(crate) rekor_version: String,
    /// A timestamp authority beside that log
    #[arg(long, value_name = "URL", requires = "rekor")]
    pub(crate) timestamp_authority: Option<String>,
}

/// `distro inspect` and `distro show`
#[derive(Debug, Args)]
pub(crate) struct BundleArgs {
    /// The bundle
    pub(crate) file: PathBuf,
}

/// `distro verify`
#[derive(Debug, Args)]
pub(crate) struct BundleVerifyArgs {
    /// The bundle
    pub(crate) file: PathBuf,
    /// Take a bundle that nobody signed
    #[arg(long)]
    pub(crate) allow_unsigned: bool,
}
