//! Files, for the principal of the call.

use rustix::fs::{FileType as Kind, Stat};
use wasmtime::component::Resource;

use super::bindings::astrid::fs::host::{
    Datetime, ErrorCode, FileStat, FileType, Host, HostFileHandle, OpenMode,
};
use crate::files::operations::Handle;
use crate::files::{FileError, MAX_HANDLES, Mode};
use crate::state::CallState;

impl From<FileError> for ErrorCode {
    fn from(error: FileError) -> Self {
        match error {
            FileError::NotFound => Self::NotFound,
            FileError::Access => Self::Access,
            FileError::CapabilityDenied => Self::CapabilityDenied,
            FileError::BoundaryEscape => Self::BoundaryEscape,
            FileError::InvalidPath => Self::InvalidPath,
            FileError::WouldBlock => Self::WouldBlock,
            FileError::IsDirectory => Self::IsDirectory,
            FileError::NotDirectory => Self::NotDirectory,
            FileError::NotEmpty => Self::NotEmpty,
            FileError::TooLarge => Self::TooLarge,
            FileError::Quota => Self::Quota,
            FileError::CrossRoots => Self::CrossVfs,
            FileError::AlreadyExists => Self::AlreadyExists,
            FileError::Closed => Self::Closed,
            FileError::Unknown(reason) => Self::Unknown(reason),
        }
    }
}

#[allow(
    clippy::unnecessary_cast,
    clippy::cast_sign_loss,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::useless_conversion,
    reason = "the fields' types differ between platforms; nanoseconds are below 10⁹ and sizes not negative"
)]
fn to_guest(stat: &Stat) -> FileStat {
    let moment = |seconds: i64, nanoseconds: u64| Some(Datetime { seconds, nanoseconds: nanoseconds as u32 });
    let kind = match Kind::from_raw_mode(stat.st_mode) {
        Kind::RegularFile => FileType::Regular,
        Kind::Directory => FileType::Directory,
        Kind::Symlink => FileType::Symlink,
        Kind::BlockDevice => FileType::BlockDevice,
        Kind::CharacterDevice => FileType::CharacterDevice,
        Kind::Fifo => FileType::Fifo,
        Kind::Socket => FileType::Socket,
        Kind::Unknown => FileType::TypeUnknown,
    };
    FileStat {
        size: stat.st_size as u64,
        kind,
        mode: u32::from(stat.st_mode) & 0o7777,
        modified: moment(stat.st_mtime as i64, stat.st_mtime_nsec as u64),
        created: None,
        accessed: moment(stat.st_atime as i64, stat.st_atime_nsec as u64),
    }
}

impl CallState {
    fn handle(&self, handle: &Resource<Handle>) -> Result<&Handle, ErrorCode> {
        self.table.get(handle).map_err(|_| ErrorCode::Closed)
    }
}

impl HostFileHandle for &mut CallState {
    fn read_at(&mut self, file: Resource<Handle>, offset: u64, max_bytes: u32) -> Result<Vec<u8>, ErrorCode> {
        Ok(self.handle(&file)?.read_at(offset, max_bytes)?)
    }

    fn write_at(&mut self, file: Resource<Handle>, offset: u64, data: Vec<u8>) -> Result<u32, ErrorCode> {
        Ok(self.handle(&file)?.write_at(offset, &data)?)
    }

    fn sync_data(&mut self, file: Resource<Handle>) -> Result<(), ErrorCode> {
        Ok(self.handle(&file)?.sync(false)?)
    }

    fn sync_all(&mut self, file: Resource<Handle>) -> Result<(), ErrorCode> {
        Ok(self.handle(&file)?.sync(true)?)
    }

    fn stat(&mut self, file: Resource<Handle>) -> Result<FileStat, ErrorCode> {
        Ok(to_guest(&self.handle(&file)?.stat()?))
    }

    fn set_len(&mut self, file: Resource<Handle>, size: u64) -> Result<(), ErrorCode> {
        Ok(self.handle(&file)?.set_len(size)?)
    }

    fn drop(&mut self, file: Resource<Handle>) -> wasmtime::Result<()> {
        self.table.delete(file)?;
        self.handles = self.handles.saturating_sub(1);
        Ok(())
    }
}

impl Host for &mut CallState {
    fn fs_open(&mut self, path: String, mode: OpenMode) -> Result<Resource<Handle>, ErrorCode> {
        let mode = match mode {
            OpenMode::Read => Mode::Read,
            OpenMode::Write => Mode::Write,
            OpenMode::Append => Mode::Append,
            OpenMode::ReadWrite => Mode::ReadWrite,
        };
        if self.handles >= MAX_HANDLES {
            return Err(ErrorCode::Quota);
        }
        let handle = self.files().open(&path, mode)?;
        let handle = self.table.push(handle).map_err(|_| ErrorCode::Quota)?;
        self.handles += 1;
        Ok(handle)
    }

    fn fs_exists(&mut self, path: String) -> Result<bool, ErrorCode> {
        Ok(self.files().exists(&path)?)
    }

    fn fs_mkdir(&mut self, path: String) -> Result<(), ErrorCode> {
        Ok(self.files().create_folder(&path)?)
    }

    fn fs_mkdir_all(&mut self, path: String) -> Result<(), ErrorCode> {
        Ok(self.files().create_folders(&path)?)
    }

    fn fs_readdir(&mut self, path: String) -> Result<Vec<String>, ErrorCode> {
        Ok(self.files().list(&path)?)
    }

    fn fs_stat(&mut self, path: String) -> Result<FileStat, ErrorCode> {
        Ok(to_guest(&self.files().stat(&path, true)?))
    }

    fn fs_stat_symlink(&mut self, path: String) -> Result<FileStat, ErrorCode> {
        Ok(to_guest(&self.files().stat(&path, false)?))
    }

    fn fs_unlink(&mut self, path: String) -> Result<(), ErrorCode> {
        Ok(self.files().unlink(&path)?)
    }

    fn read_file(&mut self, path: String) -> Result<Vec<u8>, ErrorCode> {
        Ok(self.files().read(&path)?)
    }

    fn write_file(&mut self, path: String, content: Vec<u8>) -> Result<(), ErrorCode> {
        Ok(self.files().write(&path, &content)?)
    }

    fn fs_append(&mut self, path: String, content: Vec<u8>) -> Result<(), ErrorCode> {
        Ok(self.files().append(&path, &content)?)
    }

    fn fs_copy(&mut self, src: String, dst: String) -> Result<(), ErrorCode> {
        Ok(self.files().copy(&src, &dst)?)
    }

    fn fs_rename(&mut self, src: String, dst: String) -> Result<(), ErrorCode> {
        Ok(self.files().rename(&src, &dst)?)
    }

    fn fs_remove_dir_all(&mut self, path: String) -> Result<u64, ErrorCode> {
        Ok(self.files().remove_folder(&path)?)
    }

    fn fs_canonicalize(&mut self, path: String) -> Result<String, ErrorCode> {
        Ok(self.files().canonicalize(&path)?)
    }

    fn fs_read_link(&mut self, path: String) -> Result<String, ErrorCode> {
        Ok(self.files().read_link(&path)?)
    }

    fn fs_hard_link(&mut self, src: String, link_path: String) -> Result<(), ErrorCode> {
        Ok(self.files().hard_link(&src, &link_path)?)
    }
}
