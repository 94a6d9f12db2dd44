//! Arguments of the verbs that install, update, roll back, uninstall and look at packs.

use clap::Args;

use super::{BootArgs, ConsentArgs, VariableArgs};

/// `packs install`
#[derive(Debug, Args)]
pub(crate) struct PackInstallArgs {
    /// A folder, an archive, a git URL with @REF behind it, index:NAME, @org/repo, or a bundle of a fleet
    pub(crate) source: String,
    /// The versions that are wanted, of an index or a release
    #[arg(long = "version", value_name = "RANGE")]
    pub(crate) requirement: Option<String>,
    /// Check it and show its trust summary; write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) variables: VariableArgs,
    #[command(flatten)]
    pub(crate) boot: BootArgs,
    #[command(flatten)]
    pub(crate) consent: ConsentArgs,
}

/// `packs update`
#[derive(Debug, Args)]
pub(crate) struct PackUpdateArgs {
    /// Packs by id
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    pub(crate) ids: Vec<String>,
    /// Every pack that is declared
    #[arg(long)]
    pub(crate) all: bool,
    /// Take only what discloses nothing more, and whose capsules may do nothing more
    #[arg(long)]
    pub(crate) no_new_authority: bool,
    /// Show the trust summaries and what differs; write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) variables: VariableArgs,
    #[command(flatten)]
    pub(crate) boot: BootArgs,
    #[command(flatten)]
    pub(crate) consent: ConsentArgs,
}

/// `packs uninstall`
#[derive(Debug, Args)]
pub(crate) struct PackUninstallArgs {
    /// The pack
    pub(crate) id: String,
    /// Keep what it was in all generations from gc, for `packs rollback`
    #[arg(long)]
    pub(crate) keep_revisions: bool,
    #[command(flatten)]
    pub(crate) variables: VariableArgs,
    #[command(flatten)]
    pub(crate) boot: BootArgs,
    #[command(flatten)]
    pub(crate) consent: ConsentArgs,
}

/// `packs rollback`
#[derive(Debug, Args)]
pub(crate) struct PackRollbackArgs {
    /// The pack
    pub(crate) id: String,
    /// Its content digest, at least 12 digits of it, or its number in the list
    #[arg(long, value_name = "DIGEST|N")]
    pub(crate) revision: Option<String>,
    /// Show the trust summary and what differs; write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) variables: VariableArgs,
    #[command(flatten)]
    pub(crate) boot: BootArgs,
    #[command(flatten)]
    pub(crate) consent: ConsentArgs,
}

/// `packs inspect`
#[derive(Debug, Args)]
pub(crate) struct PackInspectArgs {
    /// An installed pack by its id, or a folder, an archive, a git URL with @REF behind it, or index:NAME
    pub(crate) what: String,
    /// Only what an agent has to know
    #[arg(long)]
    pub(crate) agent: bool,
}

/// What `packs list` shows: packs of these words only.
#[derive(Debug, Default, Args)]
pub(crate) struct PackFilterArgs {
    /// Of this category
    #[arg(long, value_name = "WORD")]
    pub(crate) category: Option<String>,
    /// Of this domain
    #[arg(long, value_name = "WORD")]
    pub(crate) domain: Option<String>,
    /// Of this origin, as the pack itself says
    #[arg(long, value_name = "WORD")]
    pub(crate) origin: Option<String>,
    /// Of this tier, as the pack itself says
    #[arg(long, value_name = "WORD")]
    pub(crate) install_tier: Option<String>,
    /// Of this type
    #[arg(long, value_name = "WORD")]
    pub(crate) pack_type: Option<String>,
    /// Of this stability
    #[arg(long, value_name = "WORD")]
    pub(crate) stability: Option<String>,
    /// Of this support
    #[arg(long, value_name = "WORD")]
    pub(crate) support: Option<String>,
    /// Of this status
    #[arg(long, value_name = "WORD")]
    pub(crate) status: Option<String>,
    /// Of this visibility
    #[arg(long, value_name = "WORD")]
    pub(crate) visibility: Option<String>,
    /// Hidden ones too
    #[arg(long)]
    pub(crate) show_hidden: bool,
}

/// `packs search`
#[derive(Debug, Args)]
pub(crate) struct PackSearchArgs {
    /// Words to look for
    #[arg(required = true)]
    pub(crate) terms: Vec<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) limit: usize,
}

/// `packs agent-index`
#[derive(Debug, Args)]
pub(crate) struct PackIndexArgs {
    /// Only this pack
    #[arg(long, value_name = "ID")]
    pub(crate) pack_id: Option<String>,
    /// As text for people
    #[arg(long)]
    pub(crate) text: bool,
}
