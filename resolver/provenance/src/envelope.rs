//! Statements signed by a key, as Sigstore bundles: the same file format as keyless ones, without a log.
//!
//! The envelope is DSSE (<https://github.com/secure-systems-lab/dsse>). The bundle's `publicKey.hint` is the
//! key's own text form, so that a verifier can say which key it would have to know.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::json;
use crate::key::{PublicKey, SigningKey};
use crate::sigstore;
use crate::statement::{MAX_BYTES, MEDIA_TYPE, Statement};
use crate::verify::Artifact;

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

/// The statement that `bundle` holds and `key` signed.
///
/// Which bytes it is about is the caller's to compare: that needs no trust root, and says which of them differ.
///
/// # Errors
/// `Refused` when another key signed it, `Unreadable` when it holds no statement.
pub fn open(bundle: &Bundle, key: &PublicKey) -> Result<Statement> {
    let payload =
        bundle.payload().ok_or_else(|| Error::unreadable("the bundle is no envelope with a statement"))?;
    // What an envelope is signed over does not depend on the bytes that its statement is about.
    if !sigstore::signed_by(key, &Artifact::new(b""), bundle.parsed())? {
        let error = Error::refused(format!("the signature is not by the key {key}"));
        return Err(match bundle.key_hint() {
            Some(hint) if hint != key.to_string() => {
                error.because([format!("the bundle names the key {}", json::shown(hint))])
            }
            _ => error,
        });
    }
    json::check(payload, MAX_BYTES, "an in-toto statement")?;
    Statement::parse(payload)
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
    fn what_was_signed_is_opened_with_its_key_only_denied() {
        let key = SigningKey::from_bytes(&Zeroizing::new([7; 32]));
        let statement = Statement::new(vec![Subject::of("a", b"a")], "https://example.org/p/v1", json!({}));
        let text = sign(&statement, &key).unwrap();
        let bundle = Bundle::parse(text.as_bytes()).unwrap();
        assert_eq!(open(&bundle, &key.public()).unwrap(), statement);
        let other = SigningKey::from_bytes(&Zeroizing::new([8; 32])).public();
        assert_eq!(open(&bundle, &other).unwrap_err().kind(), crate::ErrorKind::Refused);
        let payload = STANDARD.encode(statement.to_canonical_json().unwrap());
        let tampered = Statement::new(vec![Subject::of("a", b"b")], "https://example.org/p/v1", json!({}));
        let tampered = STANDARD.encode(tampered.to_canonical_json().unwrap());
        let forged = Bundle::parse(text.replace(&payload, &tampered).as_bytes()).unwrap();
        assert_eq!(open(&forged, &key.public()).unwrap_err().kind(), crate::ErrorKind::Refused);
    }

    #[test]
    fn the_encoding_is_that_of_the_specification() {
        assert_eq!(
            pre_authentication_encoding("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }
}
