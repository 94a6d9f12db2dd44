//! Arguments of `sign`.

use std::path::PathBuf;

use clap::Args;

/// `sign`
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("signer").required(true)))]
pub(crate) struct SignArgs {
    /// A file, or the folder of a distro, a capsule or a pack
    pub(crate) artifact: PathBuf,
    /// Sign with a key, without any network: its name, or a file with its 32 bytes (a path with `/` or `.`)
    #[arg(long, value_name = "NAME|FILE", group = "signer")]
    pub(crate) key: Option<String>,
    /// Where the bundle is written; without it, where it is looked for
    #[arg(long, value_name = "FILE")]
    pub(crate) bundle: Option<PathBuf>,
    /// Say this about the artifact, as JSON; without it, that you made it
    #[arg(long, value_name = "FILE", requires = "predicate_type")]
    pub(crate) predicate: Option<PathBuf>,
    /// What kind of thing --predicate says
    #[arg(long, value_name = "URI", requires = "predicate")]
    pub(crate) predicate_type: Option<String>,
    #[cfg(feature = "sign")]
    #[command(flatten)]
    pub(crate) keyless: KeylessArgs,
}

/// Signing without a key of one's own.
#[cfg(feature = "sign")]
#[derive(Debug, Args)]
#[command(next_help_heading = "Keyless")]
pub(crate) struct KeylessArgs {
    /// Sign as the CI job that runs this, by a token of GitHub Actions, GitLab, Buildkite or SIGSTORE_ID_TOKEN
    #[arg(long, group = "signer")]
    pub(crate) keyless: bool,
    /// Read the identity token from a file
    #[arg(long, value_name = "FILE", requires = "keyless", conflicts_with = "key")]
    pub(crate) token_file: Option<PathBuf>,
    /// The trust root of the services; the bundle must verify against it
    #[arg(long, value_name = "FILE", requires = "keyless", conflicts_with = "key")]
    pub(crate) trusted_root: Option<PathBuf>,
    /// Another certificate authority than Sigstore's public one
    #[arg(long, value_name = "URL", requires_all = ["keyless", "rekor", "trusted_root"], conflicts_with = "key")]
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
