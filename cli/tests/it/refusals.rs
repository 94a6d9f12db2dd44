//! What must be refused: by its exit code, by what it says, and by what it leaves on the machine, which is nothing.

mod artifacts;
mod case;
mod documents;
mod edits;
mod identities;
mod roots;
pub(crate) mod scene;
