//! What people are shown about a pack, gathered in one place: for every verb the same.

use std::collections::{BTreeMap, BTreeSet};

use astrid_authority::{CapsuleName, Digest, PackId};
use astrid_manifest::lock::LockedPack;
use astrid_manifest::pack::TrustSummary;
use astrid_manifest::signer::Signer;
use astrid_manifest::{Subject, source::Source};
use astrid_resolver::Context;
use astrid_resolver::observed::Current;
use astrid_resolver::pack::{Found, InstalledPack, Located, Looked, Place};
use astrid_resolver::plan::PlanDocument;
use astrid_resolver::verified::VerifiedFleet;

use crate::exit::Failure;

/// Everything about one pack that is shown.
pub(crate) struct Facts {
    pub(crate) looked: Looked,
    /// What its manifests disclose, with where it comes from.
    pub(crate) summary: TrustSummary,
    pub(crate) place: Place,
    /// Who signed it; words of a refusal, when the policy of this home does not take it.
    pub(crate) signer: Result<Signer, String>,
    /// Its capsules that run, or would; nothing means all.
    pub(crate) running: Option<BTreeSet<CapsuleName>>,
    /// What is installed under its id now.
    pub(crate) before: Option<Box<Before>>,
}

/// What was installed before, for the difference.
pub(crate) struct Before {
    pub(crate) summary: TrustSummary,
    pub(crate) content: Digest,
    pub(crate) commit: Option<String>,
    pub(crate) signer: Signer,
}

/// The facts of several packs, by id.
#[derive(Default)]
pub(crate) struct AllFacts(pub(crate) BTreeMap<PackId, Facts>);

impl Facts {
    fn new(looked: Looked, place: Place, signer: Result<Signer, String>) -> Self {
        let summary = TrustSummary::of(&looked.contents).from_source(&place.path);
        Self { looked, summary, place, signer, running: None, before: None }
    }

    /// Of a pack that a fleet would have.
    pub(crate) fn of_fleet(
        context: &Context,
        fleet: &VerifiedFleet,
        id: &PackId,
        current: Option<&Current>,
    ) -> Result<Option<Self>, Failure> {
        let Some(pack) = fleet.pack(id) else { return Ok(None) };
        let looked = Looked::of_fleet(&context.store, &pack)?;
        let place = Place::of_locked(pack.locked(), fleet.declaration());
        let running = pack.capsules().map(|capsule| capsule.locked().name.clone()).collect();
        let before = current.and_then(|current| current.lock.pack(id.as_str()));
        Ok(Some(Self {
            running: Some(running),
            // What can't be read any more can't be compared with; the plan says that it is damaged.
            before: before.and_then(|before| Before::of(context, before).ok()).map(Box::new),
            ..Self::new(looked, place, Ok(pack.locked().signer.clone()))
        }))
    }

    /// Of a pack that was found and is not installed.
    pub(crate) fn of_found(located: &Located, shown: Option<String>, found: Found) -> Self {
        let signer = found.provenance.map(|proof| proof.signer).map_err(|error| error.message().to_owned());
        let commit = located.commit().or(found.commit.as_deref());
        let mut place = Place::of_source(&located.source, commit, located.requested.as_deref());
        if let (Some(shown), Source::Path(_) | Source::Archive(_)) = (shown, &located.source) {
            place.path = shown;
        }
        Self::new(found.looked, place, signer)
    }

    /// Of a pack that is installed. Where it comes from is what its record says.
    pub(crate) fn of_installed(context: &Context, pack: &InstalledPack) -> Result<Self, Failure> {
        let looked = Looked::of_lock(&context.store, &pack.locked)?;
        let text = |field: &str| pack.record[field].as_str().map(str::to_owned);
        let place = Place {
            path: text("source_path").unwrap_or_default(),
            git_url: text("git_url"),
            commit: text("commit_sha"),
            requested: text("requested_ref"),
            ..Place::of_source(&pack.locked.source, None, None)
        };
        let running = pack.capsules.iter().map(|capsule| capsule.name.clone()).collect();
        let signer = Ok(pack.locked.signer.clone());
        Ok(Self { running: Some(running), ..Self::new(looked, place, signer) })
    }

    pub(crate) fn id(&self) -> &PackId {
        &self.looked.contents.manifest.id
    }
}

impl Before {
    fn of(context: &Context, locked: &LockedPack) -> Result<Self, Failure> {
        let found = Looked::of_lock(&context.store, locked)?;
        Ok(Self {
            summary: TrustSummary::of(&found.contents),
            content: locked.content,
            commit: locked.commit.clone(),
            signer: locked.signer.clone(),
        })
    }
}

impl AllFacts {
    /// Of every pack that a plan needs trust for.
    pub(crate) fn of_plan(
        context: &Context,
        fleet: &VerifiedFleet,
        document: &PlanDocument,
    ) -> Result<Self, Failure> {
        let ids = document.trust.needed.iter().filter_map(|need| match &need.subject {
            Subject::Pack(id) => Some(id.clone()),
            _ => None,
        });
        Self::of(context, fleet, ids)
    }

    /// Of these packs of a fleet; those that it has not are left out.
    pub(crate) fn of(
        context: &Context,
        fleet: &VerifiedFleet,
        ids: impl IntoIterator<Item = PackId>,
    ) -> Result<Self, Failure> {
        let mut all = Self::default();
        let mut current = None;
        for id in ids {
            if current.is_none() {
                current = Some(astrid_resolver::apply::current(context)?);
            }
            let current = current.as_ref().and_then(Option::as_ref);
            if let Some(facts) = Facts::of_fleet(context, fleet, &id, current)? {
                all.0.insert(id, facts);
            }
        }
        Ok(all)
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Facts> {
        self.0.get(id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Facts> {
        self.0.values()
    }
}
