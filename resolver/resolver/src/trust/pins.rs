//! Whose signature each distro must have: the first that this home saw, and those that followed by rights.
//!
//! A pinned id makes a signature mandatory. It changes hands by an endorsement of the key before, or because
//! somebody says so with a flag of its own. It is written last, in the same flip as the switch.

use std::collections::BTreeMap;

use astrid_authority::DistroId;
use astrid_manifest::signer::Signer;
use astrid_provenance::{Bundle, PublicKey, endorsement};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::floors::{newer, parse_own, write_own};
use crate::error::{Error, ErrorKind, Result};
use crate::plan::document::Confirmation;

/// Whose signature a distro must have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// Which distro.
    pub distro: DistroId,
    /// Whose.
    pub signer: Signer,
    /// The key that follows it, as the last signed declaration said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endorses: Option<String>,
    /// Where it came from when it was first seen.
    pub origin: String,
    /// When it was first seen.
    pub first: Timestamp,
    /// When it was last applied.
    pub last: Timestamp,
}

/// The home's pins, by distro.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pins(BTreeMap<DistroId, Pin>);

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    format_version: u32,
    #[serde(default, rename = "pin", skip_serializing_if = "Vec::is_empty")]
    pins: Vec<Pin>,
}

/// How a distro stands to its pin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PinOutcome {
    /// It is signed by whom it must be.
    Matched,
    /// It is signed, and this home has no pin for it: it gets one.
    FirstUse,
    /// It is signed by a key that the pinned one leads to.
    Endorsed(Vec<PublicKey>),
    /// It is signed by somebody else: only `--accept-new-key` takes it.
    NewKey {
        /// Who signed it before.
        from: Signer,
        /// Who signed it now.
        to: Signer,
    },
    /// It is not signed any more: no flag takes it.
    SignatureGone {
        /// Who signed it before.
        from: Signer,
    },
    /// It is not signed, and this home has no pin for it.
    Unsigned,
}

impl Pins {
    /// Where the home keeps them, under `trust/`.
    pub const FILE: &'static str = "pins.toml";

    /// Parses the text of [`Self::FILE`].
    ///
    /// # Errors
    /// When the text is not what this program writes. A damaged file is never taken as an empty one.
    pub fn parse(text: &str) -> Result<Self> {
        let file: File = parse_own(Self::FILE, text)?;
        if file.format_version != 1 {
            return Err(newer(Self::FILE, file.format_version));
        }
        let mut pins = BTreeMap::new();
        for pin in file.pins {
            let damaged = pin.signer.is_unsigned() || pins.contains_key(&pin.distro);
            if damaged {
                return Err(Error::corrupt(format!(
                    "the home's `{}` pins `{}` to nobody or twice",
                    Self::FILE,
                    pin.distro
                ))
                .hint("restore it from a backup, or forget the pin with `astrid trust keys remove`"));
            }
            pins.insert(pin.distro.clone(), pin);
        }
        Ok(Self(pins))
    }

    /// The text of [`Self::FILE`].
    ///
    /// # Errors
    /// Never for pins of ours.
    pub fn write(&self) -> Result<String> {
        write_own(Self::FILE, &File { format_version: 1, pins: self.0.values().cloned().collect() })
    }

    /// The pins, by distro.
    pub fn iter(&self) -> impl Iterator<Item = &Pin> {
        self.0.values()
    }

    /// The pin of a distro.
    #[must_use]
    pub fn get(&self, id: &DistroId) -> Option<&Pin> {
        self.0.get(id)
    }

    /// How a distro that `presented` signed stands to its pin; `endorsements` came with it.
    #[must_use]
    pub fn check(&self, id: &DistroId, presented: &Signer, endorsements: &[Bundle]) -> PinOutcome {
        let Some(pin) = self.0.get(id) else {
            return if presented.is_unsigned() { PinOutcome::Unsigned } else { PinOutcome::FirstUse };
        };
        if presented.is_unsigned() {
            return PinOutcome::SignatureGone { from: pin.signer.clone() };
        }
        if pin.signer == *presented {
            return PinOutcome::Matched;
        }
        match pin.leads_to(presented, endorsements) {
            Some(keys) => PinOutcome::Endorsed(keys),
            None => PinOutcome::NewKey { from: pin.signer.clone(), to: presented.clone() },
        }
    }

    /// Remembers who signed what was applied; unsigned is nothing to remember.
    ///
    /// `endorses` is the next key that the signed declaration names.
    pub fn record(
        &mut self,
        id: &DistroId,
        signer: &Signer,
        endorses: Option<&str>,
        origin: &str,
        now: Timestamp,
    ) {
        if signer.is_unsigned() {
            return;
        }
        let pin = self.0.entry(id.clone()).or_insert_with(|| Pin {
            distro: id.clone(),
            signer: signer.clone(),
            endorses: None,
            origin: origin.to_owned(),
            first: now,
            last: now,
        });
        pin.signer = signer.clone();
        // What one key says of the next is nothing that another signer could say for it.
        pin.endorses = endorses.filter(|_| matches!(signer, Signer::Key(_))).map(str::to_owned);
        pin.last = now;
    }

    /// Forgets who signs a distro; says whether there was a pin.
    pub fn remove(&mut self, id: &DistroId) -> Option<Pin> {
        self.0.remove(id)
    }
}

impl Pin {
    /// The keys from the pinned one to the presented one, when the pinned one leads there.
    fn leads_to(&self, presented: &Signer, endorsements: &[Bundle]) -> Option<Vec<PublicKey>> {
        let (Signer::Key(pinned), Signer::Key(presented)) = (&self.signer, presented) else { return None };
        let (pinned, presented) = (pinned.parse().ok()?, presented.parse().ok()?);
        if let Some(chain) = endorsement::chain(&pinned, &presented, endorsements) {
            return Some(chain);
        }
        // The next key was named in a declaration that the pinned one signed.
        let next: PublicKey = self.endorses.as_ref()?.parse().ok()?;
        let chain = endorsement::chain(&next, &presented, endorsements)?;
        Some([pinned].into_iter().chain(chain).collect())
    }
}

impl PinOutcome {
    /// What has to be confirmed by a flag of its own, or is refused; `required` says that unsigned is not enough.
    #[must_use]
    pub fn confirmation(&self, required: bool) -> Option<Confirmation> {
        match self {
            Self::NewKey { from, to } => {
                Some(Confirmation::NewDistroKey { from: from.clone(), to: to.clone() })
            }
            Self::SignatureGone { from } => Some(Confirmation::DistroSignatureGone { from: from.clone() }),
            Self::Unsigned if required => Some(Confirmation::UnsignedDistro),
            Self::Unsigned | Self::Matched | Self::FirstUse | Self::Endorsed(_) => None,
        }
    }

    /// The refusal of a distro that stands against its pin.
    #[must_use]
    pub fn refusal(&self, id: &DistroId) -> Option<Error> {
        let (message, hint) = match self {
            Self::NewKey { from, to } => (
                format!("distro `{id}` was signed by {from} when this home first saw it, and is now by {to}"),
                "pass `--accept-new-key` when you know that the signer changed; `--yes` and `--trust` don't allow it",
            ),
            Self::SignatureGone { from } => (
                format!(
                    "distro `{id}` was signed by {from} when this home first saw it, and is not signed now"
                ),
                "`--allow-unsigned` does not allow it; `astrid trust keys remove` forgets who signed it",
            ),
            Self::Matched | Self::FirstUse | Self::Endorsed(_) | Self::Unsigned => return None,
        };
        Some(Error::new(ErrorKind::Signature, message).hint(hint))
    }
}

#[cfg(test)]
mod tests {
    use astrid_provenance::SigningKey;
    use zeroize::Zeroizing;

    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&Zeroizing::new([seed; 32]))
    }

    fn signer(seed: u8) -> Signer {
        Signer::Key(key(seed).public().to_string())
    }

    fn ci() -> Signer {
        let text = |text: &str| text.to_owned();
        Signer::Ci {
            issuer: text("https://ci.example.org"),
            repository: text("acme/fleet"),
            workflow: text("r.yml"),
        }
    }

    fn link(from: u8, to: u8) -> Bundle {
        let text = endorsement::endorse(&key(from), &key(to).public()).unwrap();
        Bundle::parse(text.as_bytes()).unwrap()
    }

    fn demo() -> DistroId {
        "demo".parse().unwrap()
    }

    fn pinned(signer: &Signer, endorses: Option<&str>) -> Pins {
        let mut pins = Pins::default();
        pins.record(&demo(), signer, endorses, "git+https://example.org/fleet", Timestamp::UNIX_EPOCH);
        // As a home keeps them.
        Pins::parse(&pins.write().unwrap()).unwrap()
    }

    #[test]
    fn a_signer_is_pinned_on_first_use_and_matches_from_then_on() {
        for signer in [signer(1), ci()] {
            assert_eq!(Pins::default().check(&demo(), &signer, &[]), PinOutcome::FirstUse);
            let pins = pinned(&signer, None);
            assert_eq!(pins.check(&demo(), &signer, &[]), PinOutcome::Matched);
            assert_eq!(pins.check(&"other".parse().unwrap(), &signer, &[]), PinOutcome::FirstUse);
        }
        let mut pins = pinned(&signer(1), None);
        let later = Timestamp::from_second(7).unwrap();
        pins.record(&demo(), &signer(2), None, "elsewhere", later);
        let pin = pins.get(&demo()).unwrap();
        assert_eq!((pin.first, pin.last, &pin.signer), (Timestamp::UNIX_EPOCH, later, &signer(2)));
        assert_eq!(pin.origin, "git+https://example.org/fleet");
    }

    #[test]
    fn a_pinned_id_must_be_signed_denied() {
        let outcome = pinned(&signer(1), None).check(&demo(), &Signer::Unsigned, &[]);
        assert_eq!(outcome, PinOutcome::SignatureGone { from: signer(1) });
        // Whatever is required of a distro that is not pinned.
        for required in [true, false] {
            let confirmation = outcome.confirmation(required).unwrap();
            assert_eq!(confirmation, Confirmation::DistroSignatureGone { from: signer(1) });
        }
        let refusal = outcome.refusal(&demo()).unwrap();
        assert_eq!(refusal.kind(), ErrorKind::Signature);
        let mut pins = pinned(&signer(1), None);
        pins.record(&demo(), &Signer::Unsigned, None, "", Timestamp::UNIX_EPOCH);
        assert_eq!(pins, pinned(&signer(1), None));
    }

    #[test]
    fn another_signer_needs_an_endorsement_or_a_flag_denied() {
        let pins = pinned(&signer(1), None);
        for (presented, endorsements) in [
            (signer(2), vec![]),
            (signer(2), vec![link(2, 1)]),
            (signer(2), vec![link(1, 3)]),
            (ci(), vec![link(1, 2)]),
        ] {
            let outcome = pins.check(&demo(), &presented, &endorsements);
            assert_eq!(outcome, PinOutcome::NewKey { from: signer(1), to: presented.clone() });
            let refusal = outcome.refusal(&demo()).unwrap();
            let told = format!("{refusal}{}", refusal.next_step().unwrap());
            for part in [signer(1).to_string(), presented.to_string(), "--accept-new-key".to_owned()] {
                assert!(told.contains(&part), "{told}");
            }
        }
        let from = pinned(&ci(), None).check(&demo(), &signer(1), &[link(1, 2)]);
        assert!(matches!(from, PinOutcome::NewKey { .. }));
    }

    #[test]
    fn an_endorsed_key_follows() {
        let pins = pinned(&signer(1), None);
        let outcome = pins.check(&demo(), &signer(3), &[link(2, 3), link(1, 2)]);
        assert_eq!(outcome, PinOutcome::Endorsed([1, 2, 3].map(|seed| key(seed).public()).to_vec()));
        assert!(outcome.confirmation(true).is_none() && outcome.refusal(&demo()).is_none());
        let next = key(2).public().to_string();
        let pins = pinned(&signer(1), Some(&next));
        let outcome = pins.check(&demo(), &signer(2), &[]);
        assert_eq!(outcome, PinOutcome::Endorsed([1, 2].map(|seed| key(seed).public()).to_vec()));
        assert!(matches!(pins.check(&demo(), &signer(3), &[link(2, 3)]), PinOutcome::Endorsed(_)));
        // What the next key says counts no longer once another declaration takes it back.
        let mut pins = pins;
        pins.record(&demo(), &signer(1), None, "", Timestamp::UNIX_EPOCH);
        assert!(matches!(pins.check(&demo(), &signer(2), &[]), PinOutcome::NewKey { .. }));
    }

    #[test]
    fn unsigned_and_unpinned_is_told_where_a_signature_is_required() {
        let outcome = Pins::default().check(&demo(), &Signer::Unsigned, &[]);
        assert_eq!(outcome, PinOutcome::Unsigned);
        assert_eq!(outcome.confirmation(true), Some(Confirmation::UnsignedDistro));
        assert_eq!(outcome.confirmation(false), None);
    }

    #[test]
    fn damaged_files_are_no_empty_ones_denied() {
        let sound = pinned(&signer(1), None).write().unwrap();
        let twice = format!("{sound}\n{}", sound.split_once("\n\n").unwrap().1);
        let (head, _) = sound.split_once("\n[pin.signer]").unwrap();
        let nobody = head.replace("origin", "signer = \"unsigned\"\norigin");
        for text in
            ["", "nonsense", &sound.replace("= 1", "= 2"), &sound.replace("first", "frist"), &twice, &nobody]
        {
            assert!(Pins::parse(text).is_err(), "{text}");
        }
    }
}
