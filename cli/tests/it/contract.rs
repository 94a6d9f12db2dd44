//! What the platform contract and the security page state is shown by tests that run the program.
//!
//! A statement begins with its id in bold, such as `**[PC-TRUST-03]**`. A test claims it by a comment directly
//! above: `// contract: PC-TRUST-03`. The build fails for a statement that no test claims, for an id that nothing
//! states, and for a claim above something that does not run as a test.

mod capsules;
mod discovery;
mod home;
mod manifests;
mod output;
mod python;
mod records;
mod running;
mod scene;
mod trusting;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use regex::Regex;

/// The pages that state something.
const PAGES: [&str; 2] = ["docs/platform-contract.md", "SECURITY.md"];
/// Pages that refer to statements.
const REFERRING: [&str; 4] = ["README.md", "docs/ARCHITECTURE.md", "docs/packs.md", "cli/python/README.md"];

static ID: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b(?:PC|SEC)-[A-Z]+-[0-9]{2}\b").unwrap());

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn page(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The ids that a page states, each with its line.
fn statements(text: &str) -> Vec<(String, usize)> {
    static STATED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\*\*\[([^\]]*)\]\*\*").unwrap());
    let lines = text.lines().zip(1..);
    lines
        .flat_map(|(line, number)| STATED.captures_iter(line).map(move |one| (one[1].to_owned(), number)))
        .collect()
}

/// A statement that a test shows to be true.
#[derive(Debug, PartialEq, Eq)]
struct Claim {
    id: String,
    /// The test, as the runner names it.
    test: String,
    place: String,
}

/// The claims of a file of tests that is the module `module`, or why one is none.
fn claims(module: &str, file: &str, text: &str) -> Result<Vec<Claim>, String> {
    let mut found = Vec::new();
    let mut pending: Vec<(String, usize)> = Vec::new();
    let mut is_test = false;
    for (line, number) in text.lines().map(str::trim).zip(1..) {
        if let Some(ids) = line.strip_prefix("// contract: ") {
            for id in ids.split(", ") {
                if ID.find(id).is_none_or(|one| one.as_str() != id) {
                    return Err(format!("{file}:{number}: `{id}` is no id"));
                }
                pending.push((id.to_owned(), number));
            }
        } else if !pending.is_empty() && line.starts_with("#[test]") {
            is_test = true;
        } else if !pending.is_empty() && (line.starts_with("#[") || line.starts_with("//")) {
            // Other attributes and comments stand between, too.
        } else if !pending.is_empty() {
            let name = line.strip_prefix("fn ").and_then(|rest| rest.split_once('(')).map(|(name, _)| name);
            let Some(name) = name.filter(|_| is_test) else {
                return Err(format!("{file}:{number}: a claim stands directly above a test"));
            };
            let full = format!("{module}::{name}");
            found.extend(pending.drain(..).map(|(id, line)| Claim {
                id,
                test: full.clone(),
                place: format!("{file}:{line}"),
            }));
            is_test = false;
        }
    }
    if let Some((id, number)) = pending.first() {
        return Err(format!("{file}:{number}: nothing follows the claim of {id}"));
    }
    Ok(found)
}

/// Every claim under `cli/tests/it`.
fn all_claims() -> Vec<Claim> {
    let folder = root().join("cli/tests/it");
    let mut folders = vec![folder.clone()];
    let mut found = Vec::new();
    while let Some(here) = folders.pop() {
        let mut paths: Vec<PathBuf> =
            std::fs::read_dir(&here).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            let is_rust = path.extension().is_some_and(|extension| extension == "rs");
            if path.is_dir() {
                folders.push(path);
            } else if is_rust && path != folder.join("contract.rs") {
                let relative = path.strip_prefix(&folder).unwrap().with_extension("");
                let module = relative.to_str().unwrap().replace('/', "::");
                let text = std::fs::read_to_string(&path).unwrap();
                found.extend(claims(&module, &path.display().to_string(), &text).unwrap());
            }
        }
    }
    found
}

/// The tests of this program that run.
fn tests_that_run() -> BTreeSet<String> {
    let list = |more: &[&str]| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let output = command.args(["--list", "--format", "terse"]).args(more).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines()
            .filter_map(|line| line.strip_suffix(": test"))
            .map(str::to_owned)
            .collect::<BTreeSet<_>>()
    };
    let ignored = list(&["--ignored"]);
    list(&[]).difference(&ignored).cloned().collect()
}

#[test]
fn every_statement_is_shown_by_a_test() {
    let mut stated: BTreeMap<String, String> = BTreeMap::new();
    let mut wrong = Vec::new();
    for name in PAGES {
        for (id, line) in statements(&page(name)) {
            if ID.find(&id).is_none_or(|one| one.as_str() != id) {
                wrong.push(format!("{name}:{line}: `{id}` is no id"));
            } else if let Some(before) = stated.insert(id.clone(), format!("{name}:{line}")) {
                wrong.push(format!("{name}:{line}: {id} is stated in {before} already"));
            }
        }
    }
    assert!(stated.len() > 50, "the statements are not found any more: {stated:?}");
    let run = tests_that_run();
    let mut shown = BTreeSet::new();
    for claim in all_claims() {
        if !stated.contains_key(&claim.id) {
            wrong.push(format!("{}: nothing states {}", claim.place, claim.id));
        } else if !run.contains(&claim.test) {
            wrong.push(format!("{}: `{}` is no test that runs", claim.place, claim.test));
        }
        shown.insert(claim.id);
    }
    wrong.extend(
        stated
            .iter()
            .filter(|(id, _)| !shown.contains(*id))
            .map(|(id, place)| format!("{place}: no test shows {id}")),
    );
    for name in PAGES.iter().chain(&REFERRING) {
        for (line, number) in page(name).lines().zip(1..) {
            let unknown = ID.find_iter(line).filter(|one| !stated.contains_key(one.as_str()));
            wrong.extend(unknown.map(|one| format!("{name}:{number}: nothing states {}", one.as_str())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_statement_is_in_bold() {
    let text = "* **[PC-A-01]** It holds.\n* as **[SEC-B-02]** says, and (`PC-A-01`)\n";
    assert_eq!(statements(text), [("PC-A-01".to_owned(), 1), ("SEC-B-02".to_owned(), 2)]);
}

#[test]
fn a_claim_names_the_test_below_it() {
    let text =
        "// contract: PC-A-01, PC-A-02\n// Why.\n#[test]\nfn it_holds() {\n}\n\n#[test]\nfn other() {}\n";
    let claim = |id: &str| Claim {
        id: id.to_owned(),
        test: "some::file::it_holds".to_owned(),
        place: "file.rs:1".to_owned(),
    };
    assert_eq!(claims("some::file", "file.rs", text), Ok(vec![claim("PC-A-01"), claim("PC-A-02")]));
}

#[test]
fn a_claim_above_no_test_is_refused_denied() {
    for text in [
        "// contract: PC-A-01\nfn no_test() {}\n",
        "// contract: PC-A-01\n\n#[test]\nfn apart() {}\n",
        "// contract: PC-A-01\n#[test]\nstruct Thing;\n",
        "// contract: PC-A-01\n",
        "// contract: PC-A-1\n#[test]\nfn test() {}\n",
        "// contract: PC-A-01 PC-A-02\n#[test]\nfn test() {}\n",
    ] {
        assert!(claims("file", "file.rs", text).is_err(), "{text}");
    }
}
