//! The file around the members: one gzip member over a tar of plain files.
//!
//! What reads it knows nothing of what the members mean, believes nothing, and holds every limit while the bytes
//! stream.

use std::io::{self, BufRead, BufReader, Read, Write};

use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use tar::{EntryType, Header};

use crate::error::{Error, Result};
use crate::limits::{Limits, PATH_BYTES, RATIO_COUNTS_FROM};

const BLOCK: usize = 512;
/// The operating system that a gzip header names: unknown.
const UNKNOWN_SYSTEM: u8 = 255;
/// The header of every gzip member that is written here: no time, no name, no extra field.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, UNKNOWN_SYSTEM];
/// The flags in such a header: which optional fields follow.
const GZIP_FLAGS: usize = 3;
/// Longest path that version 1 may write in an entry of its own before the file's.
const LONG_PATH_BYTES: u64 = 1024;

/// The header of a file, as the format has it.
pub(crate) fn header(path: &str, size: u64) -> io::Result<Header> {
    let mut header = Header::new_gnu();
    header.set_path(path)?;
    header.set_entry_type(EntryType::Regular);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    Ok(header)
}

/// Writes members in the order in which they come.
pub(crate) struct Packer<W: Write>(GzEncoder<W>);

impl<W: Write> Packer<W> {
    pub(crate) fn new(out: W) -> Self {
        Self(GzBuilder::new().mtime(0).operating_system(UNKNOWN_SYSTEM).write(out, Compression::new(6)))
    }

    pub(crate) fn add(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(header(path, bytes.len() as u64)?.as_bytes())?;
        self.0.write_all(bytes)?;
        self.0.write_all(&[0; BLOCK][..padding(bytes.len() as u64)])
    }

    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.0.write_all(&[0; 2 * BLOCK])?;
        self.0.finish()
    }
}

/// The zeros that fill the last block of a file.
fn padding(size: u64) -> usize {
    let rest = usize::try_from(size % BLOCK as u64).unwrap_or_default();
    (BLOCK - rest) % BLOCK
}

/// A file in the tar.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) path: String,
    pub(crate) size: u64,
    /// Its header is exactly the one that is written here.
    pub(crate) is_canonical: bool,
}

/// What is seen of the whole.
#[derive(Debug)]
pub(crate) struct End {
    /// The gzip header and the tar's end are exactly what is written here.
    pub(crate) is_canonical: bool,
}

/// Goes through all files in their order; `visit` reads each to its end.
pub(crate) fn walk(
    reader: impl Read,
    limits: &Limits,
    visit: &mut dyn FnMut(&Entry, &mut dyn Read) -> Result<()>,
) -> Result<End> {
    let mut compressed = Counted { inner: BufReader::with_capacity(64 << 10, reader), read: 0 };
    let head = compressed.fill_buf().map_err(|error| Error::reading(&error))?;
    if !head.starts_with(&GZIP_HEADER[..GZIP_FLAGS]) {
        return Err(Error::unreadable("it is no bundle: it does not start as a gzip file does")
            .hint("a bundle is a `.shuttle` file that `astrid distro seal` wrote"));
    }
    if head.get(GZIP_FLAGS).is_none_or(|flags| *flags != 0) {
        return Err(Error::unreadable("its gzip header holds more than a bundle's does"));
    }
    let is_canonical = head.starts_with(&GZIP_HEADER);
    let mut unpacked = Unpacked { gzip: GzDecoder::new(compressed), out: 0, limits: *limits };
    let end = entries(&mut unpacked, limits, visit)?;
    // The checksum of the gzip member is checked by whoever reads its end.
    let mut compressed = unpacked.gzip.into_inner();
    match compressed.fill_buf() {
        Ok([]) => Ok(End { is_canonical: is_canonical && end.is_canonical }),
        Ok(_) => Err(Error::unreadable("it has bytes after the end of its gzip member")),
        Err(error) => Err(Error::reading(&error)),
    }
}

fn entries(
    unpacked: &mut Unpacked<impl BufRead>,
    limits: &Limits,
    visit: &mut dyn FnMut(&Entry, &mut dyn Read) -> Result<()>,
) -> Result<End> {
    let mut count = 0_usize;
    let mut total = 0_u64;
    let mut long_path = None;
    loop {
        let block = block(unpacked)?;
        if block.iter().all(|byte| *byte == 0) {
            if long_path.is_some() {
                return Err(Error::unreadable("it ends after a path, and before the file of that path"));
            }
            return end(unpacked);
        }
        count += 1;
        if count > limits.members {
            return Err(Error::unreadable(format!("it has more than {} members", limits.members)));
        }
        let has_path_of_its_own = long_path.is_some();
        let read = Header::from_byte_slice(&block);
        let (path, size, kind) = describe(read, long_path.take())?;
        if kind == EntryType::GNULongName {
            long_path = Some(path_of_its_own(unpacked, size)?);
            continue;
        }
        if kind != EntryType::Regular {
            return Err(Error::unreadable(format!("`{}` {}", path.escape_debug(), irregular(kind))));
        }
        check_path(&path)?;
        if size > limits.member_bytes {
            return Err(Error::unreadable(format!("`{path}` is larger than {} bytes", limits.member_bytes)));
        }
        total = total.saturating_add(size);
        if total > limits.total_bytes {
            return Err(Error::unreadable(format!("it holds more than {} bytes", limits.total_bytes)));
        }
        let is_canonical = !has_path_of_its_own
            && path.len() <= PATH_BYTES
            && header(&path, size).is_ok_and(|written| written.as_bytes().as_slice() == block);
        let entry = Entry { path, size, is_canonical };
        let mut content = unpacked.by_ref().take(size);
        visit(&entry, &mut content)?;
        io::copy(&mut content, &mut io::sink()).map_err(|error| refusal(&error))?;
        if content.limit() != 0 {
            return Err(cut_short());
        }
        let mut rest = [0; BLOCK];
        let rest = &mut rest[..padding(size)];
        fill(unpacked, rest)?;
        if rest.iter().any(|byte| *byte != 0) {
            return Err(Error::unreadable(format!("bytes are hidden after the end of `{}`", entry.path)));
        }
    }
}

/// Path, size and kind of an entry, as far as its header can be understood.
fn describe(header: &Header, long_path: Option<String>) -> Result<(String, u64, EntryType)> {
    let bad = |error: io::Error| Error::unreadable(format!("a header in it can't be understood: {error}"));
    let sum = header.cksum().map_err(bad)?;
    let mut copy = header.clone();
    copy.set_cksum();
    if copy.cksum().map_err(bad)? != sum {
        return Err(Error::unreadable("a header in it has a wrong checksum").hint("copy it again"));
    }
    let size = header.entry_size().map_err(bad)?;
    let path = match long_path {
        Some(path) => path,
        None => String::from_utf8(header.path_bytes().into_owned()).map_err(|error| {
            let shown = String::from_utf8_lossy(error.as_bytes()).escape_debug().to_string();
            Error::unreadable(format!("the path `{shown}` in it is not UTF-8"))
        })?,
    };
    Ok((path, size, header.entry_type()))
}

fn path_of_its_own(unpacked: &mut Unpacked<impl BufRead>, size: u64) -> Result<String> {
    let long = || Error::unreadable(format!("a path in it is longer than {LONG_PATH_BYTES} bytes"));
    if size > LONG_PATH_BYTES {
        return Err(long());
    }
    let mut bytes = vec![0; usize::try_from(size).map_err(|_| long())? + padding(size)];
    fill(unpacked, &mut bytes)?;
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    if bytes[end..].iter().any(|byte| *byte != 0) {
        return Err(Error::unreadable("bytes are hidden after the end of a path in it"));
    }
    bytes.truncate(end);
    String::from_utf8(bytes).map_err(|_| Error::unreadable("a path in it is not UTF-8"))
}

/// Refuses paths that lead out of wherever they would be unpacked; nothing is, but the list of members comes later.
fn check_path(path: &str) -> Result<()> {
    let is_normal = !path.is_empty()
        && !path.contains(['\\', '\0'])
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if is_normal {
        return Ok(());
    }
    Err(Error::unreadable(format!("the path `{}` in it leads out of it", path.escape_debug())))
}

fn irregular(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Symlink | EntryType::Link => "is a link; a bundle holds regular files only",
        EntryType::Char | EntryType::Block | EntryType::Fifo => {
            "is a device; a bundle holds regular files only"
        }
        EntryType::Directory => "is a folder; a bundle holds regular files only",
        EntryType::GNUSparse => "is a sparse file; a bundle holds regular files only",
        EntryType::XHeader | EntryType::XGlobalHeader | EntryType::GNULongLink => {
            "is an extended header; a bundle has none"
        }
        _ => "is of a kind that no bundle holds; only regular files are",
    }
}

fn cut_short() -> Error {
    Error::unreadable("it is cut short").hint("copy it again")
}

fn block(reader: &mut impl Read) -> Result<[u8; BLOCK]> {
    let mut block = [0; BLOCK];
    fill(reader, &mut block)?;
    Ok(block)
}

fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> Result<()> {
    reader.read_exact(buffer).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => cut_short(),
        _ => refusal(&error),
    })
}

/// After the first empty block: one more, and nothing else.
fn end(reader: &mut impl Read) -> Result<End> {
    let hidden = || Error::unreadable("it has bytes after the end of its members");
    if block(reader)?.iter().any(|byte| *byte != 0) {
        return Err(hidden());
    }
    let mut is_canonical = true;
    let mut buffer = [0; 8192];
    loop {
        match reader.read(&mut buffer).map_err(|error| refusal(&error))? {
            0 => return Ok(End { is_canonical }),
            length if buffer[..length].iter().any(|byte| *byte != 0) => return Err(hidden()),
            _ => is_canonical = false,
        }
    }
}

/// A limit that was passed, on its way through readers that know of nothing but [`io::Error`].
#[derive(Debug)]
struct Passed(String);

impl std::fmt::Display for Passed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Passed {}

/// What a failing read of a member means.
pub(crate) fn refusal(error: &io::Error) -> Error {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Passed>()) {
        Some(passed) => Error::unreadable(passed.0.clone()),
        None => Error::reading(error),
    }
}

/// Counts what is read from the file.
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
struct Unpacked<R: BufRead> {
    gzip: GzDecoder<Counted<R>>,
    out: u64,
    limits: Limits,
}

impl<R: BufRead> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.gzip.read(buffer)?;
        self.out = self.out.saturating_add(length as u64);
        let allowed = self.gzip.get_ref().read.saturating_mul(self.limits.ratio);
        // A header and its padding for each member, and the tar's end.
        let overhead = (self.limits.members as u64).saturating_mul(2 * BLOCK as u64).saturating_add(1 << 20);
        if self.out > self.limits.total_bytes.saturating_add(overhead) {
            let text = format!("it holds more than {} bytes", self.limits.total_bytes);
            return Err(io::Error::other(Passed(text)));
        }
        if self.out > RATIO_COUNTS_FROM && self.out > allowed {
            let text = format!("it unpacks to more than {} times its size", self.limits.ratio);
            return Err(io::Error::other(Passed(text)));
        }
        Ok(length)
    }
}
