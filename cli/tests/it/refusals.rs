//! What must be refused: by its exit code, by what it says, and by what it leaves on the machine, which is nothing.

mod artifacts;
mod case;
mod changes;
mod documents;
mod edits;
mod fleets;
mod identities;
mod parts;
mod release;
mod roots;
pub(crate) mod scene;
mod seals;
mod shuttles;
