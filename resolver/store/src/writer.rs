//! One writer at a time.
//!
//! The lock is the operating system's, on an open file, so that it ends with its holder whatever happens.
//! Readers never take it: what they read is either immutable or replaced all at once.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use crate::disk::Disk;
use crate::error::{Result, StoreError};
use crate::home::Home;

/// How long to sleep between two attempts.
const STEP: Duration = Duration::from_millis(50);

/// Proof that this process is the home's one writer; dropped, the lock is free.
#[derive(Debug)]
#[must_use = "the lock is free once this is dropped"]
pub struct WriterLock {
    _file: File,
}

impl WriterLock {
    /// Makes the home ready for writing and takes its lock, waiting for at most `timeout`.
    ///
    /// `command` is what another writer is told is running, such as `astrid apply`; keep arguments out of it.
    ///
    /// # Errors
    /// [`StoreError::Busy`] with the holder's process id and command, or what the operating system says.
    pub fn acquire(home: &Home, disk: &Disk, command: &str, timeout: Duration) -> Result<Self> {
        home.ensure(disk)?;
        let path = home.writer_lock();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(StoreError::io("open", &path))?;
        // Someone who asks for the holder has the lock for a moment; that is not another writer.
        let mut left = timeout.max(2 * STEP);
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if left.is_zero() => {
                    return Err(StoreError::Busy { holder: holder(&mut file), path });
                }
                Err(TryLockError::WouldBlock) => {
                    let pause = left.min(STEP);
                    std::thread::sleep(pause);
                    left -= pause;
                }
                Err(TryLockError::Error(error)) => return Err(StoreError::io("lock", &path)(error)),
            }
        }
        write_holder(&mut file, command).map_err(StoreError::io("write", &path))?;
        Ok(Self { _file: file })
    }

    /// Who holds the lock of `home` now, as `process 123 (astrid apply)`; `None` when it is free.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn holder(home: &Home) -> Result<Option<String>> {
        let path = home.writer_lock();
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("open", &path)(error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => Ok(Some(holder(&mut file))),
            Err(TryLockError::Error(error)) => Err(StoreError::io("lock", &path)(error)),
        }
    }
}

/// The holder is for a message only, so that a torn or empty one harms nobody.
fn write_holder(file: &mut File, command: &str) -> std::io::Result<()> {
    let command: String = command.chars().filter(|character| !character.is_control()).take(80).collect();
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "process {} ({command})", std::process::id())
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.take(200).read_to_string(&mut text));
    let text: String = text.chars().filter(|character| !character.is_control()).collect();
    if read.is_err() || text.is_empty() { "an unknown process".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::error::ErrorKind;

    fn home(folder: &Path) -> Home {
        Home::new(folder.join("home"), folder.join("packs")).unwrap()
    }

    #[test]
    fn a_second_writer_is_told_who_the_first_is_denied() {
        let folder = tempfile::tempdir().unwrap();
        let home = home(folder.path());
        let disk = Disk::default();
        assert_eq!(WriterLock::holder(&home).unwrap(), None);
        let first = WriterLock::acquire(&home, &disk, "astrid apply", Duration::ZERO).unwrap();
        let error = WriterLock::acquire(&home, &disk, "astrid gc", Duration::from_millis(60)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy);
        let message = error.to_string();
        assert!(message.contains(&format!("process {} (astrid apply)", std::process::id())), "{message}");
        assert!(WriterLock::holder(&home).unwrap().is_some());
        drop(first);
        assert_eq!(WriterLock::holder(&home).unwrap(), None);
        let _third = WriterLock::acquire(&home, &disk, "astrid gc", Duration::ZERO).unwrap();
    }

    #[test]
    fn a_waiting_writer_gets_its_turn() {
        let folder = tempfile::tempdir().unwrap();
        let home = home(folder.path());
        let first = WriterLock::acquire(&home, &Disk::default(), "one", Duration::ZERO).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                WriterLock::acquire(&home, &Disk::default(), "two", Duration::from_mins(1)).map(|_| ())
            });
            drop(first);
            waiting.join().unwrap().unwrap();
        });
    }
}
