//! The `astrid` command line.
fn main() {}
