//! Arguments of `discover`.

use std::path::PathBuf;

use clap::Args;

/// `discover`
#[derive(Debug, Args)]
pub(crate) struct DiscoverArgs {
    /// The folder whose packs are meant: itself, its packs/, and its pack `local`
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) project: PathBuf,
    /// A pack, or a folder of packs; may be given again
    #[arg(long, value_name = "DIR")]
    pub(crate) extra: Vec<PathBuf>,
    /// Leave out what is installed
    #[arg(long)]
    pub(crate) no_installed: bool,
}
