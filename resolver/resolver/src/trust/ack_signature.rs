//! Signatures of acknowledgements: who vouches for one, wherever its file lies.
//!
//! The text is the signer's public key and the signature, `ed25519:… BASE64`, over [`Ack::signed_bytes`]: every
//! field in its canonical form, after words that nothing else that is signed begins with.

use astrid_manifest::trust::Ack;
use astrid_provenance::{PublicKey, SigningKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Who vouches for an acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckSignature {
    /// Nobody.
    None,
    /// The holder of this key.
    By(PublicKey),
    /// Nobody: its signature is no signature over what it says.
    Wrong,
}

/// Signs an acknowledgement in place of whoever signed it before.
pub fn sign_ack(ack: &mut Ack, key: &SigningKey) {
    let signature = key.sign(&ack.signed_bytes());
    ack.signature = Some(format!("{} {}", key.public(), STANDARD.encode(signature)));
}

/// Says who vouches for an acknowledgement.
#[must_use]
pub fn ack_signature(ack: &Ack) -> AckSignature {
    let Some(text) = &ack.signature else { return AckSignature::None };
    let parsed = text.split_once(' ').and_then(|(key, signature)| {
        let key = key.starts_with("ed25519:").then(|| key.parse::<PublicKey>().ok()).flatten()?;
        Some((key, STANDARD.decode(signature).ok()?))
    });
    match parsed {
        Some((key, signature)) if key.verifies(&ack.signed_bytes(), &signature) => AckSignature::By(key),
        _ => AckSignature::Wrong,
    }
}

#[cfg(test)]
mod tests {
    use astrid_manifest::signer::Signer;
    use astrid_manifest::trust::AckFile;
    use jiff::Timestamp;
    use zeroize::Zeroizing;

    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&Zeroizing::new([seed; 32]))
    }

    fn ack() -> Ack {
        let zero = format!("blake3:{}", "0".repeat(64));
        let text = format!(
            "[[ack]]\nsubject = \"pack:media_tools\"\nversion = \"1.4.0\"\ncontent = \"{zero}\"\nauthority = \"{zero}\"\nsigner = \"unsigned\"\npermissions = [{{ id = \"network\", reason = \"a\" }}]\nby = \"Ada\"\nat = 2026-11-20T12:00:00Z\nexpires = 2027-05-20T00:00:00Z\n"
        );
        AckFile::parse("a", &text).unwrap().value.acks.remove(0)
    }

    #[test]
    fn a_signed_acknowledgement_says_who_vouches_after_a_round_trip() {
        let mut own = ack();
        assert_eq!(ack_signature(&own), AckSignature::None);
        sign_ack(&mut own, &key(1));
        let text = AckFile { acks: vec![own.clone()] }.to_toml();
        let again = AckFile::parse("a", &text).unwrap().value.acks.remove(0);
        assert_eq!(ack_signature(&again), AckSignature::By(key(1).public()));
        sign_ack(&mut own, &key(2));
        assert_eq!(ack_signature(&own), AckSignature::By(key(2).public()));
    }

    #[test]
    fn every_tampered_field_makes_the_signature_wrong_denied() {
        let mut signed = ack();
        sign_ack(&mut signed, &key(1));
        let other = astrid_authority::Digest::of(b"other");
        let later = Timestamp::from_second(7).unwrap();
        for tampered in [
            Ack { subject: "pack:other".parse().unwrap(), ..signed.clone() },
            Ack { version: "1.4.1".to_owned(), ..signed.clone() },
            Ack { content: other, ..signed.clone() },
            Ack { authority: other, ..signed.clone() },
            Ack { signer: Signer::Key("ed25519:A".to_owned()), ..signed.clone() },
            Ack { permissions: Vec::new(), ..signed.clone() },
            Ack { by: "Eve".to_owned(), ..signed.clone() },
            Ack { at: later, ..signed.clone() },
            Ack { expires: None, ..signed.clone() },
            Ack { expires: Some(later), ..signed.clone() },
        ] {
            assert_eq!(ack_signature(&tampered), AckSignature::Wrong, "{tampered:?}");
        }
    }

    #[test]
    fn other_texts_and_another_key_are_no_signature_denied() {
        let mut signed = ack();
        sign_ack(&mut signed, &key(1));
        let own = signed.signature.clone().unwrap();
        let (_, bytes) = own.split_once(' ').unwrap();
        for text in [
            String::new(),
            "x".to_owned(),
            own.replace(' ', ""),
            own.replace(' ', "  "),
            format!("{own}A"),
            format!("{} {bytes}", key(2).public()),
            format!("{} {bytes}", key(1).public().to_hex()),
        ] {
            let ack = Ack { signature: Some(text.clone()), ..signed.clone() };
            assert_eq!(ack_signature(&ack), AckSignature::Wrong, "{text}");
        }
        // A signature over the same fields for another purpose.
        let fields = signed.signed_bytes();
        let signature = STANDARD.encode(key(1).sign(fields.strip_prefix(b"astrid:ack:v1\n").unwrap()));
        let ack = Ack { signature: Some(format!("{} {signature}", key(1).public())), ..signed };
        assert_eq!(ack_signature(&ack), AckSignature::Wrong);
    }
}
