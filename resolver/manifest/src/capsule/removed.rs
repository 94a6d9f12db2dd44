//! Sections that are gone, and what took their place.
//!
//! Ignoring one would leave a capsule that looks configured and does nothing.

use crate::document::{Context, Table};

/// Sections at the root, with what to write instead.
const SECTIONS: [(&str, &str); 6] = [
    ("interceptor", "write a `[subscribe]` entry with `handler` (and `priority`)"),
    ("topic", "write `wit` on the entries of `[publish]` and `[subscribe]`"),
    ("cron", "subscribe to the topics of a scheduler capsule"),
    ("llm_provider", "subscribe to `llm.v1.request.describe` and answer on `llm.v1.response.describe`"),
    ("dependencies", "write `[imports]` and `[exports]`"),
    ("skill", "put skills below `skills/`: they are packed, and read by whoever wants them"),
];

/// Refuses what is gone at the root of a manifest.
pub(super) fn sections(context: &Context<'_>, table: &mut Table<'_, '_>) {
    for (name, help) in SECTIONS {
        if let Some((span, _)) = table.take_entry(name) {
            context.error_help(&span, "removed-section", format!("`{name}` is gone"), help);
        }
    }
}

/// Refuses what is gone in `[capabilities]`.
pub(super) fn capabilities(context: &Context<'_>, table: &mut Table<'_, '_>) {
    for (name, help) in [
        ("ipc_publish", "write the topics as keys of `[publish]`"),
        ("ipc_subscribe", "write the topics as keys of `[subscribe]`"),
    ] {
        if let Some((span, _)) = table.take_entry(name) {
            context.error_help(&span, "removed-section", format!("`{name}` is gone"), help);
        }
    }
}
