//! What a pack is, worked out from its bytes, before anything of it is written or trusted.

use std::collections::BTreeMap;
use std::path::PathBuf;

use astrid_authority::{CapsuleName, Digest, PackId};
use astrid_manifest::component::EffectiveAuthority;
use astrid_manifest::distro::Policy;
use astrid_manifest::lock::LockedPack;
use astrid_manifest::pack::Contents;
use astrid_manifest::signer::Signer;
use astrid_manifest::source::{GitRef, GitSource, Source, SourcePath};
use astrid_manifest::subject::Subject;
use astrid_store::{Store, Tree};

use crate::artifact::PackArtifact;
use crate::context::Context;
use crate::declaration::{Base, Declaration};
use crate::error::{Error, Result};
use crate::gate::{Evidence, Gate, Provenance};
use crate::proposal::HomeTrust;
use crate::solve::Member;
use crate::source::Pin;
use crate::source::address::{GitAddress, Named};
use crate::source::index::{Folder, plain_path};
use crate::verified::VerifiedPack;

/// The page about a component is shown up to this line.
const EXCERPT_LINES: usize = 30;
/// The most of a page that is read.
const EXCERPT_BYTES: u64 = 64 << 10;

/// What a pack is, by its bytes.
#[derive(Debug)]
pub struct Looked {
    /// All that its manifests say.
    pub contents: Contents,
    /// The digest of everything that it holds: what trust binds to.
    pub content: Digest,
    /// The digest over its permissions and the authority of its capsules.
    pub authority: Digest,
    /// What the kernel would enforce for each of its capsules.
    pub capsules: BTreeMap<CapsuleName, EffectiveAuthority>,
    /// How many files it has.
    pub files: usize,
    /// How many bytes those are.
    pub bytes: u64,
    /// What people should know about its manifests.
    pub warnings: Vec<String>,
    /// The first lines of the page about each component, by the page's path.
    pub excerpts: BTreeMap<String, String>,
}

/// A pack that is not installed, and who made it.
#[derive(Debug)]
pub struct Found {
    /// What it is.
    pub looked: Looked,
    /// Who made it; a refusal when the policy of this home does not take it.
    pub provenance: Result<Provenance>,
    /// The commit that it is from.
    pub commit: Option<String>,
}

impl Looked {
    fn of(store: &Store, tree: &Tree, artifact: &PackArtifact, authority: Digest) -> Result<Self> {
        let mut capsules = BTreeMap::new();
        for (name, capsule) in &artifact.capsules {
            capsules.insert(name.clone(), capsule.authority(store)?);
        }
        let contents = Contents::clone(&artifact.contents);
        Ok(Self {
            content: tree.digest(),
            authority,
            capsules,
            files: tree.entries().len(),
            bytes: tree.entries().iter().fold(0, |sum, entry| sum.saturating_add(entry.length)),
            warnings: artifact.warnings.clone(),
            excerpts: excerpts(store, tree, &contents),
            contents,
        })
    }

    /// The pack of a verified fleet.
    ///
    /// # Errors
    /// `Corrupt` when the store is.
    pub fn of_fleet(store: &Store, pack: &VerifiedPack<'_>) -> Result<Self> {
        Self::of(store, &pack.tree()?, pack.artifact()?, pack.locked().authority)
    }

    /// A pack whose bytes are in the store, as a lock pins it.
    ///
    /// # Errors
    /// `Corrupt` when the store is.
    pub fn of_lock(store: &Store, locked: &LockedPack) -> Result<Self> {
        let tree = store.tree(&locked.content)?;
        let artifact = read(store, &tree, &locked.id)?;
        Self::of(store, &tree, &artifact, locked.authority)
    }
}

fn read(store: &Store, tree: &Tree, id: &PackId) -> Result<PackArtifact> {
    let batch = store.batch();
    let artifact = PackArtifact::read(&batch, tree, id.as_str())?;
    batch.finish()?;
    Ok(artifact)
}

/// Looks at the pack that a source has, and who made it. Its bytes go into the context's store.
///
/// # Errors
/// `Invalid` when it is no pack, or not that one; `NeedsNetwork` and `Failed` from sources.
pub fn look(context: &Context, id: &PackId, source: &Source, pin: &Pin) -> Result<Found> {
    let member = Member::Pack(id.clone());
    let batch = context.store.batch();
    let brought = pin.bring(context, &member, &batch)?;
    batch.finish()?;
    let artifact = read(&context.store, &brought.tree, id)?;
    if artifact.manifest.id != *id {
        return Err(Error::invalid(format!(
            "the pack is called `{}` by its own manifest, and `{id}` was asked for",
            artifact.manifest.id
        )));
    }
    let mut authorities = BTreeMap::new();
    for (name, capsule) in &artifact.capsules {
        authorities.insert(name.clone(), capsule.authority(&context.store)?.granted.digest());
    }
    let authority = artifact.authority_digest(&authorities);
    let looked = Looked::of(&context.store, &brought.tree, &artifact, authority)?;
    let trust = HomeTrust::read(context)?;
    let policy = trust.effective_policy(&Policy::default(), "home", &Signer::Unsigned);
    let gate = Gate::open(context, &policy, trust.policy.trusted_root);
    let provenance = gate.admit(&Evidence {
        subject: &Subject::Pack(id.clone()),
        source,
        content: looked.content,
        archive: brought.archive,
        signature: brought.signature,
        vouched: None,
    });
    Ok(Found { looked, provenance, commit: brought.resolved })
}

/// Where exactly a source is that a person named.
///
/// # Errors
/// `Invalid` when the source needs a version or an index that nothing says.
pub fn pin_of(source: &Source, id: &PackId, declaration: Option<&Declaration>) -> Result<Pin> {
    match source {
        Source::Path(path) => Ok(Pin::Folder(path.under(&PathBuf::from("/")))),
        Source::Archive(path) => Ok(Pin::File(path.under(&PathBuf::from("/")))),
        Source::Git(GitSource { url, reference: Some(GitRef::Commit(commit)), path }) => Ok(Pin::Commit {
            address: GitAddress::parse(url, Named::ByPerson)?,
            commit: commit.clone(),
            path: path.as_ref().map(SourcePath::joined).unwrap_or_default(),
        }),
        Source::Index { index, name } => newest_line(index.as_deref(), name, id, declaration),
        Source::Git(_) | Source::Release { .. } => {
            Err(Error::invalid("this version can't look at such a source without installing from it")
                .hint("`astrid packs install SOURCE --dry-run` shows the same, and writes nothing"))
        }
    }
}

/// The newest line that an index has of a pack, leaving out what was withdrawn.
fn newest_line(
    index: Option<&str>,
    name: &str,
    id: &PackId,
    declaration: Option<&Declaration>,
) -> Result<Pin> {
    let folders = declaration.map(index_folders).transpose()?.unwrap_or_default();
    let mut found = Vec::new();
    for folder in folders.iter().filter(|folder| index.is_none_or(|index| folder.name() == index)) {
        let lines = folder.lines(&Member::Pack(id.clone()))?;
        if let Some(line) =
            lines.into_iter().filter(|line| !line.yanked).max_by(|one, other| one.version.cmp(&other.version))
        {
            found.push((folder.clone(), line));
        }
    }
    match found.len() {
        1 => found
            .pop()
            .map(|(folder, line)| Pin::Line { folder, line: Box::new(line) })
            .ok_or_else(|| Error::failed("the index lost its line")),
        0 => Err(Error::invalid(format!("no index that is declared here has a pack `{name}`"))
            .hint("an `[[index]]` in Distro.toml says where packs are found by name")),
        _ => Err(Error::invalid(format!("`{name}` is in several indexes: {}", {
            let names: Vec<&str> = found.iter().map(|(folder, _)| folder.name()).collect();
            names.join(", ")
        }))
        .hint(format!("say which: index:NAME/{name}"))),
    }
}

/// The indexes that a declaration names, as folders.
///
/// # Errors
/// `Invalid` when one is none.
pub fn index_folders(declaration: &Declaration) -> Result<Vec<Folder>> {
    use astrid_manifest::distro::IndexLocation;
    let mut folders = Vec::new();
    for index in &declaration.distro().indexes {
        if let (IndexLocation::Path(path), Base::Folder(base)) = (&index.url, declaration.base()) {
            folders.push(Folder::new(&index.name, plain_path(base, path)?));
        }
    }
    Ok(folders)
}

/// The newest version that an index has of a pack.
///
/// # Errors
/// As [`pin_of`].
pub fn newest_version(
    index: Option<&str>,
    id: &PackId,
    declaration: &Declaration,
) -> Result<semver::Version> {
    match newest_line(index, id.as_str(), id, Some(declaration))? {
        Pin::Line { line, .. } => Ok(line.version.clone()),
        _ => Err(Error::failed("an index gave no line")),
    }
}

fn excerpts(store: &Store, tree: &Tree, contents: &Contents) -> BTreeMap<String, String> {
    let pages = contents.executors.values().map(|placed| &placed.stage);
    let pages = pages.chain(contents.orchestrators.values().map(|placed| &placed.stage));
    let pages = pages.chain(contents.elements.values().map(|placed| &placed.stage));
    let mut all = BTreeMap::new();
    for page in pages.flatten() {
        let entry = tree.get(page).filter(|entry| entry.length <= EXCERPT_BYTES);
        let text = entry.and_then(|entry| String::from_utf8(store.get(&entry.blob).ok()?).ok());
        if let Some(text) = text {
            all.insert(page.clone(), excerpt(&text));
        }
    }
    all
}

/// At most [`EXCERPT_LINES`] lines, and nothing from the first section on.
fn excerpt(text: &str) -> String {
    let lines = text.lines().enumerate();
    let lines = lines.take_while(|(at, line)| *at < EXCERPT_LINES && (*at == 0 || !line.starts_with("##")));
    let lines: Vec<&str> = lines.map(|(_, line)| line).collect();
    lines.join("\n").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_ends_with_its_first_section() {
        assert_eq!(excerpt("# A\n\nDoes it.\n\n## How\n\nSo.\n"), "# A\n\nDoes it.");
        assert_eq!(excerpt("## A\nb\n## C\n"), "## A\nb");
        assert_eq!(excerpt(&"x\n".repeat(100)).lines().count(), EXCERPT_LINES);
    }
}
