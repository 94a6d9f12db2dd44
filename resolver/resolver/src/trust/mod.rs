//! Who trusts what: acknowledgements, believed origins, floors, flags, and the one gate that turns a
//! plan into a trusted plan.
//!
//! A repository never trusts itself. What comes with a distro counts only when somebody at this home
//! said that its origin is believed; the rest is shown and has no effect.

pub mod ack_signature;
pub mod acknowledgement;
pub mod belief;
pub mod files;
pub mod flags;
pub mod floors;
pub mod grant;
pub mod pins;
#[cfg(test)]
mod tests;

pub use ack_signature::{AckSignature, ack_signature, sign_ack};
pub use acknowledgement::{Acknowledgements, Candidate, Conditions, Revocations, Void};
pub use belief::Beliefs;
pub use flags::{Flags, TrustFlag};
pub use floors::{Floors, signed_by};
pub use grant::{Prompt, TrustedPlan, grant};
pub use pins::{Pin, PinOutcome, Pins};
