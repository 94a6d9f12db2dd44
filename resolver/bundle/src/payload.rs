//! The payload of a Sigstore bundle, to be compared with what it should be over. Nothing is verified.

use astrid_provenance::Bundle;

use crate::error::{Error, Result};
use crate::limits::SIGNATURE_BYTES;

/// Checks that `bundle` is a Sigstore bundle whose payload is `statement`.
pub(crate) fn check(bundle: &[u8], statement: &[u8]) -> Result<()> {
    let parsed = Bundle::parse_within(bundle, SIGNATURE_BYTES).map_err(|error| {
        Error::unreadable("bundle.sigstore.json in the bundle can't be read").because([error.to_string()])
    })?;
    if parsed.payload() == Some(statement) {
        return Ok(());
    }
    Err(Error::refused("the signature is of something else than bundle.json")
        .hint("don't use it: ask who sealed it"))
}
