//! The log of one run: the disclosure at its head, then every byte that the process wrote.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::error::{Error, Result};

/// Most bytes of output that a log keeps; the process itself is not held up.
const MAX_BYTES: u64 = 64 << 20;

/// How many runs may begin in one second.
const MAX_IN_A_SECOND: u32 = 1000;

/// A log that is being written.
#[derive(Debug)]
pub(crate) struct Log {
    file: File,
    path: PathBuf,
    written: u64,
    at_line_start: bool,
    is_full: bool,
}

impl Log {
    /// Begins the log of a run that starts at `now` in `folder`, which is made when it is not there.
    pub(crate) fn begin(folder: &Path, now: Timestamp, head: &str) -> Result<Self> {
        let refused = |error: std::io::Error| {
            Error::failed(format!("the log of the run can't be written in {}: {error}", folder.display()))
                .hint("nothing was run; make the folder writable for yourself")
        };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(refused)?;
        let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
        for number in 1..=MAX_IN_A_SECOND {
            let name = if number == 1 { format!("{time}.log") } else { format!("{time}-{number}.log") };
            let path = folder.join(name);
            let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
            match opened {
                Ok(mut file) => {
                    file.write_all(head.as_bytes()).map_err(refused)?;
                    return Ok(Self { file, path, written: 0, at_line_start: true, is_full: false });
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(refused(error)),
            }
        }
        Err(Error::failed(format!("{MAX_IN_A_SECOND} runs began in the second {time}")))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps what the process wrote. A disk that is full costs the log, not the run.
    pub(crate) fn output(&mut self, bytes: &[u8]) {
        if self.is_full || bytes.is_empty() {
            return;
        }
        self.written = self.written.saturating_add(bytes.len() as u64);
        if self.written > MAX_BYTES || self.file.write_all(bytes).is_err() {
            self.is_full = true;
            self.remark("the log ends here: it is full; the run goes on");
            return;
        }
        self.at_line_start = bytes.ends_with(b"\n");
    }

    /// Keeps what Astrid itself has to say.
    pub(crate) fn remark(&mut self, text: &str) {
        let before = if self.at_line_start { "" } else { "\n" };
        self.at_line_start = true;
        let _ = writeln!(self.file, "{before}# {text}");
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_log_is_private_and_never_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("log/demo/demo.run");
        let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        let mut one = Log::begin(&folder, now, "# head\n").unwrap();
        one.output(b"half a line");
        one.remark("ended: exit 0");
        let two = Log::begin(&folder, now, "# head\n").unwrap();
        assert_eq!(std::fs::read_to_string(one.path()).unwrap(), "# head\nhalf a line\n# ended: exit 0\n");
        assert!(two.path().ends_with("20261120T120000Z-2.log"));
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(one.path()), mode(&folder)), (0o600, 0o700));
    }

    #[test]
    fn without_a_log_nothing_runs_denied() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let error = Log::begin(&folder.path().join("file/log"), now, "").unwrap_err();
        assert!(error.next_step().unwrap().contains("nothing was run"));
    }
}
