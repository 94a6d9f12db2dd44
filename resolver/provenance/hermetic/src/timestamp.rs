//! The timestamp authority: tokens as RFC 3161 has them.

use jiff::Timestamp;
use rcgen::{CertificateParams, CustomExtension, Issuer, KeyUsagePurpose, SerialNumber};

use crate::authority::{authority_params, name};
use crate::key::Key;
use crate::{der, sha256, utc};

/// The extension that says what a key may be used for.
const EXTENDED_KEY_USAGE: &[u64] = &[2, 5, 29, 37];
/// To make timestamps.
const TIME_STAMPING: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 3, 8];
/// The policy that the tokens name.
const POLICY: &[u64] = &[1, 3, 6, 1, 4, 1, 57264, 2];
/// Signed data (RFC 5652).
const SIGNED_DATA: &[u64] = &[1, 2, 840, 113_549, 1, 7, 2];
/// The content of a token.
const TOKEN_INFO: &[u64] = &[1, 2, 840, 113_549, 1, 9, 16, 1, 4];
/// The attribute that names the type of the content.
const CONTENT_TYPE: &[u64] = &[1, 2, 840, 113_549, 1, 9, 3];
/// The attribute that holds the digest of the content.
const MESSAGE_DIGEST: &[u64] = &[1, 2, 840, 113_549, 1, 9, 4];
/// The attribute that names the certificate of the signer.
const SIGNING_CERTIFICATE: &[u64] = &[1, 2, 840, 113_549, 1, 9, 16, 2, 47];

/// The authority.
pub struct TimestampAuthority {
    key: Key,
    certificate: Vec<u8>,
    root: Vec<u8>,
}

impl TimestampAuthority {
    pub(crate) fn new(seed: &str, from: Timestamp, until: Timestamp) -> Self {
        let root_key = Key::p384(&format!("{seed} timestamp root"));
        let root_params = authority_params("timestamp root", &root_key, from, until, 1, 1);
        let root = root_params.self_signed(&root_key).unwrap().der().to_vec();
        let issuer = Issuer::new(root_params, root_key);

        let key = Key::p256(&format!("{seed} timestamp"));
        let mut params = CertificateParams::default();
        params.distinguished_name = name("timestamp");
        params.not_before = utc(from);
        params.not_after = utc(until);
        params.serial_number = Some(SerialNumber::from(77u64));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        // It must be critical, which the library's own is not.
        let mut usage = CustomExtension::from_oid_content(
            EXTENDED_KEY_USAGE,
            der::sequence(&[&der::object(TIME_STAMPING)]),
        );
        usage.set_criticality(true);
        params.custom_extensions = vec![usage];
        let certificate = params.signed_by(&key, &issuer).unwrap().der().to_vec();
        Self { key, certificate, root }
    }

    /// The certificates from the one that signs to the root, in DER.
    #[must_use]
    pub fn chain(&self) -> [&[u8]; 2] {
        [&self.certificate, &self.root]
    }

    /// The answer to a request for `data`: a response with a token, in DER.
    #[must_use]
    pub fn timestamp(&self, data: &[u8], time: Timestamp) -> Vec<u8> {
        self.timestamp_of(&sha256(data), &[], time)
    }

    /// As [`Self::timestamp`], by the digest; `nonce` is the request's own number in DER, or empty.
    #[must_use]
    pub fn timestamp_of(&self, sha256_digest: &[u8], nonce: &[u8], time: Timestamp) -> Vec<u8> {
        let algorithm = der::sequence(&[&der::object(der::SHA256)]);
        let written = time.strftime("%Y%m%d%H%M%SZ").to_string();
        let info = der::sequence(&[
            &der::integer(1),
            &der::object(POLICY),
            &der::sequence(&[&algorithm, &der::octets(sha256_digest)]),
            &der::integer(424_242),
            &der::value(0x18, written.as_bytes()),
            nonce,
        ]);
        let info_type = der::object(TOKEN_INFO);
        let attribute = |kind: &[u64], content: Vec<u8>| {
            der::sequence(&[&der::object(kind), &der::value(0x31, &content)])
        };
        let certificate_id = der::sequence(&[&der::octets(&sha256(&self.certificate))]);
        let attributes = der::set(vec![
            attribute(CONTENT_TYPE, info_type.clone()),
            attribute(MESSAGE_DIGEST, der::octets(&sha256(&info))),
            attribute(SIGNING_CERTIFICATE, der::sequence(&[&der::sequence(&[&certificate_id])])),
        ]);
        let signature = self.key.sign(&attributes);
        // They are signed as a set, and stand in the token under a tag of their own.
        let mut tagged = attributes;
        tagged[0] = 0xA0;

        // Of the body: version, serial number, algorithm, issuer.
        let certificate = der::inside(&self.certificate).unwrap();
        let body = der::parts(certificate[0].content).unwrap();
        let signer = der::sequence(&[body[3].whole, body[1].whole]);
        let signer_info = der::sequence(&[
            &der::integer(1),
            &signer,
            &algorithm,
            &tagged,
            &der::sequence(&[&der::object(der::ECDSA_SHA256)]),
            &der::octets(&signature),
        ]);
        let content = der::sequence(&[
            &der::integer(3),
            &der::value(0x31, &algorithm),
            &der::sequence(&[&info_type, &der::value(0xA0, &der::octets(&info))]),
            &der::value(0xA0, &self.certificate),
            &der::value(0x31, &signer_info),
        ]);
        let token = der::sequence(&[&der::object(SIGNED_DATA), &der::value(0xA0, &content)]);
        der::sequence(&[&der::sequence(&[&der::integer(0)]), &token])
    }
}
