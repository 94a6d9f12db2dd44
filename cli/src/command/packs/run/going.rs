//! What a run writes, handed on as it comes.

use astrid_executor::process::Output;

use crate::shell::Shell;

/// Most bytes of standard output that a document holds; the log has them all.
const MAX_IN_DOCUMENT: usize = 1 << 20;

/// Hands output on: to the same stream, or, for programs that read a document, standard output into it.
pub(super) struct Going<'a> {
    shell: &'a mut Shell,
    written: Written,
}

/// Standard output that goes into a document.
#[derive(Default)]
pub(super) struct Written {
    pub(super) bytes: Vec<u8>,
    pub(super) is_cut: bool,
}

impl<'a> Going<'a> {
    pub(super) fn new(shell: &'a mut Shell) -> Self {
        Self { shell, written: Written::default() }
    }

    pub(super) fn written(self) -> Written {
        self.written
    }
}

impl Output for Going<'_> {
    fn out(&mut self, bytes: &[u8]) -> bool {
        if !self.shell.for_programs() {
            return self.shell.hand_out(bytes);
        }
        let room = MAX_IN_DOCUMENT - self.written.bytes.len();
        self.written.is_cut |= bytes.len() > room;
        self.written.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        true
    }

    fn err(&mut self, bytes: &[u8]) -> bool {
        self.shell.hand_err(bytes)
    }
}
