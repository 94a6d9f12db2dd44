//! Content-addressed blobs, hardened archives, generations, the journal
