//! Lifecycle hooks: what a capsule does once when it is installed or upgraded.
//!
//! They run after trust and before the switch, in the sandbox, with the authority of the new
//! generation. What they write is kept apart until the switch has happened, and forgotten when it
//! does not.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use astrid_authority::{CapsuleName, PrincipalId};
use astrid_host::{Caller, HostError, Kv, KvError, KvStore, LifecycleStep, Overlay, Roots};

use crate::fleet::{Fleet, FleetSpec};
use crate::member::MemberSpec;

/// Most bytes of a principal's home that hooks may see: it is copied for them.
const MOST_BYTES: u64 = 64 << 20;
/// Most files of it.
const MOST_FILES: usize = 10_000;

/// Why hooks did not run to their end. Nothing of what they wrote is kept.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// A capsule can't be loaded, so that it could not run after the switch either.
    #[error("capsule `{capsule}` can't be loaded: {reason}")]
    Load {
        /// Which.
        capsule: CapsuleName,
        /// Why.
        reason: String,
    },
    /// A hook failed.
    #[error("the {step} hook of capsule `{capsule}` failed: {source}")]
    Hook {
        /// Whose.
        capsule: CapsuleName,
        /// `install` or `upgrade`.
        step: &'static str,
        /// Why.
        source: HostError,
    },
    /// Files could not be copied for the hooks, or back.
    #[error("`{}`: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The principal's home is too large to be copied.
    #[error("`{}` holds more than {MOST_FILES} files or {MOST_BYTES} bytes; hooks that use files can't run over it", .0.display())]
    TooLarge(PathBuf),
    /// The values could not be committed.
    #[error(transparent)]
    Values(#[from] KvError),
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> HookError + '_ {
    move |source| HookError::Io { path: path.to_owned(), source }
}

/// What hooks wrote, kept apart. Dropping it forgets everything.
pub struct Prepared {
    overlay: Overlay,
    files: Option<Files>,
    ran: Vec<CapsuleName>,
}

impl Prepared {
    /// The capsules whose hooks ran.
    pub fn ran(&self) -> &[CapsuleName] {
        &self.ran
    }

    /// Keeps what the hooks wrote. Blocks the thread.
    ///
    /// # Errors
    /// When the database or the file system fails.
    pub fn commit(self) -> Result<(), HookError> {
        if !self.overlay.is_empty() {
            self.overlay.commit()?;
        }
        self.files.as_ref().map_or(Ok(()), Files::commit)
    }
}

/// Which hook each capsule of `to` needs: those that are new are installed, those whose content
/// changed are upgraded.
fn needed(from: Option<&FleetSpec>, to: &FleetSpec) -> Vec<(MemberSpec, LifecycleStep)> {
    let before: BTreeMap<&CapsuleName, &MemberSpec> =
        from.into_iter().flat_map(|from| &from.members).map(|member| (&member.name, member)).collect();
    let step = |member: &MemberSpec| match before.get(&member.name) {
        None => Some(LifecycleStep::Install),
        Some(old) if old.content == member.content => None,
        Some(old) => Some(LifecycleStep::Upgrade { from: old.version.to_string() }),
    };
    to.members.iter().filter_map(|member| Some((member.clone(), step(member)?))).collect()
}

/// Which of the new capsules are loaded before the switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loading {
    /// All: they are about to run here, and one that can't is better known before.
    All,
    /// Those with a hook to run: nothing else is compiled where no kernel runs.
    WithHooks,
}

impl Fleet {
    /// Says whether the component of `member` has the hook of `step`, without compiling it.
    fn has_hook(&self, member: &MemberSpec, step: &LifecycleStep) -> Result<bool, HookError> {
        let Some(component) = &member.component else { return Ok(false) };
        let unusable = |reason: String| HookError::Load { capsule: member.name.clone(), reason };
        let bytes = self.store().get(component).map_err(|error| unusable(error.to_string()))?;
        let surface = astrid_manifest::inspect(&bytes).map_err(|error| unusable(error.to_string()))?;
        Ok(match step {
            LifecycleStep::Install => surface.has_install(),
            LifecycleStep::Upgrade { .. } => surface.has_upgrade(),
        })
    }

    /// Loads what `to` brings, and runs its lifecycle hooks over `values`. Nothing else of it runs.
    ///
    /// # Errors
    /// When a capsule can't be loaded or its hook fails; then nothing that they wrote is kept.
    pub async fn prepare(
        self: &Arc<Self>,
        from: Option<&FleetSpec>,
        to: &FleetSpec,
        values: &KvStore,
        loading: Loading,
    ) -> Result<Prepared, HookError> {
        let mut needed = needed(from, to);
        if loading == Loading::WithHooks {
            let mut with_hooks = Vec::new();
            for (member, step) in needed {
                if self.has_hook(&member, &step)? {
                    with_hooks.push((member, step));
                }
            }
            needed = with_hooks;
        }
        let overlay = Overlay::new(values.clone());
        let mut prepared = Prepared { overlay: overlay.clone(), files: None, ran: Vec::new() };
        if needed.is_empty() {
            return Ok(prepared);
        }
        let mut running = Vec::new();
        let specs = needed.iter().map(|(member, _)| member.clone()).collect();
        for (member, (spec, step)) in self.load_unchecked(specs).await.into_iter().zip(needed) {
            if let Some(reason) = member.refusal() {
                return Err(HookError::Load { capsule: spec.name, reason: reason.to_owned() });
            }
            let Some(capsule) = member.capsule().cloned() else { continue };
            let exports = capsule.component().exports;
            let real = match &step {
                LifecycleStep::Install => exports.install,
                LifecycleStep::Upgrade { .. } => exports.upgrade,
            };
            if real {
                running.push((spec.name, step, capsule));
            }
        }
        let home = self.store().home();
        let uses_files = running.iter().any(|(_, _, capsule)| {
            let capabilities = &capsule.spec().capabilities;
            !capabilities.fs_read.is_empty() || !capabilities.fs_write.is_empty()
        });
        if uses_files {
            // Not in the staging folder: the switch empties that one.
            let copy = home.run().join("hooks");
            prepared.files = Some(Files::copy(&home.principals(), self.owner(), &copy)?);
        }
        for (name, step, capsule) in running {
            // Hooks never see the workspace: it is not part of what is rolled back.
            let principals = prepared.files.as_ref().map_or_else(|| home.run(), |files| files.copy.clone());
            let roots = Roots::new(None, home.root(), &principals).map_err(at(&principals))?;
            let caller = Caller::kernel(Some(self.owner().clone()), self.ports().clock.unix_ms());
            let word = if step == LifecycleStep::Install { "install" } else { "upgrade" };
            let kv = Kv::Overlay(overlay.clone());
            capsule
                .lifecycle(&caller, step, kv, Arc::new(roots))
                .await
                .map_err(|source| HookError::Hook { capsule: name.clone(), step: word, source })?;
            prepared.ran.push(name);
        }
        Ok(prepared)
    }
}

/// A principal's home, copied for the hooks.
struct Files {
    /// The folder that stands for the folder of all homes.
    copy: PathBuf,
    principal: PrincipalId,
    original: PathBuf,
    /// What was copied, with its bytes: to see what changed.
    before: BTreeMap<PathBuf, Vec<u8>>,
}

impl Drop for Files {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.copy) {
            tracing::debug!(%error, "the copy that hooks worked on remains; the next one replaces it");
        }
    }
}

impl Files {
    fn copy(principals: &Path, principal: &PrincipalId, copy: &Path) -> Result<Self, HookError> {
        match fs::remove_dir_all(copy) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(copy)(error)),
            _ => {}
        }
        let original = principals.join(principal.as_str());
        let own = copy.join(principal.as_str());
        fs::create_dir_all(&own).map_err(at(&own))?;
        let files = Self {
            copy: copy.to_owned(),
            principal: principal.clone(),
            before: read_all(&original)?,
            original,
        };
        for (name, bytes) in &files.before {
            let target = own.join(name);
            if let Some(folder) = target.parent() {
                fs::create_dir_all(folder).map_err(at(folder))?;
            }
            fs::write(&target, bytes).map_err(at(&target))?;
        }
        Ok(files)
    }

    fn commit(&self) -> Result<(), HookError> {
        let after = read_all(&self.copy.join(self.principal.as_str()))?;
        for (name, bytes) in after.iter().filter(|(name, bytes)| self.before.get(*name) != Some(*bytes)) {
            let target = self.original.join(name);
            if let Some(folder) = target.parent() {
                fs::create_dir_all(folder).map_err(at(folder))?;
            }
            let unfinished = target.with_extension("astrid-new");
            fs::write(&unfinished, bytes).map_err(at(&unfinished))?;
            fs::rename(&unfinished, &target).map_err(at(&target))?;
        }
        for name in self.before.keys().filter(|name| !after.contains_key(*name)) {
            let target = self.original.join(name);
            match fs::remove_file(&target) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&target)(error)),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Every regular file below `folder`, but not logs and temporary files; links are left out.
fn read_all(folder: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>, HookError> {
    let mut found = BTreeMap::new();
    let mut bytes = 0_u64;
    let mut folders = vec![PathBuf::new()];
    while let Some(below) = folders.pop() {
        let path = folder.join(&below);
        for entry in fs::read_dir(&path).map_err(at(&path))? {
            let entry = entry.map_err(at(&path))?;
            let name = below.join(entry.file_name());
            let kind = entry.file_type().map_err(at(&path))?;
            if kind.is_dir() {
                if name != Path::new(".local/log") && name != Path::new(".local/tmp") {
                    folders.push(name);
                }
            } else if kind.is_file() {
                let content = fs::read(entry.path()).map_err(at(&path))?;
                bytes += content.len() as u64;
                found.insert(name, content);
                if bytes > MOST_BYTES || found.len() > MOST_FILES {
                    return Err(HookError::TooLarge(folder.to_owned()));
                }
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use astrid_authority::Digest;

    #[test]
    fn what_hooks_change_is_committed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home/default");
        fs::create_dir_all(home.join(".local/log")).unwrap();
        fs::write(home.join("keep"), "k").unwrap();
        fs::write(home.join("change"), "old").unwrap();
        fs::write(home.join("remove"), "r").unwrap();
        fs::write(home.join(".local/log/today"), "l").unwrap();
        let principal = PrincipalId::default_user();
        let copy = folder.path().join("copy");
        let files = Files::copy(&folder.path().join("home"), &principal, &copy).unwrap();
        let own = copy.join("default");
        fs::write(own.join("change"), "new").unwrap();
        fs::create_dir_all(own.join("sub")).unwrap();
        fs::write(own.join("sub/added"), "a").unwrap();
        fs::remove_file(own.join("remove")).unwrap();
        assert_eq!(fs::read_to_string(home.join("change")).unwrap(), "old", "not before the commit");
        files.commit().unwrap();
        drop(files);
        assert!(!copy.exists());
        assert_eq!(fs::read_to_string(home.join("change")).unwrap(), "new");
        assert_eq!(fs::read_to_string(home.join("sub/added")).unwrap(), "a");
        assert!(!home.join("remove").exists());
        assert!(home.join(".local/log/today").exists() && home.join("keep").exists());
    }

    #[test]
    fn new_capsules_install_and_changed_ones_upgrade() {
        let member = |name: &str, content: &[u8]| MemberSpec {
            name: name.parse().unwrap(),
            version: "1.2.3".parse().unwrap(),
            content: Digest::of(content),
            manifest: Digest::of(b"m"),
            component: None,
            authority: Digest::of(b"a"),
            tools: None,
            after: Vec::new(),
            config: BTreeMap::new(),
        };
        let fleet =
            |members| FleetSpec { number: 1, digest: Digest::of(b"g"), members, probes: BTreeMap::new() };
        let from = fleet(vec![member("same", b"1"), member("changed", b"1"), member("gone", b"1")]);
        let to = fleet(vec![member("same", b"1"), member("changed", b"2"), member("new", b"1")]);
        let steps: Vec<_> = needed(Some(&from), &to)
            .into_iter()
            .map(|(member, step)| (member.name.to_string(), step))
            .collect();
        let upgrade = LifecycleStep::Upgrade { from: "1.2.3".into() };
        assert_eq!(steps, [("changed".to_owned(), upgrade), ("new".to_owned(), LifecycleStep::Install)]);
        assert_eq!(needed(None, &to).len(), 3);
    }
}
