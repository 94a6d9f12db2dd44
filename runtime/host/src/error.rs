//! What can go wrong with a component or with a call into it.

use std::time::Duration;

use astrid_authority::Digest;

/// Why a component was not loaded, or a call did not answer.
///
/// None of them reaches beyond the one call: other capsules, and later calls of this one, go on.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The engine could not be set up.
    #[error("the WebAssembly engine could not be set up: {0}")]
    Engine(String),
    /// The bytes are not those that the digest names.
    #[error("component {expected} was found to be {found}; run `astrid verify --store`")]
    Digest {
        /// The digest that was asked for.
        expected: Digest,
        /// The digest of the bytes.
        found: Digest,
    },
    /// The bytes could not be read.
    #[error("component {component} could not be read: {reason}")]
    Read {
        /// Which one.
        component: Digest,
        /// The cause.
        reason: String,
    },
    /// The bytes are no component that this engine runs.
    #[error("component {component} can't be compiled: {reason}")]
    Compile {
        /// Which one.
        component: Digest,
        /// What the compiler says.
        reason: String,
    },
    /// The component imports something that the kernel does not have.
    #[error("component {component} can't be linked: {reason}")]
    Link {
        /// Which one.
        component: Digest,
        /// What is missing or differs.
        reason: String,
    },
    /// The component does not export the function.
    #[error("the component does not export `{0}`")]
    NoExport(&'static str),
    /// The instance could not be made.
    #[error("the component could not be instantiated: {0}")]
    Instantiate(String),
    /// The guest trapped, such as by a panic.
    #[error("the capsule crashed: {0}")]
    Trap(String),
    /// The guest did not answer in time.
    #[error("the capsule did not answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// A running loop kept the processor without waiting for an event.
    #[error("the capsule computed for {} ms without waiting for an event", .0.as_millis())]
    Starved(Duration),
    /// The answer is too long.
    #[error("the capsule's answer has {bytes} bytes, {most} are allowed")]
    Answer {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        most: usize,
    },
    /// As many loops run as memory was set aside for.
    #[error("no more than {0} capsules can run a loop at the same time")]
    TooManyLoops(usize),
    /// The guest wanted more memory than it may have.
    #[error("the capsule needs more than {0} bytes of memory")]
    Memory(usize),
}
