//! What an interrupt does while something else than a question or a write is going on.

use std::sync::{Mutex, PoisonError};

use crate::prompt;

type Handler = Box<dyn Fn() + Send>;

static INSTEAD: Mutex<Option<Handler>> = Mutex::new(None);

/// As long as it lives, an interrupt is handed to somebody, and ends nothing by itself.
pub(crate) struct HandedOn(());

impl Drop for HandedOn {
    fn drop(&mut self) {
        *INSTEAD.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Hands interrupts to `handler`.
pub(crate) fn hand_on(handler: impl Fn() + Send + 'static) -> HandedOn {
    prompt::end_on_interrupt();
    *INSTEAD.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(handler));
    HandedOn(())
}

/// Hands an interrupt on; says whether somebody took it.
pub(crate) fn is_handed_on() -> bool {
    let instead = INSTEAD.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handler) = instead.as_ref() {
        handler();
    }
    instead.is_some()
}

/// A terminal's Ctrl-C went to every process that a person started there, and needs no handing on.
pub(crate) fn came_from_terminal() -> bool {
    let Ok(terminal) = std::fs::File::open("/dev/tty") else { return false };
    rustix::termios::tcgetpgrp(&terminal).is_ok_and(|group| group == rustix::process::getpgrp())
}
