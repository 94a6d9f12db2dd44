//! `tree` and `why`: who needs whom in the fleet.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use astrid_resolver::graph::{Graph, Node};
use astrid_resolver::resolution::Upgrade;
use astrid_resolver::verified::{Freshness, VerifiedFleet};
use serde_json::json;

use super::fleet;
use crate::args::WhyArgs;
use crate::exit::{DONE, Failure, Outcome};
use crate::render::{put, safe};
use crate::session::Session;

/// At most this many reasons are told.
const WAYS: usize = 8;

fn fleet_here(session: &mut Session) -> Result<VerifiedFleet, Failure> {
    let mut context = session.context()?;
    let path = PathBuf::from(".");
    let typed: &Path = &path;
    let declaration = fleet::declaration(session, &mut context, typed)?;
    fleet::fleet(session, &context, &declaration, Upgrade::None, BTreeMap::new(), Freshness::StatCache)
}

fn version(fleet: &VerifiedFleet, node: &Node) -> String {
    let lock = fleet.lock();
    match node {
        Node::Distro => format!("distro:{} {}", lock.distro.id, lock.distro.version),
        Node::Pack(id) => {
            let version = lock.pack(id.as_str()).map_or(String::new(), |pack| format!(" {}", pack.version));
            format!("{node}{}", safe(&version))
        }
        Node::Capsule(name) => {
            let version =
                lock.capsule(name.as_str()).map_or(String::new(), |one| format!(" {}", one.version));
            format!("{node}{version}")
        }
    }
}

fn branches(
    fleet: &VerifiedFleet,
    graph: &Graph,
    node: &Node,
    indent: &str,
    seen: &mut BTreeSet<Node>,
    out: &mut String,
) {
    let edges: Vec<_> = graph.needs(node).collect();
    for (index, edge) in edges.iter().enumerate() {
        let last = index + 1 == edges.len();
        let (branch, further) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let shown_before = !seen.insert(edge.to.clone()) && graph.needs(&edge.to).next().is_some();
        let mark = if shown_before { " (shown above)" } else { "" };
        put!(out, "{indent}{branch}{}  {}{mark}\n", version(fleet, &edge.to), edge.reason);
        if !shown_before {
            branches(fleet, graph, &edge.to, &format!("{indent}{further}"), seen, out);
        }
    }
}

/// `tree`
pub(crate) fn tree(session: &mut Session) -> Outcome {
    let fleet = fleet_here(session)?;
    let graph = fleet.graph()?;
    let mut pretty = format!("{}\n", version(&fleet, &Node::Distro));
    branches(&fleet, graph, &Node::Distro, "", &mut BTreeSet::from([Node::Distro]), &mut pretty);
    let edges: Vec<_> = graph
        .edges()
        .iter()
        .map(|edge| json!({ "from": edge.from.to_string(), "to": edge.to.to_string(), "reason": edge.reason.to_string() }))
        .collect();
    let document = json!({ "edges": edges, "order": graph.order() });
    session.shell.show(&document, &pretty)?;
    Ok(DONE)
}

/// `why`
pub(crate) fn why(session: &mut Session, args: &WhyArgs) -> Outcome {
    let fleet = fleet_here(session)?;
    let graph = fleet.graph()?;
    let bare = args.name.rsplit(':').next().unwrap_or(&args.name);
    let lock = fleet.lock();
    let capsule = lock.capsule(bare).map(|one| Node::Capsule(one.name.clone()));
    let pack = lock.pack(bare).map(|one| Node::Pack(one.id.clone()));
    let node = if args.name.starts_with("pack:") { pack } else { capsule.or(pack) };
    let node = node.ok_or_else(|| {
        Failure::failed(format!("`{}` is not in the fleet", safe(&args.name)))
            .hint("`astrid tree` shows what is")
    })?;
    let ways = graph.why(&node, WAYS);
    let mut pretty = format!("{}\n", version(&fleet, &node));
    for way in &ways {
        let steps: Vec<String> =
            way.iter().map(|edge| format!("{} ({})", version(&fleet, &edge.to), edge.reason)).collect();
        put!(pretty, "  {} → {}\n", version(&fleet, &Node::Distro), steps.join(" → "));
    }
    let document = json!({
        "node": node.to_string(),
        "ways": ways.iter().map(|way| way.iter().map(|edge| json!({
            "from": edge.from.to_string(), "to": edge.to.to_string(), "reason": edge.reason.to_string(),
        })).collect::<Vec<_>>()).collect::<Vec<_>>(),
    });
    session.shell.show(&document, &pretty)?;
    Ok(DONE)
}
