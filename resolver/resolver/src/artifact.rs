//! What bytes say they are: the manifests of a capsule or pack, read from a tree in the store.

use std::cell::RefCell;
use std::collections::BTreeMap;

use astrid_authority::{CapsuleName, Digest};
use astrid_manifest::capsule::{CapsuleManifest, Strictness};
use astrid_manifest::component::{self, EffectiveAuthority, effective_authority};
use astrid_manifest::pack::contents::{Contents, Files};
use astrid_manifest::pack::{self, PackManifest};
use astrid_manifest::source::SourcePath;
use astrid_store::read::Filter;
use astrid_store::{Batch, Store, StoreError, Tree, TreeEntry};
use semver::Version;

use crate::error::{Error, Result};
use crate::solve::{Import, Metadata, Part};

/// The file that a capsule is described by.
pub const CAPSULE_MANIFEST: &str = "Capsule.toml";
/// The file with the names, descriptions and schemas of a capsule's tools.
const TOOLS: &str = "tools.json";
/// Domain of the digest over the authority of a pack.
const PACK_AUTHORITY_DOMAIN: &str = "astrid:pack-authority:v1";
/// A manifest larger than this is not read: 1 MiB.
const MAX_MANIFEST_BYTES: u64 = 1 << 20;

/// A capsule as its bytes describe it.
#[derive(Debug, Clone, PartialEq)]
pub struct CapsuleArtifact {
    /// The digest of the tree of everything that its archive would hold.
    pub content: Digest,
    /// What it says about itself.
    pub manifest: CapsuleManifest,
    /// The digest of its manifest.
    pub manifest_digest: Digest,
    /// The digest of its component, when it has one.
    pub component: Option<Digest>,
    /// The digest of the tree of its interfaces.
    pub wit: Option<Digest>,
    /// The digest of `tools.json`.
    pub tools: Option<Digest>,
    /// What the manifest's parser warns about.
    pub warnings: Vec<String>,
}

/// A pack as its bytes describe it.
#[derive(Debug, Clone, PartialEq)]
pub struct PackArtifact {
    /// The digest of its tree.
    pub content: Digest,
    /// What it says about itself.
    pub manifest: PackManifest,
    /// All that its manifests say; every rule about them holds.
    pub contents: Box<Contents>,
    /// Its capsules, by name.
    pub capsules: BTreeMap<CapsuleName, CapsuleArtifact>,
    /// What the manifests' parsers warn about.
    pub warnings: Vec<String>,
}

/// A capsule or a pack.
#[derive(Debug, Clone, PartialEq)]
pub enum Artifact {
    /// A capsule.
    Capsule(CapsuleArtifact),
    /// A pack.
    Pack(PackArtifact),
}

impl CapsuleArtifact {
    /// Reads the capsule that `tree` holds; `what` names it in messages.
    ///
    /// # Errors
    /// `Invalid` for a missing or bad manifest or component; `Corrupt` when the store is, or when
    /// the component is not the one that the manifest pins.
    pub fn read(store: &Store, tree: &Tree, what: &str) -> Result<Self> {
        let entry = tree.get(CAPSULE_MANIFEST).ok_or_else(|| {
            Error::invalid(format!("{what} has no {CAPSULE_MANIFEST}")).hint("check the source's path")
        })?;
        let text = text(store, entry, what)?;
        let parsed = CapsuleManifest::parse(&format!("{what}/{CAPSULE_MANIFEST}"), &text, Strictness::Load)?;
        let manifest = parsed.value;
        let mut component = None;
        if let Some(first) = manifest.components.first() {
            let file = first.file.joined();
            let found = tree.get(&file).ok_or_else(|| {
                Error::invalid(format!("{what} has no component `{file}`"))
                    .hint("build it first: `astrid capsule build` in its folder; apply never builds")
            })?;
            if let Some(pinned) = first.hash
                && pinned != found.blob
            {
                return Err(Error::corrupt(format!(
                    "{what}: component `{file}` is {}, and Capsule.toml pins {pinned}",
                    found.blob
                ))
                .hint("build it again, or ask who publishes it"));
            }
            component = Some(found.blob);
        }
        let interfaces: Vec<TreeEntry> =
            tree.under("wit").filter(|entry| entry.path.as_str() != "wit").cloned().collect();
        let wit = if interfaces.is_empty() { None } else { Some(Tree::new(interfaces)?.digest()) };
        Ok(Self {
            content: tree.digest(),
            manifest,
            manifest_digest: entry.blob,
            component,
            wit,
            tools: tree.get(TOOLS).map(|entry| entry.blob),
            warnings: parsed.warnings.iter().map(ToString::to_string).collect(),
        })
    }

    /// What it may really do: what its manifest grants and its bytes can use.
    ///
    /// # Errors
    /// `Invalid` when the component is none; `Corrupt` when the store is.
    pub fn authority(&self, store: &Store) -> Result<EffectiveAuthority> {
        let surface = match &self.component {
            None => None,
            Some(digest) => {
                let bytes = store.get(digest)?;
                let surface = component::inspect(&bytes).map_err(|error| {
                    Error::invalid(format!(
                        "the component of capsule `{}`: {error}",
                        self.manifest.package.name
                    ))
                })?;
                Some(surface)
            }
        };
        Ok(effective_authority(&self.manifest, surface.as_ref()))
    }

    fn part(&self) -> Part {
        let imports = self.manifest.imports.iter().map(|(interface, import)| Import {
            interface: interface.clone(),
            requirement: import.requirement.clone(),
            optional: import.optional,
        });
        Part {
            name: self.manifest.package.name.clone(),
            imports: imports.collect(),
            exports: self.manifest.exports.clone(),
            platform: self.manifest.package.astrid_version.clone(),
            uplink: self.manifest.granted.uplink,
        }
    }
}

impl PackArtifact {
    /// Reads the pack that `tree` holds, and puts the listings of its capsules into `batch`.
    ///
    /// # Errors
    /// As [`CapsuleArtifact::read`].
    pub fn read(batch: &Batch<'_>, tree: &Tree, what: &str) -> Result<Self> {
        let store = batch.store();
        if pack::FILE_NAMES.iter().all(|name| tree.get(name).is_none()) {
            return Err(Error::invalid(format!("{what} has no pack.yaml")).hint("check the source's path"));
        }
        let files = Listed { store, tree, what, failed: RefCell::default() };
        let read = Contents::read(&files);
        // A file that the store can't give is no fault of the pack.
        if let Some(failure) = files.failed.take() {
            return Err(failure.into());
        }
        let parsed = read?;
        let contents = parsed.value;
        let mut warnings: Vec<String> = parsed.warnings.iter().map(ToString::to_string).collect();
        let manifest = contents.manifest.clone();
        let mut capsules = BTreeMap::new();
        if let Some(folder) = &manifest.content.capsules {
            for (name, entries) in by_folder(tree, &folder.joined())? {
                let inner = format!("{what}/{}/{name}", folder.joined());
                let capsule = read_inner(batch, entries, &inner)?;
                if capsule.manifest.package.name.as_str() != name {
                    return Err(Error::invalid(format!(
                        "{inner} holds capsule `{}`: folder and name must be the same",
                        capsule.manifest.package.name
                    )));
                }
                warnings.extend(capsule.warnings.iter().cloned());
                capsules.insert(capsule.manifest.package.name.clone(), capsule);
            }
        }
        Ok(Self { content: tree.digest(), manifest, contents: Box::new(contents), capsules, warnings })
    }

    /// The digest over its permissions and the authority of those of its capsules that run.
    #[must_use]
    pub fn authority_digest(&self, capsules: &BTreeMap<CapsuleName, Digest>) -> Digest {
        let permissions = self.manifest.permissions_digest();
        let mut parts: Vec<&[u8]> = vec![permissions.as_bytes()];
        for (name, authority) in capsules {
            parts.push(name.as_str().as_bytes());
            parts.push(authority.as_bytes());
        }
        Digest::of_parts(PACK_AUTHORITY_DOMAIN, parts)
    }
}

impl Artifact {
    /// The digest of its tree.
    #[must_use]
    pub fn content(&self) -> Digest {
        match self {
            Self::Capsule(capsule) => capsule.content,
            Self::Pack(pack) => pack.content,
        }
    }

    /// The name that it gives itself.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Capsule(capsule) => capsule.manifest.package.name.as_str(),
            Self::Pack(pack) => pack.manifest.id.as_str(),
        }
    }

    /// The version that it gives itself; a pack may have one that is no SemVer.
    #[must_use]
    pub fn version_text(&self) -> String {
        match self {
            Self::Capsule(capsule) => capsule.manifest.package.version.to_string(),
            Self::Pack(pack) => pack.manifest.version.clone(),
        }
    }

    /// The version in the solver's form: a pack whose version is no SemVer has one that no
    /// requirement but "any" matches.
    #[must_use]
    pub fn version(&self) -> Version {
        match self {
            Self::Capsule(capsule) => capsule.manifest.package.version.clone(),
            Self::Pack(pack) => pack.manifest.semver().unwrap_or_else(|| Version {
                pre: semver::Prerelease::new("not-semver").unwrap_or_default(),
                ..Version::new(0, 0, 0)
            }),
        }
    }

    /// What the solver has to know; `chosen` are the capsules of a pack that run, all without it.
    ///
    /// # Errors
    /// `Invalid` when a chosen capsule is not in the pack.
    pub fn metadata(&self, chosen: Option<&[CapsuleName]>) -> Result<Metadata> {
        match self {
            Self::Capsule(capsule) => Ok(Metadata {
                version: self.version(),
                parts: vec![capsule.part()],
                packs: Vec::new(),
                platform: None,
            }),
            Self::Pack(pack) => {
                let parts = match chosen {
                    None => pack.capsules.values().map(CapsuleArtifact::part).collect(),
                    Some(names) => names
                        .iter()
                        .map(|name| {
                            pack.capsules.get(name).map(CapsuleArtifact::part).ok_or_else(|| {
                                let there: Vec<&str> =
                                    pack.capsules.keys().map(CapsuleName::as_str).collect();
                                Error::invalid(format!("pack `{}` has no capsule `{name}`", pack.manifest.id))
                                    .hint(format!("it has: {}", there.join(", ")))
                            })
                        })
                        .collect::<Result<_>>()?,
                };
                let packs = pack.manifest.dependencies.packs.iter();
                Ok(Metadata {
                    version: self.version(),
                    parts,
                    packs: packs
                        .map(|needed| {
                            (
                                needed.id.clone(),
                                needed.requirement.as_ref().map(|wanted| wanted.as_req().clone()),
                            )
                        })
                        .collect(),
                    platform: None,
                })
            }
        }
    }
}

/// The files of a pack whose bytes are in a store.
struct Listed<'a> {
    store: &'a Store,
    tree: &'a Tree,
    what: &'a str,
    failed: RefCell<Option<StoreError>>,
}

impl Files for Listed<'_> {
    fn paths(&self) -> Vec<String> {
        self.tree.entries().iter().map(|entry| entry.path.as_str().to_owned()).collect()
    }

    fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        let found = self.store.get(&self.tree.get(path)?.blob);
        found.map_err(|error| *self.failed.borrow_mut() = Some(error)).ok()
    }

    fn length(&self, path: &str) -> Option<u64> {
        self.tree.get(path).map(|entry| entry.length)
    }

    fn shown(&self, path: &str) -> String {
        format!("{}/{path}", self.what)
    }
}

/// The folders directly under `folder` that hold a capsule, with their files and paths from there.
fn by_folder<'a>(tree: &'a Tree, folder: &str) -> Result<BTreeMap<&'a str, Vec<TreeEntry>>> {
    let mut found: BTreeMap<&str, Vec<TreeEntry>> = BTreeMap::new();
    for entry in tree.entries() {
        let rest = if folder.is_empty() {
            Some(entry.path.as_str())
        } else {
            entry.path.as_str().strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'))
        };
        let Some((name, inner)) = rest.and_then(|rest| rest.split_once('/')) else { continue };
        found.entry(name).or_default().push(TreeEntry { path: inner.parse()?, ..entry.clone() });
    }
    found.retain(|_, entries| entries.iter().any(|entry| entry.path.as_str() == CAPSULE_MANIFEST));
    Ok(found)
}

/// A capsule inside a pack counts as the archive that it would pack to.
fn read_inner(batch: &Batch<'_>, entries: Vec<TreeEntry>, what: &str) -> Result<CapsuleArtifact> {
    let store = batch.store();
    let whole = Tree::new(entries)?;
    let entry = whole
        .get(CAPSULE_MANIFEST)
        .ok_or_else(|| Error::invalid(format!("{what} has no {CAPSULE_MANIFEST}")))?;
    let file = component_file(&text(store, entry, what)?, &format!("{what}/{CAPSULE_MANIFEST}"))?;
    let filter = Filter::capsule(file.as_deref())?;
    let taken = whole.entries().iter().filter(|entry| filter.takes(&entry.path)).cloned().collect();
    let tree = batch.put_entries(taken)?;
    CapsuleArtifact::read(store, &tree, what)
}

/// The path of the component that runs, as a manifest says it.
///
/// # Errors
/// `Invalid` with the complaints of the parser.
pub(crate) fn component_file(text: &str, file: &str) -> Result<Option<String>> {
    let parsed = CapsuleManifest::parse(file, text, Strictness::Load)?;
    Ok(parsed.value.component_file().map(SourcePath::joined))
}

fn text(store: &Store, entry: &TreeEntry, what: &str) -> Result<String> {
    if entry.length > MAX_MANIFEST_BYTES {
        return Err(Error::invalid(format!("{what}/{} is larger than 1 MiB", entry.path)));
    }
    String::from_utf8(store.get(&entry.blob)?)
        .map_err(|_| Error::invalid(format!("{what}/{} is no UTF-8", entry.path)))
}
