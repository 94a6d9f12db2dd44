//! What a handler answers.

/// The reason of a refusal that gives none.
const NO_REASON: &str = "denied by interceptor";

/// The answer of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookResult {
    /// Go on; the text, if any, replaces the payload for the next handler of a chain.
    Continue(Option<String>),
    /// Stop; the text is the answer.
    Final(Option<String>),
    /// Stop; the text is the reason.
    Deny(String),
}

impl HookResult {
    /// Reads a guest's answer. An action that is not known counts as `continue`.
    #[must_use]
    pub fn from_guest(action: &str, data: Option<String>) -> Self {
        let data = data.filter(|text| !text.is_empty());
        match action {
            "final" => Self::Final(data),
            "deny" | "abort" => Self::Deny(data.unwrap_or_else(|| NO_REASON.to_owned())),
            _ => Self::Continue(data),
        }
    }

    /// Says whether it is what the SDK answers when a capsule has no such action.
    #[must_use]
    pub fn is_unknown_action(&self, action: &str) -> bool {
        matches!(self, Self::Deny(reason) if reason.strip_prefix("unknown hook action: ") == Some(action))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_read_as_guests_write_them() {
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(HookResult::from_guest("continue", text("")), HookResult::Continue(None));
        assert_eq!(HookResult::from_guest("final", text("x")), HookResult::Final(text("x")));
        assert_eq!(HookResult::from_guest("later", text("x")), HookResult::Continue(text("x")));
    }

    #[test]
    fn refusals_always_have_a_reason_denied() {
        for action in ["deny", "abort"] {
            assert_eq!(HookResult::from_guest(action, None), HookResult::Deny(NO_REASON.to_owned()));
        }
        let unknown = HookResult::from_guest("deny", Some("unknown hook action: tool_describe".to_owned()));
        assert!(unknown.is_unknown_action("tool_describe"));
        assert!(!unknown.is_unknown_action("tool_execute_x"));
    }
}
