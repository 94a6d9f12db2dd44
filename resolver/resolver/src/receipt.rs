//! Receipts: what a generation is made of, signed by the home that applied it.
//!
//! A receipt is a Sigstore bundle over an in-toto statement. Its subjects are the files of the generation, its
//! predicate says what was applied, when, under which policy, and who signed what. It is written into the
//! generation before the switch, so that it can be asked later whether anything is other than it was.

use std::collections::BTreeMap;
use std::fmt;

use astrid_authority::{CapsuleName, Digest, DistroId, PackId};
use astrid_manifest::lock::Lock;
use astrid_manifest::signer::Signer;
use astrid_manifest::subject::Subject;
use astrid_provenance::statement::{self, Digests, Statement};
use astrid_provenance::{Bundle, PublicKey, envelope};
use astrid_store::generation::{
    Action, Generation, GenerationNumber, Generations, Inventory, MetaInput, Part, StagedGeneration,
};
use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::error::{Error, ErrorKind, Result};
use crate::keyring::{ensure_receipt_key, receipt_public_key};
use crate::observed::{Depth, ObservedKernel, check_locked, check_pack};

/// The end of the type of the predicate.
const PREDICATE: &str = "apply";

/// What was applied: the predicate of a receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The number of the generation.
    pub generation: GenerationNumber,
    /// The generation that was current when it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<GenerationNumber>,
    /// Why it was made.
    pub action: Action,
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// The version of the program.
    pub tool: String,
    /// The distro.
    pub distro: ReceiptDistro,
    /// The digest of the policy that was in force.
    pub policy: Digest,
    /// The digest of the configuration, keyed with the home's key.
    pub configuration: Digest,
    /// The capsules, by name.
    pub capsules: BTreeMap<CapsuleName, ReceiptEntry>,
    /// The packs, by id.
    pub packs: BTreeMap<PackId, ReceiptEntry>,
}

/// Which distro was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptDistro {
    /// Its id.
    pub id: DistroId,
    /// Its version.
    pub version: Version,
    /// Where it came from.
    pub origin: String,
    /// Which commit of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Who signed it.
    #[serde(default)]
    pub signer: Signer,
}

/// A capsule or pack that was applied, and what was verified about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptEntry {
    /// Its version.
    pub version: String,
    /// The digest of everything that it holds.
    pub content: Digest,
    /// The digest of its component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<Digest>,
    /// The digest of what it may do.
    pub authority: Digest,
    /// The pack that brought it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pack: Option<PackId>,
    /// Who signed it.
    pub signer: Signer,
    /// The kind of provenance that was verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<String>,
    /// The digest of the bundle that was verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<Digest>,
}

impl Receipt {
    fn new(
        generation: GenerationNumber,
        meta: &MetaInput,
        (lock, signer): (&Lock, &Signer),
        policy: Digest,
        configuration: Digest,
    ) -> Self {
        let capsules = lock.capsules.iter().map(|own| {
            let entry = ReceiptEntry {
                version: own.version.to_string(),
                content: own.content,
                component: own.component,
                authority: own.authority,
                pack: own.pack.clone(),
                signer: own.signer.clone(),
                provenance: own.provenance.clone(),
                bundle: own.bundle,
            };
            (own.name.clone(), entry)
        });
        let packs = lock.packs.iter().map(|own| {
            let entry = ReceiptEntry {
                version: own.version.clone(),
                content: own.content,
                component: None,
                authority: own.authority,
                pack: None,
                signer: own.signer.clone(),
                provenance: own.provenance.clone(),
                bundle: own.bundle,
            };
            (own.id.clone(), entry)
        });
        Self {
            generation,
            parent: meta.parent,
            action: meta.action,
            at: meta.created,
            by: meta.by.clone(),
            tool: meta.tool.clone(),
            distro: ReceiptDistro {
                id: lock.distro.id.clone(),
                version: lock.distro.version.clone(),
                origin: meta.origin.clone(),
                commit: meta.commit.clone(),
                signer: signer.clone(),
            },
            policy,
            configuration,
            capsules: capsules.collect(),
            packs: packs.collect(),
        }
    }
}

/// Signs what was written of a generation so far, with the home's own key for receipts; `signer` signed its distro.
pub(crate) fn sign(
    context: &Context,
    staged: &StagedGeneration,
    meta: &MetaInput,
    (lock, signer): (&Lock, &Signer),
    (policy, configuration): (Digest, Digest),
) -> Result<String> {
    let receipt = Receipt::new(staged.number(), meta, (lock, signer), policy, configuration);
    let predicate = serde_json::to_value(&receipt)
        .map_err(|error| Error::failed("the receipt can't be written").caused_by(error))?;
    let files = staged.files()?;
    let subjects = files.iter().map(|(name, bytes)| statement::Subject::of(name, bytes)).collect();
    let statement = Statement::new(subjects, &statement::predicate(PREDICATE), predicate);
    Ok(envelope::sign(&statement, &ensure_receipt_key(context)?)?)
}

/// What was proved about the current generation.
#[derive(Debug)]
pub struct Proof {
    /// What the receipt says.
    pub receipt: Receipt,
    /// The key that it is signed with.
    pub key: PublicKey,
    /// The files that are what it says, and the receipt is over all there are.
    pub files: Vec<String>,
    /// The lock, as it was applied.
    pub lock: Lock,
    /// The digest of the whole generation.
    pub digest: Digest,
}

/// How what runs differs from what was applied.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Running {
    /// It runs other bytes, or another generation.
    Other(String),
    /// It should run, and does not.
    Absent(CapsuleName),
}

impl fmt::Display for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(what) => f.write_str(what),
            Self::Absent(name) => write!(f, "capsule:{name} does not run"),
        }
    }
}

impl Proof {
    /// How what a kernel runs differs from what was applied; `digest` is that of the generation that it runs.
    #[must_use]
    pub fn compare(&self, kernel: &ObservedKernel, digest: Option<Digest>) -> Vec<Running> {
        let own = self.receipt.generation;
        let mut found = Vec::new();
        match kernel.generation {
            Some(number) if number == own && digest.is_none_or(|digest| digest == self.digest) => {}
            Some(number) if number == own => {
                found.push(Running::Other(format!("the kernel runs another generation {own}")));
            }
            Some(number) => found.push(Running::Other(format!(
                "the kernel runs generation {number}, and generation {own} is current"
            ))),
            None => found.push(Running::Other("the kernel runs no generation".to_owned())),
        }
        for (name, entry) in &self.receipt.capsules {
            match kernel.loaded.get(name) {
                Some(content) if *content == entry.content => {}
                Some(content) => found.push(Running::Other(format!(
                    "capsule:{name} runs {content}, and {} was applied",
                    entry.content
                ))),
                None => found.push(Running::Absent(name.clone())),
            }
        }
        let foreign = kernel.loaded.keys().filter(|name| !self.receipt.capsules.contains_key(*name));
        found.extend(foreign.map(|name| Running::Other(format!("capsule:{name} runs and was not applied"))));
        found
    }
}

/// Proves that the current generation is what its receipt says, byte for byte: its files, and in the store all
/// that its lock pins.
///
/// The receipt must be signed by `key`; without one, by this home's own.
///
/// # Errors
/// 83 when there is no receipt, or it is forged, or signed by another key; 84 when something is other than it says.
pub fn prove(context: &Context, key: Option<PublicKey>) -> Result<Proof> {
    let generations = Generations::new(context.home.clone(), context.store.disk().clone());
    let generation = generations.current()?.ok_or_else(|| {
        Error::failed("nothing is applied yet, so there is nothing to prove")
            .hint("`astrid apply` applies the distro of this folder")
    })?;
    let number = generation.number();
    let key = match key {
        Some(key) => key,
        None => receipt_public_key(&context.home)?.ok_or_else(|| {
            forged(number, "this home has no key of receipts")
                .hint("pass the key that signed it: --receipt-key ed25519:…")
        })?,
    };
    let (statement, receipt) = open(&generation, &key)?;
    let mut differences = compare_files(&generation, &statement)?;
    differences.extend(compare_meta(&generation, &receipt));
    differences.extend(compare_configuration(context, &generation, &receipt));
    if !differences.is_empty() {
        return Err(other(number, differences));
    }
    // From here on the files are the ones that were signed.
    let lock = Lock::parse("Distro.lock", &generation.lock()?).map_err(Error::from)?.value;
    differences.extend(compare_inventory(&generation.inventory()?, &lock));
    for (subject, damage) in check_locked(&context.store, &lock)? {
        differences.push(format!("{subject}: {}", damage.as_words()));
    }
    for pack in &lock.packs {
        let served = generation.served(&pack.id).ok();
        if served != Some(pack.content) {
            differences.push(format!("pack:{}: its link in the generation leads elsewhere", pack.id));
        } else if let Some(damage) =
            check_pack(&context.home, &context.store, &pack.id, &pack.content, Depth::Bytes)
        {
            differences.push(format!("pack:{}: {}", pack.id, damage.as_words()));
        }
    }
    if !differences.is_empty() {
        return Err(other(number, differences));
    }
    let files = statement.subject.into_iter().map(|subject| subject.name).collect();
    Ok(Proof { receipt, key, files, lock, digest: generation.digest()? })
}

/// What the receipt of a generation is over, once its signature by this home was checked.
#[derive(Debug)]
pub(crate) struct Signed(Statement);

impl Signed {
    /// Whether a file of the generation with these bytes was signed.
    pub(crate) fn is_over(&self, name: &str, bytes: &[u8]) -> bool {
        let digests = Digests::of(bytes);
        self.0.subject.iter().any(|subject| subject.name == name && subject.names(&digests))
    }
}

impl Signed {
    /// Whether the record of a pack is there as it was signed.
    pub(crate) fn is_over_record(&self, generation: &Generation, pack: &PackId) -> bool {
        let bytes = generation.record(pack).ok().flatten();
        bytes.is_some_and(|bytes| self.is_over(&format!("records/{pack}/install.json"), &bytes))
    }
}

/// Checks the signature of a generation's receipt, without looking at the files that it is over.
///
/// # Errors
/// 83 when there is no receipt, or this home did not sign it.
pub(crate) fn signed(context: &Context, generation: &Generation) -> Result<Signed> {
    let key = receipt_public_key(&context.home)?
        .ok_or_else(|| forged(generation.number(), "this home has no key of receipts"))?;
    Ok(Signed(open(generation, &key)?.0))
}

/// The statement and the predicate of a generation's receipt, once its signature was checked.
fn open(generation: &Generation, key: &PublicKey) -> Result<(Statement, Receipt)> {
    let number = generation.number();
    let bytes = generation.read(Part::Receipt)?.ok_or_else(|| {
        forged(number, "it has none")
            .hint("it was applied by a version that wrote none, or the receipt was removed: the next apply that changes something writes one")
    })?;
    let opened = Bundle::parse(&bytes).and_then(|bundle| envelope::open(&bundle, key));
    let statement = opened.map_err(|error| {
        forged(number, error.message())
            .because(error.reasons().iter().cloned())
            .hint("compare with `--receipt-key` if another home applied it; else roll back, or apply again")
    })?;
    if statement.predicate_type != statement::predicate(PREDICATE) {
        return Err(forged(number, "what is signed there is no receipt"));
    }
    let receipt: Receipt = serde_json::from_value(statement.predicate.clone()).map_err(|error| {
        forged(number, "what is signed there is no receipt of this version").caused_by(error)
    })?;
    if receipt.generation != number {
        return Err(forged(number, &format!("it is that of generation {}", receipt.generation)));
    }
    Ok((statement, receipt))
}

fn forged(number: GenerationNumber, why: &str) -> Error {
    Error::new(ErrorKind::Signature, format!("the receipt of generation {number} proves nothing: {why}"))
}

fn other(number: GenerationNumber, differences: Vec<String>) -> Error {
    Error::corrupt(format!("generation {number} is not what its receipt says")).because(differences).hint(
        "`astrid verify --store` looks at every blob; apply the distro again, or roll back to a generation that is sound",
    )
}

/// Every file must be a subject with the same bytes, and every subject a file.
fn compare_files(generation: &Generation, statement: &Statement) -> Result<Vec<String>> {
    let mut files = generation.files()?;
    let mut differences = Vec::new();
    for subject in &statement.subject {
        match files.remove(&subject.name) {
            None => differences.push(format!("{} is missing", subject.name)),
            Some(bytes) if !subject.names(&Digests::of(&bytes)) => {
                differences.push(format!("{} was changed", subject.name));
            }
            Some(_) => {}
        }
    }
    differences.extend(files.into_keys().map(|name| format!("{name} was added")));
    Ok(differences)
}

fn compare_meta(generation: &Generation, receipt: &Receipt) -> Vec<String> {
    let meta = generation.meta();
    let same = meta.parent == receipt.parent
        && meta.created == receipt.at
        && meta.by == receipt.by
        && meta.action == receipt.action
        && meta.tool == receipt.tool
        && meta.distro == receipt.distro.id
        && meta.origin == receipt.distro.origin
        && meta.commit == receipt.distro.commit
        && meta.configuration == receipt.configuration;
    if same { Vec::new() } else { vec!["meta.json was changed".to_owned()] }
}

fn compare_configuration(context: &Context, generation: &Generation, receipt: &Receipt) -> Vec<String> {
    match context.home.key() {
        Ok(Some(key)) => match generation.configuration() {
            Ok(own) if own.keyed_digest(&key) == receipt.configuration => Vec::new(),
            _ => vec!["configuration.json was changed".to_owned()],
        },
        _ => vec!["configuration.json can't be compared: the home's own key is gone".to_owned()],
    }
}

/// What the kernel is given must be what the lock pins.
fn compare_inventory(inventory: &Inventory, lock: &Lock) -> Vec<String> {
    let capsules = lock.capsules.iter().filter(|own| {
        !inventory.capsules.get(&own.name).is_some_and(|item| {
            item.content == own.content
                && item.manifest == own.manifest
                && item.component == own.component
                && item.pack == own.pack
        })
    });
    let packs = lock
        .packs
        .iter()
        .filter(|own| inventory.packs.get(&own.id).is_none_or(|item| item.content != own.content));
    let mut wrong: Vec<Subject> = capsules.map(|own| Subject::Capsule(own.name.clone())).collect();
    wrong.extend(packs.map(|own| Subject::Pack(own.id.clone())));
    let mut differences: Vec<String> = wrong
        .iter()
        .map(|subject| format!("{subject}: the inventory has other bytes than the lock"))
        .collect();
    if inventory.capsules.len() > lock.capsules.len() || inventory.packs.len() > lock.packs.len() {
        differences.push("inventory.json holds more than the lock".to_owned());
    }
    differences
}
