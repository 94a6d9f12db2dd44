//! How much a shuttle may hold. What a limit is for is memory and disk, not taste.

/// What is refused before it takes memory or time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of the file.
    pub compressed_bytes: u64,
    /// Most bytes of all members.
    pub total_bytes: u64,
    /// Most bytes of one member.
    pub member_bytes: u64,
    /// Most bytes of one document: of everything that is kept in memory and parsed, listings of trees too.
    pub document_bytes: u64,
    /// Most bytes of all documents that are kept.
    pub documents_bytes: u64,
    /// Most members. A statement names at most 65,536 of them, so that a good bundle never comes near.
    pub members: usize,
    /// Most bytes that one byte of the file may unpack to, once it has unpacked to 8 MiB.
    pub ratio: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            compressed_bytes: 4 << 30,
            total_bytes: 4 << 30,
            member_bytes: MEMBER_BYTES,
            document_bytes: DOCUMENT_BYTES,
            documents_bytes: 4 * DOCUMENT_BYTES,
            members: 200_000,
            ratio: 200,
        }
    }
}

/// Most bytes of one member, when written and when read: 50 MiB.
pub const MEMBER_BYTES: u64 = 50 << 20;
/// Most bytes of one document, when written and when read: 16 MiB.
pub const DOCUMENT_BYTES: u64 = 16 << 20;
/// Most bytes of the bundle's own signature, which holds the statement as base64: 24 MiB.
pub const SIGNATURE_BYTES: usize = 24 << 20;
/// The ratio counts once this much was unpacked: 8 MiB.
pub(crate) const RATIO_COUNTS_FROM: u64 = 8 << 20;
/// Longest path of a member in bytes: what a header holds without an extension.
pub(crate) const PATH_BYTES: usize = 100;
