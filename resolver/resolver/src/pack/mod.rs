//! Packs, for the verbs about them: where one is, what one is, which are installed, and what they were before.
//!
//! Nothing here changes anything.

mod admission;
mod installed;
mod locate;
mod looked;
mod place;
mod revisions;

pub use admission::{Acceptance, Admitted};
pub use installed::{InstalledPack, installed, installed_pack};
pub use locate::{GitAsk, Located, locate_archive, locate_folder};
pub use looked::{Found, Looked, index_folders, look, newest_version, pin_of};
pub use place::Place;
pub use revisions::{Revision, forget_revisions, keep_revisions, kept_digests, kept_packs, revisions};
