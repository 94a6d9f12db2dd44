//! What this home verified before, so that a run that changes nothing verifies nothing twice.
//!
//! An answer is kept under everything that it depends on: the bytes, the bundle, the root and the rule. Each
//! line carries a tag by a key of the home; one whose tag is wrong is not an answer.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use astrid_authority::Digest;
use astrid_store::Home;
use astrid_store::home::HomeKey;

use super::Provenance;
use crate::context::Context;
use crate::source::index::read_limited;

/// The file is not larger than this: 64 MiB.
const MAX_BYTES: u64 = 64 << 20;
/// What the tags' key is derived for.
const PURPOSE: &str = "astrid 2026-11 tags of verified signatures";
/// Domain of the digest over a question.
const DOMAIN: &str = "astrid:verified-signature:v2";

fn path(home: &Home) -> PathBuf {
    home.var().join("verified-signatures")
}

/// Everything that an answer depends on.
pub(super) struct Question {
    pub(super) artifact: Digest,
    pub(super) bundle: Digest,
    pub(super) root: Digest,
    pub(super) rule: Option<Digest>,
    /// Without a rule it would be refused.
    pub(super) must_have_rule: bool,
}

impl Question {
    fn digest(&self) -> Digest {
        let rule = self.rule.map(|rule| *rule.as_bytes()).unwrap_or_default();
        let kind = [u8::from(self.rule.is_some()), u8::from(self.must_have_rule)];
        let parts: [&[u8]; 5] =
            [self.artifact.as_bytes(), self.bundle.as_bytes(), self.root.as_bytes(), &rule, &kind];
        Digest::of_parts(DOMAIN, parts)
    }
}

#[derive(Default)]
struct Answers {
    known: BTreeMap<Digest, Provenance>,
    changed: bool,
}

/// The answers of this home. Without a key of the home there are none.
pub(super) struct Cache {
    key: Option<HomeKey>,
    answers: Mutex<Answers>,
}

impl Cache {
    /// Reads the answers; what can't be understood is left out, and verified again.
    pub(super) fn load(context: &Context) -> Self {
        let key = context.home.key().ok().flatten().map(|key| key.derive(PURPOSE));
        let known = key.as_ref().map(|key| read(context, key)).unwrap_or_default();
        Self { key, answers: Mutex::new(Answers { known, changed: false }) }
    }

    pub(super) fn answer(&self, question: &Question) -> Option<Provenance> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.known.get(&question.digest()).cloned()
    }

    pub(super) fn learn(&self, question: &Question, answer: &Provenance) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.known.insert(question.digest(), answer.clone());
        answers.changed = true;
    }

    /// Writes the answers. It only saves time: when it can't be written, the next run is slower.
    pub(super) fn save(&self, context: &Context) {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(key) = &self.key else { return };
        if !answers.changed || context.aside.is_some() || !context.home.var().is_dir() {
            return;
        }
        let mut all = read(context, key);
        all.extend(answers.known.iter().map(|(question, answer)| (*question, answer.clone())));
        let mut text = String::new();
        for (question, answer) in &all {
            let Ok(answer) = serde_json::to_string(answer) else { continue };
            // Writing to a string can't fail.
            let _ = writeln!(text, "{} {} {answer}", question.hex(), tag(key, question, &answer).hex());
        }
        let _ = context.store.disk().write_atomic(&path(&context.home), text.as_bytes(), 0o600);
    }
}

fn tag(key: &HomeKey, question: &Digest, answer: &str) -> Digest {
    let mut hasher = blake3::Hasher::new_keyed(key.as_bytes());
    hasher.update(question.as_bytes());
    hasher.update(answer.as_bytes());
    Digest::from_bytes(hasher.finalize().into())
}

fn read(context: &Context, key: &HomeKey) -> BTreeMap<Digest, Provenance> {
    let bytes = read_limited(&path(&context.home), MAX_BYTES).ok().flatten().unwrap_or_default();
    let text = String::from_utf8(bytes).unwrap_or_default();
    let lines = text.lines().filter_map(|line| {
        let (question, rest) = line.split_once(' ')?;
        let (found, answer) = rest.split_once(' ')?;
        let question = Digest::from_hex(question).ok()?;
        // BLAKE3's own comparison takes the same time whatever differs.
        let found = blake3::Hash::from_bytes(*Digest::from_hex(found).ok()?.as_bytes());
        let expected = blake3::Hash::from_bytes(*tag(key, &question, answer).as_bytes());
        (found == expected).then_some(())?;
        Some((question, serde_json::from_str(answer).ok()?))
    });
    lines.collect()
}
