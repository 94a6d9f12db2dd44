//! Arguments of `verify`.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

/// `verify`
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is one flag")]
#[command(group(ArgGroup::new("what").required(true)))]
#[command(group(ArgGroup::new("whose")))]
pub(crate) struct VerifyArgs {
    /// A file, or the folder of a distro, a capsule or a pack: say who made it, from its bundle
    #[arg(group = "what")]
    pub(crate) artifact: Option<PathBuf>,
    /// Hash every blob of the store and every file of the generations
    #[arg(long, group = "what", conflicts_with = "SignatureArgs")]
    pub(crate) store: bool,
    /// Prove that what runs is the current generation, and that this is what its receipt and lock say
    #[arg(long, group = "what", conflicts_with = "SignatureArgs")]
    pub(crate) fleet: bool,
    /// Hash everything that the Distro.lock of this folder pins, and prove again who signed it
    #[arg(long, group = "what", conflicts_with = "SignatureArgs")]
    pub(crate) lock: bool,
    /// The key that the receipt must be signed with; without it, this home's own
    #[arg(long, value_name = "KEY", conflicts_with_all = ["artifact", "store", "lock"])]
    pub(crate) receipt_key: Option<String>,
    /// Demand that the kernel runs, and runs all of it
    #[arg(long, conflicts_with_all = ["artifact", "store", "lock"])]
    pub(crate) running: bool,
    #[command(flatten)]
    pub(crate) signature: SignatureArgs,
}

/// Whose an artifact must be.
#[derive(Debug, Args)]
#[command(next_help_heading = "Signatures")]
pub(crate) struct SignatureArgs {
    /// The bundle, or several, one a line; without it, the one beside the artifact
    #[arg(long, value_name = "FILE", requires = "artifact")]
    pub(crate) bundle: Option<PathBuf>,
    /// Who signed, exactly: a mail address, or the URI of a workflow
    #[arg(long, value_name = "ID", group = "whose", requires_all = ["artifact", "certificate_oidc_issuer"])]
    pub(crate) certificate_identity: Option<String>,
    /// Who attests that, exactly
    #[arg(long, value_name = "URL", requires = "artifact", conflicts_with = "key")]
    pub(crate) certificate_oidc_issuer: Option<String>,
    /// The repository whose workflow signed; the issuer is GitHub's unless --certificate-oidc-issuer says another
    #[arg(short = 'R', long, value_name = "OWNER/REPO", group = "whose", requires = "artifact")]
    pub(crate) repo: Option<String>,
    /// The workflow of that repository, such as .github/workflows/release.yml
    #[arg(long, value_name = "PATH", requires = "repo", conflicts_with_all = ["certificate_identity", "key"])]
    pub(crate) signer_workflow: Option<String>,
    /// The ref that it ran for, as a pattern such as refs/tags/v*
    #[arg(long, value_name = "PATTERN", requires = "repo", conflicts_with_all = ["certificate_identity", "key"])]
    pub(crate) source_ref: Option<String>,
    /// The key that signed: its text, a file with it or with a PEM, or the name of a key of this home
    #[arg(long, value_name = "KEY", group = "whose", requires = "artifact")]
    pub(crate) key: Option<String>,
    /// The kind of statement that must have been signed: the URI of its predicate, such as that of SLSA provenance
    #[arg(long, value_name = "URI", requires = "artifact")]
    pub(crate) predicate_type: Option<String>,
    /// Who must have built it, as the statement says
    #[arg(long, value_name = "URI", requires = "predicate_type")]
    pub(crate) builder: Option<String>,
    /// The root of trust to believe, in place of this home's
    #[arg(long, value_name = "FILE", requires = "artifact")]
    pub(crate) trusted_root: Option<PathBuf>,
}
