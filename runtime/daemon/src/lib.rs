//! The kernel and its socket in one process, and the client of it
