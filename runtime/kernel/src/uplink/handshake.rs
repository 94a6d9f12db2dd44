//! Who may connect, and as which principal.
//!
//! The order of the checks is part of the protocol: the peer's user, then the version (so that an
//! old client learns why), then the token, then the principal. Everything after the version fails
//! with the same words: a refusal must not say which guess was near.

use astrid_authority::PrincipalId;
use ed25519_dalek::VerifyingKey;
use subtle::ConstantTimeEq;

use super::key;
use super::message::{HandshakeRequest, HandshakeResponse, HandshakeStatus, PROTOCOL_VERSION};

/// The name of a client that did not claim to be anybody. It may ask for the status, no more.
pub const ANONYMOUS: &str = "anonymous";
/// What every refusal after the version says.
pub const AUTHENTICATION_FAILED: &str = "authentication failed";

/// Who a connection is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// It claimed nothing.
    Anonymous,
    /// It proved that it holds this principal's key.
    Principal(PrincipalId),
}

impl Caller {
    /// The principal's name, or `anonymous`.
    pub fn name(&self) -> &str {
        match self {
            Self::Anonymous => ANONYMOUS,
            Self::Principal(principal) => principal.as_str(),
        }
    }

    /// The principal, when there is one.
    pub fn principal(&self) -> Option<&PrincipalId> {
        match self {
            Self::Anonymous => None,
            Self::Principal(principal) => Some(principal),
        }
    }
}

/// What a kernel compares a handshake with.
pub struct Gate {
    token: String,
    server_version: String,
    keys: Vec<(PrincipalId, VerifyingKey)>,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").field("server_version", &self.server_version).finish_non_exhaustive()
    }
}

/// What follows from a first frame.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Connected.
    Admitted(Caller),
    /// The same request must come again, with a signature over the nonce.
    Challenged {
        /// Who must sign.
        principal: String,
        /// What must be signed.
        nonce: String,
    },
    /// Refused, with this reason.
    Refused(String),
}

impl Gate {
    /// A gate for `token` that knows the public keys of some principals.
    pub fn new(token: String, server_version: String, keys: Vec<(PrincipalId, VerifyingKey)>) -> Self {
        Self { token, server_version, keys }
    }

    fn common(&self, request: &HandshakeRequest) -> Result<(), String> {
        if request.protocol_version != PROTOCOL_VERSION {
            return Err(format!(
                "this kernel speaks protocol version {PROTOCOL_VERSION}, the client speaks {}; \
                 run `astrid stop`, then `astrid start`, so that both are the same program",
                request.protocol_version
            ));
        }
        // Lengths are public; the comparison of the digits takes the same time whatever they are.
        if bool::from(request.token.as_bytes().ct_eq(self.token.as_bytes())) {
            Ok(())
        } else {
            Err(AUTHENTICATION_FAILED.to_owned())
        }
    }

    /// Judges the first frame; `nonce` is 32 fresh random bytes in hexadecimal digits.
    pub fn first(&self, request: &HandshakeRequest, nonce: String) -> Verdict {
        if let Err(reason) = self.common(request) {
            return Verdict::Refused(reason);
        }
        match &request.claimed_principal {
            None => Verdict::Admitted(Caller::Anonymous),
            // Unknown principals are challenged too: a refusal here would say who exists.
            Some(claimed) => Verdict::Challenged { principal: claimed.clone(), nonce },
        }
    }

    /// Judges the second frame, for the challenge that was given.
    pub fn second(&self, request: &HandshakeRequest, challenged: &str, nonce: &str) -> Verdict {
        let refused = || Verdict::Refused(AUTHENTICATION_FAILED.to_owned());
        if let Err(reason) = self.common(request) {
            return Verdict::Refused(reason);
        }
        let (Some(claimed), Some(signature)) = (&request.claimed_principal, &request.signature) else {
            return refused();
        };
        if claimed != challenged {
            return refused();
        }
        let Ok(principal) = claimed.parse::<PrincipalId>() else {
            return refused();
        };
        let mut own_keys = self.keys.iter().filter(|(owner, _)| *owner == principal);
        if own_keys.any(|(_, key)| key::answers_challenge(key, &principal, nonce, signature)) {
            Verdict::Admitted(Caller::Principal(principal))
        } else {
            refused()
        }
    }

    /// The frame that tells the client of a verdict.
    pub fn response(&self, verdict: &Verdict) -> HandshakeResponse {
        let (status, reason, challenge) = match verdict {
            Verdict::Admitted(_) => (HandshakeStatus::Ok, None, None),
            Verdict::Challenged { nonce, .. } => (HandshakeStatus::Ok, None, Some(nonce.clone())),
            Verdict::Refused(reason) => (HandshakeStatus::Error, Some(reason.clone()), None),
        };
        HandshakeResponse {
            status,
            protocol_version: PROTOCOL_VERSION,
            server_version: self.server_version.clone(),
            reason,
            challenge,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uplink::key::PrincipalKey;

    struct Setup {
        gate: Gate,
        key: PrincipalKey,
        _folder: tempfile::TempDir,
    }

    fn setup() -> Setup {
        let folder = tempfile::tempdir().unwrap();
        let fill = |bytes: &mut [u8]| {
            bytes.fill(3);
            Ok(())
        };
        let key = PrincipalKey::load_or_create(&folder.path().join("default.key"), &fill).unwrap();
        let keys = vec![(PrincipalId::default_user(), key.verifying_key())];
        Setup { gate: Gate::new("ab".repeat(32), "0.1.0".into(), keys), key, _folder: folder }
    }

    fn request(claimed: Option<&str>) -> HandshakeRequest {
        HandshakeRequest {
            token: "ab".repeat(32),
            protocol_version: PROTOCOL_VERSION,
            client_version: "0.1.0".into(),
            claimed_principal: claimed.map(str::to_owned),
            signature: None,
        }
    }

    #[test]
    fn a_principal_with_its_key_is_admitted() {
        let Setup { gate, key, .. } = setup();
        let first = request(Some("default"));
        let challenged = Verdict::Challenged { principal: "default".into(), nonce: "00".into() };
        assert_eq!(gate.first(&first, "00".into()), challenged);
        assert_eq!(gate.response(&challenged).challenge.as_deref(), Some("00"));
        let owner = PrincipalId::default_user();
        let second = HandshakeRequest { signature: Some(key.answer(&owner, "00")), ..first };
        assert_eq!(gate.second(&second, "default", "00"), Verdict::Admitted(Caller::Principal(owner)));
    }

    #[test]
    fn no_claim_is_anonymous() {
        assert_eq!(setup().gate.first(&request(None), "00".into()), Verdict::Admitted(Caller::Anonymous));
    }

    #[test]
    fn another_version_is_denied_before_the_token_is_looked_at() {
        let wrong = HandshakeRequest { protocol_version: 9, token: "no".into(), ..request(None) };
        let Verdict::Refused(reason) = setup().gate.first(&wrong, "00".into()) else { panic!("admitted") };
        assert!(reason.contains("version 1") && reason.contains('9') && reason.contains("`astrid stop`"));
    }

    #[test]
    fn wrong_tokens_principals_and_signatures_are_denied_alike() {
        let Setup { gate, key, .. } = setup();
        let refused = Verdict::Refused(AUTHENTICATION_FAILED.to_owned());
        for token in ["", "ab", &"ba".repeat(32)] {
            let wrong = HandshakeRequest { token: token.into(), ..request(None) };
            assert_eq!(gate.first(&wrong, "00".into()), refused, "{token:?}");
        }
        let owner = PrincipalId::default_user();
        let good = key.answer(&owner, "00");
        let cases = [
            (request(Some("default")), "default"),
            (HandshakeRequest { signature: Some("00".repeat(64)), ..request(Some("default")) }, "default"),
            (HandshakeRequest { signature: Some(good.clone()), ..request(Some("other")) }, "other"),
            (HandshakeRequest { signature: Some(good.clone()), ..request(Some("default")) }, "other"),
            (HandshakeRequest { signature: Some(good.clone()), ..request(Some("../x")) }, "../x"),
            (HandshakeRequest { signature: Some(good.clone()), ..request(None) }, "default"),
        ];
        for (second, challenged) in cases {
            assert_eq!(gate.second(&second, challenged, "00"), refused, "{second:?}");
        }
        let replay = HandshakeRequest { signature: Some(good), ..request(Some("default")) };
        assert_eq!(gate.second(&replay, "default", "01"), refused, "an old signature");
    }
}
