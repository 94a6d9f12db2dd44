//! From a capsule's sources to a deterministic archive
