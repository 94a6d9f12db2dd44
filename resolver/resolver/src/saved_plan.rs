//! A plan as a file: what is reviewed is what is applied, once.

use astrid_store::Home;

use crate::error::{Error, ErrorKind, Result};
use crate::plan::document::FORMAT_VERSION;
use crate::plan::{Plan, PlanDocument, to_canonical_json};

/// A saved plan is not larger than this: 64 MiB.
pub const MAX_PLAN_BYTES: usize = 64 << 20;

/// A plan that was read from a file. It is information, and evidence of nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedPlan {
    document: PlanDocument,
}

impl SavedPlan {
    /// Says whether these bytes look like a saved plan, so that it can be told from other files.
    #[must_use]
    pub fn is_one(bytes: &[u8]) -> bool {
        bytes.first() == Some(&b'{')
            && bytes.windows(16).take(1 << 20).any(|part| part == b"\"format_version\"")
    }

    /// Reads a saved plan. Only the canonical bytes of one are accepted.
    ///
    /// # Errors
    /// 65 when the bytes are no plan, or one of another format.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        #[derive(serde::Deserialize)]
        struct Version {
            format_version: u32,
        }
        let invalid = |what: &str| Error::invalid(what).hint("make it again with `astrid plan -o FILE`");
        if bytes.len() > MAX_PLAN_BYTES {
            return Err(invalid("the plan is larger than 64 MiB"));
        }
        let version: Version = serde_json::from_slice(bytes)
            .map_err(|error| invalid("this is no saved plan").caused_by(error))?;
        if version.format_version != FORMAT_VERSION {
            return Err(invalid(&format!(
                "the plan has format version {}, and this version reads {FORMAT_VERSION}",
                version.format_version
            )));
        }
        let document: PlanDocument =
            serde_json::from_slice(bytes).map_err(|error| invalid("the plan is damaged").caused_by(error))?;
        let canonical =
            to_canonical_json(&document).map_err(|error| invalid("the plan is damaged").caused_by(error))?;
        if canonical != bytes {
            return Err(invalid("the plan was edited: it is not what `astrid plan` writes"));
        }
        Ok(Self { document })
    }

    /// What it says.
    #[must_use]
    pub fn document(&self) -> &PlanDocument {
        &self.document
    }

    /// Compares with the plan that was computed now: everything but the nonce has to be equal.
    ///
    /// # Errors
    /// With what is another: the lock is 80, the policy 85, anything else 1.
    pub fn check(&self, now: &Plan) -> Result<()> {
        let (saved, now) = (&self.document, now.document());
        let refuse = |kind, what: &str| {
            Err(Error::new(kind, format!("this plan can't be applied: {what}"))
                .hint("make and review a new one: astrid plan -o FILE"))
        };
        if saved.tool != now.tool {
            return refuse(ErrorKind::Failed, "it was made by another version of the program");
        }
        if saved.base != now.base {
            return refuse(ErrorKind::Failed, "the home is at another generation");
        }
        if saved.distro.id != now.distro.id {
            return refuse(ErrorKind::Failed, "it is for another distro");
        }
        if saved.lock != now.lock {
            return refuse(ErrorKind::StaleLock, "the lock is another one");
        }
        if saved.policy != now.policy {
            return refuse(ErrorKind::Policy, "the policy is another one");
        }
        if (PlanDocument { nonce: now.nonce, ..saved.clone() }) != *now {
            let what = if saved.changes != now.changes {
                "what it would change is something else now"
            } else if saved.authority != now.authority {
                "the authority that it gives is another one now"
            } else if saved.trust != now.trust {
                "what it needs trust for, or what satisfies that, is another now"
            } else {
                "it is not what would be planned now"
            };
            return refuse(ErrorKind::Failed, what);
        }
        Ok(())
    }

    /// Refuses a plan that was applied at this home before.
    ///
    /// # Errors
    /// 1 when it was.
    pub fn check_unused(&self, home: &Home) -> Result<()> {
        if home.nonces().join(self.document.nonce.to_string()).exists() {
            return Err(Error::failed("this plan was applied before")
                .hint("a saved plan is used once; make a new one: astrid plan -o FILE"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixture::World;

    fn world() -> World {
        World::new().capsule("fs", "@acme/fs", "one", &["uplink"]).pack("media_tools", "one", "x")
    }

    fn saved(world: &World) -> SavedPlan {
        SavedPlan::parse(&world.plan().unwrap().to_canonical_json().unwrap()).unwrap()
    }

    #[test]
    fn the_same_plan_may_be_applied() {
        let bytes = world().plan().unwrap().to_canonical_json().unwrap();
        assert!(SavedPlan::is_one(&bytes));
        saved(&world()).check(&world().plan().unwrap()).unwrap();
    }

    #[test]
    fn anything_else_than_what_was_reviewed_is_refused_denied() {
        let plan = saved(&world());
        let kind = |world: World| plan.check(&world.plan().unwrap()).unwrap_err().kind();
        assert_eq!(kind(world().capsule("fs", "@acme/fs", "two", &["uplink"])), ErrorKind::StaleLock);
        assert_eq!(kind(world().applied()), ErrorKind::Failed, "another base");
        let mut policy = world();
        let home = astrid_manifest::policy::Policy {
            authority: astrid_manifest::policy::AuthorityPolicy { deny: vec!["net:*".parse().unwrap()] },
            ..Default::default()
        };
        policy.policy = crate::policy::EffectivePolicy::combine(
            &home,
            &astrid_manifest::policy::Policy::default(),
            false,
        );
        assert_eq!(kind(policy), ErrorKind::Policy);
        let mut setting = world();
        let place = ("fs".parse().unwrap(), "ROOT".parse().unwrap());
        setting.settings.insert(place, crate::plan::SettingFact::Text(None));
        assert_eq!(kind(setting), ErrorKind::Failed);
    }

    #[test]
    fn a_plan_that_says_it_is_trusted_is_not_believed_denied() {
        let text = String::from_utf8(world().plan().unwrap().to_canonical_json().unwrap()).unwrap();
        let forged = text.replace("\"satisfied_by\": null", "\"satisfied_by\": \"flag\"");
        assert_ne!(text, forged);
        let forged = SavedPlan::parse(forged.as_bytes()).unwrap();
        assert!(forged.check(&world().plan().unwrap()).is_err());
    }

    #[test]
    fn damaged_files_are_refused_denied() {
        let bytes = world().plan().unwrap().to_canonical_json().unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        for bad in [
            text.replace("\"format_version\": 1", "\"format_version\": 2"),
            text.replace("  \"tool\"", "  \"extra\": 1,\n  \"tool\""),
            format!("{text}\n"),
            "{}".to_owned(),
            String::new(),
        ] {
            assert_eq!(SavedPlan::parse(bad.as_bytes()).unwrap_err().kind(), ErrorKind::Invalid);
        }
        for length in (0..bytes.len()).step_by(97) {
            assert!(SavedPlan::parse(&bytes[..length]).is_err(), "{length}");
        }
    }
}
