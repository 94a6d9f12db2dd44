//! The certificate authority, as Fulcio: short-lived certificates with a signed certificate timestamp.

use std::sync::atomic::{AtomicU64, Ordering};

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
};

use crate::claims::Claims;
use crate::der;
use crate::key::Key;
use crate::{pem, sha256, utc};

/// A certificate holds so long.
pub const LIFETIME: SignedDuration = SignedDuration::from_mins(10);
/// The arc of the claims of certificates.
const CLAIMS: [u64; 8] = [1, 3, 6, 1, 4, 1, 57264, 1];
/// The extension that holds signed certificate timestamps.
const TIMESTAMPS: &[u64] = &[1, 3, 6, 1, 4, 1, 11129, 2, 4, 2];

/// A certificate with its key.
#[derive(Clone)]
pub struct Leaf {
    /// The key that signs.
    pub key: Key,
    /// The certificate in DER.
    pub der: Vec<u8>,
}

impl Leaf {
    /// The certificate in PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        pem("CERTIFICATE", &self.der)
    }
}

/// The authority and the log of its certificates.
pub struct Authority {
    issuer: Issuer<'static, Key>,
    issuer_spki: Vec<u8>,
    intermediate: Vec<u8>,
    root: Vec<u8>,
    /// The key of the log of certificates.
    pub log_key: Key,
    seed: String,
    serial: AtomicU64,
}

pub(crate) fn name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "hermetic sigstore");
    name.push(DnType::CommonName, common_name);
    name
}

pub(crate) fn authority_params(
    common_name: &str,
    key: &Key,
    from: Timestamp,
    until: Timestamp,
    serial: u64,
    below: u8,
) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = name(common_name);
    params.not_before = utc(from);
    params.not_after = utc(until);
    params.serial_number = Some(SerialNumber::from(serial));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.key_identifier_method = key.identifier();
    params
}

impl Authority {
    pub(crate) fn new(seed: &str, from: Timestamp, until: Timestamp) -> Self {
        let root_key = Key::p384(&format!("{seed} authority root"));
        let params = authority_params("authority root", &root_key, from, until, 1, 1);
        let root = params.self_signed(&root_key).unwrap().der().to_vec();
        let root_issuer = Issuer::new(params, root_key);

        let key = Key::p384(&format!("{seed} authority"));
        let mut params = authority_params("authority", &key, from, until, 2, 0);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        params.use_authority_key_identifier_extension = true;
        let intermediate = params.signed_by(&key, &root_issuer).unwrap().der().to_vec();
        Self {
            issuer_spki: key.spki(),
            issuer: Issuer::new(params, key),
            intermediate,
            root,
            log_key: Key::p256(&format!("{seed} log of certificates")),
            seed: seed.to_owned(),
            serial: AtomicU64::new(1000),
        }
    }

    /// The certificates from the one that signs to the root, in DER.
    #[must_use]
    pub fn chain(&self) -> [&[u8]; 2] {
        [&self.intermediate, &self.root]
    }

    /// A certificate for a new key, valid from `time`.
    #[must_use]
    pub fn issue(&self, claims: &Claims, time: Timestamp, with_timestamp: bool) -> Leaf {
        let key = Key::p256(&format!("{} leaf {}", self.seed, self.serial.load(Ordering::Relaxed)));
        let der = self.issue_for(&key, claims, time, with_timestamp);
        Leaf { key, der }
    }

    /// A certificate for the key of somebody else, valid from `time`.
    #[must_use]
    pub fn issue_for(
        &self,
        key: &impl PublicKeyData,
        claims: &Claims,
        time: Timestamp,
        with_timestamp: bool,
    ) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.not_before = utc(time);
        params.not_after = utc(time + LIFETIME);
        params.serial_number = Some(SerialNumber::from(self.serial.fetch_add(1, Ordering::Relaxed) + 1));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        params.use_authority_key_identifier_extension = true;
        let identity = claims.identity.clone().try_into().unwrap();
        params.subject_alt_names = vec![if claims.identity.contains("://") {
            SanType::URI(identity)
        } else {
            SanType::Rfc822Name(identity)
        }];
        let claim = |number: u64, content: Vec<u8>| {
            CustomExtension::from_oid_content(&[&CLAIMS[..], &[number]].concat(), content)
        };
        // Claims up to the seventh are raw texts, later ones are DER.
        params.custom_extensions.push(claim(1, claims.issuer.clone().into_bytes()));
        for (number, value) in claims.more.iter().filter(|(number, _)| *number <= 7) {
            params.custom_extensions.push(claim(*number, value.clone().into_bytes()));
        }
        params.custom_extensions.push(claim(8, der::text(&claims.issuer)));
        for (number, value) in claims.more.iter().filter(|(number, _)| *number > 7) {
            params.custom_extensions.push(claim(*number, der::text(value)));
        }
        if with_timestamp {
            let timestamps = self.timestamps(key, &params, time);
            params.custom_extensions.push(CustomExtension::from_oid_content(TIMESTAMPS, timestamps));
        }
        params.signed_by(key, &self.issuer).unwrap().der().to_vec()
    }

    /// The list of one signed certificate timestamp (RFC 6962) over what `params` would become.
    fn timestamps(&self, key: &impl PublicKeyData, params: &CertificateParams, time: Timestamp) -> Vec<u8> {
        let unsigned = params.signed_by(key, &self.issuer).unwrap();
        let inside = der::inside(unsigned.der()).unwrap();
        let body = inside[0].whole;
        let length = |length: usize| u16::try_from(length).unwrap().to_be_bytes();
        let time = u64::try_from(time.as_millisecond()).unwrap().to_be_bytes();

        let mut signed = vec![0, 0];
        signed.extend(time);
        signed.extend([0, 1]);
        signed.extend(sha256(&self.issuer_spki));
        signed.extend(&u32::try_from(body.len()).unwrap().to_be_bytes()[1..]);
        signed.extend(body);
        signed.extend([0, 0]);
        let signature = self.log_key.sign(&signed);

        let mut timestamp = vec![0];
        timestamp.extend(sha256(&self.log_key.spki()));
        timestamp.extend(time);
        // No extensions, then SHA-256 and ECDSA.
        timestamp.extend([0, 0, 4, 3]);
        timestamp.extend(length(signature.len()));
        timestamp.extend(signature);
        let mut list = length(timestamp.len() + 2).to_vec();
        list.extend(length(timestamp.len()));
        list.extend(timestamp);
        der::octets(&list)
    }
}
