//! The log files of capsules: one for each principal, capsule and day.
//!
//! They lie in the principal's home, at `.local/log/<capsule>/<YYYY-MM-DD>.log`. What a capsule
//! says is not trusted: control characters are written as escapes, so that a line is one line and
//! can do nothing to a terminal, and a file that is full takes no more.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use astrid_authority::{CapsuleName, PrincipalId};
use rustix::fs::{Mode, OFlags, openat};

use crate::files::roots::{folder_below, home_of};
use crate::ports::{Clock, LogLevel, LogSink};

/// Most bytes of one file. A capsule that says more in a day is noise.
const MAX_FILE_BYTES: u64 = 16 << 20;
/// Most files that are kept open.
const MAX_OPEN: usize = 128;

struct Open {
    day: String,
    file: File,
    bytes: u64,
}

/// Writes log lines to files. Lines of principals without a home go nowhere.
pub struct FileLog {
    principals: PathBuf,
    clock: Arc<dyn Clock>,
    open: Mutex<HashMap<(PrincipalId, CapsuleName), Open>>,
}

impl FileLog {
    /// A log below the folder that holds one home for each principal.
    #[must_use]
    pub fn new(principals: PathBuf, clock: Arc<dyn Clock>) -> Self {
        Self { principals, clock, open: Mutex::default() }
    }

    fn write(
        &self,
        capsule: &CapsuleName,
        principal: &PrincipalId,
        level: LogLevel,
        message: &str,
    ) -> std::io::Result<()> {
        let now_ms = self.clock.unix_ms();
        let now = i64::try_from(now_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        let day = now.unwrap_or_default().strftime("%Y-%m-%d").to_string();
        let line = format!(
            "{}.{:03} {} [{capsule}] {}\n",
            now_ms / 1000,
            now_ms % 1000,
            level.as_str(),
            escaped(message)
        );
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (principal.clone(), capsule.clone());
        if open.get(&key).is_none_or(|open| open.day != day) {
            if open.len() >= MAX_OPEN {
                open.clear();
            }
            open.insert(key.clone(), self.open(capsule, principal, day)?);
        }
        let Some(open) = open.get_mut(&key) else { return Ok(()) };
        if open.bytes >= MAX_FILE_BYTES {
            return Ok(());
        }
        open.file.write_all(line.as_bytes())?;
        open.bytes += line.len() as u64;
        if open.bytes >= MAX_FILE_BYTES {
            open.file.write_all(b"the log of this day is full: what follows is not kept\n")?;
        }
        Ok(())
    }

    fn open(&self, capsule: &CapsuleName, principal: &PrincipalId, day: String) -> std::io::Result<Open> {
        let home = home_of(&self.principals, principal)?;
        let folder = folder_below(&home, &[".local", "log", capsule.as_str()])?;
        let flags = OFlags::WRONLY
            | OFlags::CREATE
            | OFlags::APPEND
            | OFlags::NOFOLLOW
            | OFlags::CLOEXEC
            | OFlags::NONBLOCK;
        let file = File::from(openat(&folder, format!("{day}.log"), flags, Mode::from_raw_mode(0o600))?);
        let bytes = file.metadata()?.len();
        Ok(Open { day, file, bytes })
    }
}

impl LogSink for FileLog {
    fn log(&self, capsule: &CapsuleName, principal: &PrincipalId, level: LogLevel, message: &str) {
        if level == LogLevel::Error {
            tracing::error!(%capsule, %principal, message = %escaped(message));
        }
        if let Err(error) = self.write(capsule, principal, level, message) {
            tracing::debug!(%capsule, %principal, %error, "a log line could not be written");
        }
    }
}

/// The text without anything that ends a line or that a terminal obeys.
fn escaped(message: &str) -> String {
    let mut text = String::with_capacity(message.len());
    for character in message.chars() {
        if character.is_control() && character != '\t' {
            text.extend(character.escape_default());
        } else {
            text.push(character);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    struct At(AtomicU64);

    impl Clock for At {
        fn unix_ms(&self) -> u64 {
            self.0.load(Ordering::Relaxed)
        }

        fn monotonic_ns(&self) -> u64 {
            0
        }
    }

    #[test]
    fn lines_go_to_the_file_of_the_day_and_stay_lines() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("ann")).unwrap();
        let clock = Arc::new(At(AtomicU64::new(1_795_176_000_007)));
        let log = FileLog::new(root.path().to_path_buf(), clock.clone());
        let (capsule, ann) = ("fs".parse().unwrap(), "ann".parse().unwrap());
        log.log(&capsule, &ann, LogLevel::Info, "one\n\u{1b}[2Jtwo");
        clock.0.fetch_add(24 * 60 * 60 * 1000, Ordering::Relaxed);
        log.log(&capsule, &ann, LogLevel::Warn, "next day");
        let read =
            |day: &str| std::fs::read_to_string(root.path().join("ann/.local/log/fs").join(day)).unwrap();
        assert_eq!(read("2026-11-20.log"), "1795176000.007 INFO [fs] one\\n\\u{1b}[2Jtwo\n");
        assert_eq!(read("2026-11-21.log"), "1795262400.007 WARN [fs] next day\n");
    }

    #[test]
    fn a_full_file_and_a_missing_home_are_denied() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("ann/.local/log/fs");
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("2026-11-20.log");
        File::create(&file).unwrap().set_len(MAX_FILE_BYTES).unwrap();
        let clock = Arc::new(At(AtomicU64::new(1_795_176_000_000)));
        let log = FileLog::new(root.path().to_path_buf(), clock);
        let capsule = "fs".parse().unwrap();
        log.log(&capsule, &"ann".parse().unwrap(), LogLevel::Info, "more");
        assert_eq!(std::fs::metadata(&file).unwrap().len(), MAX_FILE_BYTES);
        log.log(&capsule, &"bob".parse().unwrap(), LogLevel::Info, "nobody");
        assert!(!root.path().join("bob").exists());
    }
}
