use proptest::prelude::*;

use super::*;

#[derive(Default, Debug, Clone)]
struct Table(BTreeMap<Member, BTreeMap<Version, Arc<Metadata>>>);

impl Candidates for Table {
    fn versions(&self, member: &Member) -> Result<Vec<Version>> {
        Ok(self.0.get(member).map(|versions| versions.keys().cloned().collect()).unwrap_or_default())
    }

    fn metadata(&self, member: &Member, version: &Version) -> Result<Arc<Metadata>> {
        Ok(self.0[member][version].clone())
    }
}

impl Table {
    /// `capsule a 1.0.0 imports x:y ^1 exports x:z 1.0.0`, in a shorter notation.
    fn capsule(
        mut self,
        name: &str,
        version: &str,
        imports: &[(&str, &str)],
        exports: &[(&str, &str)],
    ) -> Self {
        let version: Version = version.parse().unwrap();
        let name: CapsuleName = name.parse().unwrap();
        let metadata = Metadata {
            version: version.clone(),
            parts: vec![part(&name, imports, exports)],
            packs: Vec::new(),
            platform: None,
        };
        self.0.entry(Member::Capsule(name)).or_default().insert(version, Arc::new(metadata));
        self
    }

    fn pack(mut self, id: &str, version: &str, packs: &[(&str, &str)]) -> Self {
        let version: Version = version.parse().unwrap();
        let metadata = Metadata {
            version: version.clone(),
            parts: Vec::new(),
            packs: packs
                .iter()
                .map(|(id, requirement)| (id.parse().unwrap(), requirement.parse().ok()))
                .collect(),
            platform: None,
        };
        self.0.entry(Member::Pack(id.parse().unwrap())).or_default().insert(version, Arc::new(metadata));
        self
    }
}

fn part(name: &CapsuleName, imports: &[(&str, &str)], exports: &[(&str, &str)]) -> Part {
    Part {
        name: name.clone(),
        imports: imports
            .iter()
            .map(|(interface, requirement)| Import {
                interface: interface.parse().unwrap(),
                requirement: requirement.trim_end_matches('?').parse().unwrap(),
                optional: requirement.ends_with('?'),
            })
            .collect(),
        exports: exports
            .iter()
            .map(|(interface, version)| (interface.parse().unwrap(), version.parse().unwrap()))
            .collect(),
        platform: None,
        uplink: false,
    }
}

fn wanted(member: &str, requirement: &str, line: usize) -> Wanted {
    let member = match member.split_once(':').unwrap() {
        ("pack", id) => Member::Pack(id.parse().unwrap()),
        (_, name) => Member::Capsule(name.parse().unwrap()),
    };
    Wanted {
        member,
        requirement: Some(requirement.parse().unwrap()),
        place: Place { file: "Distro.toml".to_owned(), line, column: None },
        preferred: None,
        depends_on: Vec::new(),
        uplink: false,
    }
}

fn problem(wanted: Vec<Wanted>) -> Problem {
    Problem { wanted, requires: Vec::new(), platform: Version::new(0, 10, 4) }
}

fn versions(solution: &Solution) -> Vec<String> {
    solution.chosen.iter().map(|(member, metadata)| format!("{member} {}", metadata.version)).collect()
}

#[test]
fn the_highest_allowed_version_wins() {
    let table = Table::default().capsule("a", "1.0.0", &[], &[]).capsule("a", "1.2.0", &[], &[]).capsule(
        "a",
        "2.0.0",
        &[],
        &[],
    );
    let solution = solve(&problem(vec![wanted("capsule:a", "^1", 4)]), &table).unwrap();
    assert_eq!(versions(&solution), ["capsule:a 1.2.0"]);
}

#[test]
fn the_locked_version_is_kept() {
    let table = Table::default().capsule("a", "1.0.0", &[], &[]).capsule("a", "1.2.0", &[], &[]);
    let mut want = wanted("capsule:a", "^1", 4);
    want.preferred = Some(Version::new(1, 0, 0));
    assert_eq!(versions(&solve(&problem(vec![want.clone()]), &table).unwrap()), ["capsule:a 1.0.0"]);
    want.requirement = Some("^1.1".parse().unwrap());
    assert_eq!(versions(&solve(&problem(vec![want]), &table).unwrap()), ["capsule:a 1.2.0"]);
}

#[test]
fn an_older_version_is_taken_when_the_newest_does_not_fit() {
    let table = Table::default()
        .capsule("chat", "1.0.0", &[("astrid:llm", "^1")], &[])
        .capsule("llm", "1.0.0", &[], &[("astrid:llm", "1.0.0")])
        .capsule("llm", "2.0.0", &[], &[("astrid:llm", "2.0.0")])
        .capsule("other", "1.0.0", &[], &[])
        .capsule("other", "3.0.0", &[], &[]);
    let wants =
        vec![wanted("capsule:chat", "*", 4), wanted("capsule:llm", "*", 8), wanted("capsule:other", "*", 12)];
    let solution = solve(&problem(wants), &table).unwrap();
    assert_eq!(versions(&solution), ["capsule:chat 1.0.0", "capsule:llm 1.0.0", "capsule:other 3.0.0"]);
}

#[test]
fn an_unmet_import_names_the_edge_denied() {
    let table = Table::default()
        .capsule("chat", "1.0.0", &[("astrid:llm", "^2")], &[])
        .capsule("llm", "1.0.0", &[], &[("astrid:llm", "1.0.0")])
        .capsule("llm", "2.0.0", &[], &[("astrid:llm", "2.0.0")]);
    let wants = vec![wanted("capsule:chat", "^1", 4), wanted("capsule:llm", "^1", 8)];
    let error = solve(&problem(wants), &table).unwrap_err();
    assert_eq!(error.kind(), crate::error::ErrorKind::Invalid);
    assert_eq!(
        error.reasons(),
        [
            "Distro.toml:8: capsule `llm` is wanted as `^1`, which leaves out 2.0.0",
            "Distro.toml:4: capsule `chat` 1.0.0 imports `astrid:llm ^2`",
            "capsule `llm` exports `astrid:llm` 1.0.0, which does not do",
        ]
    );
}

#[test]
fn an_optional_import_may_stay_unmet() {
    let table = Table::default().capsule("chat", "1.0.0", &[("astrid:llm", "^2?")], &[]);
    assert!(solve(&problem(vec![wanted("capsule:chat", "^1", 4)]), &table).is_ok());
}

#[test]
fn nobody_satisfies_their_own_import_denied() {
    let table = Table::default().capsule("a", "1.0.0", &[("x:y", "^1")], &[("x:y", "1.0.0")]);
    assert!(solve(&problem(vec![wanted("capsule:a", "^1", 4)]), &table).is_err());
}

#[test]
fn what_the_distro_requires_is_resolved_denied() {
    let table = Table::default().capsule("a", "1.0.0", &[], &[("x:y", "1.0.0")]);
    let mut own = problem(vec![wanted("capsule:a", "^1", 4)]);
    let place = Place { file: "Distro.toml".to_owned(), line: 3, column: None };
    own.requires.push(RootImport {
        interface: "x:y".parse().unwrap(),
        requirement: "^1".parse().unwrap(),
        place,
    });
    assert!(solve(&own, &table).is_ok());
    own.requires[0].requirement = "^2".parse().unwrap();
    let error = solve(&own, &table).unwrap_err();
    assert!(
        error.reasons().iter().any(|reason| reason == "Distro.toml:3: the distro requires `x:y ^2`"),
        "{error}"
    );
}

#[test]
fn a_source_without_the_version_is_told_denied() {
    let table = Table::default().capsule("a", "1.0.0", &[], &[]);
    let error = solve(&problem(vec![wanted("capsule:a", "^2", 7)]), &table).unwrap_err();
    assert_eq!(
        error.reasons(),
        ["Distro.toml:7: capsule `a` is wanted as `^2`, and its source has only 1.0.0"]
    );
    assert_eq!(error.place().unwrap().line, 7);
}

#[test]
fn packs_agree_on_the_packs_that_they_need() {
    let table = Table::default()
        .pack("a", "1.0.0", &[("c", "^1")])
        .pack("b", "1.0.0", &[("c", "<1.5")])
        .pack("c", "1.4.0", &[])
        .pack("c", "1.9.0", &[]);
    let wants = vec![wanted("pack:a", "*", 1), wanted("pack:b", "*", 2)];
    let solution = solve(&problem(wants), &table).unwrap();
    assert_eq!(versions(&solution), ["pack:a 1.0.0", "pack:b 1.0.0", "pack:c 1.4.0"]);
    assert_eq!(solution.brought.len(), 1);
}

#[test]
fn packs_that_disagree_are_told_denied() {
    let table = Table::default()
        .pack("a", "1.0.0", &[("c", "^1")])
        .pack("b", "1.0.0", &[("c", "^2")])
        .pack("c", "1.4.0", &[])
        .pack("c", "2.9.0", &[]);
    let error =
        solve(&problem(vec![wanted("pack:a", "*", 1), wanted("pack:b", "*", 2)]), &table).unwrap_err();
    assert_eq!(
        error.reasons(),
        ["pack `a` 1.0.0 needs pack `c ^1`, not 2.9.0", "pack `b` 1.0.0 needs pack `c ^2`, not 1.4.0"]
    );
}

#[test]
fn a_pack_that_nobody_has_is_told_denied() {
    let table = Table::default().pack("a", "1.0.0", &[("c", "^1")]);
    let error = solve(&problem(vec![wanted("pack:a", "*", 1)]), &table).unwrap_err();
    assert!(error.to_string().contains("needs pack `c ^1`, and the distro does not declare it"), "{error}");
}

#[test]
fn another_platform_is_refused_denied() {
    let mut table = Table::default().capsule("a", "1.0.0", &[], &[]);
    let mut other = (*table.0.values().next().unwrap().values().next().unwrap().clone()).clone();
    other.parts[0].platform = Some(">=0.11".parse().unwrap());
    table.0.values_mut().next().unwrap().insert(Version::new(1, 0, 0), Arc::new(other));
    let error = solve(&problem(vec![wanted("capsule:a", "*", 1)]), &table).unwrap_err();
    assert!(error.to_string().contains("works with platform `>=0.11`"), "{error}");
}

/// Whether `solution` satisfies everything that `problem` asks for.
fn satisfies(problem: &Problem, solution: &Solution) -> bool {
    let exports: Vec<(&CapsuleName, &InterfaceId, &Version)> = solution
        .chosen
        .values()
        .flat_map(|metadata| &metadata.parts)
        .flat_map(|part| {
            part.exports.iter().map(move |(interface, version)| (&part.name, interface, version))
        })
        .collect();
    let wanted = problem.wanted.iter().all(|wanted| {
        solution
            .chosen
            .get(&wanted.member)
            .is_some_and(|metadata| allows(wanted.requirement.as_ref(), &metadata.version))
    });
    let imports = solution.chosen.values().flat_map(|metadata| &metadata.parts).all(|part| {
        part.imports.iter().filter(|import| !import.optional).all(|import| {
            exports.iter().any(|(name, interface, version)| {
                **name != part.name && **interface == import.interface && import.requirement.matches(version)
            })
        })
    });
    let packs = solution.chosen.values().flat_map(|metadata| &metadata.packs).all(|(pack, requirement)| {
        solution
            .chosen
            .get(&Member::Pack(pack.clone()))
            .is_some_and(|metadata| allows(requirement.as_ref(), &metadata.version))
    });
    wanted && imports && packs
}

/// Every choice there is, tried one after the other.
fn exists(problem: &Problem, table: &Table) -> bool {
    let mut choices = vec![BTreeMap::new()];
    for wanted in &problem.wanted {
        let mut next = Vec::new();
        for choice in &choices {
            for metadata in table.0.get(&wanted.member).into_iter().flat_map(BTreeMap::values) {
                let mut with = choice.clone();
                with.insert(wanted.member.clone(), metadata.clone());
                next.push(with);
            }
        }
        choices = next;
    }
    choices.into_iter().any(|chosen| satisfies(problem, &Solution { chosen, brought: BTreeMap::new() }))
}

prop_compose! {
    fn small_world()(
        rows in proptest::collection::vec((0..4_usize, 1..4_u64, 0..3_usize, 1..3_u64, 0..3_usize, 1..3_u64, any::<bool>()), 1..14),
        wants in proptest::collection::vec(0..4_u64, 4),
    ) -> (Problem, Table) {
        let names = ["a", "b", "c", "d"];
        let interfaces = ["x:one", "x:two", "x:three"];
        let mut table = Table::default();
        for (name, major, import, import_major, export, export_major, lonely) in rows {
            let requirement = format!("^{import_major}");
            let offered = format!("{export_major}.0.0");
            let imports = [(interfaces[import], requirement.as_str())];
            let imports: &[(&str, &str)] = if lonely { &[] } else { &imports };
            table = table.capsule(names[name], &format!("{major}.0.0"), imports, &[(interfaces[export], &offered)]);
        }
        let wanted = names
            .iter()
            .zip(wants)
            .enumerate()
            .filter(|(_, (name, _))| table.0.contains_key(&Member::Capsule(name.parse().unwrap())))
            .map(|(line, (name, major))| {
                let requirement = if major == 0 { "*".to_owned() } else { format!("<={major}") };
                wanted(&format!("capsule:{name}"), &requirement, line + 1)
            })
            .collect();
        (problem(wanted), table)
    }
}

proptest! {
    #[test]
    fn a_solution_satisfies_and_is_found_when_there_is_one((problem, table) in small_world()) {
        match solve(&problem, &table) {
            Ok(solution) => {
                prop_assert!(satisfies(&problem, &solution));
                prop_assert_eq!(solve(&problem, &table).unwrap(), solution);
            }
            Err(error) => {
                prop_assert!(!exists(&problem, &table), "{}", error);
                prop_assert!(!error.reasons().is_empty());
            }
        }
    }

    #[test]
    fn the_order_of_lines_does_not_matter((problem, table) in small_world()) {
        let mut turned = problem.clone();
        turned.wanted.reverse();
        match (solve(&problem, &table), solve(&turned, &table)) {
            (Ok(one), Ok(other)) => prop_assert_eq!(one, other),
            (one, other) => prop_assert_eq!(one.is_err(), other.is_err()),
        }
    }
}

#[test]
fn a_thousand_members_with_choices_are_solved() {
    let mut table = Table::default();
    let mut wants = Vec::new();
    for number in 0..1000 {
        let name = format!("c{number}");
        let before = format!("x:i{}", (number + 999) % 1000);
        let own = format!("x:i{number}");
        for major in 1..4 {
            let exported = format!("{major}.0.0");
            let imports: &[(&str, &str)] = if number == 0 { &[] } else { &[(before.as_str(), "^3")] };
            table = table.capsule(&name, &exported, imports, &[(own.as_str(), exported.as_str())]);
        }
        wants.push(wanted(&format!("capsule:{name}"), "*", number));
    }
    assert_eq!(solve(&problem(wants), &table).unwrap().chosen.len(), 1000);
}
