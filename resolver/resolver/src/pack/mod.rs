//! Packs, for the verbs about them: where one is, what one is, which are installed, and what they were before.
//!
//! Nothing here changes anything.

mod installed;
mod locate;
mod revisions;

pub use installed::{InstalledPack, installed, installed_pack};
pub use locate::{GitAsk, Located, locate_archive, locate_folder};
pub use revisions::{Revision, forget_revisions, keep_revisions, kept_digests, kept_packs, revisions};
