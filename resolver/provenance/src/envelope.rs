//! Statements signed by a key, as Sigstore bundles: the same file format as keyless ones, without a log.
//!
//! The envelope is DSSE (<https://github.com/secure-systems-lab/dsse>). The bundle's `publicKey.hint` is the
//! key's own text form, so that a verifier can say which key it would have to know.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::error::Result;
use crate::key::SigningKey;
use crate::statement::{MEDIA_TYPE, Statement};

/// The media type of the bundles that are written.
pub const BUNDLE_MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// What is signed of a payload: DSSE's pre-authentication encoding.
#[must_use]
pub fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut text = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    text.extend_from_slice(payload);
    text
}

/// Signs `statement`, and returns the text of a Sigstore bundle that ends with a line feed.
///
/// The same key and statement give the same text.
///
/// # Errors
/// Never for statements that were parsed or made here.
pub fn sign(statement: &Statement, key: &SigningKey) -> Result<String> {
    let payload = statement.to_canonical_json()?;
    let signature = key.sign(&pre_authentication_encoding(MEDIA_TYPE, &payload));
    let bundle = json!({
        "mediaType": BUNDLE_MEDIA_TYPE,
        "verificationMaterial": { "publicKey": { "hint": key.public().to_string() } },
        "dsseEnvelope": {
            "payload": STANDARD.encode(&payload),
            "payloadType": MEDIA_TYPE,
            "signatures": [{ "sig": STANDARD.encode(signature) }],
        },
    });
    Ok(format!("{bundle}\n"))
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::statement::Subject;

    #[test]
    fn signing_twice_gives_the_same_text() {
        let key = SigningKey::from_bytes(&Zeroizing::new([7; 32]));
        let statement =
            Statement::new(vec![Subject::of("a", b"a")], "https://example.org/p/v1", json!({"b": 1, "a": 2}));
        let text = sign(&statement, &key).unwrap();
        assert_eq!(text, sign(&statement, &key).unwrap());
        assert!(text.contains("\"hint\":\"ed25519:6kpsY"));
    }

    #[test]
    fn the_encoding_is_that_of_the_specification() {
        assert_eq!(
            pre_authentication_encoding("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }
}
