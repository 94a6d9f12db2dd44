//! Who needs whom in a fleet: the edges, the order of loading, and cycles told as the path that
//! closes them. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use astrid_authority::{CapsuleName, InterfaceId, PackId};
use semver::VersionReq;

use crate::error::{Error, Result};

/// A node of the fleet's graph.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Node {
    /// The declaration itself.
    Distro,
    /// A pack.
    Pack(PackId),
    /// A capsule, in a pack or not.
    Capsule(CapsuleName),
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Distro => f.write_str("distro"),
            Self::Pack(id) => write!(f, "pack:{id}"),
            Self::Capsule(name) => write!(f, "capsule:{name}"),
        }
    }
}

/// Why one node needs another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A line of the declaration names it.
    Declared {
        /// The requirement as written.
        requirement: String,
        /// The line of `Distro.toml`, from 1.
        line: usize,
    },
    /// The pack holds the capsule.
    Holds,
    /// The pack says that it needs the other pack.
    NeedsPack {
        /// Which versions of it do.
        requirement: String,
    },
    /// The capsule imports an interface that the other exports.
    Imports {
        /// Which interface.
        interface: InterfaceId,
        /// Which versions of it do.
        requirement: String,
        /// Whether it also works without.
        optional: bool,
    },
    /// `depends-on` of the declaration.
    DependsOn {
        /// The line of `Distro.toml`, from 1.
        line: usize,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Declared { requirement, line } => write!(f, "declared as `{requirement}` in line {line}"),
            Self::Holds => f.write_str("is in the pack"),
            Self::NeedsPack { requirement } => write!(f, "needs `{requirement}`"),
            Self::Imports { interface, requirement, optional } => {
                let word = if *optional { "can use" } else { "imports" };
                write!(f, "{word} `{interface} {requirement}`")
            }
            Self::DependsOn { line } => write!(f, "depends on it (line {line})"),
        }
    }
}

/// An edge: `from` needs `to`, because.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Edge {
    /// Who needs.
    pub from: Node,
    /// What is needed.
    pub to: Node,
    /// Why.
    pub reason: Reason,
}

/// The edges of a fleet and the order in which its capsules are loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Graph {
    edges: Vec<Edge>,
    providers: BTreeMap<(InterfaceId, String), Vec<CapsuleName>>,
    order: Vec<CapsuleName>,
}

/// What one capsule needs, for building a [`Graph`].
#[derive(Debug, Clone)]
pub struct Needs {
    /// The capsule.
    pub name: CapsuleName,
    /// What it imports: interface, requirement, and whether it also works without.
    pub imports: Vec<(InterfaceId, VersionReq, bool)>,
    /// What it exports.
    pub exports: BTreeMap<InterfaceId, semver::Version>,
    /// Capsules to be loaded before, with the line that says so.
    pub depends_on: Vec<(CapsuleName, usize)>,
    /// Uplinks are loaded before everything that nothing orders otherwise.
    pub uplink: bool,
}

/// The interfaces that more than one capsule exports, with who does.
#[must_use]
pub fn shared_exports(needs: &[Needs]) -> BTreeMap<&InterfaceId, Vec<&CapsuleName>> {
    let mut exporters: BTreeMap<&InterfaceId, Vec<&CapsuleName>> = BTreeMap::new();
    for need in needs {
        for interface in need.exports.keys() {
            exporters.entry(interface).or_default().push(&need.name);
        }
    }
    exporters.retain(|_, names| names.len() > 1);
    exporters
}

impl Graph {
    /// Draws the edges between capsules, adds `outer` ones, and orders the capsules.
    ///
    /// # Errors
    /// `Invalid` with the path that closes a cycle.
    pub fn build(needs: &[Needs], outer: Vec<Edge>) -> Result<Self> {
        let mut exporters: BTreeMap<&InterfaceId, Vec<(&CapsuleName, &semver::Version)>> = BTreeMap::new();
        for need in needs {
            for (interface, version) in &need.exports {
                exporters.entry(interface).or_default().push((&need.name, version));
            }
        }
        let mut providers: BTreeMap<(InterfaceId, String), Vec<CapsuleName>> = BTreeMap::new();
        // An import goes through one node for all that import the same, so that the size stays linear.
        let mut drawing = Drawing::new(needs);
        for need in needs {
            for (before, _) in &need.depends_on {
                drawing.edge(&need.name, before, true);
            }
            for (interface, requirement, optional) in &need.imports {
                let key = (interface.clone(), requirement.to_string());
                let found = providers.entry(key).or_insert_with(|| {
                    exporters
                        .get(interface)
                        .into_iter()
                        .flatten()
                        .filter(|(_, version)| requirement.matches(version))
                        .map(|(name, _)| (*name).clone())
                        .collect()
                });
                // With a second provider no single one has to come first.
                let others = found.iter().filter(|name| **name != need.name).take(2).count();
                drawing.import(need, interface, &requirement.to_string(), found, !optional && others == 1);
            }
        }
        let order = drawing.order()?;
        let mut edges = outer;
        edges.sort();
        let mut graph = Self { edges, providers, order };
        graph.add_inner(needs);
        Ok(graph)
    }

    fn add_inner(&mut self, needs: &[Needs]) {
        const MAX_PROVIDERS: usize = 64;
        let mut inner = Vec::new();
        for need in needs {
            let from = Node::Capsule(need.name.clone());
            for (before, line) in &need.depends_on {
                let reason = Reason::DependsOn { line: *line };
                inner.push(Edge { from: from.clone(), to: Node::Capsule(before.clone()), reason });
            }
            for (interface, requirement, optional) in &need.imports {
                let key = (interface.clone(), requirement.to_string());
                let found = self.providers.get(&key).into_iter().flatten();
                for provider in found.filter(|name| **name != need.name).take(MAX_PROVIDERS) {
                    inner.push(Edge {
                        from: from.clone(),
                        to: Node::Capsule(provider.clone()),
                        reason: Reason::Imports {
                            interface: interface.clone(),
                            requirement: key.1.clone(),
                            optional: *optional,
                        },
                    });
                }
            }
        }
        self.edges.append(&mut inner);
        self.edges.sort();
        self.edges.dedup();
    }

    /// Every edge, sorted.
    #[must_use]
    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }

    /// The capsules in an order in which each comes after what it needs.
    #[must_use]
    pub fn order(&self) -> &[CapsuleName] {
        &self.order
    }

    /// The capsules that satisfy an import.
    #[must_use]
    pub fn providers(&self, interface: &InterfaceId, requirement: &VersionReq) -> &[CapsuleName] {
        self.providers.get(&(interface.clone(), requirement.to_string())).map_or(&[], Vec::as_slice)
    }

    /// What `node` needs.
    pub fn needs<'a>(&'a self, node: &'a Node) -> impl Iterator<Item = &'a Edge> {
        let start = self.edges.partition_point(|edge| edge.from < *node);
        self.edges[start..].iter().take_while(move |edge| edge.from == *node)
    }

    /// Who needs `node`.
    pub fn needed_by<'a>(&'a self, node: &'a Node) -> impl Iterator<Item = &'a Edge> {
        self.edges.iter().filter(move |edge| edge.to == *node)
    }

    /// Every way from the declaration to `node`, the shortest first, at most `limit`: why it is here.
    ///
    /// Each way is a list of edges that begins at the distro and never meets a node twice.
    #[must_use]
    pub fn why(&self, node: &Node, limit: usize) -> Vec<Vec<&Edge>> {
        const MAX_STEPS: usize = 100_000;
        let mut incoming: BTreeMap<&Node, Vec<&Edge>> = BTreeMap::new();
        for edge in &self.edges {
            incoming.entry(&edge.to).or_default().push(edge);
        }
        let mut ways = Vec::new();
        let mut open: std::collections::VecDeque<Vec<&Edge>> = std::collections::VecDeque::from([Vec::new()]);
        let mut steps = 0;
        while let Some(way) = open.pop_front() {
            steps += 1;
            if ways.len() >= limit || steps > MAX_STEPS {
                break;
            }
            let at = way.last().map_or(node, |edge: &&Edge| &edge.from);
            if *at == Node::Distro {
                ways.push(way.into_iter().rev().collect());
                continue;
            }
            for edge in incoming.get(at).into_iter().flatten() {
                let met = edge.from == *node || way.iter().any(|seen| seen.from == edge.from);
                if !met {
                    let mut longer = way.clone();
                    longer.push(edge);
                    open.push_back(longer);
                }
            }
        }
        ways
    }
}

/// The graph as numbers, for ordering.
struct Drawing<'a> {
    names: Vec<&'a CapsuleName>,
    numbers: BTreeMap<&'a CapsuleName, usize>,
    uplinks: BTreeSet<usize>,
    /// For each node what has to come before it; capsules first, then one node per import.
    hard: Vec<BTreeSet<usize>>,
    soft: Vec<BTreeSet<usize>>,
    /// What stands on an edge, for telling a cycle.
    words: BTreeMap<(usize, usize), String>,
}

impl<'a> Drawing<'a> {
    fn new(needs: &'a [Needs]) -> Self {
        let mut names: Vec<&CapsuleName> = needs.iter().map(|need| &need.name).collect();
        names.sort();
        names.dedup();
        let numbers: BTreeMap<_, _> =
            names.iter().enumerate().map(|(number, name)| (*name, number)).collect();
        let uplinks =
            needs.iter().filter(|need| need.uplink).filter_map(|need| numbers.get(&need.name).copied());
        Self {
            uplinks: uplinks.collect(),
            hard: vec![BTreeSet::new(); names.len()],
            soft: vec![BTreeSet::new(); names.len()],
            words: BTreeMap::new(),
            names,
            numbers,
        }
    }

    fn edge(&mut self, from: &CapsuleName, to: &CapsuleName, hard: bool) {
        let (Some(&from), Some(&to)) = (self.numbers.get(from), self.numbers.get(to)) else { return };
        if hard {
            self.hard[from].insert(to);
            self.words.entry((from, to)).or_insert_with(|| "depends on".to_owned());
        } else {
            self.soft[from].insert(to);
        }
    }

    fn import(
        &mut self,
        need: &Needs,
        interface: &InterfaceId,
        requirement: &str,
        found: &[CapsuleName],
        hard: bool,
    ) {
        const MAX_SOFT: usize = 64;
        for provider in found.iter().filter(|name| **name != need.name).take(MAX_SOFT) {
            self.edge(&need.name, provider, false);
            if hard {
                let (Some(&from), Some(&to)) = (self.numbers.get(&need.name), self.numbers.get(provider))
                else {
                    continue;
                };
                self.hard[from].insert(to);
                self.words
                    .entry((from, to))
                    .or_insert_with(|| format!("imports `{interface} {requirement}` from"));
            }
        }
    }

    fn order(self) -> Result<Vec<CapsuleName>> {
        let both: Vec<BTreeSet<usize>> = self
            .hard
            .iter()
            .zip(&self.soft)
            .map(|(hard, soft)| hard.union(soft).copied().collect())
            .collect();
        // What is only nice to have must not make an order impossible.
        let order = match self.sorted(&both) {
            Some(order) => order,
            None => self.sorted(&self.hard).ok_or_else(|| self.cycle())?,
        };
        Ok(order.into_iter().map(|number| self.names[number].clone()).collect())
    }

    /// Every node after what it needs, by name where nothing else orders; nothing when there is a cycle.
    fn sorted(&self, before: &[BTreeSet<usize>]) -> Option<Vec<usize>> {
        let mut after: Vec<Vec<usize>> = vec![Vec::new(); before.len()];
        let mut open: Vec<usize> = before.iter().map(BTreeSet::len).collect();
        for (node, needs) in before.iter().enumerate() {
            for &need in needs {
                after[need].push(node);
            }
        }
        let key = |node: usize| (!self.uplinks.contains(&node), node);
        let mut ready: BTreeSet<(bool, usize)> =
            open.iter().enumerate().filter(|(_, count)| **count == 0).map(|(node, _)| key(node)).collect();
        let mut order = Vec::with_capacity(before.len());
        while let Some((_, node)) = ready.pop_first() {
            order.push(node);
            for &next in &after[node] {
                open[next] -= 1;
                if open[next] == 0 {
                    ready.insert(key(next));
                }
            }
        }
        (order.len() == before.len()).then_some(order)
    }

    /// Walks along hard edges until a node comes up again: that is a cycle, since every node that
    /// is not in an order needs another one that is not.
    fn cycle(&self) -> Error {
        let mut stuck: BTreeSet<usize> = (0..self.hard.len()).collect();
        loop {
            let free: Vec<usize> =
                stuck.iter().copied().filter(|node| self.hard[*node].is_disjoint(&stuck)).collect();
            if free.is_empty() {
                break;
            }
            for node in free {
                stuck.remove(&node);
            }
        }
        let mut path: Vec<usize> = stuck.first().copied().into_iter().collect();
        while let Some(&last) = path.last() {
            let Some(&next) = self.hard[last].intersection(&stuck).next() else { break };
            if let Some(start) = path.iter().position(|seen| *seen == next) {
                path.drain(..start);
                path.push(next);
                break;
            }
            path.push(next);
        }
        let lines = path.windows(2).map(|pair| {
            let word = self.words.get(&(pair[0], pair[1])).map_or("needs", String::as_str);
            format!("capsule `{}` {word} capsule `{}`", self.names[pair[0]], self.names[pair[1]])
        });
        let names: Vec<&str> = path.iter().map(|node| self.names[*node].as_str()).collect();
        Error::invalid(format!("capsules need each other in a circle: {}", names.join(" → ")))
            .because(lines.collect::<Vec<_>>())
            .hint("make one of the imports optional, or drop a `depends-on`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(name: &str, imports: &[(&str, bool)], exports: &[&str], before: &[&str]) -> Needs {
        Needs {
            name: name.parse().unwrap(),
            imports: imports
                .iter()
                .map(|(interface, optional)| {
                    (interface.parse().unwrap(), VersionReq::parse("^1").unwrap(), *optional)
                })
                .collect(),
            exports: exports
                .iter()
                .map(|interface| (interface.parse().unwrap(), semver::Version::new(1, 0, 0)))
                .collect(),
            depends_on: before.iter().map(|name| (name.parse().unwrap(), 9)).collect(),
            uplink: name.starts_with("up"),
        }
    }

    fn order(needs: &[Needs]) -> Vec<String> {
        Graph::build(needs, Vec::new()).unwrap().order().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn providers_come_before_and_uplinks_early() {
        let needs = [
            need("a", &[("x:y", false)], &[], &[]),
            need("b", &[], &["x:y"], &["c"]),
            need("c", &[], &[], &[]),
            need("up", &[], &[], &[]),
        ];
        assert_eq!(order(&needs), ["up", "c", "b", "a"]);
    }

    #[test]
    fn a_circle_is_told_as_its_path_denied() {
        let needs = [
            need("a", &[("x:b", false)], &["x:a"], &[]),
            need("b", &[("x:a", false)], &["x:b"], &[]),
            need("c", &[("x:a", false)], &[], &[]),
        ];
        let error = Graph::build(&needs, Vec::new()).unwrap_err();
        assert_eq!(error.message(), "capsules need each other in a circle: a → b → a");
        assert_eq!(error.reasons()[0], "capsule `a` imports `x:b ^1` from capsule `b`");
    }

    #[test]
    fn what_is_optional_or_has_a_choice_closes_no_circle() {
        let optional =
            [need("a", &[("x:b", true)], &["x:a"], &[]), need("b", &[("x:a", false)], &["x:b"], &[])];
        assert_eq!(order(&optional), ["a", "b"]);
        let choice = [
            need("a", &[("x:b", false)], &["x:a"], &[]),
            need("b", &[("x:a", false)], &["x:b"], &[]),
            need("c", &[], &["x:b"], &[]),
        ];
        assert_eq!(order(&choice).len(), 3);
    }

    #[test]
    fn why_tells_the_ways_from_the_declaration() {
        let needs = [need("a", &[("x:y", false)], &[], &[]), need("b", &[], &["x:y"], &[])];
        let declared = |name: &str, line| Edge {
            from: Node::Distro,
            to: Node::Capsule(name.parse().unwrap()),
            reason: Reason::Declared { requirement: "*".to_owned(), line },
        };
        let graph = Graph::build(&needs, vec![declared("a", 4), declared("b", 8)]).unwrap();
        let ways = graph.why(&Node::Capsule("b".parse().unwrap()), 10);
        let told: Vec<Vec<String>> = ways
            .iter()
            .map(|way| way.iter().map(|edge| format!("{} {}", edge.from, edge.reason)).collect())
            .collect();
        assert_eq!(
            told,
            [
                vec!["distro declared as `*` in line 8"],
                vec!["distro declared as `*` in line 4", "capsule:a imports `x:y ^1`"],
            ]
        );
        assert!(graph.why(&Node::Capsule("zzz".parse().unwrap()), 10).is_empty());
    }
}
