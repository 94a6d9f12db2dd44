//! Code of earlier compilations, kept on disk.
//!
//! A file is named by the component and the engine, and begins with a tag that is keyed with a
//! key of the home, over the component's digest, the engine's fingerprint and the code. Whatever
//! is wrong with a file, from a cut end to one that was made elsewhere, means that the component
//! is compiled again. It never means that the code is run.

mod code;

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use astrid_authority::Digest;
use wasmtime::component::Component;

use crate::exports::Exports;

const MAGIC: &[u8; 8] = b"ASTRAOT1";
const TAG_BYTES: usize = 32;
const HEADER_BYTES: usize = MAGIC.len() + TAG_BYTES + 1;

/// Where the code is, and what it must be tagged with.
pub(crate) struct CompiledFolder {
    path: PathBuf,
    key: [u8; 32],
    fingerprint: Digest,
}

impl CompiledFolder {
    /// `home_key` is a secret of the home; the tag's own key is derived from it.
    pub(crate) fn new(path: PathBuf, home_key: &[u8; 32], fingerprint: Digest) -> Self {
        let key = blake3::derive_key("astrid 2026-11 compiled code tag", home_key);
        Self { path, key, fingerprint }
    }

    fn file(&self, component: &Digest) -> PathBuf {
        self.path.join(format!("{}.{}", component.hex(), &self.fingerprint.hex()[..16]))
    }

    fn tag(&self, component: &Digest, exports: u8, code: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(component.as_bytes());
        hasher.update(self.fingerprint.as_bytes());
        hasher.update(&[exports]);
        hasher.update(code);
        hasher.finalize()
    }

    /// The code for `component`, if there is some that this home made for this engine.
    pub(crate) fn take(&self, engine: &wasmtime::Engine, component: &Digest) -> Option<(Component, Exports)> {
        let bytes = fs::read(self.file(component)).ok()?;
        let (exports, code) = self.verified(component, &bytes)?;
        match code.load(engine) {
            Ok(loaded) => Some((loaded, exports)),
            Err(error) => {
                tracing::debug!(%component, %error, "kept code does not fit the engine");
                None
            }
        }
    }

    /// The one place that makes [`code::OwnCode`]: after the tag was found right.
    fn verified<'a>(&self, component: &Digest, bytes: &'a [u8]) -> Option<(Exports, code::OwnCode<'a>)> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (tag, rest) = rest.split_first_chunk::<TAG_BYTES>()?;
        let (exports, code) = rest.split_first()?;
        // This comparison takes the same time wherever the two differ.
        if self.tag(component, *exports, code) != blake3::Hash::from_bytes(*tag) {
            tracing::warn!(%component, "kept code is damaged or from elsewhere: compiling again");
            return None;
        }
        Some((Exports::from_bits(*exports), code::OwnCode::after_verification(code)))
    }

    /// Keeps the code of `component` for the next time. A failure costs only that time.
    pub(crate) fn keep(&self, component: &Digest, exports: Exports, code: &[u8]) {
        if let Err(error) = self.write(component, exports.to_bits(), code) {
            tracing::warn!(%component, %error, "compiled code could not be kept");
        }
    }

    fn write(&self, component: &Digest, exports: u8, code: &[u8]) -> std::io::Result<()> {
        fs::create_dir_all(&self.path)?;
        let file = self.file(component);
        let temporary = file.with_extension(format!("{}.new", std::process::id()));
        let result = self.write_to(&temporary, component, exports, code);
        // No fsync: a file that a crash cut short has a wrong tag.
        match result.and_then(|()| fs::rename(&temporary, &file)) {
            Ok(()) => Ok(()),
            Err(error) => {
                let _ = fs::remove_file(&temporary);
                Err(error)
            }
        }
    }

    fn write_to(&self, path: &Path, component: &Digest, exports: u8, code: &[u8]) -> std::io::Result<()> {
        let mut header = Vec::with_capacity(HEADER_BYTES);
        header.extend_from_slice(MAGIC);
        header.extend_from_slice(self.tag(component, exports, code).as_bytes());
        header.push(exports);
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(&header)?;
        file.write_all(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPONENT: &str = r#"(component
        (core module $m (func (export "run")))
        (core instance $i (instantiate $m))
        (func $run (canon lift (core func $i "run")))
        (export "run" (func $run)))"#;

    struct Kept {
        _root: tempfile::TempDir,
        engine: wasmtime::Engine,
        folder: CompiledFolder,
        component: Digest,
    }

    fn kept() -> Kept {
        let root = tempfile::tempdir().unwrap();
        let engine = wasmtime::Engine::default();
        let folder = CompiledFolder::new(root.path().join("compiled"), &[1; 32], Digest::of(b"engine"));
        let bytes = wat::parse_str(COMPONENT).unwrap();
        let component = Digest::of(&bytes);
        let code = engine.precompile_component(&bytes).unwrap();
        folder.keep(&component, Exports::of_component(&bytes), &code);
        Kept { _root: root, engine, folder, component }
    }

    #[test]
    fn kept_code_is_taken() {
        let kept = kept();
        let (_, exports) = kept.folder.take(&kept.engine, &kept.component).unwrap();
        assert!(exports.run);
    }

    #[test]
    fn code_with_any_bit_changed_or_cut_is_denied() {
        let kept = kept();
        let file = kept.folder.file(&kept.component);
        let good = fs::read(&file).unwrap();
        let places = [0, MAGIC.len(), MAGIC.len() + TAG_BYTES, HEADER_BYTES, good.len() / 2, good.len() - 1];
        for at in places {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&file, bad).unwrap();
            assert!(kept.folder.take(&kept.engine, &kept.component).is_none(), "byte {at}");
        }
        for length in [0, MAGIC.len(), HEADER_BYTES - 1, HEADER_BYTES, good.len() - 1] {
            fs::write(&file, &good[..length]).unwrap();
            assert!(kept.folder.take(&kept.engine, &kept.component).is_none(), "length {length}");
        }
        fs::write(&file, good).unwrap();
        assert!(kept.folder.take(&kept.engine, &kept.component).is_some());
    }

    #[test]
    fn code_of_another_home_engine_or_component_is_denied() {
        let kept = kept();
        let path = kept.folder.path.clone();
        let good = fs::read(kept.folder.file(&kept.component)).unwrap();
        let others = [
            (CompiledFolder::new(path.clone(), &[2; 32], Digest::of(b"engine")), kept.component),
            (CompiledFolder::new(path.clone(), &[1; 32], Digest::of(b"other engine")), kept.component),
            (CompiledFolder::new(path, &[1; 32], Digest::of(b"engine")), Digest::of(b"other component")),
        ];
        for (folder, component) in others {
            fs::write(folder.file(&component), &good).unwrap();
            assert!(folder.take(&kept.engine, &component).is_none());
        }
    }
}
