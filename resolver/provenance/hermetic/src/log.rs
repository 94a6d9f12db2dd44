//! Transparency logs, as Rekor 1 (signed entry timestamps) and Rekor 2 (checkpoints only).

use std::sync::Mutex;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::key::Key;
use crate::merkle::{self, Hash};
use crate::{base64, sha256};

/// A log.
pub struct Log {
    key: Key,
    origin: String,
    id: Hash,
    leaves: Mutex<Vec<Hash>>,
}

/// Where an entry stands in a log.
struct Place {
    index: usize,
    size: usize,
    root: Hash,
    hashes: Vec<Hash>,
    checkpoint: String,
}

impl Log {
    pub(crate) fn first(seed: &str, origin: &str) -> Self {
        let key = Key::p256(&format!("{seed} log 1"));
        let id = sha256(&key.spki());
        Self { key, origin: origin.to_owned(), id, leaves: Mutex::new(earlier()) }
    }

    pub(crate) fn second(seed: &str, origin: &str) -> Self {
        let key = Key::ed25519(&format!("{seed} log 2"));
        let id = sha256(&[origin.as_bytes(), b"\n\x01", key.public()].concat());
        Self { key, origin: origin.to_owned(), id, leaves: Mutex::new(earlier()) }
    }

    fn append(&self, body: &str) -> Place {
        let mut leaves = self.leaves.lock().unwrap();
        let index = leaves.len();
        leaves.push(merkle::leaf(body.as_bytes()));
        // A later entry, so that the path does not lie on one side only.
        leaves.push(merkle::leaf(b"later"));
        let root = merkle::root(&leaves);
        let note = format!("{}\n{}\n{}\n", self.origin, leaves.len(), base64(root));
        let signature = self.key.sign(note.as_bytes());
        let name = self.origin.split(' ').next().unwrap_or_default();
        let signature = base64([&self.id[..4], &signature].concat());
        Place {
            index,
            size: leaves.len(),
            root,
            hashes: merkle::path(index, &leaves),
            checkpoint: format!("{note}\n\u{2014} {name} {signature}\n"),
        }
    }

    /// The signature of the first kind of log over an entry and its time.
    fn entry_timestamp(&self, body: &str, index: usize, time: Timestamp) -> String {
        // A map of `serde_json` is sorted, which is the canonical form for these texts.
        let payload = json!({
            "body": base64(body),
            "integratedTime": time.as_second(),
            "logID": hex::encode(self.id),
            "logIndex": index,
        });
        base64(self.key.sign(payload.to_string().as_bytes()))
    }

    fn entry(&self, kind: &str, version: &str, body: &str, place: &Place) -> Value {
        json!({
            "logIndex": place.index.to_string(),
            "logId": { "keyId": base64(self.id) },
            "kindVersion": { "kind": kind, "version": version },
            "inclusionProof": {
                "logIndex": place.index.to_string(),
                "rootHash": base64(place.root),
                "treeSize": place.size.to_string(),
                "hashes": place.hashes.iter().map(base64).collect::<Vec<_>>(),
                "checkpoint": { "envelope": place.checkpoint },
            },
            "canonicalizedBody": base64(body),
        })
    }

    /// Takes an entry of the first kind, and returns it as it stands in bundles.
    pub fn append_first(&self, kind: &str, body: &str, time: Timestamp) -> Value {
        let place = self.append(body);
        let mut entry = self.entry(kind, "0.0.1", body, &place);
        entry["integratedTime"] = json!(time.as_second().to_string());
        entry["inclusionPromise"] =
            json!({ "signedEntryTimestamp": self.entry_timestamp(body, place.index, time) });
        entry
    }

    /// Takes an entry of the first kind, and returns it as the service answers.
    pub fn answer_first(&self, body: &str, time: Timestamp) -> Value {
        let place = self.append(body);
        json!({
            "body": base64(body),
            "integratedTime": time.as_second(),
            "logID": hex::encode(self.id),
            "logIndex": place.index,
            "verification": {
                "signedEntryTimestamp": self.entry_timestamp(body, place.index, time),
                "inclusionProof": {
                    "checkpoint": place.checkpoint,
                    "hashes": place.hashes.iter().map(hex::encode).collect::<Vec<_>>(),
                    "logIndex": place.index,
                    "rootHash": hex::encode(place.root),
                    "treeSize": place.size,
                },
            },
        })
    }

    /// Takes an entry of the second kind, and returns it as it stands in bundles and as the service answers.
    pub fn append_second(&self, body: &str) -> Value {
        let place = self.append(body);
        self.entry("hashedrekord", "0.0.2", body, &place)
    }

    /// What a trust root says of it.
    pub(crate) fn trust(&self, url: &str, from: Timestamp) -> Value {
        json!({
            "baseUrl": url,
            "hashAlgorithm": "SHA2_256",
            "logId": { "keyId": base64(self.id) },
            "publicKey": {
                "rawBytes": base64(self.key.spki()),
                "keyDetails": self.key.details(),
                "validFor": { "start": from.to_string() },
            },
        })
    }
}

/// The entries that a new log has already.
fn earlier() -> Vec<Hash> {
    (0..5u8).map(|byte| merkle::leaf(&[byte])).collect()
}
