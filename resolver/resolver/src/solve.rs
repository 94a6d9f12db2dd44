//! Chooses one version for every member of a fleet, or says completely why there is none.
//!
//! It is a pure function over an index of [`Candidates`]: no file, no socket, no clock. The search
//! is backtracking that jumps over members which have nothing to do with a conflict, and it keeps
//! the reasons of every dead end, so that a failure is told as the chain that proves it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use astrid_authority::{CapsuleName, InterfaceId, PackId};
use astrid_manifest::Subject;
use astrid_manifest::version::platform_admits;
use semver::{Version, VersionReq};

use crate::error::{Error, Place, Result};

/// A capsule or pack that a distro names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Member {
    /// A capsule, outside a pack.
    Capsule(CapsuleName),
    /// A pack.
    Pack(PackId),
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capsule(name) => write!(f, "capsule:{name}"),
            Self::Pack(id) => write!(f, "pack:{id}"),
        }
    }
}

impl From<Member> for Subject {
    fn from(member: Member) -> Self {
        match member {
            Member::Capsule(name) => Self::Capsule(name),
            Member::Pack(id) => Self::Pack(id),
        }
    }
}

impl Member {
    /// The name without the kind.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Capsule(name) => name.as_str(),
            Self::Pack(id) => id.as_str(),
        }
    }

    /// The member as messages write it: `capsule` and the name in backticks.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Capsule(name) => format!("capsule `{name}`"),
            Self::Pack(id) => format!("pack `{id}`"),
        }
    }
}

/// An interface that a capsule needs somebody else to export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// Which interface.
    pub interface: InterfaceId,
    /// Which versions of it do.
    pub requirement: VersionReq,
    /// Whether the capsule also works without.
    pub optional: bool,
}

/// One capsule of a candidate: a capsule has one part, a pack one for each capsule of it that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The capsule's name.
    pub name: CapsuleName,
    /// What it needs.
    pub imports: Vec<Import>,
    /// What it offers.
    pub exports: BTreeMap<InterfaceId, Version>,
    /// The platform versions that it says it works with.
    pub platform: Option<VersionReq>,
    /// Whether it asks for the capability to speak for outside users.
    pub uplink: bool,
}

/// What the search has to know of one version of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// The version.
    pub version: Version,
    /// Its capsules.
    pub parts: Vec<Part>,
    /// The packs that it needs, and which versions of them; nothing means any.
    pub packs: Vec<(PackId, Option<VersionReq>)>,
    /// The platform versions that a pack says it works with.
    pub platform: Option<VersionReq>,
}

/// The index that the search reads. Asking twice must give the same answer.
pub trait Candidates {
    /// Every version that there is, in any order; yanked ones only when they are locked.
    ///
    /// # Errors
    /// When the source can't be asked.
    fn versions(&self, member: &Member) -> Result<Vec<Version>>;

    /// What one of those versions is.
    ///
    /// # Errors
    /// When it can't be read, or is no valid artifact.
    fn metadata(&self, member: &Member, version: &Version) -> Result<Arc<Metadata>>;

    /// The version of a pack that another pack brings, to take while it is allowed: the locked one.
    fn preferred(&self, _pack: &PackId) -> Option<Version> {
        None
    }
}

/// A member that the fleet must have.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Which.
    pub member: Member,
    /// The versions that the declaration allows; nothing means any, pre-releases too.
    pub requirement: Option<VersionReq>,
    /// The line that asks for it.
    pub place: Place,
    /// The version to take while it is allowed: the locked one.
    pub preferred: Option<Version>,
    /// Capsules that must be loaded before.
    pub depends_on: Vec<CapsuleName>,
    /// Whether the declaration gives it the role of an uplink.
    pub uplink: bool,
}

/// An interface that the distro itself requires.
#[derive(Debug, Clone)]
pub struct RootImport {
    /// Which interface.
    pub interface: InterfaceId,
    /// Which versions of it do.
    pub requirement: VersionReq,
    /// The line that asks for it.
    pub place: Place,
}

/// What is to be solved.
#[derive(Debug, Clone)]
pub struct Problem {
    /// What the fleet must have, each member once.
    pub wanted: Vec<Wanted>,
    /// What the distro requires of them together.
    pub requires: Vec<RootImport>,
    /// The version of the platform that manifests are matched against.
    pub platform: Version,
}

/// One version for every member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Solution {
    /// What was chosen, sorted by member.
    pub chosen: BTreeMap<Member, Arc<Metadata>>,
    /// The packs that no line asks for, but a chosen pack needs, with the pack that needs each.
    pub brought: BTreeMap<PackId, PackId>,
}

/// The reasons of dead ends, each kept once and numbered in the order in which they came up.
#[derive(Default)]
struct Reasons {
    texts: Vec<String>,
    numbers: HashMap<String, usize>,
}

impl Reasons {
    fn add(&mut self, text: String) -> usize {
        let next = self.texts.len();
        let number = *self.numbers.entry(text.clone()).or_insert(next);
        if number == next {
            self.texts.push(text);
        }
        number
    }
}

/// Why a branch is dead: the levels that took part, and what each said.
#[derive(Default, Clone)]
struct Conflict {
    levels: BTreeSet<usize>,
    reasons: BTreeSet<usize>,
}

impl Conflict {
    fn merge(&mut self, other: Self) {
        self.levels.extend(other.levels);
        self.reasons.extend(other.reasons);
    }
}

/// One member during the search.
struct Level<'a> {
    wanted: &'a Wanted,
    /// Allowed versions, the one to try first in front.
    domain: Vec<Version>,
    /// Index of the next version to try.
    next: usize,
    chosen: Option<Arc<Metadata>>,
    conflict: Conflict,
    needed_by: Option<PackId>,
}

/// Chooses one version for every member.
///
/// Locked versions are kept while they are allowed, else the highest version wins; the result is a
/// function of the arguments alone.
///
/// # Errors
/// `Invalid` with the whole chain of reasons when nothing satisfies the problem; what the index
/// answers when it fails.
pub fn solve(problem: &Problem, candidates: &dyn Candidates) -> Result<Solution> {
    let mut wanted: Vec<(Wanted, Option<PackId>)> =
        problem.wanted.iter().map(|wanted| (wanted.clone(), None)).collect();
    loop {
        match Search::new(problem, candidates, &wanted)?.run()? {
            Outcome::Solved(chosen) => return Ok(finish(chosen, &wanted)),
            Outcome::Missing { pack, by, place } => wanted.push((
                Wanted {
                    preferred: candidates.preferred(&pack),
                    member: Member::Pack(pack),
                    requirement: None,
                    place,
                    depends_on: Vec::new(),
                    uplink: false,
                },
                Some(by),
            )),
        }
    }
}

/// Drops what was looked at for a version that was not taken in the end.
fn finish(mut chosen: BTreeMap<Member, Arc<Metadata>>, wanted: &[(Wanted, Option<PackId>)]) -> Solution {
    let mut brought = BTreeMap::new();
    let declared: BTreeSet<&Member> =
        wanted.iter().filter(|(_, by)| by.is_none()).map(|(wanted, _)| &wanted.member).collect();
    let mut kept: BTreeSet<Member> = declared.iter().copied().cloned().collect();
    let mut open: Vec<Member> = kept.iter().cloned().collect();
    while let Some(member) = open.pop() {
        let Some(metadata) = chosen.get(&member) else { continue };
        for (pack, _) in &metadata.packs {
            let needed = Member::Pack(pack.clone());
            if kept.insert(needed.clone()) {
                if let Member::Pack(by) = &member {
                    brought.insert(pack.clone(), by.clone());
                }
                open.push(needed);
            }
        }
    }
    chosen.retain(|member, _| kept.contains(member));
    Solution { chosen, brought }
}

enum Outcome {
    Solved(BTreeMap<Member, Arc<Metadata>>),
    Missing { pack: PackId, by: PackId, place: Place },
}

struct Search<'a> {
    problem: &'a Problem,
    candidates: &'a dyn Candidates,
    levels: Vec<Level<'a>>,
    /// Where each member is in `levels`.
    at: BTreeMap<&'a Member, usize>,
    /// Levels that were chosen and need packs.
    demanding: Vec<usize>,
    /// Which levels with a choice could export an interface in which versions; found at the first dead end.
    could_export: Option<HashMap<InterfaceId, Vec<(usize, Version)>>>,
    reasons: Reasons,
}

impl<'a> Search<'a> {
    fn new(
        problem: &'a Problem,
        candidates: &'a dyn Candidates,
        wanted: &'a [(Wanted, Option<PackId>)],
    ) -> Result<Self> {
        let mut reasons = Reasons::default();
        let mut levels = Vec::with_capacity(wanted.len());
        for (wanted, needed_by) in wanted {
            let mut all = candidates.versions(&wanted.member)?;
            all.sort_unstable_by(|one, other| other.cmp(one));
            all.dedup();
            let (mut domain, left_out): (Vec<Version>, Vec<Version>) =
                all.into_iter().partition(|version| allows(wanted.requirement.as_ref(), version));
            if let Some(preferred) = &wanted.preferred
                && let Some(index) = domain.iter().position(|version| version == preferred)
            {
                domain[..=index].rotate_right(1);
            }
            let mut conflict = Conflict::default();
            if !left_out.is_empty() || domain.is_empty() {
                conflict.reasons.insert(reasons.add(choice_words(wanted, &domain, &left_out)));
            }
            levels.push(Level {
                wanted,
                domain,
                next: 0,
                chosen: None,
                conflict,
                needed_by: needed_by.clone(),
            });
        }
        // Members without a choice come first: whatever they need is known before anything is tried.
        levels.sort_by(|one, other| {
            (one.domain.len() > 1, &one.wanted.member).cmp(&(other.domain.len() > 1, &other.wanted.member))
        });
        let at = levels.iter().enumerate().map(|(index, level)| (&level.wanted.member, index)).collect();
        Ok(Self { problem, candidates, levels, at, demanding: Vec::new(), could_export: None, reasons })
    }

    fn run(mut self) -> Result<Outcome> {
        let base: Vec<Conflict> = self.levels.iter().map(|level| level.conflict.clone()).collect();
        let mut index = 0;
        loop {
            let mut dead_end = None;
            if index == self.levels.len() {
                match self.unmet_import()? {
                    None => return Ok(Outcome::Solved(self.chosen())),
                    Some(conflict) => dead_end = Some(conflict),
                }
            } else {
                match self.advance(index)? {
                    Advance::Chosen => index += 1,
                    Advance::Exhausted(conflict) => dead_end = Some(conflict),
                    Advance::Missing { pack, by, place } => {
                        return Ok(Outcome::Missing { pack, by, place });
                    }
                }
            }
            if let Some(mut conflict) = dead_end {
                let Some(back) = conflict.levels.pop_last() else {
                    return Err(self.unsolvable(&conflict));
                };
                // Everything above starts afresh: what it ruled out may be right in another branch.
                let tried = self.levels.iter_mut().zip(&base).take(index + 1).skip(back + 1);
                for (level, base) in tried {
                    level.next = 0;
                    level.chosen = None;
                    level.conflict = base.clone();
                }
                self.levels[back].chosen = None;
                self.levels[back].conflict.merge(conflict);
                self.demanding.retain(|level| *level < back);
                index = back;
            }
        }
    }

    fn chosen(self) -> BTreeMap<Member, Arc<Metadata>> {
        self.levels
            .into_iter()
            .filter_map(|level| level.chosen.map(|chosen| (level.wanted.member.clone(), chosen)))
            .collect()
    }

    /// Takes the next version of a level that agrees with the levels before it.
    fn advance(&mut self, index: usize) -> Result<Advance> {
        while let Some(version) = self.levels[index].domain.get(self.levels[index].next).cloned() {
            self.levels[index].next += 1;
            let member = &self.levels[index].wanted.member;
            let metadata = self.candidates.metadata(member, &version)?;
            let mut conflict = Conflict::default();
            if let Some(reason) = self.platform_conflict(index, &metadata) {
                conflict.reasons.insert(self.reasons.add(reason));
            }
            for level in self.demanding.clone() {
                self.demand_conflict(level, index, &version, &mut conflict);
            }
            for (pack, requirement) in &metadata.packs {
                let needed = Member::Pack(pack.clone());
                let words = || {
                    format!(
                        "{} {version} needs pack `{pack}{}`",
                        member.words(),
                        after_space(requirement.as_ref())
                    )
                };
                match self.at.get(&needed) {
                    Some(&level) => {
                        if let Some(chosen) = &self.levels[level].chosen
                            && !allows(requirement.as_ref(), &chosen.version)
                        {
                            conflict.levels.insert(level);
                            let text = format!("{}, but {} is chosen", words(), chosen.version);
                            conflict.reasons.insert(self.reasons.add(text));
                        }
                    }
                    None if self.candidates.versions(&needed)?.is_empty() => {
                        let text = format!("{}, and the distro does not declare it", words());
                        conflict.reasons.insert(self.reasons.add(text));
                    }
                    None => {
                        let Member::Pack(by) = member.clone() else { continue };
                        return Ok(Advance::Missing {
                            pack: pack.clone(),
                            by,
                            place: self.levels[index].wanted.place.clone(),
                        });
                    }
                }
            }
            if conflict.reasons.is_empty() {
                if !metadata.packs.is_empty() {
                    self.demanding.push(index);
                }
                self.levels[index].chosen = Some(metadata);
                return Ok(Advance::Chosen);
            }
            self.levels[index].conflict.merge(conflict);
        }
        Ok(Advance::Exhausted(self.levels[index].conflict.clone()))
    }

    fn platform_conflict(&self, index: usize, metadata: &Metadata) -> Option<String> {
        let platform = &self.problem.platform;
        let member = &self.levels[index].wanted.member;
        let own = metadata.platform.iter().map(|requirement| (member.words(), requirement));
        let parts = metadata.parts.iter().filter_map(|part| {
            part.platform.as_ref().map(|requirement| (format!("capsule `{}`", part.name), requirement))
        });
        own.chain(parts).find(|(_, requirement)| !platform_admits(requirement, platform)).map(
            |(words, requirement)| {
                format!(
                    "{words} {} works with platform `{requirement}`, and this one is {platform}",
                    metadata.version
                )
            },
        )
    }

    /// Adds a conflict when the pack at `level` needs another version of the pack at `index`.
    fn demand_conflict(&mut self, level: usize, index: usize, version: &Version, conflict: &mut Conflict) {
        let Some(demanding) = self.levels[level].chosen.clone() else { return };
        let member = &self.levels[index].wanted.member;
        for (pack, requirement) in &demanding.packs {
            if *member == Member::Pack(pack.clone()) && !allows(requirement.as_ref(), version) {
                let by = self.levels[level].wanted.member.words();
                let text = format!(
                    "{by} {} needs pack `{pack}{}`, not {version}",
                    demanding.version,
                    after_space(requirement.as_ref())
                );
                conflict.levels.insert(level);
                conflict.reasons.insert(self.reasons.add(text));
            }
        }
    }

    /// The first import, in a fixed order, that nothing in a complete choice satisfies.
    fn unmet_import(&mut self) -> Result<Option<Conflict>> {
        let mut exporters: HashMap<&InterfaceId, Vec<(&CapsuleName, &Version)>> = HashMap::new();
        for level in &self.levels {
            for part in level.chosen.iter().flat_map(|chosen| &chosen.parts) {
                for (interface, version) in &part.exports {
                    exporters.entry(interface).or_default().push((&part.name, version));
                }
            }
        }
        let met = |interface: &InterfaceId, requirement: &VersionReq, own: Option<&CapsuleName>| {
            exporters.get(interface).is_some_and(|all| {
                all.iter().any(|(name, version)| Some(*name) != own && requirement.matches(version))
            })
        };
        let mut unmet: Option<(Option<usize>, InterfaceId, VersionReq, String)> = None;
        'search: for (index, level) in self.levels.iter().enumerate() {
            let Some(chosen) = &level.chosen else { continue };
            for part in &chosen.parts {
                for import in part.imports.iter().filter(|import| !import.optional) {
                    if !met(&import.interface, &import.requirement, Some(&part.name)) {
                        let words = format!(
                            "{}: capsule `{}` {} imports `{} {}`",
                            level.wanted.place,
                            part.name,
                            chosen.version,
                            import.interface,
                            import.requirement
                        );
                        unmet =
                            Some((Some(index), import.interface.clone(), import.requirement.clone(), words));
                        break 'search;
                    }
                }
            }
        }
        if unmet.is_none() {
            unmet =
                self.problem.requires.iter().find(|root| !met(&root.interface, &root.requirement, None)).map(
                    |root| {
                        let words = format!(
                            "{}: the distro requires `{} {}`",
                            root.place, root.interface, root.requirement
                        );
                        (None, root.interface.clone(), root.requirement.clone(), words)
                    },
                );
        }
        let Some((importer, interface, requirement, words)) = unmet else { return Ok(None) };
        let offered: Vec<String> = exporters
            .get(&interface)
            .into_iter()
            .flatten()
            .map(|(name, version)| {
                format!("capsule `{name}` exports `{interface}` {version}, which does not do")
            })
            .collect();
        let mut conflict = Conflict::default();
        conflict.levels.extend(importer);
        if let Some(importer) = importer {
            let own = self.levels[importer].conflict.reasons.clone();
            conflict.reasons.extend(own);
        }
        conflict.reasons.insert(self.reasons.add(words));
        if offered.is_empty() {
            conflict.reasons.insert(self.reasons.add(format!("nothing in the fleet exports `{interface}`")));
        }
        for text in offered {
            conflict.reasons.insert(self.reasons.add(text));
        }
        // A requirement that leaves out other versions of an exporter is a part of the reason.
        for level in &self.levels {
            let parts = level.chosen.iter().flat_map(|chosen| &chosen.parts);
            if level.domain.len() < 2 && parts.into_iter().any(|part| part.exports.contains_key(&interface)) {
                conflict.reasons.extend(&level.conflict.reasons);
            }
        }
        // A member whose other versions could export it took part in the conflict.
        let could = self.could_export()?.get(&interface).into_iter().flatten();
        let levels = could.filter(|(_, version)| requirement.matches(version)).map(|(level, _)| *level);
        conflict.levels.extend(levels);
        Ok(Some(conflict))
    }

    fn could_export(&mut self) -> Result<&HashMap<InterfaceId, Vec<(usize, Version)>>> {
        if self.could_export.is_none() {
            let mut found: HashMap<InterfaceId, Vec<(usize, Version)>> = HashMap::new();
            for (index, level) in self.levels.iter().enumerate().filter(|(_, level)| level.domain.len() > 1) {
                for version in &level.domain {
                    let metadata = self.candidates.metadata(&level.wanted.member, version)?;
                    for (interface, version) in metadata.parts.iter().flat_map(|part| &part.exports) {
                        found.entry(interface.clone()).or_default().push((index, version.clone()));
                    }
                }
            }
            self.could_export = Some(found);
        }
        Ok(self.could_export.get_or_insert_default())
    }

    fn unsolvable(&self, conflict: &Conflict) -> Error {
        let lines = conflict.reasons.iter().filter_map(|&number| self.reasons.texts.get(number).cloned());
        let place = self.levels.iter().find(|level| level.domain.is_empty()).map(|level| {
            let mut place = level.wanted.place.clone();
            place.column = None;
            place
        });
        let needed = self.levels.iter().filter_map(|level| {
            let by = level.needed_by.as_ref()?;
            let relevant = level.domain.is_empty();
            relevant.then(|| format!("{} is needed by pack `{by}`", level.wanted.member.words()))
        });
        Error::invalid("no choice of versions satisfies the declaration")
            .at(place)
            .because(lines.chain(needed).collect::<Vec<_>>())
            .hint("change one of the named requirements, or add a capsule that exports what is missing (`astrid add`)")
    }
}

enum Advance {
    Chosen,
    Exhausted(Conflict),
    Missing { pack: PackId, by: PackId, place: Place },
}

/// Says whether a version is one that is asked for; no requirement allows every version.
fn allows(requirement: Option<&VersionReq>, version: &Version) -> bool {
    requirement.is_none_or(|requirement| requirement.matches(version))
}

fn after_space(requirement: Option<&VersionReq>) -> String {
    requirement.map(|requirement| format!(" {requirement}")).unwrap_or_default()
}

/// What a line of the declaration leaves to choose from.
fn choice_words(wanted: &Wanted, domain: &[Version], left_out: &[Version]) -> String {
    const SHOWN: usize = 8;
    let list = |versions: &[Version]| {
        let mut words: Vec<String> = versions.iter().take(SHOWN).map(ToString::to_string).collect();
        if versions.len() > SHOWN {
            words.push(format!("and {} more", versions.len() - SHOWN));
        }
        words.join(", ")
    };
    let head = match &wanted.requirement {
        Some(requirement) => {
            format!("{}: {} is wanted as `{requirement}`", wanted.place, wanted.member.words())
        }
        None => format!("{}: {} is wanted", wanted.place, wanted.member.words()),
    };
    match (domain.is_empty(), left_out.is_empty()) {
        (true, true) => format!("{head}, and its source has no version"),
        (true, false) => format!("{head}, and its source has only {}", list(left_out)),
        _ => format!("{head}, which leaves out {}", list(left_out)),
    }
}

#[cfg(test)]
#[path = "solve/tests.rs"]
mod tests;
