//! What a capsule's manifest asks for, and the decisions that the host takes over it.

use std::collections::BTreeSet;

use crate::grant::Grant;
use crate::name::EnvKey;
use crate::scope::{AddressRule, BindRule, CommandRule, HostRule, IdentityLevel, PathScope, PathTarget};
use crate::set::AuthoritySet;
use crate::topic::{Topic, TopicPattern};

/// Everything that one capsule is granted. Empty means: nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Topics it may publish on.
    pub publish: BTreeSet<TopicPattern>,
    /// Topics it may receive.
    pub subscribe: BTreeSet<TopicPattern>,
    /// Files it may read.
    pub fs_read: BTreeSet<PathScope>,
    /// Files it may create, change and delete.
    pub fs_write: BTreeSet<PathScope>,
    /// Hosts it may send HTTP requests to.
    pub net: BTreeSet<HostRule>,
    /// Addresses it may connect to.
    pub net_connect: BTreeSet<AddressRule>,
    /// Addresses it may listen on.
    pub net_bind: BTreeSet<BindRule>,
    /// Commands it may start.
    pub host_process: BTreeSet<CommandRule>,
    /// May start processes that outlive the instance.
    pub allow_persistent: bool,
    /// How far it may go with identities.
    pub identity: Option<IdentityLevel>,
    /// May speak for outside users.
    pub uplink: bool,
    /// May put text into the prompts of models.
    pub allow_prompt_injection: bool,
    /// Configuration values it reads.
    pub env: BTreeSet<EnvKey>,
    /// Secrets it reads.
    pub secrets: BTreeSet<EnvKey>,
}

impl Capabilities {
    /// May the capsule publish on `topic`?
    #[must_use]
    pub fn may_publish(&self, topic: &Topic) -> bool {
        self.publish.iter().any(|pattern| pattern.matches_subtree(topic))
    }

    /// May the capsule subscribe with `pattern`?
    #[must_use]
    pub fn may_subscribe(&self, pattern: &TopicPattern) -> bool {
        self.subscribe.iter().any(|own| own.covers(pattern))
    }

    /// May the capsule read `target`, which is at the absolute path of `machine` segments?
    #[must_use]
    pub fn may_read(&self, target: &PathTarget, machine: &[String]) -> bool {
        covers_path(&self.fs_read, target, machine)
    }

    /// May the capsule write `target`, which is at the absolute path of `machine` segments?
    #[must_use]
    pub fn may_write(&self, target: &PathTarget, machine: &[String]) -> bool {
        covers_path(&self.fs_write, target, machine)
    }

    /// The capability names that are held, sorted, as `enumerate-capabilities` reports them.
    #[must_use]
    pub fn held(&self) -> Vec<&'static str> {
        let mut held = vec![
            ("allow_persistent", self.allow_persistent),
            ("allow_prompt_injection", self.allow_prompt_injection),
            ("fs_read", !self.fs_read.is_empty()),
            ("fs_write", !self.fs_write.is_empty()),
            ("host_process", !self.host_process.is_empty()),
            ("identity", self.identity.is_some()),
            ("net", !self.net.is_empty()),
            ("net_bind", !self.net_bind.is_empty()),
            ("net_connect", !self.net_connect.is_empty()),
            ("uplink", self.uplink),
        ];
        held.retain(|(_, is_held)| *is_held);
        held.into_iter().map(|(name, _)| name).collect()
    }

    /// Every grant, as a canonical set.
    #[must_use]
    pub fn to_set(&self) -> AuthoritySet {
        let mut grants = BTreeSet::new();
        grants.extend(self.publish.iter().cloned().map(Grant::Publish));
        grants.extend(self.subscribe.iter().cloned().map(Grant::Subscribe));
        grants.extend(self.fs_read.iter().cloned().map(Grant::FsRead));
        grants.extend(self.fs_write.iter().cloned().map(Grant::FsWrite));
        grants.extend(self.net.iter().cloned().map(Grant::Net));
        grants.extend(self.net_connect.iter().cloned().map(Grant::NetConnect));
        grants.extend(self.net_bind.iter().cloned().map(Grant::NetBind));
        grants.extend(self.host_process.iter().cloned().map(Grant::HostProcess));
        grants.extend(self.identity.map(Grant::Identity));
        grants.extend(self.env.iter().cloned().map(Grant::Env));
        grants.extend(self.secrets.iter().cloned().map(Grant::Secret));
        for (held, grant) in [
            (self.allow_persistent, Grant::AllowPersistent),
            (self.uplink, Grant::Uplink),
            (self.allow_prompt_injection, Grant::AllowPromptInjection),
        ] {
            if held {
                grants.insert(grant);
            }
        }
        grants.into_iter().collect()
    }
}

fn covers_path(scopes: &BTreeSet<PathScope>, target: &PathTarget, machine: &[String]) -> bool {
    scopes.iter().any(|scope| scope.covers_target(target) || scope.covers_machine_path(machine))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_granted_by_default_denied() {
        let none = Capabilities::default();
        assert!(!none.may_publish(&"a.b".parse().unwrap()));
        assert!(!none.may_subscribe(&"a.b".parse().unwrap()));
        assert!(!none.may_read(&PathTarget::parse("a").unwrap(), &[]));
        assert!(none.held().is_empty());
        assert!(none.to_set().is_empty());
    }

    #[test]
    fn what_is_granted_is_allowed_and_no_more() {
        let own = Capabilities {
            publish: BTreeSet::from(["tool.v1.*".parse().unwrap()]),
            fs_read: BTreeSet::from(["cwd://docs".parse().unwrap()]),
            ..Capabilities::default()
        };
        assert!(own.may_publish(&"tool.v1.execute.x.result".parse().unwrap()));
        assert!(!own.may_publish(&"user.v1.prompt".parse().unwrap()));
        assert!(own.may_read(&PathTarget::parse("docs/a").unwrap(), &[]));
        assert!(!own.may_write(&PathTarget::parse("docs/a").unwrap(), &[]));
        assert_eq!(own.held(), ["fs_read"]);
    }
}
