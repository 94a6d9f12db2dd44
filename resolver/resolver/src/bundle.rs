//! An opened `.shuttle`: who sealed it, and what its bytes are. Nothing of it is applied here.
//!
//! Opening one shows that it is whole and consistent. Whose it is, the root of trust of this home says, never the
//! one inside; what its artifacts may do is worked out from their bytes, as for every other fleet.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use astrid_authority::{CapsuleName, Digest, PackId, Permission};
use astrid_manifest::component::EffectiveAuthority;
use astrid_manifest::lock::Lock;
use astrid_manifest::policy::SignerRuleIdentity;
use astrid_manifest::signer::Signer;
use astrid_manifest::source::Source;
use astrid_manifest::subject::Subject;
use astrid_manifest::trust::Ack;
use astrid_provenance::rule;
use astrid_provenance::verify::{Artifact, Verified, Verifier};
use astrid_store::{Batch, Store};
use jiff::Timestamp;

pub use astrid_bundle::legacy::Archive;
pub use astrid_bundle::{Entry, Legacy, Limits, Predicate, Shuttle};

use crate::artifact::{CapsuleArtifact, PackArtifact};
use crate::context::Context;
use crate::error::{Error, ErrorKind, Result};
use crate::gate::{Evidence, Gate, Provenance, RootStanding, root};
use crate::origin::Origin;
use crate::policy::EffectivePolicy;
use crate::proposal::HomeTrust;
use crate::solve::Member;
use crate::verified::{compare_capsule, compare_pack};

impl From<astrid_bundle::Error> for Error {
    fn from(error: astrid_bundle::Error) -> Self {
        let kind = match error.kind() {
            astrid_bundle::ErrorKind::Unreadable => ErrorKind::Invalid,
            astrid_bundle::ErrorKind::Mismatch => ErrorKind::Corrupt,
            astrid_bundle::ErrorKind::Refused => ErrorKind::Signature,
            astrid_bundle::ErrorKind::Failed => ErrorKind::Failed,
        };
        let own = Self::new(kind, error.message()).because(error.reasons().iter().cloned());
        match error.next_step() {
            Some(hint) => own.hint(hint),
            None => own,
        }
    }
}

/// Opens the bundle at `path`; `shown` names it in messages.
///
/// # Errors
/// `Invalid` when it is none, `Corrupt` when its bytes are not what it promises, `Signature` when its signature is of
/// another bundle, `Failed` when it can't be read.
pub fn open(path: &Path, shown: &str) -> Result<Shuttle> {
    let unopened = |error| Error::failed(format!("`{shown}` can't be opened")).caused_by(error);
    // A pipe would be waited for, and a device may never end.
    if !std::fs::metadata(path).map_err(unopened)?.is_file() {
        return Err(Error::invalid(format!("{shown}: it is no regular file")));
    }
    let file = File::open(path).map_err(unopened)?;
    let opened = Shuttle::open(file, &Limits::default()).map_err(Error::from);
    opened.and_then(with_sound_root).map_err(|error| {
        let named = Error::new(error.kind(), format!("{shown}: {}", error.message()))
            .because(error.reasons().iter().cloned());
        match error.next_step() {
            Some(hint) => named.hint(hint),
            None => named,
        }
    })
}

/// Refuses a bundle whose root is none, before anything is done: the root is taken last, when all else is.
fn with_sound_root(shuttle: Shuttle) -> Result<Shuttle> {
    if let Some(bytes) = shuttle.trust_root() {
        root::check_root(bytes).map_err(|error| {
            Error::new(error.kind(), format!("trusted_root.json in it: {}", error.message()))
                .because(error.reasons().iter().cloned())
                .hint("ask who sealed it for one with a sound root")
        })?;
    }
    Ok(shuttle)
}

/// Whether the bytes at `path` start as those of a bundle do.
#[must_use]
pub fn is_bundle(path: &Path) -> bool {
    use std::io::Read as _;
    let mut head = [0; 3];
    path.is_file()
        && File::open(path).and_then(|mut file| file.read_exact(&mut head)).is_ok()
        && head == [0x1f, 0x8b, 8]
}

/// Who sealed a bundle, as its signature proves it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seal {
    /// The signer.
    pub signer: Signer,
    /// When, by the word of logs and timestamp authorities.
    pub times: Vec<Timestamp>,
    /// The rule of this home that lets them, in words; nothing when no rule speaks of it.
    pub rule: Option<String>,
    /// What the signature proves; nothing of version 1, whose signatures are no Sigstore bundles.
    pub proof: Option<Verified>,
}

/// Finds out who sealed a bundle, by the root and the rules of this home.
///
/// # Errors
/// `Signature` when the signature is wrong, or is by somebody else than the declaration or a rule of the home says;
/// `Invalid` when it can't be read.
pub fn seal(context: &Context, shuttle: &Shuttle) -> Result<Seal> {
    let trust = HomeTrust::read(context)?;
    // Who may sign a distro is never the distro's own word.
    let own = EffectivePolicy::combine(&trust.policy.policy, &shuttle.distro().policy, false);
    let root = root::Root::open(context, trust.policy.trusted_root)?;
    seal_under(&own, root.verifier(), shuttle)
}

pub(crate) fn seal_under(policy: &EffectivePolicy, verifier: &Verifier, shuttle: &Shuttle) -> Result<Seal> {
    let subject = Subject::Distro(shuttle.distro().header.id.clone());
    let found = policy.signer_rule(&subject, None);
    let rule = found.map(|found| found.to_string());
    let named = shuttle.distro().header.signing.as_ref().map(|signing| signing.pubkey.as_str());
    if let Some(legacy) = shuttle.legacy() {
        if !legacy.is_signed() {
            return Ok(Seal { rule, ..Seal::default() });
        }
        let named = named.ok_or_else(|| {
            Error::new(ErrorKind::Signature, "the bundle is signed, and Distro.toml in it names no key")
                .hint("seal the distro again, with `[distro.signing]`")
        })?;
        legacy.verify(&named.parse()?)?;
        let by_rule = found.map(|found| &found.rule.identity);
        if by_rule.is_some_and(|rule| !matches!(rule, SignerRuleIdentity::Key { key } if key == named)) {
            return Err(Error::new(
                ErrorKind::Signature,
                format!("{subject} is validly signed by {named}, who may not"),
            )
            .hint("if they may, change the rule"));
        }
        return Ok(Seal { signer: Signer::Key(named.to_owned()), rule, ..Seal::default() });
    }
    let (Some(text), Some(statement)) = (shuttle.signature(), shuttle.statement_bytes()) else {
        return Ok(Seal { rule, ..Seal::default() });
    };
    let bundle =
        astrid_provenance::Bundle::parse_within(text.as_bytes(), astrid_bundle::limits::SIGNATURE_BYTES)?;
    let key = match (found.map(|found| &found.rule.identity), named) {
        (Some(SignerRuleIdentity::Key { key }), _) => Some(key.as_str()),
        (_, Some(named)) => Some(named),
        _ => None,
    };
    let artifact = Artifact::new(shuttle.lock_text().as_bytes());
    let proof: Verified = match key {
        Some(key) => verifier.verify_with_key(&artifact, &bundle, &key.parse()?)?,
        None => verifier.verify(&artifact, &bundle)?,
    };
    // The payload was compared when the bundle was opened; what was verified must be just that.
    let is_same = proof.statement.as_ref().and_then(|one| one.to_canonical_json().ok());
    if is_same.as_deref() != Some(statement) {
        return Err(Error::new(ErrorKind::Signature, "the signature is of something else than bundle.json"));
    }
    if let Some(found) = found
        && let Err(mismatch) = rule::admits(found.rule, &proof)
    {
        return Err(Error::new(
            ErrorKind::Signature,
            format!("{subject} is validly signed by {}, who may not", proof.signer()),
        )
        .because(mismatch.lines())
        .hint(format!("if they may, change the rule at {found}")));
    }
    Ok(Seal { signer: proof.signer(), times: proof.times.clone(), rule, proof: Some(proof) })
}

/// Where the bytes of one member of a bundle are, in the store that they were brought into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) content: Digest,
    pub(crate) archive: Option<Digest>,
    pub(crate) resolved: Option<String>,
    pub(crate) signature: Option<Digest>,
    /// From where the lock says that it was sealed; of version 1 nothing is known but the declaration.
    pub(crate) source: Option<Source>,
}

/// A bundle that a declaration came in, with who sealed it.
#[derive(Debug)]
pub struct Bundled {
    shuttle: Shuttle,
    seal: Seal,
    members: BTreeMap<Member, Held>,
}

impl Bundled {
    /// What a bundle holds, by member.
    pub(crate) fn new(shuttle: Shuttle, seal: Seal) -> Self {
        let mut members = BTreeMap::new();
        if let Some(lock) = shuttle.lock() {
            for locked in lock.capsules.iter().filter(|locked| locked.pack.is_none()) {
                let held = Held {
                    content: locked.content,
                    archive: locked.archive,
                    resolved: locked.resolved_ref.clone(),
                    signature: locked.bundle,
                    source: Some(locked.source.clone()),
                };
                members.insert(Member::Capsule(locked.name.clone()), held);
            }
            for locked in &lock.packs {
                let held = Held {
                    content: locked.content,
                    archive: locked.archive,
                    resolved: locked.commit.clone(),
                    signature: locked.bundle,
                    source: Some(locked.source.clone()),
                };
                members.insert(Member::Pack(locked.id.clone()), held);
            }
        }
        for (name, archive) in shuttle.legacy().into_iter().flat_map(Legacy::capsules) {
            let held = Held {
                content: archive.content,
                archive: Some(archive.archive),
                resolved: None,
                signature: None,
                source: None,
            };
            members.insert(Member::Capsule(name.clone()), held);
        }
        Self { shuttle, seal, members }
    }

    /// The opened bundle.
    #[must_use]
    pub fn shuttle(&self) -> &Shuttle {
        &self.shuttle
    }

    /// Who sealed it, as it was verified.
    #[must_use]
    pub fn seal(&self) -> &Seal {
        &self.seal
    }

    /// Where the bytes of a member are.
    pub(crate) fn held(&self, member: &Member) -> Option<&Held> {
        self.members.get(member)
    }
}

/// A capsule in a bundle, worked out from its bytes.
#[derive(Debug)]
pub struct BundledCapsule {
    /// Its version.
    pub version: String,
    /// The pack that it is in.
    pub pack: Option<PackId>,
    /// The digest of its tree.
    pub content: Digest,
    /// What it may do, and what it claims and can't use.
    pub authority: EffectiveAuthority,
    /// Who made it; a refusal when the policy in force does not take it.
    pub provenance: Result<Provenance>,
}

/// A pack in a bundle, worked out from its bytes.
#[derive(Debug)]
pub struct BundledPack {
    /// Its version.
    pub version: String,
    /// The digest of its tree.
    pub content: Digest,
    /// What it discloses. Nothing enforces it.
    pub permissions: Vec<Permission>,
    /// Who made it; a refusal when the policy in force does not take it.
    pub provenance: Result<Provenance>,
}

/// Everything about a bundle that can be known without applying it.
#[derive(Debug)]
pub struct Examined {
    /// Who sealed it; a refusal when the signature is wrong.
    pub seal: Result<Seal>,
    /// Its capsules.
    pub capsules: BTreeMap<CapsuleName, BundledCapsule>,
    /// Its packs.
    pub packs: BTreeMap<PackId, BundledPack>,
    /// The acknowledgements in it, by file.
    pub acknowledgements: Vec<(String, Ack)>,
    /// Whether those count at this home.
    pub is_believed: bool,
    /// The root that it was verified with.
    pub root: RootStanding,
    /// What people should know.
    pub notes: Vec<String>,
}

/// Looks at everything in a bundle. `context.store` should be a store that is thrown away; the home's own is asked
/// only for what a bundle of a difference leaves out.
///
/// # Errors
/// `Corrupt` when bytes are not what the lock says, or what is left out is not here; `Invalid` for artifacts; as
/// [`HomeTrust::read`].
pub fn examine(context: &Context, shuttle: &Shuttle) -> Result<Examined> {
    bring(context, shuttle)?;
    let trust = HomeTrust::read(context)?;
    let theirs = &shuttle.distro().policy;
    let own = EffectivePolicy::combine(&trust.policy.policy, theirs, false);
    let root = root::Root::open(context, trust.policy.trusted_root)?;
    let seal = seal_under(&own, root.verifier(), shuttle);
    let signer = seal.as_ref().map(|seal| seal.signer.clone()).unwrap_or_default();
    let from =
        Origin::Bundle { signer: signer.clone(), digest: shuttle.digest(), source: None, commit: None };
    let origin = from.identity();
    let policy = trust.effective_policy(theirs, &origin, &signer);
    let gate = Gate::open(context, &policy, trust.policy.trusted_root);
    let (capsules, packs) = match shuttle.lock() {
        Some(lock) => pinned(context, &gate, lock)?,
        None => (archived(context, &gate, shuttle, &signer)?, BTreeMap::new()),
    };
    let acknowledgements = shuttle
        .acknowledgements()
        .flat_map(|(name, file)| file.acks.iter().map(move |ack| (name.to_owned(), ack.clone())))
        .collect();
    let mut notes = root.notes().to_vec();
    notes.extend(policy.without_effect().iter().cloned());
    Ok(Examined {
        capsules,
        packs,
        acknowledgements,
        is_believed: trust.believes(&origin, &signer),
        root: root::read(context)?.1,
        notes,
        seal,
    })
}

/// Puts what is in the bundle, and what it leaves out, into the store of the context.
///
/// # Errors
/// `Corrupt` when the file changed since it was opened, or when what it leaves out is not in the home.
pub fn bring(context: &Context, shuttle: &Shuttle) -> Result<()> {
    let batch = context.store.batch();
    shuttle.bring(&batch)?;
    batch.finish()?;
    let Some(lock) = shuttle.lock() else { return Ok(()) };
    if shuttle.missing().is_empty() {
        return Ok(());
    }
    let home = Store::new(context.home.clone(), context.store.disk().clone());
    let batch = context.store.batch();
    for digest in shuttle.missing() {
        copy(&home, &batch, digest)?;
    }
    batch.finish()?;
    // What is in the file was compared when it was opened.
    for digest in shuttle.missing_archives() {
        shuttle.check_archive(&context.store.get(&digest)?)?;
    }
    // Of a listing that was left out, the files are left out too.
    let batch = context.store.batch();
    let contents = lock.capsules.iter().map(|one| one.content);
    for content in contents.chain(lock.packs.iter().map(|one| one.content)) {
        for entry in context.store.tree(&content)?.entries() {
            copy(&home, &batch, &entry.blob)?;
        }
    }
    batch.finish()?;
    Ok(())
}

fn copy(home: &Store, batch: &Batch<'_>, digest: &Digest) -> Result<()> {
    if batch.store().contains(digest) {
        return Ok(());
    }
    let bytes = home.get(digest).map_err(|_| {
        Error::corrupt(format!(
            "the bundle leaves out what the fleet before it has, and {digest} of that is not in this home"
        ))
        .hint("ask for a whole bundle, or bring the one before it first")
    })?;
    batch.put(&bytes)?;
    Ok(())
}

type Pinned = (BTreeMap<CapsuleName, BundledCapsule>, BTreeMap<PackId, BundledPack>);

/// Compares what a lock says with what the bytes say.
fn pinned(context: &Context, gate: &Gate<'_>, lock: &Lock) -> Result<Pinned> {
    let store = &context.store;
    let mut packs = BTreeMap::new();
    for locked in &lock.packs {
        let batch = store.batch();
        let artifact = PackArtifact::read(&batch, &store.tree(&locked.content)?, locked.id.as_str())?;
        batch.finish()?;
        compare_pack(locked, &artifact, lock)?;
        let provenance = gate.admit(&Evidence {
            subject: &Subject::Pack(locked.id.clone()),
            source: &locked.source,
            content: locked.content,
            archive: locked.archive,
            signature: locked.bundle,
            vouched: None,
        });
        let pack = BundledPack {
            version: locked.version.clone(),
            content: locked.content,
            permissions: artifact.manifest.permissions.clone(),
            provenance: as_locked(provenance, &locked.signer, &format!("pack `{}`", locked.id)),
        };
        packs.insert(locked.id.clone(), pack);
    }
    let mut capsules = BTreeMap::new();
    for locked in &lock.capsules {
        let words = format!("capsule `{}`", locked.name);
        let artifact = CapsuleArtifact::read(store, &store.tree(&locked.content)?, locked.name.as_str())?;
        compare_capsule(locked, &artifact)?;
        let authority = artifact.authority(store)?;
        let found = authority.granted.digest();
        if found != locked.authority {
            return Err(Error::corrupt(format!(
                "the authority of {words} is {found}, and the lock in the bundle says {}",
                locked.authority
            ))
            .hint("don't use it: ask who sealed it"));
        }
        // A capsule inside a pack follows its pack.
        let provenance = match &locked.pack {
            Some(pack) => {
                let found = packs.get(pack).and_then(|pack| pack.provenance.as_ref().ok());
                let signer = found.map(|found| found.signer.clone()).unwrap_or_default();
                Ok(Provenance { signer, ..Provenance::default() })
            }
            None => as_locked(
                gate.admit(&Evidence {
                    subject: &Subject::Capsule(locked.name.clone()),
                    source: &locked.source,
                    content: locked.content,
                    archive: locked.archive,
                    signature: locked.bundle,
                    vouched: None,
                }),
                &locked.signer,
                &words,
            ),
        };
        let capsule = BundledCapsule {
            version: locked.version.to_string(),
            pack: locked.pack.clone(),
            content: locked.content,
            authority,
            provenance,
        };
        capsules.insert(locked.name.clone(), capsule);
    }
    Ok((capsules, packs))
}

/// What was verified, when it is what the lock says.
fn as_locked(found: Result<Provenance>, said: &Signer, words: &str) -> Result<Provenance> {
    let found = found?;
    // Where the policy asks nothing, nothing was verified.
    if found.bundle.is_none() || found.signer == *said {
        return Ok(found);
    }
    Err(Error::new(
        ErrorKind::Signature,
        format!("{words} is signed by {}, and the lock in the bundle says {said}", found.signer),
    )
    .hint("don't use it: ask who sealed it"))
}

/// The capsules of version 1, which have no signatures of their own.
fn archived(
    context: &Context,
    gate: &Gate<'_>,
    shuttle: &Shuttle,
    sealer: &Signer,
) -> Result<BTreeMap<CapsuleName, BundledCapsule>> {
    // The signed lock has the digest of each archive.
    let vouched = (!sealer.is_unsigned()).then_some(sealer);
    let store = &context.store;
    let mut capsules = BTreeMap::new();
    for (name, held) in shuttle.legacy().into_iter().flat_map(Legacy::capsules) {
        let artifact = CapsuleArtifact::read(store, &store.tree(&held.content)?, name.as_str())?;
        let source: Option<&Source> = shuttle.distro().capsule(name.as_str()).map(|entry| &entry.source);
        let source =
            source.ok_or_else(|| Error::invalid(format!("Distro.toml in the bundle has no `{name}`")))?;
        let provenance = gate.admit(&Evidence {
            subject: &Subject::Capsule(name.clone()),
            source,
            content: held.content,
            archive: Some(held.archive),
            signature: None,
            vouched,
        });
        let capsule = BundledCapsule {
            version: artifact.manifest.package.version.to_string(),
            pack: None,
            content: held.content,
            authority: artifact.authority(store)?,
            provenance,
        };
        capsules.insert(name.clone(), capsule);
    }
    Ok(capsules)
}
