//! The payload of a Sigstore bundle, to be compared with what it should be over. Nothing is verified.

use astrid_provenance::statement::MEDIA_TYPE;
use serde::Deserialize;

use crate::error::{Error, Result};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outer {
    dsse_envelope: Option<Envelope>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
}

/// The payload of the envelope in `bundle`.
pub(crate) fn of(bundle: &[u8]) -> Result<Vec<u8>> {
    use base64::Engine as _;
    let bad = || Error::unreadable("bundle.sigstore.json in the bundle is no Sigstore bundle of a statement");
    let outer: Outer = serde_json::from_slice(bundle).map_err(|_| bad())?;
    let envelope = outer.dsse_envelope.filter(|envelope| envelope.payload_type == MEDIA_TYPE);
    let envelope = envelope.ok_or_else(bad)?;
    base64::engine::general_purpose::STANDARD.decode(envelope.payload).map_err(|_| bad())
}
