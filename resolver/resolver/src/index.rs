//! What there is to choose from: the offers of every member's source, and what their bytes say.
//!
//! The solver reads it as [`Candidates`]. While a lock's versions are allowed, only they are
//! offered, so that a locked fleet asks no server anything.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use astrid_authority::{CapsuleName, Digest, PackId};
use astrid_manifest::distro::IndexLocation;
use astrid_manifest::lock::Lock;
use astrid_manifest::source::{GitSource, Source, SourcePath};
use astrid_manifest::version::Requirement;
use astrid_store::Batch;
use semver::Version;

use crate::artifact::{Artifact, CapsuleArtifact, PackArtifact};
use crate::brought::{Brought, Place as BroughtFrom};
use crate::bundle::Bundled;
use crate::context::{Context, Network};
use crate::declaration::{Base, Declaration};
use crate::error::{Error, ErrorKind, Place, Result};
use crate::fetch::for_each;
use crate::resolution::Upgrade;
use crate::solve::{Candidates, Member, Metadata};
use crate::source::address::{GitAddress, Named};
use crate::source::git::{Mirror, Reference};
use crate::source::index::{Folder, Line, plain_path};
use crate::source::release::{Client, Release, Repository};
use crate::source::{Offer, Pin, holds, is_complete};

/// Endings of the archives of capsules in a release.
const CAPSULE_ENDINGS: [&str; 1] = [".capsule"];
/// Endings of the archives of packs in a release.
const PACK_ENDINGS: [&str; 2] = [".tar.gz", ".tgz"];

/// One line of the declaration, with what the lock says of it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) source: Source,
    pub(crate) tag: Option<String>,
    pub(crate) requirement: Option<Requirement>,
    /// The capsules of a pack that run; nothing means all.
    pub(crate) capsules: Option<Vec<CapsuleName>>,
    /// The only content that will do.
    content: Option<Digest>,
    pub(crate) place: Place,
    locked: Option<Locked>,
}

/// What a lock says of a member, as far as it pins bytes.
#[derive(Debug, Clone)]
struct Locked {
    version: Option<Version>,
    content: Digest,
    archive: Option<Digest>,
    resolved: Option<String>,
    signature: Option<Digest>,
}

/// An artifact that was brought, with how.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) artifact: Artifact,
    pub(crate) archive: Option<Digest>,
    pub(crate) resolved: Option<String>,
    /// The digest of the bundle that came with it.
    pub(crate) signature: Option<Digest>,
    /// The claims of an index, to be compared with the bytes.
    pub(crate) line: Option<Box<Line>>,
}

type Key = (Member, Option<Version>);

/// The offers of all members.
pub(crate) struct Index<'a> {
    context: &'a Context,
    declaration: &'a Declaration,
    entries: BTreeMap<Member, Entry>,
    folders: Vec<Folder>,
    upgrade: &'a Upgrade,
    /// Whether a lock's versions hide the others.
    prefers_locked: bool,
    offers: Mutex<BTreeMap<Member, Arc<Vec<Offer>>>>,
    found: Mutex<HashMap<Key, Arc<Found>>>,
    asked: Mutex<BTreeSet<GitAddress>>,
    hidden: Mutex<bool>,
    brought: Brought,
}

fn open<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Index<'a> {
    /// The index of what `members` of the declaration come from.
    pub(crate) fn new(
        context: &'a Context,
        declaration: &'a Declaration,
        members: &BTreeSet<Member>,
        upgrade: &'a Upgrade,
        prefers_locked: bool,
    ) -> Result<Self> {
        let lock = declaration.lock();
        let mut entries = BTreeMap::new();
        let distro = declaration.distro();
        for entry in &distro.capsules {
            let member = Member::Capsule(entry.name.clone());
            if members.contains(&member) {
                let locked = lock.and_then(|lock| locked_capsule(lock, &entry.name, &entry.source));
                entries.insert(
                    member.clone(),
                    Entry {
                        source: entry.source.clone(),
                        tag: entry.tag.clone(),
                        requirement: entry.version.clone(),
                        capsules: None,
                        content: None,
                        place: declaration.place(entry.version_at),
                        locked: locked.filter(|_| !upgrade.includes(&member)),
                    },
                );
            }
        }
        for entry in &distro.packs {
            let member = Member::Pack(entry.id.clone());
            let locked = lock.and_then(|lock| locked_pack(lock, &entry.id, Some(&entry.source)));
            entries.insert(
                member.clone(),
                Entry {
                    source: entry.source.clone(),
                    tag: entry.tag.clone(),
                    requirement: entry.version.clone(),
                    capsules: entry.capsules.clone(),
                    content: entry.content,
                    place: declaration.place(entry.version_at),
                    locked: locked.filter(|_| !upgrade.includes(&member)),
                },
            );
        }
        let folders = distro
            .indexes
            .iter()
            .filter(|_| declaration.bundle().is_none())
            .map(|index| match (&index.url, declaration.base()) {
                (IndexLocation::Path(path), Base::Folder(folder)) => {
                    let root =
                        plain_path(folder, path).map_err(|error| error.at(declaration.place(index.at)))?;
                    Ok(Folder::new(&index.name, root))
                }
                _ => Err(Error::invalid(format!("index `{}` is not supported by this version", index.name))
                    .at(declaration.place(index.at))
                    .hint("use an index in a folder")),
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            context,
            declaration,
            entries,
            folders,
            upgrade,
            prefers_locked,
            offers: Mutex::default(),
            found: Mutex::default(),
            asked: Mutex::default(),
            hidden: Mutex::default(),
            brought: Brought::load(context),
        })
    }

    /// The line of a member; nothing for a pack that another pack brought.
    pub(crate) fn entry(&self, member: &Member) -> Option<&Entry> {
        self.entries.get(member)
    }

    /// The version that a lock has of a member.
    pub(crate) fn locked_version(&self, member: &Member) -> Option<Version> {
        self.entries.get(member)?.locked.as_ref()?.version.clone()
    }

    /// Where a member comes from; a pack that another one brought comes from an index.
    pub(crate) fn source(&self, member: &Member) -> Source {
        let brought = || Source::Index { index: None, name: member.name().to_owned() };
        self.entries.get(member).map_or_else(brought, |entry| entry.source.clone())
    }

    /// Remembers what was brought, for later runs.
    pub(crate) fn save(&self) -> Result<()> {
        self.brought.save(self.context)
    }

    /// Whether a lock hid other versions from the solver.
    pub(crate) fn hid_something(&self) -> bool {
        *open(&self.hidden)
    }

    /// Brings what the solver will look at first, several members at a time.
    pub(crate) fn warm(&self) -> Result<()> {
        let members: Vec<&Member> = self.entries.keys().collect();
        for_each(self.context.jobs, &members, |member| self.offers(member).map(|_| ()))?;
        let batch = self.context.store.batch();
        let brought = for_each(self.context.jobs, &members, |member| {
            let offers = self.offers(member)?;
            let entry = &self.entries[*member];
            let allowed = |offer: &&Offer| match (&offer.version, &entry.requirement) {
                (Some(version), Some(requirement)) => requirement.matches(version),
                _ => true,
            };
            let best = offers.iter().filter(allowed).max_by(|one, other| one.version.cmp(&other.version));
            let Some(offer) = best else { return Ok(None) };
            if open(&self.found).contains_key(&((*member).clone(), offer.version.clone())) {
                return Ok(None);
            }
            Ok(Some((offer.clone(), offer.pin.bring(self.context, member, &batch)?)))
        })?;
        batch.finish()?;
        let batch = self.context.store.batch();
        let pairs: Vec<_> = members.into_iter().zip(brought).collect();
        for_each(self.context.jobs, &pairs, |(member, brought)| {
            let Some((offer, brought)) = brought else { return Ok(()) };
            let found = self.read(member, offer, brought, &batch)?;
            open(&self.found).insert(((*member).clone(), offer.version.clone()), Arc::new(found));
            Ok(())
        })?;
        batch.finish()?;
        Ok(())
    }

    fn read(
        &self,
        member: &Member,
        offer: &Offer,
        brought: &crate::source::Brought,
        batch: &Batch<'_>,
    ) -> Result<Found> {
        let artifact = match member {
            Member::Capsule(_) => {
                Artifact::Capsule(CapsuleArtifact::read(&self.context.store, &brought.tree, member.name())?)
            }
            Member::Pack(_) => Artifact::Pack(PackArtifact::read(batch, &brought.tree, member.name())?),
        };
        let place = self.entries.get(member).map(|entry| entry.place.clone());
        if artifact.name() != member.name() {
            return Err(Error::invalid(format!(
                "{} is called `{}` by its own manifest",
                member.words(),
                artifact.name()
            ))
            .at(place)
            .hint("the entry and the manifest must say the same name"));
        }
        if let Some(pinned) = self.entries.get(member).and_then(|entry| entry.content)
            && artifact.content() != pinned
        {
            return Err(Error::corrupt(format!(
                "{} is {}, and its entry pins {pinned}",
                member.words(),
                artifact.content()
            ))
            .at(place)
            .hint("take `content` out of the entry to follow its source again"));
        }
        if let Some(version) = &offer.version
            && artifact.version() != *version
        {
            return Err(Error::invalid(format!(
                "{} is offered as {version}, and its own manifest says {}",
                member.words(),
                artifact.version_text()
            ))
            .at(place)
            .hint("ask who publishes it: tag and manifest must say the same version"));
        }
        if matches!(offer.pin, Pin::Commit { .. } | Pin::Asset { .. } | Pin::Line { .. }) {
            let source = self.source(member);
            let resolved = brought.resolved.as_deref();
            let from = BroughtFrom::new(self.declaration, &source, resolved, brought.archive);
            self.brought.remember(&from, artifact.content());
        }
        let line = match &offer.pin {
            Pin::Line { line, .. } => Some(line.clone()),
            _ => None,
        };
        Ok(Found {
            artifact,
            archive: brought.archive,
            resolved: brought.resolved.clone(),
            signature: brought.signature,
            line,
        })
    }

    /// The artifact of one version of a member, brought when it is not there yet.
    pub(crate) fn find(&self, member: &Member, version: &Version) -> Result<Arc<Found>> {
        let offers = self.offers(member)?;
        let offer = offers
            .iter()
            .find(|offer| offer.version.as_ref() == Some(version))
            .or_else(|| offers.iter().find(|offer| offer.version.is_none()));
        let Some(offer) = offer else {
            return Err(Error::failed(format!("{} {version} is not offered any more", member.words())));
        };
        self.found_of(member, offer)
    }

    fn found_of(&self, member: &Member, offer: &Offer) -> Result<Arc<Found>> {
        let key = (member.clone(), offer.version.clone());
        if let Some(found) = open(&self.found).get(&key) {
            return Ok(found.clone());
        }
        let batch = self.context.store.batch();
        let brought = offer.pin.bring(self.context, member, &batch)?;
        batch.finish()?;
        let batch = self.context.store.batch();
        let found = Arc::new(self.read(member, offer, &brought, &batch)?);
        batch.finish()?;
        open(&self.found).insert(key, found.clone());
        Ok(found)
    }

    fn offers(&self, member: &Member) -> Result<Arc<Vec<Offer>>> {
        if let Some(offers) = open(&self.offers).get(member) {
            return Ok(offers.clone());
        }
        let offers = if let Some(bundle) = self.declaration.bundle() {
            vec![self.bundled(bundle, member)?]
        } else if let Some(entry) = self.entries.get(member) {
            self.ask(member, entry).map_err(|error| {
                if error.place().is_none() { error.at(entry.place.clone()) } else { error }
            })?
        } else {
            // A pack that no line names can only come from an index.
            let locked = match member {
                Member::Pack(id) => self.preferred(id),
                Member::Capsule(_) => None,
            };
            self.lines(member, None, member.name(), locked.as_ref())?
        };
        let offers = Arc::new(offers);
        open(&self.offers).insert(member.clone(), offers.clone());
        Ok(offers)
    }

    /// The one offer that a bundle has: whatever the sources of its declaration are, they are not asked.
    fn bundled(&self, bundle: &Bundled, member: &Member) -> Result<Offer> {
        let place = self.entries.get(member).map(|entry| entry.place.clone());
        let held = bundle.held(member).ok_or_else(|| {
            Error::invalid(format!("{} is not in the bundle", member.words()))
                .at(place.clone())
                .hint("seal it again from the repository")
        })?;
        if let (Some(sealed), Some(entry)) = (&held.source, self.entries.get(member))
            && *sealed != entry.source
        {
            return Err(Error::invalid(format!(
                "the lock in the bundle has {} from `{sealed}`, and its declaration from `{}`",
                member.words(),
                entry.source
            ))
            .at(place)
            .hint("seal it again from the repository"));
        }
        let pin = Pin::Locked {
            content: held.content,
            archive: held.archive,
            resolved: held.resolved.clone(),
            signature: held.signature,
        };
        Ok(Offer { version: None, pin, yanked: false })
    }

    fn ask(&self, member: &Member, entry: &Entry) -> Result<Vec<Offer>> {
        if self.prefers_locked
            && !entry.source.is_path()
            && let Some(locked) = &entry.locked
            && let Some(offer) = self.locked_offer(entry, locked)?
        {
            *open(&self.hidden) = true;
            return Ok(vec![offer]);
        }
        let single = |pin| vec![Offer { version: None, pin, yanked: false }];
        if let Some(content) = entry.content
            && let Some(pin) = self.pinned(member, entry, content)?
        {
            return Ok(single(pin));
        }
        match (&entry.source, self.declaration.base()) {
            (Source::Path(path), Base::Folder(folder)) => Ok(single(Pin::Folder(plain_path(folder, path)?))),
            (Source::Archive(path), Base::Folder(folder)) => Ok(single(Pin::File(plain_path(folder, path)?))),
            (Source::Path(path), Base::Git { address, commit, path: base }) => {
                let inside = path.joined();
                let path = match (base.is_empty(), inside.is_empty()) {
                    (true, _) => inside,
                    (false, true) => base.clone(),
                    (false, false) => format!("{base}/{inside}"),
                };
                Ok(single(Pin::Commit { address: address.clone(), commit: commit.clone(), path }))
            }
            (Source::Path(path) | Source::Archive(path), Base::Bundle) => {
                Err(Error::failed(format!("`{path}` was looked for outside of its bundle")))
            }
            (Source::Archive(path), Base::Git { .. }) => Err(Error::invalid(format!(
                "the archive `{path}` of a distro that was fetched is not supported by this version"
            ))
            .hint("clone the repository and apply the folder")),
            (Source::Git(source), _) => self.ask_git(entry, source),
            (Source::Release { owner, repo }, _) => {
                self.ask_release(member, entry, &Repository::parse(&format!("{owner}/{repo}"))?)
            }
            (Source::Index { index, name }, _) => {
                let locked = entry.locked.as_ref().and_then(|locked| locked.version.as_ref());
                self.lines(member, index.as_deref(), name, locked)
            }
        }
    }

    /// The offer that a lock pins; nothing when the declaration no longer allows it.
    fn locked_offer(&self, entry: &Entry, locked: &Locked) -> Result<Option<Offer>> {
        let allowed = match (&entry.requirement, &locked.version) {
            (Some(requirement), Some(version)) => requirement.matches(version),
            (None, _) => true,
            (Some(_), None) => false,
        };
        if !allowed {
            return Ok(None);
        }
        let here = self.has(&locked.content)?;
        let resolved = locked.resolved.as_deref();
        let from = BroughtFrom::new(self.declaration, &entry.source, resolved, locked.archive);
        // That it is here is not enough: only what this home got from there needs not be asked for again.
        let proof = [locked.signature, locked.signature.and(locked.archive)];
        let has_proof = proof.iter().flatten().all(|digest| self.context.store.contains(digest));
        if here && has_proof && self.brought.knows(&from, locked.content) {
            let pin = Pin::Locked {
                content: locked.content,
                archive: locked.archive,
                resolved: locked.resolved.clone(),
                signature: locked.signature,
            };
            return Ok(Some(Offer { version: locked.version.clone(), pin, yanked: false }));
        }
        // Not here: the commit that was locked, not whatever the tag says today.
        if let (Source::Git(source), Some(commit)) = (&entry.source, &locked.resolved) {
            let address = self.address(source)?;
            let mirror = Mirror::of(self.context, &address)?;
            let commit = self.resolve_once(&mirror, &Reference::Commit(commit.clone()))?;
            let path = source.path.as_ref().map(SourcePath::joined).unwrap_or_default();
            let pin = Pin::Commit { address, commit, path };
            return Ok(Some(Offer { version: locked.version.clone(), pin, yanked: false }));
        }
        Ok(None)
    }

    /// The content that an entry pins, when it is here and need not be asked for.
    ///
    /// What a lock says of how it came here counts only where that is shown: else whoever may edit both could pair
    /// bytes that happen to be here with somebody else's signature.
    fn pinned(&self, member: &Member, entry: &Entry, content: Digest) -> Result<Option<Pin>> {
        if !self.has(&content)? {
            return Ok(None);
        }
        let is_fetched = self.declaration.origin().is_fetched();
        if let Some(locked) = entry.locked.as_ref().filter(|locked| locked.content == content) {
            let from =
                BroughtFrom::new(self.declaration, &entry.source, locked.resolved.as_deref(), locked.archive);
            let is_shown = self.brought.knows(&from, content)
                || !is_fetched
                    && match (locked.signature, locked.archive) {
                        (Some(_), Some(archive)) => holds(&self.context.store, member, &archive, &content)?,
                        _ => entry.source.is_path(),
                    };
            if is_shown {
                return Ok(Some(Pin::Locked {
                    content,
                    archive: locked.archive,
                    resolved: locked.resolved.clone(),
                    signature: locked.signature,
                }));
            }
        }
        // A person may say which of the bytes that are here they mean; a distro from elsewhere may not.
        let unsigned = Pin::Locked { content, archive: None, resolved: None, signature: None };
        Ok((!is_fetched).then_some(unsigned))
    }

    /// Whether every blob of that content is in the store.
    fn has(&self, content: &Digest) -> Result<bool> {
        match self.context.store.tree(content) {
            Ok(tree) => Ok(is_complete(&self.context.store, &tree)),
            Err(error) if error.kind() == astrid_store::ErrorKind::Missing => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn address(&self, source: &GitSource) -> Result<GitAddress> {
        let named = if self.declaration.origin().is_fetched() { Named::ByFetched } else { Named::ByPerson };
        GitAddress::parse(&source.url, named)
    }

    fn ask_git(&self, entry: &Entry, source: &GitSource) -> Result<Vec<Offer>> {
        let address = self.address(source)?;
        let mirror = Mirror::of(self.context, &address)?;
        let path = source.path.as_ref().map(SourcePath::joined).unwrap_or_default();
        let reference = match (&entry.tag, &source.reference) {
            (Some(tag), _) => Some(Reference::Tag(tag.clone())),
            (None, Some(reference)) => Some(Reference::of(Some(reference))),
            (None, None) => None,
        };
        if let Some(reference) = reference {
            // A tag may have moved since it was seen: only a commit is known for good.
            if matches!(reference, Reference::Tag(_)) && self.can_ask(&address) {
                self.fetch_once(&mirror, &address)?;
            }
            let commit = self.resolve_once(&mirror, &reference)?;
            let pin = Pin::Commit { address, commit, path };
            return Ok(vec![Offer { version: None, pin, yanked: false }]);
        }
        if self.can_ask(&address) {
            self.fetch_once(&mirror, &address)?;
        }
        let tags = mirror.version_tags()?;
        if tags.is_empty() && !self.can_ask(&address) {
            return Err(Error::new(
                ErrorKind::NeedsNetwork,
                format!("{address} has to be asked for its versions, and this run is offline"),
            )
            .hint("run `astrid fetch` with a network first"));
        }
        Ok(tags
            .into_iter()
            .map(|tag| Offer {
                version: Some(tag.version),
                pin: Pin::Commit { address: address.clone(), commit: tag.commit, path: path.clone() },
                yanked: false,
            })
            .collect())
    }

    fn can_ask(&self, address: &GitAddress) -> bool {
        self.context.network == Network::Online || address.is_local()
    }

    fn fetch_once(&self, mirror: &Mirror, address: &GitAddress) -> Result<()> {
        // Held while fetching: two members of one repository must not write one mirror at once.
        let mut asked = open(&self.asked);
        if !asked.contains(address) {
            mirror.fetch(self.context)?;
            asked.insert(address.clone());
        }
        Ok(())
    }

    /// Resolves a reference while nobody else fetches: it may have to.
    fn resolve_once(&self, mirror: &Mirror, reference: &Reference) -> Result<String> {
        let _asked = open(&self.asked);
        mirror.resolve(self.context, reference)
    }

    fn ask_release(&self, member: &Member, entry: &Entry, repository: &Repository) -> Result<Vec<Offer>> {
        let client = Client::new(self.context)?;
        let endings: &[&str] =
            if matches!(member, Member::Capsule(_)) { &CAPSULE_ENDINGS } else { &PACK_ENDINGS };
        let pin = |release: &Release| -> Result<Pin> {
            let asset = release.archive(member.name(), endings)?.clone();
            let signature = release.signature_of(&asset).cloned();
            Ok(Pin::Asset { tag: release.tag_name.clone(), asset, signature })
        };
        let exact = entry.requirement.as_ref().and_then(Requirement::exact);
        let tags: Vec<String> = match (&entry.tag, &exact) {
            (Some(tag), _) => vec![tag.clone()],
            (None, Some(version)) => vec![format!("v{version}"), version.to_string()],
            (None, None) => Vec::new(),
        };
        if !tags.is_empty() {
            for tag in &tags {
                if let Some(release) = client.release(repository, tag)? {
                    return Ok(vec![Offer { version: None, pin: pin(&release)?, yanked: false }]);
                }
            }
            return Err(Error::invalid(format!("{repository} has no release `{}`", tags.join("` or `")))
                .hint("check `tag` and `version` of the entry"));
        }
        let mut offers: Vec<Offer> = Vec::new();
        for release in client.releases(repository)? {
            let Some(version) = release.version() else { continue };
            // A release without an archive for this member is no version of it.
            let Ok(pin) = pin(&release) else { continue };
            if offers.iter().all(|offer| offer.version.as_ref() != Some(&version)) {
                offers.push(Offer { version: Some(version), pin, yanked: false });
            }
        }
        Ok(offers)
    }

    fn lines(
        &self,
        member: &Member,
        index: Option<&str>,
        name: &str,
        locked: Option<&Version>,
    ) -> Result<Vec<Offer>> {
        if name != member.name() {
            return Err(Error::invalid(format!(
                "{} can't come from the entry `{name}` of an index",
                member.words()
            ))
            .hint("the entry, the index and the manifest must say the same name"));
        }
        let mut found: Vec<(&Folder, Vec<Line>)> = Vec::new();
        for folder in self.folders.iter().filter(|folder| index.is_none_or(|index| index == folder.name())) {
            let lines = folder.lines(member)?;
            if !lines.is_empty() {
                found.push((folder, lines));
            }
        }
        if let [first, second, ..] = found.as_slice() {
            return Err(Error::invalid(format!(
                "{} is in index `{}` and in index `{}`",
                member.words(),
                first.0.name(),
                second.0.name()
            ))
            .hint(format!("say which: `index:{}/{name}`", first.0.name())));
        }
        let Some((folder, lines)) = found.pop() else { return Ok(Vec::new()) };
        Ok(lines
            .into_iter()
            .filter(|line| !line.yanked || locked == Some(&line.version))
            .map(|line| Offer {
                version: Some(line.version.clone()),
                yanked: line.yanked,
                pin: Pin::Line { folder: folder.clone(), line: Box::new(line) },
            })
            .collect())
    }
}

fn locked_capsule(lock: &Lock, name: &CapsuleName, source: &Source) -> Option<Locked> {
    let locked = lock.capsule(name.as_str())?;
    (locked.source == *source && locked.pack.is_none()).then(|| Locked {
        version: Some(locked.version.clone()),
        content: locked.content,
        archive: locked.archive,
        resolved: locked.resolved_ref.clone(),
        signature: locked.bundle,
    })
}

fn locked_pack(lock: &Lock, id: &PackId, source: Option<&Source>) -> Option<Locked> {
    let locked = lock.pack(id.as_str())?;
    source.is_none_or(|source| *source == locked.source).then(|| Locked {
        version: locked.version.parse().ok(),
        content: locked.content,
        archive: locked.archive,
        resolved: locked.commit.clone(),
        signature: locked.bundle,
    })
}

impl Candidates for Index<'_> {
    fn preferred(&self, pack: &PackId) -> Option<Version> {
        if self.upgrade.includes(&Member::Pack(pack.clone())) {
            return None;
        }
        self.declaration.lock()?.pack(pack.as_str())?.version.parse().ok()
    }

    fn versions(&self, member: &Member) -> Result<Vec<Version>> {
        let mut versions = Vec::new();
        for offer in self.offers(member)?.iter() {
            versions.push(match &offer.version {
                Some(version) => version.clone(),
                None => self.found_of(member, offer)?.artifact.version(),
            });
        }
        Ok(versions)
    }

    fn metadata(&self, member: &Member, version: &Version) -> Result<Arc<Metadata>> {
        let found = self.find(member, version)?;
        let chosen = self.entries.get(member).and_then(|entry| entry.capsules.as_deref());
        found.artifact.metadata(chosen).map(Arc::new).map_err(|error| {
            let place = self.entries.get(member).map(|entry| entry.place.clone());
            if error.place().is_none() { error.at(place) } else { error }
        })
    }
}
