//! `.capsule` and pack archives: packed the same everywhere, unpacked with suspicion.
//!
//! An archive is gzip over tar with GNU headers. Whoever unpacks one does not know yet who made it, so nothing
//! in it is believed: entries are regular files and folders with plain relative names that occur once, and
//! bounds hold while the bytes stream, before anything of their size is kept.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

use flate2::bufread::GzDecoder;
use flate2::{Compression, GzBuilder};
use tar::{EntryType, Header};

use crate::error::{Result, StoreError};
use crate::tree::{Limits, Names, TreeFile, TreePath};

/// The time that every entry bears: the constant of deterministic archives in the tar library.
const ENTRY_TIME: u64 = 1_153_704_088;
/// An archive may unpack to this much before its ratio counts: 8 MiB.
const RATIO_COUNTS_FROM: u64 = 8 << 20;
/// The operating system that a gzip header names: unknown.
const UNKNOWN_SYSTEM: u8 = 255;

/// Packs files so that the same files give the same bytes, in whatever order they come.
///
/// The order is `Capsule.toml`, the component's file, all others by path, and `wit/` last.
///
/// # Errors
/// When two files collide.
pub fn pack(files: &[TreeFile], component: Option<&str>) -> Result<Vec<u8>> {
    let mut sorted: Vec<&TreeFile> = files.iter().collect();
    sorted.sort_unstable_by(|one, two| one.path.cmp(&two.path));
    let mut names = Names::default();
    for file in &sorted {
        names.file(&file.path)?;
    }
    let rank = |file: &TreeFile| match file.path.as_str() {
        "Capsule.toml" => 0,
        path if Some(path) == component => 1,
        path if path.starts_with("wit/") => 3,
        _ => 2,
    };
    sorted.sort_by_key(|file| rank(file));
    let gzip =
        GzBuilder::new().mtime(0).operating_system(UNKNOWN_SYSTEM).write(Vec::new(), Compression::default());
    let mut builder = tar::Builder::new(gzip);
    for file in sorted {
        append(&mut builder, file).map_err(StoreError::io("pack", Path::new(file.path.as_str())))?;
    }
    let finished = builder.into_inner().and_then(flate2::write::GzEncoder::finish);
    finished.map_err(StoreError::io("finish", Path::new("the archive")))
}

fn append<W: Write>(builder: &mut tar::Builder<W>, file: &TreeFile) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_size(file.bytes.len() as u64);
    header.set_mode(if file.executable { 0o755 } else { 0o644 });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(ENTRY_TIME);
    builder.append_data(&mut header, file.path.as_str(), file.bytes.as_slice())
}

/// Unpacks an archive into memory, its files sorted by path.
///
/// `place` names the archive in errors.
///
/// # Errors
/// [`StoreError::Refused`] when the archive is not a single gzip member over a well-formed tar, when an entry is
/// anything but a regular file or a folder, when a path is not a [`TreePath`], occurs twice or collides with
/// another one, and when a limit is passed.
pub fn unpack(reader: impl Read, limits: &Limits, place: &str) -> Result<Vec<TreeFile>> {
    let compressed = Counted { inner: BufReader::new(reader), read: 0 };
    let mut bounded =
        Bounded { gzip: GzDecoder::new(compressed), unpacked: 0, limits: *limits, broken: None };
    let files = entries(&mut bounded, limits, place);
    if let Some(rule) = bounded.broken {
        return Err(StoreError::refused(place, rule));
    }
    let files = files?;
    drain(&mut bounded, place)?;
    let mut compressed = bounded.gzip.into_inner();
    match compressed.fill_buf() {
        Ok([]) => Ok(files),
        Ok(_) => Err(StoreError::refused(place, "has bytes after the end of its gzip member")),
        Err(error) => Err(StoreError::io("read", Path::new(place))(error)),
    }
}

fn entries(bounded: &mut Bounded<impl BufRead>, limits: &Limits, place: &str) -> Result<Vec<TreeFile>> {
    // What the decoder and the tar reader complain about is the archive's fault, except for a failing reader;
    // for whoever asks, both mean that this archive can't be used.
    let malformed =
        |error: io::Error| StoreError::refused(place, format!("is not a well-formed archive: {error}"));
    let mut archive = tar::Archive::new(bounded);
    let mut files: Vec<TreeFile> = Vec::new();
    let mut names = Names::default();
    let mut count = 0_usize;
    let mut total = 0_u64;
    for entry in archive.entries().map_err(malformed)? {
        let mut entry = entry.map_err(malformed)?;
        count += 1;
        if count > limits.entries {
            return Err(StoreError::refused(place, format!("has more than {} entries", limits.entries)));
        }
        let kind = entry.header().entry_type();
        // What git writes before the first file: a comment with the commit.
        if kind == EntryType::XGlobalHeader {
            continue;
        }
        let raw = entry.path_bytes().into_owned();
        if kind == EntryType::Directory {
            folder(&raw, &mut names)?;
            continue;
        }
        let path = TreePath::from_bytes(raw.strip_prefix(b"./").unwrap_or(&raw))?;
        if !matches!(kind, EntryType::Regular) {
            return Err(StoreError::refused(path.as_str(), irregular(kind)));
        }
        names.file(&path)?;
        let length = entry.size();
        if length > limits.file_bytes {
            return Err(StoreError::refused(
                path.as_str(),
                format!("is larger than {} bytes", limits.file_bytes),
            ));
        }
        total = total.saturating_add(length);
        if total > limits.total_bytes {
            return Err(StoreError::refused(
                place,
                format!("unpacks to more than {} bytes", limits.total_bytes),
            ));
        }
        let executable = entry.header().mode().map_err(malformed)? & 0o100 != 0;
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(malformed)?;
        if bytes.len() as u64 != length {
            return Err(StoreError::refused(path.as_str(), "is cut short"));
        }
        files.push(TreeFile { path, bytes, executable });
    }
    files.sort_unstable_by(|one, two| one.path.cmp(&two.path));
    Ok(files)
}

/// A folder's entry says nothing that the files' paths don't say, but it must not lie either.
fn folder(raw: &[u8], names: &mut Names) -> Result<()> {
    let path = raw.strip_prefix(b"./").unwrap_or(raw);
    let path = path.strip_suffix(b"/").unwrap_or(path);
    if path.is_empty() && raw.starts_with(b"./") || raw == b"." {
        return Ok(());
    }
    names.folders(TreePath::from_bytes(path)?.as_str())
}

fn irregular(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Symlink => "is a symbolic link; an archive must hold regular files",
        EntryType::Link => "is a hard link; an archive must hold regular files",
        EntryType::Char | EntryType::Block => "is a device; an archive must hold regular files",
        EntryType::Fifo => "is a FIFO; an archive must hold regular files",
        _ => "is of a kind that no archive of ours holds; only regular files and folders are",
    }
}

/// Reads to the end, so that the checksum of the gzip member is checked, and nothing hides after the tar's end.
fn drain(bounded: &mut Bounded<impl BufRead>, place: &str) -> Result<()> {
    let mut buffer = [0; 8192];
    loop {
        let length = match bounded.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(error) => {
                let rule =
                    bounded.broken.take().unwrap_or_else(|| format!("is not a well-formed archive: {error}"));
                return Err(StoreError::refused(place, rule));
            }
        };
        if buffer[..length].iter().any(|byte| *byte != 0) {
            return Err(StoreError::refused(place, "has bytes after the end of its entries"));
        }
    }
}

/// Counts what is read from a compressed stream.
struct Counted<R> {
    inner: R,
    read: u64,
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.read = self.read.saturating_add(length as u64);
        Ok(length)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.read = self.read.saturating_add(amount as u64);
        self.inner.consume(amount);
    }
}

/// The unpacked stream, which ends in an error once it is out of proportion.
struct Bounded<R: BufRead> {
    gzip: GzDecoder<Counted<R>>,
    unpacked: u64,
    limits: Limits,
    /// The rule that was broken: the tar reader turns errors into its own.
    broken: Option<String>,
}

impl<R: BufRead> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.gzip.read(buffer)?;
        self.unpacked = self.unpacked.saturating_add(length as u64);
        let allowed = self.gzip.get_ref().read.saturating_mul(self.limits.ratio);
        // Headers and padding: at most 1.5 KiB for each entry, and the tar's end.
        let overhead = (self.limits.entries as u64).saturating_mul(2048).saturating_add(1 << 20);
        if self.unpacked > self.limits.total_bytes.saturating_add(overhead) {
            self.broken = Some(format!("unpacks to more than {} bytes", self.limits.total_bytes));
        } else if self.unpacked > RATIO_COUNTS_FROM && self.unpacked > allowed {
            self.broken = Some(format!("unpacks to more than {} times its size", self.limits.ratio));
        }
        match &self.broken {
            Some(rule) => Err(io::Error::other(rule.clone())),
            None => Ok(length),
        }
    }
}
