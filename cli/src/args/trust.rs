//! Arguments of `trust` and `secret`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What is done with trust.
#[derive(Debug, Subcommand)]
pub(crate) enum TrustVerb {
    /// Show what would need trust, and what satisfies it
    Review(ReviewArgs),
    /// Write acknowledgements into trust/, after asking exactly as apply does
    Ack(AckArgs),
    /// Take an acknowledgement back
    Revoke(RevokeArgs),
    /// List acknowledgements, believed origins and revocations
    List,
    /// Believe the origin of a distro: its own acknowledgements and policy count from now on
    Believe(BelieveArgs),
    /// Whose signature each distro must have
    #[command(subcommand)]
    Keys(TrustKeysVerb),
    /// Show and choose the root that signatures are verified with
    #[command(subcommand)]
    Root(RootVerb),
}

/// What is done with the root of trust.
#[derive(Debug, Subcommand)]
pub(crate) enum RootVerb {
    /// Show which root is in use, and how old it is
    Show,
    /// Take a trusted_root.json as this home's own
    Set {
        /// The file
        file: PathBuf,
    },
    /// Use the root that comes with this program again
    Reset,
}

/// What is done with the pins of who signs a distro.
#[derive(Debug, Subcommand)]
pub(crate) enum TrustKeysVerb {
    /// List whose signature each distro must have
    List,
    /// Forget who signs a distro: the next signature is taken as the first one
    Remove(TrustKeysRemoveArgs),
}

/// `trust keys remove`
#[derive(Debug, Args)]
pub(crate) struct TrustKeysRemoveArgs {
    /// The id of the distro
    pub(crate) id: String,
}

/// `trust review`
#[derive(Debug, Args)]
pub(crate) struct ReviewArgs {
    /// A folder or a Distro.toml
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,
    /// Take the acknowledgements of this folder's trust/ as consent, for this run
    #[arg(long, value_name = "WHERE", value_parser = ["repository"])]
    pub(crate) acks: Option<String>,
}

/// `trust ack`
#[derive(Debug, Args)]
pub(crate) struct AckArgs {
    /// What is acknowledged, such as pack:media_tools; without it, everything that needs it
    pub(crate) subjects: Vec<String>,
    /// Acknowledge without a prompt: everything, or just SUBJECT at DIGEST (64 hex digits)
    #[arg(long, value_name = "SUBJECT@DIGEST", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub(crate) trust: Vec<String>,
    /// Sign it with a key: its name, or a file with its 32 bytes (a path with `/` or `.`)
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) sign: Option<String>,
    /// When it ends, as a date or a time, such as 2027-05-20
    #[arg(long, value_name = "DATE")]
    pub(crate) expires: Option<String>,
}

/// `trust revoke`
#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// What is no longer trusted, such as pack:media_tools
    pub(crate) subject: String,
}

/// `trust believe`
#[derive(Debug, Args)]
pub(crate) struct BelieveArgs {
    /// The folder of the distro
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,
}

/// What is done with secrets.
#[derive(Debug, Subcommand)]
pub(crate) enum SecretVerb {
    /// Store a secret; its value is asked for, or read from standard input
    Set(SecretSetArgs),
    /// List the names of the secrets that are stored; never a value
    List,
    /// Forget a secret
    Delete(SecretNameArgs),
}

/// `secret set`
#[derive(Debug, Args)]
pub(crate) struct SecretSetArgs {
    /// The capsule that gets it
    pub(crate) capsule: String,
    /// The name of the setting
    pub(crate) key: String,
    /// Values are never given as arguments: this is refused, with the ways that work
    #[arg(hide = true)]
    pub(crate) value: Option<String>,
}

/// `secret delete`
#[derive(Debug, Args)]
pub(crate) struct SecretNameArgs {
    /// The capsule
    pub(crate) capsule: String,
    /// The name of the setting
    pub(crate) key: String,
}
