//! In which order capsules start: those that others need come first.

use std::collections::BTreeMap;

use astrid_authority::{CapsuleName, InterfaceId};
use petgraph::graph::{DiGraph, NodeIndex};
use semver::{Version, VersionReq};

/// What the order depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// Whose needs they are.
    pub name: CapsuleName,
    /// Interfaces that it needs. An import that nobody serves does not hold anybody up.
    pub imports: Vec<(InterfaceId, VersionReq)>,
    /// Interfaces that it serves.
    pub exports: Vec<(InterfaceId, Version)>,
    /// Capsules that were declared to start before it.
    pub after: Vec<CapsuleName>,
}

/// Capsules that need each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("capsules need each other in a circle, so that none can start first: {}; break it with `optional = true` on an import, or remove a `depends-on`", path(.0))]
pub struct Cycle(pub Vec<CapsuleName>);

fn path(cycle: &[CapsuleName]) -> String {
    let mut names: Vec<&str> = cycle.iter().map(CapsuleName::as_str).collect();
    names.extend(cycle.first().map(CapsuleName::as_str));
    names.join(" → ")
}

/// Groups capsules into steps: everyone's needs are served by the steps before its own.
///
/// # Errors
/// When some need each other; the error names one such circle.
pub fn steps(needs: &[Needs]) -> Result<Vec<Vec<CapsuleName>>, Cycle> {
    let mut graph: DiGraph<usize, ()> = DiGraph::with_capacity(needs.len(), needs.len());
    let nodes: Vec<NodeIndex> = (0..needs.len()).map(|at| graph.add_node(at)).collect();
    let by_name: BTreeMap<&CapsuleName, usize> =
        needs.iter().enumerate().map(|(at, one)| (&one.name, at)).collect();
    let mut by_export: BTreeMap<&InterfaceId, Vec<(usize, &Version)>> = BTreeMap::new();
    for (at, one) in needs.iter().enumerate() {
        for (interface, version) in &one.exports {
            by_export.entry(interface).or_default().push((at, version));
        }
    }
    for (at, one) in needs.iter().enumerate() {
        let declared = one.after.iter().filter_map(|name| by_name.get(name).copied());
        let imported = one.imports.iter().flat_map(|(interface, requirement)| {
            let exporters = by_export.get(interface).map_or(&[][..], Vec::as_slice);
            exporters.iter().filter(|(_, version)| requirement.matches(version)).map(|(other, _)| *other)
        });
        for other in declared.chain(imported).filter(|other| *other != at) {
            graph.update_edge(nodes[other], nodes[at], ());
        }
    }
    let Ok(order) = petgraph::algo::toposort(&graph, None) else {
        return Err(Cycle(circle(&graph).into_iter().map(|at| needs[at].name.clone()).collect()));
    };
    let mut depth = vec![0_usize; needs.len()];
    for node in order {
        let own = depth[graph[node]];
        for next in graph.neighbors(node) {
            let next = &mut depth[graph[next]];
            *next = (*next).max(own + 1);
        }
    }
    let mut steps = vec![Vec::new(); depth.iter().max().map_or(0, |last| last + 1)];
    for (at, step) in depth.into_iter().enumerate() {
        steps[step].push(needs[at].name.clone());
    }
    Ok(steps)
}

/// One circle of a graph that has one, each capsule followed by one that needs it.
fn circle(graph: &DiGraph<usize, ()>) -> Vec<usize> {
    let components = petgraph::algo::tarjan_scc(graph);
    let Some(component) = components.iter().find(|component| component.len() > 1) else { return Vec::new() };
    let mut walked: Vec<NodeIndex> = Vec::new();
    let mut at = component[0];
    // Everyone in a strongly connected component has a successor in it, so the walk must come back.
    loop {
        if let Some(seen) = walked.iter().position(|node| *node == at) {
            return walked[seen..].iter().map(|node| graph[*node]).collect();
        }
        walked.push(at);
        match graph.neighbors(at).find(|next| component.contains(next)) {
            Some(next) => at = next,
            None => return Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn needs(name: &str, after: &[&str]) -> Needs {
        Needs {
            name: name.parse().unwrap(),
            imports: Vec::new(),
            exports: Vec::new(),
            after: after.iter().map(|name| name.parse().unwrap()).collect(),
        }
    }

    fn names(steps: &[Vec<CapsuleName>]) -> Vec<Vec<&str>> {
        steps.iter().map(|step| step.iter().map(CapsuleName::as_str).collect()).collect()
    }

    #[test]
    fn exporters_come_before_importers() {
        let mut session = needs("session", &[]);
        session.exports = vec![("astrid:session".parse().unwrap(), Version::new(1, 1, 0))];
        session.imports = vec![("astrid:session".parse().unwrap(), VersionReq::STAR)];
        let mut react = needs("react", &["fs", "absent"]);
        react.imports = vec![("astrid:session".parse().unwrap(), "^1.0".parse().unwrap())];
        let mut old = needs("old", &[]);
        old.imports = vec![("astrid:session".parse().unwrap(), "^2".parse().unwrap())];
        let steps = steps(&[react, session, old, needs("fs", &[])]).unwrap();
        assert_eq!(names(&steps), [vec!["session", "old", "fs"], vec!["react"]]);
    }

    #[test]
    fn a_circle_is_denied_and_named() {
        let circle = steps(&[needs("a", &["c"]), needs("b", &["a"]), needs("c", &["b"]), needs("d", &["a"])]);
        let text = circle.unwrap_err().to_string();
        assert!(
            ["a → b → c → a", "b → c → a → b", "c → a → b → c"].iter().any(|path| text.contains(path)),
            "{text}"
        );
    }

    proptest! {
        #[test]
        fn nobody_starts_before_what_it_needs(edges in prop::collection::vec((0_usize..12, 0_usize..12), 0..30)) {
            let mut all: Vec<Needs> = (0..12).map(|at| needs(&format!("c{at}"), &[])).collect();
            for (one, other) in edges {
                // Only towards smaller numbers: no circle.
                if one > other {
                    let name = all[other].name.clone();
                    all[one].after.push(name);
                }
            }
            let steps = steps(&all).unwrap();
            let step_of = |name: &CapsuleName| steps.iter().position(|step| step.contains(name)).unwrap();
            for one in &all {
                for other in &one.after {
                    prop_assert!(step_of(other) < step_of(&one.name));
                }
            }
        }
    }
}
