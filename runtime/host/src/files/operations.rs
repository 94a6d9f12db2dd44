//! What capsules do with files.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use astrid_authority::scope::{PathRoot, PathTarget};
use astrid_authority::{Capabilities, PrincipalId};
use rustix::fs::{
    AtFlags, Dir, FileType, Mode as Permissions, OFlags, Stat, fstat, linkat, mkdirat, openat, readlinkat,
    renameat, statat, unlinkat,
};
use rustix::io::Errno;

use super::roots::{OPEN_FOLDER, Roots, identity};
use super::walk::{Place, walk};
use super::{FileError, MAX_CHUNK_BYTES, MAX_FILE_BYTES, MAX_NAMES};

/// Deepest folder that is removed with what it holds; each level keeps a descriptor open.
const MAX_DEPTH: usize = 128;

/// What a handle is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Read,
    Write,
    Append,
    ReadWrite,
}

/// Which grant a call needs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

/// An open file.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Handle {
    file: File,
}

/// The files of one call: for one capsule and one principal.
pub(crate) struct Files<'a> {
    pub(crate) roots: &'a Roots,
    pub(crate) capabilities: &'a Capabilities,
    pub(crate) principal: &'a PrincipalId,
}

struct Located {
    place: Place,
    root: PathRoot,
}

impl Located {
    /// The name; a root itself can't be created, replaced or removed.
    fn name(&self) -> Result<&str, FileError> {
        self.place.name().ok_or(FileError::IsDirectory)
    }

    fn stat(&self) -> Result<Stat, FileError> {
        Ok(match self.place.name() {
            Some(name) => statat(self.place.folder(), name, AtFlags::SYMLINK_NOFOLLOW)?,
            None => fstat(self.place.folder())?,
        })
    }

    fn open(&self, flags: OFlags) -> Result<File, FileError> {
        // A pipe or a device would otherwise block the thread.
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = openat(self.place.folder(), self.name()?, flags, Permissions::from_raw_mode(0o644))?;
        match FileType::from_raw_mode(fstat(&file)?.st_mode) {
            FileType::RegularFile => Ok(File::from(file)),
            FileType::Directory => Err(FileError::IsDirectory),
            _ => Err(FileError::Unknown("neither a file nor a directory".to_owned())),
        }
    }

    fn open_folder(&self) -> Result<OwnedFd, FileError> {
        let name = self.place.name().unwrap_or(".");
        let folder = openat(self.place.folder(), name, OPEN_FOLDER, Permissions::empty())?;
        let own = identity(&folder)?;
        if self.place.guarded() == Some(own) { Err(FileError::BoundaryEscape) } else { Ok(folder) }
    }
}

impl Files<'_> {
    /// Finds the place of `path` after two checks: of what it says, before anything is looked up,
    /// and of where it leads, so that links reach nothing that is not granted.
    fn locate(&self, path: &str, access: Access, follow_last: bool) -> Result<Located, FileError> {
        let target = PathTarget::parse(path).map_err(|_| {
            if path.split('/').any(|segment| segment == "..") {
                FileError::BoundaryEscape
            } else {
                FileError::InvalidPath
            }
        })?;
        let machine = self.roots.machine(target.root(), self.principal);
        self.check(&target, &machine, access)?;
        let root = self.roots.open(target.root(), self.principal)?;
        let place = walk(root, target.segments(), follow_last)?;
        let segments = place.segments();
        if segments != target.segments() {
            let found = PathTarget::parse(&text_of(target.root(), &segments));
            self.check(&found.map_err(|_| FileError::InvalidPath)?, &machine, access)?;
        }
        Ok(Located { place, root: target.root() })
    }

    fn check(&self, target: &PathTarget, root: &[String], access: Access) -> Result<(), FileError> {
        let machine: Vec<String> = root.iter().chain(target.segments()).cloned().collect();
        let granted = match access {
            Access::Read => self.capabilities.may_read(target, &machine),
            Access::Write => self.capabilities.may_write(target, &machine),
        };
        if granted { Ok(()) } else { Err(FileError::CapabilityDenied) }
    }

    pub(crate) fn open(&self, path: &str, mode: Mode) -> Result<Handle, FileError> {
        let flags = match mode {
            Mode::Read => OFlags::RDONLY,
            Mode::Write => OFlags::WRONLY | OFlags::CREATE,
            Mode::Append => OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND,
            Mode::ReadWrite => OFlags::RDWR | OFlags::CREATE,
        };
        if mode == Mode::ReadWrite {
            self.locate(path, Access::Read, true)?;
        }
        let access = if mode == Mode::Read { Access::Read } else { Access::Write };
        Ok(Handle { file: self.locate(path, access, true)?.open(flags)? })
    }

    pub(crate) fn exists(&self, path: &str) -> Result<bool, FileError> {
        match self.locate(path, Access::Read, true).and_then(|located| located.stat()) {
            Ok(_) => Ok(true),
            Err(FileError::NotFound | FileError::NotDirectory) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn create_folder(&self, path: &str) -> Result<(), FileError> {
        let located = self.locate(path, Access::Write, true)?;
        let name = located.place.name().ok_or(FileError::AlreadyExists)?;
        Ok(mkdirat(located.place.folder(), name, Permissions::from_raw_mode(0o755))?)
    }

    pub(crate) fn create_folders(&self, path: &str) -> Result<(), FileError> {
        let target = PathTarget::parse(path).map_err(|_| FileError::InvalidPath)?;
        // The grant is for the whole path: what is above it is created only on its behalf.
        let machine = self.roots.machine(target.root(), self.principal);
        self.check(&target, &machine, Access::Write)?;
        for depth in 1..=target.segments().len() {
            let part = text_of(target.root(), &target.segments()[..depth]);
            match self.locate(&part, Access::Write, true) {
                Ok(located) => {
                    let Some(name) = located.place.name() else { continue };
                    match mkdirat(located.place.folder(), name, Permissions::from_raw_mode(0o755)) {
                        Ok(()) => {}
                        Err(Errno::EXIST) => located.open_folder().map(drop)?,
                        Err(error) => return Err(error.into()),
                    }
                }
                // Above what is granted: it has to be there already, which the next step finds out.
                Err(FileError::CapabilityDenied) if depth < target.segments().len() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(crate) fn list(&self, path: &str) -> Result<Vec<String>, FileError> {
        let folder = self.locate(path, Access::Read, true)?.open_folder()?;
        let mut names = Vec::new();
        for entry in Dir::new(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy();
            if name == "." || name == ".." {
                continue;
            }
            if names.len() == MAX_NAMES {
                return Err(FileError::TooLarge);
            }
            names.push(name.into_owned());
        }
        names.sort_unstable();
        Ok(names)
    }

    pub(crate) fn stat(&self, path: &str, follow: bool) -> Result<Stat, FileError> {
        self.locate(path, Access::Read, follow)?.stat()
    }

    pub(crate) fn unlink(&self, path: &str) -> Result<(), FileError> {
        let located = self.locate(path, Access::Write, false)?;
        if FileType::from_raw_mode(located.stat()?.st_mode) == FileType::Directory {
            return Err(FileError::IsDirectory);
        }
        Ok(unlinkat(located.place.folder(), located.name()?, AtFlags::empty())?)
    }

    pub(crate) fn read(&self, path: &str) -> Result<Vec<u8>, FileError> {
        let file = self.locate(path, Access::Read, true)?.open(OFlags::RDONLY)?;
        let length = file.metadata()?.len();
        if length > MAX_FILE_BYTES {
            return Err(FileError::TooLarge);
        }
        let mut content = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
        // It may grow while it is read.
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut content)?;
        if content.len() as u64 > MAX_FILE_BYTES { Err(FileError::TooLarge) } else { Ok(content) }
    }

    pub(crate) fn write(&self, path: &str, content: &[u8]) -> Result<(), FileError> {
        if content.len() as u64 > MAX_FILE_BYTES {
            return Err(FileError::TooLarge);
        }
        let mut file = self.locate(path, Access::Write, true)?.open(OFlags::WRONLY | OFlags::CREATE)?;
        file.set_len(0)?;
        Ok(file.write_all(content)?)
    }

    pub(crate) fn append(&self, path: &str, content: &[u8]) -> Result<(), FileError> {
        if content.len() as u64 > MAX_FILE_BYTES {
            return Err(FileError::TooLarge);
        }
        let mut file =
            self.locate(path, Access::Write, true)?.open(OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND)?;
        Ok(file.write_all(content)?)
    }

    pub(crate) fn copy(&self, from: &str, to: &str) -> Result<(), FileError> {
        let mut from = self.locate(from, Access::Read, true)?.open(OFlags::RDONLY)?;
        let mut to = self.locate(to, Access::Write, true)?.open(OFlags::WRONLY | OFlags::CREATE)?;
        if identity(&from)? == identity(&to)? {
            return Ok(());
        }
        to.set_len(0)?;
        std::io::copy(&mut from, &mut to)?;
        Ok(())
    }

    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<(), FileError> {
        // Moving must not make readable what was not.
        if self.locate(to, Access::Read, false).is_ok() {
            self.locate(from, Access::Read, false)?;
        }
        let (from, to) = (self.locate(from, Access::Write, false)?, self.locate(to, Access::Write, false)?);
        if from.root != to.root {
            return Err(FileError::CrossRoots);
        }
        Ok(renameat(from.place.folder(), from.name()?, to.place.folder(), to.name()?)?)
    }

    pub(crate) fn hard_link(&self, from: &str, to: &str) -> Result<(), FileError> {
        // A second name opens the same file in another place: all of it must be granted.
        self.locate(from, Access::Read, false)?;
        let (from, to) = (self.locate(from, Access::Write, false)?, self.locate(to, Access::Write, false)?);
        if from.root != to.root {
            return Err(FileError::CrossRoots);
        }
        if FileType::from_raw_mode(from.stat()?.st_mode) != FileType::RegularFile {
            return Err(FileError::Access);
        }
        let (old, new) = (from.name()?, to.name()?);
        Ok(linkat(from.place.folder(), old, to.place.folder(), new, AtFlags::empty())?)
    }

    pub(crate) fn remove_folder(&self, path: &str) -> Result<u64, FileError> {
        let located = self.locate(path, Access::Write, false)?;
        let name = located.place.name().ok_or(FileError::Access)?;
        let folder = located.open_folder()?;
        let removed = empty_folder(&located.place, folder, 0)?;
        unlinkat(located.place.folder(), name, AtFlags::REMOVEDIR)?;
        Ok(removed + 1)
    }

    pub(crate) fn canonicalize(&self, path: &str) -> Result<String, FileError> {
        let located = self.locate(path, Access::Read, true)?;
        located.stat()?;
        Ok(text_of(located.root, &located.place.segments()))
    }

    pub(crate) fn read_link(&self, path: &str) -> Result<String, FileError> {
        let located = self.locate(path, Access::Read, false)?;
        let target = readlinkat(located.place.folder(), located.name()?, Vec::new())?;
        target.into_string().map_err(|_| FileError::InvalidPath)
    }
}

/// Removes what is in `folder`; returns how many names are gone.
fn empty_folder(place: &Place, folder: OwnedFd, depth: usize) -> Result<u64, FileError> {
    if depth == MAX_DEPTH {
        return Err(FileError::TooLarge);
    }
    if place.guarded().is_some_and(|guarded| identity(&folder).is_ok_and(|own| own == guarded)) {
        return Err(FileError::BoundaryEscape);
    }
    let mut removed = 0;
    for entry in Dir::read_from(&folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        match openat(&folder, name, OPEN_FOLDER, Permissions::empty()) {
            Ok(inner) => {
                removed += empty_folder(place, inner, depth + 1)?;
                unlinkat(&folder, name, AtFlags::REMOVEDIR)?;
            }
            Err(Errno::NOTDIR | Errno::LOOP | Errno::MLINK) => {
                unlinkat(&folder, name, AtFlags::empty())?;
            }
            Err(error) => return Err(error.into()),
        }
        removed += 1;
    }
    Ok(removed)
}

/// The path of `segments` as guests write it.
fn text_of(root: PathRoot, segments: &[String]) -> String {
    let scheme = match root {
        PathRoot::Home => "home://",
        PathRoot::Temporary => "tmp://",
        PathRoot::Workspace | PathRoot::Machine => "cwd://",
    };
    format!("{scheme}{}", segments.join("/"))
}

impl Handle {
    pub(crate) fn read_at(&self, offset: u64, most: u32) -> Result<Vec<u8>, FileError> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        if most > MAX_CHUNK_BYTES {
            return Err(FileError::TooLarge);
        }
        let mut content = vec![0; most];
        let mut filled = 0;
        while filled < most {
            match self.file.read_at(&mut content[filled..], offset.saturating_add(filled as u64)) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        content.truncate(filled);
        Ok(content)
    }

    pub(crate) fn write_at(&self, offset: u64, content: &[u8]) -> Result<u32, FileError> {
        if content.len() > MAX_CHUNK_BYTES {
            return Err(FileError::TooLarge);
        }
        self.file.write_all_at(content, offset)?;
        u32::try_from(content.len()).map_err(|_| FileError::TooLarge)
    }

    pub(crate) fn sync(&self, metadata_too: bool) -> Result<(), FileError> {
        Ok(if metadata_too { self.file.sync_all() } else { self.file.sync_data() }?)
    }

    pub(crate) fn stat(&self) -> Result<Stat, FileError> {
        Ok(fstat(&self.file)?)
    }

    pub(crate) fn set_len(&self, bytes: u64) -> Result<(), FileError> {
        Ok(self.file.set_len(bytes)?)
    }
}
