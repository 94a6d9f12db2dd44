//! Endorsements: a key that names its successor.
//!
//! An endorsement is a statement by the old key about the new one. Whoever holds on to the old key follows a
//! chain of them to the key of today, and has to ask nobody.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::bundle::Bundle;
use crate::envelope;
use crate::error::{Error, Result};
use crate::key::{PublicKey, SigningKey};
use crate::statement::{self, Digests, Statement, Subject};

/// The end of the type of the predicate.
const PREDICATE: &str = "endorsement";
/// A chain has at most so many links.
pub const MAX_LINKS: usize = 16;

/// What an endorsement says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Predicate {
    from: String,
    to: String,
}

/// An endorsement of `to` by `from`, as the text of a bundle that ends with a line feed.
///
/// # Errors
/// `Refused` when a key would endorse itself.
pub fn endorse(from: &SigningKey, to: &PublicKey) -> Result<String> {
    if from.public() == *to {
        return Err(Error::refused("a key can't endorse itself").hint("name the key that follows it"));
    }
    let predicate = Predicate { from: from.public().to_string(), to: to.to_string() };
    let predicate = serde_json::to_value(predicate)
        .map_err(|error| Error::unreadable(format!("the endorsement can't be written: {error}")))?;
    let subject = Subject::of(&to.to_string(), to.as_bytes());
    envelope::sign(&Statement::new(vec![subject], &statement::predicate(PREDICATE), predicate), from)
}

/// The keys that lead from `pinned` to `wanted`, both included, by endorsements among `bundles`; nothing when none do.
///
/// The shortest chain is taken. What is no endorsement, or not signed by the key that it speaks for, leads nowhere.
#[must_use]
pub fn chain(pinned: &PublicKey, wanted: &PublicKey, bundles: &[Bundle]) -> Option<Vec<PublicKey>> {
    let mut links: BTreeMap<PublicKey, Vec<(PublicKey, &Bundle)>> = BTreeMap::new();
    for bundle in bundles {
        // Only claimed so far: each is checked when the search comes to it.
        if let Some((from, to)) = claimed(bundle) {
            links.entry(from).or_default().push((to, bundle));
        }
    }
    let mut seen = BTreeSet::from([*pinned]);
    let mut open = VecDeque::from([vec![*pinned]]);
    while let Some(path) = open.pop_front() {
        let last = path.last()?;
        if last == wanted {
            return Some(path);
        }
        if path.len() > MAX_LINKS {
            continue;
        }
        for (to, bundle) in links.get(last).into_iter().flatten() {
            if !seen.contains(to) && is_endorsement(bundle, last, to) {
                seen.insert(*to);
                open.push_back(path.iter().copied().chain([*to]).collect());
            }
        }
    }
    None
}

fn claimed(bundle: &Bundle) -> Option<(PublicKey, PublicKey)> {
    let statement = Statement::parse(bundle.payload()?).ok()?;
    let predicate: Predicate = serde_json::from_value(statement.predicate).ok()?;
    Some((predicate.from.parse().ok()?, predicate.to.parse().ok()?))
}

fn is_endorsement(bundle: &Bundle, from: &PublicKey, to: &PublicKey) -> bool {
    let Ok(statement) = envelope::open(bundle, from) else { return false };
    let [subject] = statement.subject.as_slice() else { return false };
    statement.predicate_type == statement::predicate(PREDICATE)
        && subject.name == to.to_string()
        && subject.names(&Digests::of(to.as_bytes()))
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&Zeroizing::new([seed; 32]))
    }

    fn public(seed: u8) -> PublicKey {
        key(seed).public()
    }

    fn link(from: u8, to: u8) -> Bundle {
        Bundle::parse(endorse(&key(from), &public(to)).unwrap().as_bytes()).unwrap()
    }

    fn signed(by: u8, statement: &Statement) -> Bundle {
        Bundle::parse(envelope::sign(statement, &key(by)).unwrap().as_bytes()).unwrap()
    }

    fn statement(from: u8, to: u8, subject: Subject) -> Statement {
        let predicate = serde_json::json!({ "from": public(from).to_string(), "to": public(to).to_string() });
        Statement::new(vec![subject], &statement::predicate(PREDICATE), predicate)
    }

    #[test]
    fn a_chain_leads_from_the_old_key_to_the_new_one() {
        let bundles = [link(2, 3), link(1, 2), link(1, 9)];
        assert_eq!(chain(&public(1), &public(3), &bundles).unwrap(), [public(1), public(2), public(3)]);
        assert_eq!(chain(&public(1), &public(1), &[]).unwrap(), [public(1)]);
    }

    #[test]
    fn forks_and_cycles_end() {
        let bundles = [link(1, 2), link(2, 1), link(2, 3), link(3, 2), link(1, 4), link(4, 3)];
        assert_eq!(chain(&public(1), &public(3), &bundles).unwrap().len(), 3);
        assert_eq!(chain(&public(1), &public(5), &bundles), None);
    }

    #[test]
    fn a_chain_has_at_most_sixteen_links_denied() {
        let bundles: Vec<Bundle> = (1..=17).map(|seed| link(seed, seed + 1)).collect();
        assert_eq!(chain(&public(1), &public(17), &bundles).unwrap().len(), 17);
        assert_eq!(chain(&public(1), &public(18), &bundles), None);
    }

    #[test]
    fn a_new_key_that_endorses_itself_or_its_elder_leads_nowhere_denied() {
        assert!(endorse(&key(1), &public(1)).is_err());
        for bundles in [vec![link(2, 1)], vec![link(3, 2)], Vec::new()] {
            assert_eq!(chain(&public(1), &public(2), &bundles), None);
        }
    }

    #[test]
    fn statements_by_another_key_or_about_something_else_lead_nowhere_denied() {
        let right = Subject::of(&public(2).to_string(), public(2).as_bytes());
        assert!(chain(&public(1), &public(2), &[signed(1, &statement(1, 2, right.clone()))]).is_some());
        let two = Statement { subject: vec![right.clone(), right.clone()], ..statement(1, 2, right.clone()) };
        let kind = statement::predicate("artifact");
        let other_kind = Statement { predicate_type: kind, ..statement(1, 2, right.clone()) };
        for bundle in [
            signed(2, &statement(1, 2, right.clone())),
            signed(1, &statement(1, 2, Subject::of(&public(2).to_string(), public(3).as_bytes()))),
            signed(1, &statement(1, 2, Subject::of("key", public(2).as_bytes()))),
            signed(1, &statement(1, 3, right.clone())),
            signed(1, &statement(2, 2, right)),
            signed(1, &two),
            signed(1, &other_kind),
        ] {
            assert_eq!(chain(&public(1), &public(2), &[bundle]), None);
        }
    }
}
