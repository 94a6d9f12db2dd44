//! Grants in an order and a brevity that people can read: what reaches outside first, topics of the bus last,
//! and topics that differ in their last part on one line. Nothing is left out.

use std::collections::BTreeMap;

use astrid_authority::{Grant, GrantKind};

use super::safe;

/// What reaches furthest comes first.
fn rank(kind: GrantKind) -> usize {
    const ORDER: [GrantKind; 15] = [
        GrantKind::HostProcess,
        GrantKind::AllowPersistent,
        GrantKind::Secret,
        GrantKind::FsWrite,
        GrantKind::FsRead,
        GrantKind::NetBind,
        GrantKind::NetConnect,
        GrantKind::Net,
        GrantKind::Identity,
        GrantKind::Uplink,
        GrantKind::AllowPromptInjection,
        GrantKind::Permission,
        GrantKind::Env,
        GrantKind::Publish,
        GrantKind::Subscribe,
    ];
    ORDER.iter().position(|one| *one == kind).unwrap_or(ORDER.len())
}

/// One line per grant; topics of one stem share a line: `subscribe:tool.v1.execute.{copy_file, move_file}`.
pub(crate) fn lines<'a>(grants: impl IntoIterator<Item = &'a Grant>) -> Vec<String> {
    let mut sorted: Vec<&Grant> = grants.into_iter().collect();
    sorted.sort_by_key(|grant| (rank(grant.kind()), grant.to_string()));
    let mut lines: Vec<String> = Vec::new();
    let mut stems: BTreeMap<String, (usize, Vec<String>)> = BTreeMap::new();
    for grant in sorted {
        let text = safe(&grant.to_string());
        let is_topic = matches!(grant.kind(), GrantKind::Publish | GrantKind::Subscribe);
        match text.rsplit_once('.').filter(|_| is_topic) {
            Some((stem, last)) => {
                let next = lines.len();
                let (line, parts) = stems.entry(stem.to_owned()).or_insert((next, Vec::new()));
                parts.push(last.to_owned());
                let shown = match parts.as_slice() {
                    [one] => format!("{stem}.{one}"),
                    many => format!("{stem}.{{{}}}", many.join(", ")),
                };
                match lines.get_mut(*line) {
                    Some(line) => *line = shown,
                    None => lines.push(shown),
                }
            }
            None => lines.push(text),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reaches_outside_is_first_and_topics_share_lines() {
        let grants: Vec<Grant> = [
            "subscribe:tool.v1.execute.b",
            "publish:x.y",
            "subscribe:tool.v1.execute.a",
            "fs_read:cwd://",
            "subscribe:tool.v1.request.describe",
            "host_process:git",
        ]
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
        assert_eq!(
            lines(&grants),
            [
                "host_process:git",
                "fs_read:cwd://",
                "publish:x.y",
                "subscribe:tool.v1.execute.{a, b}",
                "subscribe:tool.v1.request.describe",
            ]
        );
    }
}
