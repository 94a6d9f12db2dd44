//! Runs the executors of packs as what they are: processes of the user, with all that the user may do.
//!
//! Nothing here confines what it runs, and what a pack declares is disclosed, not enforced. Nothing is put into
//! the environment of what runs, and nothing is taken out of it. `--isolate` is another matter: [`isolate`].
//!
//! | module | noun |
//! |---|---|
//! | [`inputs`] | what a run is given |
//! | [`task`] | what exactly will be run |
//! | [`run`] | a task, carried out |
//! | [`requirements`] | what of its needs the machine does not have |
//! | [`isolate`] | the sandbox that a person may ask for |
//! | [`machine`] | what is on the machine: variables, programs, Python |
//! | [`process`] | one process, from its start to its end |
//! | [`template`] | placeholders |
//! | [`error`] | why something was not run |

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod error;
pub mod inputs;
pub mod isolate;
mod log;
pub mod machine;
pub mod process;
pub mod requirements;
pub mod run;
pub mod task;
pub mod template;

pub use error::{Error, ErrorKind, Result};
pub use inputs::Given;
pub use machine::Machine;
pub use process::{Ended, Interrupt, Interrupter, Interrupts};
pub use run::{Options, Outcome, Report};
pub use task::{Component, Task};
