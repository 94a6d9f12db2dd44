//! The planner: what leads from the current generation to a lock, and what authority that gives.
//!
//! Everything here is pure. The same facts give the same bytes, so that what was shown is what is
//! done: `apply` computes the plan again and compares.

mod canonical;
mod compute;
mod difference;
pub mod document;
#[cfg(test)]
pub(crate) mod fixture;
pub mod fleet;
pub mod item;
#[cfg(test)]
mod tests;

pub use canonical::to_canonical_json;
pub use compute::{BaseFacts, DistroSigned, Plan, PlanInput, plan};
pub use document::{Action, Change, Evidence, Need, Nonce, PlanDocument, Summary, Why};
pub use fleet::{Artifact, Authorities, AuthorityOf, Enforced, Fleet, SettingFact, SettingFacts};
pub use item::Item;
