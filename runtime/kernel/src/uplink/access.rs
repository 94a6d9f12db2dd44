//! Which topics a principal may send and receive over the uplink.

use astrid_authority::{PrincipalId, Topic, TopicPattern};

use super::handshake::Caller;

/// What every principal may send, besides requests.
const INGRESS: &[&str] = &[
    "user.v1.prompt",
    "cli.v1.command.execute",
    "astrid.v1.elicit.response.*",
    "astrid.v1.approval.response.*",
    "registry.v1.selection.*",
    "session.v1.request.*",
    "cli.v1.command.run.*",
];

/// What every principal may receive, besides responses to its own requests.
const EGRESS: &[&str] = &[
    "agent.v1.stream.delta",
    "agent.v1.response",
    "astrid.v1.elicit",
    "astrid.v1.onboarding.required",
    "astrid.v1.approval",
    "astrid.v1.capsules_loaded",
    "registry.v1.active_model_changed",
    "registry.v1.response.*",
    "registry.v1.selection.*",
    "session.v1.response.*",
    "cli.v1.command.result.*",
];

/// What the owner of the home may send as well: to call tools without an agent loop.
const OWNER_INGRESS: &[&str] = &["tool.v1.request.*", "tool.v1.execute.*"];

/// What the owner may ask to receive as well.
const OWNER_EGRESS: &[&str] = &[
    "tool.v1.*",
    "astrid.v1.health.failed",
    "astrid.v1.watchdog.tick",
    "astrid.v1.lifecycle.*",
    "agent.v1.*",
    "user.v1.*",
    "hook.v1.*",
    "llm.v1.*",
    "session.v1.*",
    "registry.v1.*",
    "prompt_builder.v1.*",
    "context_engine.v1.*",
    "spark.v1.*",
    "client.v1.*",
    "cli.v1.*",
];

/// The two lists, as patterns.
#[derive(Debug)]
pub struct Access {
    ingress: Vec<TopicPattern>,
    egress: Vec<TopicPattern>,
    owner_ingress: Vec<TopicPattern>,
    owner_egress: Vec<TopicPattern>,
}

impl Default for Access {
    fn default() -> Self {
        // The lists are constants that a test parses in full; one that did not parse would grant nothing.
        let patterns = |list: &[&str]| list.iter().filter_map(|text| text.parse().ok()).collect();
        Self {
            ingress: patterns(INGRESS),
            egress: patterns(EGRESS),
            owner_ingress: patterns(OWNER_INGRESS),
            owner_egress: patterns(OWNER_EGRESS),
        }
    }
}

fn is_owner(principal: &PrincipalId) -> bool {
    *principal == PrincipalId::default_user()
}

impl Access {
    /// May `caller` publish on `topic`?
    pub fn may_send(&self, caller: &Caller, topic: &Topic) -> bool {
        let Some(principal) = caller.principal() else { return false };
        let any = |list: &[TopicPattern]| list.iter().any(|pattern| pattern.matches_subtree(topic));
        any(&self.ingress) || (is_owner(principal) && any(&self.owner_ingress))
    }

    /// May `caller` receive what `pattern` matches?
    pub fn may_receive(&self, caller: &Caller, pattern: &TopicPattern) -> bool {
        let Some(principal) = caller.principal() else { return false };
        let any = |list: &[TopicPattern]| list.iter().any(|own| own.covers(pattern));
        any(&self.egress) || (is_owner(principal) && any(&self.owner_egress))
    }

    /// What `caller` receives until it asks for something else.
    pub fn default_egress(&self, caller: &Caller) -> Vec<TopicPattern> {
        if caller.principal().is_some() { self.egress.clone() } else { Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Caller {
        Caller::Principal(PrincipalId::default_user())
    }

    #[test]
    fn the_lists_are_patterns() {
        for text in [INGRESS, EGRESS, OWNER_INGRESS, OWNER_EGRESS].concat() {
            assert!(text.parse::<TopicPattern>().is_ok(), "{text}");
        }
    }

    #[test]
    fn the_owner_calls_tools() {
        let access = Access::default();
        assert!(access.may_send(&owner(), &"tool.v1.execute.read_file".parse().unwrap()));
        assert!(access.may_receive(&owner(), &"tool.v1.execute.*".parse().unwrap()));
        assert!(access.may_send(&owner(), &"user.v1.prompt".parse().unwrap()));
    }

    #[test]
    fn others_and_unlisted_topics_are_denied() {
        let access = Access::default();
        let guest = Caller::Principal("guest".parse().unwrap());
        assert!(!access.may_send(&guest, &"tool.v1.execute.read_file".parse().unwrap()));
        assert!(!access.may_receive(&guest, &"tool.v1.*".parse().unwrap()));
        assert!(access.may_send(&guest, &"user.v1.prompt".parse().unwrap()));
        assert!(!access.may_send(&Caller::Anonymous, &"user.v1.prompt".parse().unwrap()));
        assert!(!access.may_receive(&Caller::Anonymous, &"agent.v1.response".parse().unwrap()));
        for topic in
            ["astrid.v1.capsules_loaded", "astrid.v1.approval", "llm.v1.stream.x", "agent.v1.response"]
        {
            assert!(!access.may_send(&owner(), &topic.parse().unwrap()), "{topic}");
        }
        assert!(!access.may_receive(&owner(), &"*".parse().unwrap()));
        assert!(!access.may_receive(&owner(), &"astrid.v1.*".parse().unwrap()));
    }
}
