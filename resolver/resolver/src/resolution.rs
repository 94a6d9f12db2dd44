//! From a declaration to exact versions and the graph of who needs whom.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use astrid_authority::{CapsuleName, PackId};
use astrid_manifest::distro::Distro;
use astrid_manifest::lock::Lock;
use astrid_manifest::source::Source;
use astrid_manifest::version::{Requirement, platform_admits};
use semver::Version;

use crate::artifact::Artifact;
use crate::context::{Context, Network};
use crate::declaration::{Base, Declaration, ExistingLock};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Edge, Graph, Needs, Node, Reason, shared_exports};
use crate::index::{Found, Index};
use crate::lock_state::{LockState, Selection, lock_state};
use crate::solve::{Member, Problem, RootImport, Solution, Wanted, solve};
use crate::source::index::plain_path;

/// Which locked versions may be left for newer ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Upgrade {
    /// None: what is locked stays while it is allowed.
    #[default]
    None,
    /// All of them.
    All,
    /// Those of these names, capsules and packs alike.
    Names(BTreeSet<String>),
}

impl Upgrade {
    /// Whether a member may be upgraded.
    #[must_use]
    pub fn includes(&self, member: &Member) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Names(names) => names.contains(member.name()) || names.contains(&member.to_string()),
        }
    }
}

/// What the lock is to a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LockMode {
    /// Versions are taken from it, and it is brought up to date.
    #[default]
    Normal,
    /// It must be what the declaration asks for: a stale one is refused.
    Locked,
    /// The same, and nothing is asked of the network.
    Frozen,
}

/// What a run asks of the resolver.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Which locked versions may be left.
    pub upgrade: Upgrade,
    /// What is chosen from groups, instead of what lock or declaration say.
    pub selection: Selection,
    /// What the lock is to this run.
    pub mode: LockMode,
}

/// A member with the artifact that was chosen for it.
#[derive(Debug, Clone)]
pub(crate) struct Chosen {
    pub(crate) found: Arc<Found>,
    pub(crate) source: Source,
    pub(crate) requirement: Option<Requirement>,
    pub(crate) capsules: Option<Vec<CapsuleName>>,
}

/// What was worked out when the lock alone did not say it.
#[derive(Debug, Clone)]
pub(crate) struct Solved {
    pub(crate) members: BTreeMap<Member, Chosen>,
    pub(crate) graph: Graph,
}

/// Exact versions for every member of a declaration. Only [`crate::verified::verify`] takes it further.
#[derive(Debug, Clone)]
pub struct Resolution {
    pub(crate) declaration: Declaration,
    pub(crate) request: Request,
    pub(crate) selection: Selection,
    /// Nothing while the lock says it all.
    pub(crate) solved: Option<Solved>,
    pub(crate) notes: Vec<String>,
}

impl Resolution {
    /// What was resolved.
    #[must_use]
    pub fn declaration(&self) -> &Declaration {
        &self.declaration
    }

    /// Who is taken from each group.
    #[must_use]
    pub fn selection(&self) -> &Selection {
        &self.selection
    }

    /// The version of every member, as its source has it.
    #[must_use]
    pub fn versions(&self) -> BTreeMap<Member, String> {
        match (&self.solved, self.declaration.lock()) {
            (Some(solved), _) => solved
                .members
                .iter()
                .map(|(member, chosen)| (member.clone(), chosen.found.artifact.version_text()))
                .collect(),
            (None, Some(lock)) => {
                let capsules = lock.capsules.iter().filter(|locked| locked.pack.is_none());
                let capsules =
                    capsules.map(|locked| (Member::Capsule(locked.name.clone()), locked.version.to_string()));
                let packs =
                    lock.packs.iter().map(|locked| (Member::Pack(locked.id.clone()), locked.version.clone()));
                capsules.chain(packs).collect()
            }
            (None, None) => BTreeMap::new(),
        }
    }

    /// What people should know: a default that was taken, an optional import that nothing satisfies.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// Finds exact versions for everything that is declared.
///
/// A fresh lock is taken as it is; else its versions are kept while they are allowed.
///
/// # Errors
/// `StaleLock` when the mode demands a fresh lock; `Invalid` when nothing satisfies the declaration,
/// with the chain of reasons; `NeedsNetwork`, `Failed` and `Corrupt` from sources.
pub fn resolve(context: &Context, declaration: &Declaration, request: &Request) -> Result<Resolution> {
    let context = &in_mode(context, request.mode);
    if request.mode != LockMode::Normal && request.upgrade != Upgrade::None {
        return Err(Error::new(ErrorKind::NeedsNetwork, "a locked run upgrades nothing")
            .hint("leave out `--locked` and `--frozen`"));
    }
    check_floor(context, declaration)?;
    let state = lock_state(declaration, &request.selection);
    // What a bundle holds is what its lock pins: one that is stale was never sealed by this program.
    let is_pinned = declaration.bundle().is_some() && declaration.lock().is_some();
    if (request.mode != LockMode::Normal || is_pinned)
        && let Some(refusal) = state.refusal()
    {
        return Err(refusal);
    }
    let (selection, notes) = select(declaration, &request.selection)?;
    let mut resolution = Resolution {
        declaration: declaration.clone(),
        request: request.clone(),
        selection,
        solved: None,
        notes,
    };
    if state != LockState::Fresh || request.upgrade != Upgrade::None {
        solve_fully(context, &mut resolution)?;
    }
    Ok(resolution)
}

/// A frozen run is an offline one, whatever else was said.
pub(crate) fn in_mode(context: &Context, mode: LockMode) -> Context {
    let mut context = context.clone();
    if mode == LockMode::Frozen {
        context.network = Network::Offline;
    }
    context
}

fn check_floor(context: &Context, declaration: &Declaration) -> Result<()> {
    let header = &declaration.distro().header;
    match &header.astrid_version {
        Some(requirement) if !platform_admits(requirement, &context.platform) => {
            Err(Error::invalid(format!(
                "distro `{}` works with platform `{requirement}`, and this one is {}",
                header.id, context.platform
            ))
            .at(declaration.place(header.at))
            .hint("update this program (`astrid update`), or take another version of the distro"))
        }
        _ => Ok(()),
    }
}

/// Who is taken from each group: as this run asks, else as the lock has it, else the defaults.
fn select(declaration: &Declaration, asked: &Selection) -> Result<(Selection, Vec<String>)> {
    let distro: &Distro = declaration.distro();
    let groups = distro.groups();
    let mut selection = Selection::new();
    let mut notes = Vec::new();
    if let Some(group) = asked.keys().find(|group| !groups.contains_key(group.as_str())) {
        let known: Vec<&str> = groups.keys().copied().collect();
        return Err(Error::invalid(format!("there is no group `{group}`"))
            .hint(format!("the groups are: {}", known.join(", "))));
    }
    for (group, members) in &groups {
        let is_member = |name: &CapsuleName| members.iter().any(|entry| entry.name == *name);
        if let Some(names) = asked.get(*group) {
            if let Some(stranger) = names.iter().find(|name| !is_member(name)) {
                let known: Vec<&str> = members.iter().map(|entry| entry.name.as_str()).collect();
                return Err(Error::invalid(format!("group `{group}` has no capsule `{stranger}`"))
                    .hint(format!("it has: {}", known.join(", "))));
            }
            let mut names = names.clone();
            names.sort();
            names.dedup();
            selection.insert((*group).to_owned(), names);
            continue;
        }
        let locked = declaration.lock().and_then(|lock| lock.selection.get(*group));
        if let Some(names) = locked
            && names.iter().all(is_member)
        {
            selection.insert((*group).to_owned(), names.clone());
            continue;
        }
        let (taken, is_first) = Distro::default_selection(members);
        let mut names: Vec<CapsuleName> = taken.into_iter().map(|entry| entry.name.clone()).collect();
        if let (true, Some(name)) = (is_first && members.len() > 1, names.first()) {
            notes.push(format!("group `{group}` has no default: `{name}`, its first capsule, is taken"));
        }
        names.sort();
        selection.insert((*group).to_owned(), names);
    }
    Ok((selection, notes))
}

/// The members that are declared and selected.
fn members(distro: &Distro, selection: &Selection) -> BTreeSet<Member> {
    let taken: BTreeSet<&CapsuleName> = selection.values().flatten().collect();
    let capsules =
        distro.capsules.iter().filter(|entry| entry.group.is_none() || taken.contains(&entry.name));
    let capsules = capsules.map(|entry| Member::Capsule(entry.name.clone()));
    capsules.chain(distro.packs.iter().map(|entry| Member::Pack(entry.id.clone()))).collect()
}

/// Asks sources, solves, and draws the graph.
pub(crate) fn solve_fully(context: &Context, resolution: &mut Resolution) -> Result<()> {
    let declaration = resolution.declaration.clone();
    let distro = declaration.distro();
    let members = members(distro, &resolution.selection);
    check_absolute(&declaration, &members)?;
    let upgrade = &resolution.request.upgrade.clone();
    let mut index = Index::new(context, &declaration, &members, upgrade, true)?;
    index.warm()?;
    let mut problem = problem(context, &declaration, &members, &index);
    let solution = match solve(&problem, &index) {
        // What the lock hid may be what is missing; a locked run may not look.
        Err(error)
            if error.kind() == ErrorKind::Invalid
                && index.hid_something()
                && resolution.request.mode == LockMode::Normal =>
        {
            index = Index::new(context, &declaration, &members, upgrade, false)?;
            index.warm()?;
            problem = self::problem(context, &declaration, &members, &index);
            solve(&problem, &index)?
        }
        other => other?,
    };
    let chosen = choose(&solution, &index)?;
    index.save()?;
    let graph = draw(&declaration, &problem, &solution, &mut resolution.notes)?;
    for (member, chosen) in &chosen {
        if let (Artifact::Pack(pack), Some(requirement)) = (&chosen.found.artifact, &chosen.requirement)
            && pack.manifest.semver().is_none()
        {
            return Err(Error::invalid(format!(
                "{} has the version `{}`, which `{requirement}` can't be compared with",
                member.words(),
                pack.manifest.version
            ))
            .hint("leave out `version`, or give the pack a version such as `1.2.3`"));
        }
    }
    resolution.solved = Some(Solved { members: chosen, graph });
    Ok(())
}

/// An absolute path means something on one machine only, and a lock is for all.
fn check_absolute(declaration: &Declaration, members: &BTreeSet<Member>) -> Result<()> {
    if declaration.is_home() {
        return Ok(());
    }
    let distro = declaration.distro();
    let capsules = distro
        .capsules
        .iter()
        .map(|entry| (Member::Capsule(entry.name.clone()), &entry.source, entry.source_at));
    let packs =
        distro.packs.iter().map(|entry| (Member::Pack(entry.id.clone()), &entry.source, entry.source_at));
    for (member, source, at) in capsules.chain(packs) {
        let absolute = matches!(source, Source::Path(path) | Source::Archive(path) if path.is_absolute());
        if absolute && members.contains(&member) {
            return Err(Error::invalid(format!("the source of {} is an absolute path", member.words()))
                .at(declaration.place(at))
                .hint(
                    "write a path relative to Distro.toml; only the home's own distro may name absolute ones",
                ));
        }
    }
    Ok(())
}

fn problem(
    context: &Context,
    declaration: &Declaration,
    members: &BTreeSet<Member>,
    index: &Index<'_>,
) -> Problem {
    let distro = declaration.distro();
    let legacy: BTreeMap<&str, &Version> = match declaration.existing_lock() {
        ExistingLock::Legacy(lock) => {
            lock.capsules.iter().map(|locked| (locked.name.as_str(), &locked.version)).collect()
        }
        _ => BTreeMap::new(),
    };
    let requirement =
        |requirement: &Option<Requirement>| requirement.as_ref().map(|one| one.as_req().clone());
    let mut wanted = Vec::new();
    for entry in &distro.capsules {
        let member = Member::Capsule(entry.name.clone());
        if members.contains(&member) {
            let preferred = index
                .locked_version(&member)
                .or_else(|| legacy.get(entry.name.as_str()).map(|version| (*version).clone()));
            wanted.push(Wanted {
                requirement: requirement(&entry.version),
                place: declaration.place(entry.at),
                preferred,
                depends_on: entry.depends_on.clone(),
                uplink: entry.is_uplink(),
                member,
            });
        }
    }
    for entry in &distro.packs {
        let member = Member::Pack(entry.id.clone());
        wanted.push(Wanted {
            requirement: requirement(&entry.version),
            place: declaration.place(entry.at),
            preferred: index.locked_version(&member),
            depends_on: entry.depends_on.clone(),
            uplink: false,
            member,
        });
    }
    let requires = distro.header.requires.iter().map(|required| RootImport {
        interface: required.interface.clone(),
        requirement: required.requirement.clone(),
        place: declaration.place(required.at),
    });
    Problem { wanted, requires: requires.collect(), platform: context.platform.clone() }
}

fn choose(solution: &Solution, index: &Index<'_>) -> Result<BTreeMap<Member, Chosen>> {
    let mut chosen = BTreeMap::new();
    for (member, metadata) in &solution.chosen {
        let found = index.find(member, &metadata.version)?;
        let entry = index.entry(member);
        chosen.insert(
            member.clone(),
            Chosen {
                found,
                source: index.source(member),
                requirement: entry.and_then(|entry| entry.requirement.clone()),
                capsules: entry.and_then(|entry| entry.capsules.clone()),
            },
        );
    }
    Ok(chosen)
}

/// Draws who needs whom, and refuses a capsule that comes twice and what needs itself in a circle.
fn draw(
    declaration: &Declaration,
    problem: &Problem,
    solution: &Solution,
    notes: &mut Vec<String>,
) -> Result<Graph> {
    let lines: BTreeMap<&Member, &Wanted> =
        problem.wanted.iter().map(|wanted| (&wanted.member, wanted)).collect();
    let mut owners: BTreeMap<&CapsuleName, &Member> = BTreeMap::new();
    let mut outer = Vec::new();
    let mut needs = Vec::new();
    for (member, metadata) in &solution.chosen {
        let node = match member {
            Member::Capsule(name) => Node::Capsule(name.clone()),
            Member::Pack(id) => Node::Pack(id.clone()),
        };
        if let Some(wanted) = lines.get(member) {
            let requirement = wanted.requirement.as_ref().map_or_else(|| "*".to_owned(), ToString::to_string);
            let reason = Reason::Declared { requirement, line: wanted.place.line };
            outer.push(Edge { from: Node::Distro, to: node.clone(), reason });
        }
        for (pack, requirement) in &metadata.packs {
            let requirement = requirement.as_ref().map_or_else(|| "*".to_owned(), ToString::to_string);
            let reason = Reason::NeedsPack { requirement };
            outer.push(Edge { from: node.clone(), to: Node::Pack(pack.clone()), reason });
        }
        for part in &metadata.parts {
            if let Some(other) = owners.insert(&part.name, member) {
                let line = |member: &Member| {
                    lines.get(member).map(|wanted| format!("{}: {}", wanted.place, member.words()))
                };
                return Err(Error::invalid(format!(
                    "capsule `{}` comes twice: from {} and from {}",
                    part.name,
                    other.words(),
                    member.words()
                ))
                .at(lines.get(member).map(|wanted| wanted.place.clone()))
                .because([line(other), line(member)].into_iter().flatten().collect::<Vec<_>>())
                .hint("drop one, or list the pack's other capsules in its `capsules`"));
            }
            if matches!(member, Member::Pack(_)) {
                let to = Node::Capsule(part.name.clone());
                outer.push(Edge { from: node.clone(), to, reason: Reason::Holds });
            }
            let wanted = lines.get(member);
            let asks_uplink = wanted.is_some_and(|wanted| wanted.uplink);
            if asks_uplink && !part.uplink {
                notes.push(format!(
                    "capsule `{}` has the role `uplink`, and its manifest does not ask for that capability",
                    part.name
                ));
            }
            needs.push(Needs {
                name: part.name.clone(),
                imports: part
                    .imports
                    .iter()
                    .map(|import| (import.interface.clone(), import.requirement.clone(), import.optional))
                    .collect(),
                exports: part.exports.clone(),
                depends_on: wanted
                    .map(|wanted| {
                        wanted.depends_on.iter().map(|name| (name.clone(), wanted.place.line)).collect()
                    })
                    .unwrap_or_default(),
                uplink: part.uplink,
            });
        }
    }
    check_depends_on(declaration, problem, &owners)?;
    check_pack_circle(solution)?;
    for (interface, names) in shared_exports(&needs) {
        let names: Vec<&str> = names.into_iter().map(CapsuleName::as_str).collect();
        notes.push(format!("several capsules export `{interface}`: {}", names.join(", ")));
    }
    let graph = Graph::build(&needs, outer)?;
    for need in &needs {
        for (interface, requirement, _) in need.imports.iter().filter(|(_, _, optional)| *optional) {
            let others = graph.providers(interface, requirement).iter().any(|name| *name != need.name);
            if !others {
                notes.push(format!(
                    "capsule `{}` could use `{interface} {requirement}`, and nothing exports it",
                    need.name
                ));
            }
        }
    }
    Ok(graph)
}

fn check_depends_on(
    declaration: &Declaration,
    problem: &Problem,
    owners: &BTreeMap<&CapsuleName, &Member>,
) -> Result<()> {
    for wanted in &problem.wanted {
        for name in &wanted.depends_on {
            if !owners.contains_key(name) {
                let in_group = declaration.distro().capsule(name.as_str()).is_some();
                let hint = if in_group {
                    "it is in a group and was not chosen: choose it, or drop the `depends-on`"
                } else {
                    "add the capsule, or drop the `depends-on`"
                };
                return Err(Error::invalid(format!(
                    "{} depends on capsule `{name}`, which is not in the fleet",
                    wanted.member.words()
                ))
                .at(wanted.place.clone())
                .hint(hint));
            }
        }
    }
    Ok(())
}

/// Packs that need each other in a circle can't be installed one after the other.
fn check_pack_circle(solution: &Solution) -> Result<()> {
    let needs: BTreeMap<&PackId, Vec<&PackId>> = solution
        .chosen
        .iter()
        .filter_map(|(member, metadata)| match member {
            Member::Pack(id) => Some((id, metadata.packs.iter().map(|(needed, _)| needed).collect())),
            Member::Capsule(_) => None,
        })
        .collect();
    let mut done: BTreeSet<&PackId> = BTreeSet::new();
    for start in needs.keys() {
        let mut path: Vec<(&PackId, usize)> = vec![(start, 0)];
        while let Some((at, next)) = path.last().copied() {
            let step = needs.get(at).and_then(|all| all.get(next)).copied();
            if let Some(last) = path.last_mut() {
                last.1 += 1;
            }
            match step {
                None => {
                    done.insert(at);
                    path.pop();
                }
                Some(step) if done.contains(step) => {}
                Some(step) => {
                    if let Some(begin) = path.iter().position(|(seen, _)| *seen == step) {
                        let mut names: Vec<&str> = path[begin..].iter().map(|(id, _)| id.as_str()).collect();
                        names.push(step.as_str());
                        return Err(Error::invalid(format!(
                            "packs need each other in a circle: {}",
                            names.join(" → ")
                        ))
                        .hint("ask who publishes them: one of them must let go"));
                    }
                    path.push((step, 0));
                }
            }
        }
    }
    Ok(())
}

/// The lock beside the declaration, when resolution took it as it is.
pub(crate) fn taken_lock(resolution: &Resolution) -> Option<&Lock> {
    if resolution.solved.is_some() { None } else { resolution.declaration.lock() }
}

/// Where a local source is on this machine.
pub(crate) fn local_folder(declaration: &Declaration, source: &Source) -> Option<Result<std::path::PathBuf>> {
    match (source, declaration.base()) {
        (Source::Path(path), Base::Folder(folder)) => Some(plain_path(folder, path)),
        _ => None,
    }
}
