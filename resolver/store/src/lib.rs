//! What Astrid keeps on disk: the layout of the home, content, generations, and the journal.
//!
//! This is the only crate that changes files of the home on behalf of the resolver, and every change
//! goes through [`disk::Disk`], so that a test can fail or kill the process at any single one of them.
//! It must never learn about networks, nor about what a manifest means: it moves bytes and digests.
//!
//! | module | noun | on disk |
//! |---|---|---|
//! | [`home`] | where everything is | `$ASTRID_HOME` and the packs root |
//! | [`disk`] | every mutation, with a port for faults | – |
//! | [`blob`] | bytes by their BLAKE3 digest | `store/blobs/<2 hex>/<64 hex>` |
//! | [`batch`] | many blobs, made durable together | the same |
//! | [`tree`] | the canonical listing of a folder or an archive; the listing is itself a blob | the same |
//! | [`private`] | files that only their owner may read | `keys/` |
//! | [`read`] | folders read into trees, refusing what can't be reproduced | – |
//! | [`stat_cache`] | digests of files that did not change since they were hashed | `var/stat-cache` |
//! | [`archive`] | `.capsule` and pack archives, packed the same everywhere, unpacked with suspicion | – |
//! | [`generation`] | an applied fleet, numbered and never changed | `generations/<n>`, `generations/current` |
//! | [`journal`] | the switch from one generation to another, and its recovery | `journal` |
//! | [`writer`] | one writer at a time | `run/writer.lock` |
//! | [`gc`] | what nothing refers to any more, and what is corrupt | `store/` |

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod archive;
pub mod batch;
pub mod blob;
pub mod disk;
pub mod error;
pub mod faults;
pub mod gc;
pub mod generation;
pub mod home;
pub mod journal;
mod parallel;
pub mod private;
pub mod read;
pub mod stat_cache;
mod sync;
pub mod tree;
pub mod writer;

pub use batch::Batch;
pub use blob::Store;
pub use disk::Disk;
pub use error::{ErrorKind, StoreError};
pub use generation::{Generation, GenerationNumber, Generations};
pub use home::Home;
pub use tree::{Tree, TreeEntry, TreeFile, TreePath};
pub use writer::WriterLock;
