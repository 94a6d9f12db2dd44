//! What differs between two states of one subject, in the words and forms that plans use. Pure.

use astrid_authority::Permission;
use astrid_manifest::signer::Signer;
use astrid_manifest::subject::Subject;

use super::document::{ArtifactState, DisclosedChange, Moved, State, Why};
use super::fleet::{Artifact, SettingFact};

/// Why a change needs trust; empty when it needs none.
pub(super) fn why(subject: &Subject, before: Option<&Artifact>, after: &Artifact, widens: bool) -> Vec<Why> {
    let Some(before) = before else { return vec![Why::New] };
    let mut why = Vec::new();
    let bytes = before.content != after.content;
    let is_pack = matches!(subject, Subject::Pack(_));
    // A capsule that leaves its pack loses the trust that covered it.
    if !is_pack && before.pack.is_some() && after.pack.is_none() {
        return vec![Why::New];
    }
    if bytes && (is_pack || after.signer.is_unsigned() && !after.is_local) {
        why.push(Why::Bytes);
    }
    if widens || is_pack && before.authority != after.authority && !bytes {
        why.push(Why::Widened);
    }
    if before.place != after.place {
        why.push(Why::Source);
    }
    if before.signer != after.signer {
        why.push(Why::Signer);
    }
    if before.provenance != after.provenance {
        why.push(Why::Provenance);
    }
    why
}

pub(super) fn reason(before: Option<&Artifact>, after: &Artifact) -> String {
    let Some(before) = before else {
        return match &after.pack {
            Some(pack) => format!("brought by pack `{pack}`"),
            None => "declared".to_owned(),
        };
    };
    let mut reasons = Vec::new();
    if before.place != after.place {
        reasons.push("another source");
    }
    if before.signer != after.signer {
        reasons.push("another signer");
    }
    if before.version != after.version {
        reasons.push("another version");
    } else if before.content != after.content {
        reasons.push("same version, other content");
    }
    if before.content == after.content && before.authority != after.authority {
        reasons.push("other authority");
    }
    if before.provenance != after.provenance {
        reasons.push("another provenance");
    }
    if before.pack != after.pack {
        reasons.push("another pack brings it");
    }
    if reasons.is_empty() {
        reasons.push("pinned otherwise");
    }
    reasons.join(", ")
}

pub(super) fn moved_signer(before: Option<&Artifact>, after: &Artifact) -> Option<Moved<Signer>> {
    before
        .filter(|before| before.signer != after.signer)
        .map(|before| Moved { from: before.signer.clone(), to: after.signer.clone() })
}

pub(super) fn disclosed_change(was: &[Permission], now: &[Permission]) -> DisclosedChange {
    let mut change = DisclosedChange::default();
    let find =
        |list: &[Permission], wanted: &Permission| list.iter().find(|own| own.id == wanted.id).cloned();
    for permission in now {
        match find(was, permission) {
            None => change.added.push(permission.clone()),
            Some(before) if before != *permission => {
                change.changed.push(Moved { from: before, to: permission.clone() });
            }
            Some(_) => {}
        }
    }
    change.removed = was.iter().filter(|before| find(now, before).is_none()).cloned().collect();
    change.added.sort();
    change.changed.sort_by(|one, two| one.to.cmp(&two.to));
    change.removed.sort();
    change
}

pub(super) fn artifact_state(artifact: &Artifact) -> State {
    State::Artifact(ArtifactState {
        version: artifact.version.clone(),
        source: (!artifact.source.starts_with('/')).then(|| artifact.source.clone()),
        content: artifact.content,
        authority: artifact.authority,
        signer: artifact.signer.clone(),
        provenance: artifact.provenance.clone(),
    })
}

pub(super) fn setting_state(fact: &SettingFact) -> State {
    match fact {
        SettingFact::Text(digest) => State::Setting { digest: *digest, secret: false },
        SettingFact::StoredSecret(_) | SettingFact::NewSecret(_) => {
            State::Setting { digest: None, secret: true }
        }
        SettingFact::Unknown { secret } => State::Setting { digest: None, secret: *secret },
    }
}
