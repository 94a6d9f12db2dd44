//! Ways to spoil a document.

use astrid_hermetic_sigstore::{base64, from_base64};
use serde_json::{Value, json};

pub(crate) const MATERIAL: &str = "/verificationMaterial";
pub(crate) const ENTRIES: &str = "/verificationMaterial/tlogEntries";
pub(crate) const ENTRY: &str = "/verificationMaterial/tlogEntries/0";
pub(crate) const PROOF: &str = "/verificationMaterial/tlogEntries/0/inclusionProof";
pub(crate) const CHECKPOINT: &str = "/verificationMaterial/tlogEntries/0/inclusionProof/checkpoint/envelope";
pub(crate) const TIMES: &str = "/verificationMaterial/timestampVerificationData";
pub(crate) const TIME: &str =
    "/verificationMaterial/timestampVerificationData/rfc3161Timestamps/0/signedTimestamp";

/// `document` with the value at `pointer` changed.
pub(crate) fn edited(document: &str, pointer: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut document: Value = serde_json::from_str(document).unwrap();
    change(document.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")));
    document.to_string()
}

/// `document` with the value at `pointer` replaced.
pub(crate) fn with(document: &str, pointer: &str, value: impl Into<Value>) -> String {
    let value = value.into();
    edited(document, pointer, |old| *old = value)
}

/// `document` without `key` of the object at `pointer`.
pub(crate) fn without(document: &str, pointer: &str, key: &str) -> String {
    edited(document, pointer, |value| {
        value.as_object_mut().unwrap().remove(key).unwrap_or_else(|| panic!("no {key} at {pointer}"));
    })
}

/// `document` with one bit of the base64 at `pointer` flipped.
pub(crate) fn flipped(document: &str, pointer: &str) -> String {
    edited(document, pointer, |value| {
        let mut bytes = from_base64(value.as_str().unwrap());
        let at = bytes.len() - 3;
        bytes[at] ^= 1;
        *value = json!(base64(bytes));
    })
}

/// The value at `pointer`.
pub(crate) fn at(document: &str, pointer: &str) -> Value {
    let document: Value = serde_json::from_str(document).unwrap();
    document.pointer(pointer).unwrap_or_else(|| panic!("no {pointer}")).clone()
}
