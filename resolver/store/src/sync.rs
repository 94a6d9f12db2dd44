//! Making many files durable at once, where the operating system can.

use std::fs::File;
use std::io;

/// Flushes the whole file system that `any` lives on; `false` where there is no such call.
#[cfg(target_os = "linux")]
pub(crate) fn file_system(any: &File) -> io::Result<bool> {
    rustix::fs::syncfs(any)?;
    Ok(true)
}

/// Flushes the whole file system that `any` lives on; `false` where there is no such call.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "the Linux twin can fail")]
pub(crate) fn file_system(_: &File) -> io::Result<bool> {
    Ok(false)
}
