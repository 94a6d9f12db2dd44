//! Documents, exit codes, versions, and what is promised to stay.

use std::path::Path;

use serde_json::Value;

use super::scene::{media, trust_block};
use crate::env::TestEnv;

fn page() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    std::fs::read_to_string(root.join("docs/platform-contract.md")).unwrap()
}

/// The rows of the table of the page that begins with this heading, as cells.
fn table(heading: &str) -> Vec<Vec<String>> {
    let text = page();
    let rows = text.lines().skip_while(|line| *line != heading).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    rows.map(cells).collect()
}

/// The texts in backticks of a cell.
fn names(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

// contract: PC-OUT-02, PC-OUT-03
#[test]
fn every_ending_is_one_document() {
    let env = TestEnv::new();
    media(&env, "packs/media");
    env.write("packs/broken/pack.yaml", "id: broken\n");
    let runs: [(&[&str], i32); 6] = [
        (&["discover"], 0),
        (&["packs", "validate", "packs/media"], 0),
        (&["version"], 0),
        (&["discover", "--project", "absent"], 64),
        (&["plan"], 65),
        (&["show", "absent"], 1),
    ];
    for (arguments, code) in runs {
        let ran = env.astrid(&[arguments, &["--json"]].concat());
        assert_eq!(ran.code, code, "{arguments:?}: {}", ran.shown());
        // `from_str` takes one document and nothing behind it.
        let document: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(document["format_version"], 1, "{arguments:?}");
        if code != 0 {
            let error = &document["error"];
            assert_eq!(error["code"], code, "{error}");
            assert!(error["kind"].is_string() && !error["message"].as_str().unwrap().is_empty(), "{error}");
        }
    }
}

// contract: PC-STAB-02
#[test]
fn every_promised_field_is_there() {
    let env = TestEnv::new();
    media(&env, "packs/media");
    let document = env.ok(&["discover", "--json"]).json();
    let capability = &document["capabilities"][0];
    let rows = table("| object | fields |");
    assert_eq!(rows.len(), 6);
    for row in rows {
        let object = match row[0].as_str() {
            "`discover`" => &document,
            "pack" => &document["packs"]["media"],
            "capability" => capability,
            "handle" => &capability["handle"],
            "provenance" => &capability["handle"]["provenance"],
            "safety" => &capability["handle"]["safety"],
            other => panic!("{other}"),
        };
        for name in names(&row[1]) {
            assert!(object.get(name).is_some(), "{}: {name}", row[0]);
        }
    }
}

// contract: PC-STAB-01
#[test]
fn what_is_stable_is_as_it_was_in_the_first_release() {
    let env = TestEnv::new();
    media(&env, "packs/media");
    let document = env.ok(&["discover", "--json"]).json();
    assert_eq!(document["packs"]["media"]["trust"], trust_block());
    for name in ["executors", "orchestrators", "elements", "capabilities"] {
        assert!(document[name].is_array(), "{name}");
    }
    assert!(document["packs"].is_object());
    let ran =
        env.shell("python3 -c 'import astrid; print(\" \".join(sorted(name for name in astrid.__all__)))'");
    let exported = "AstridError Capability CapabilityHandle DiscoveryResult Pack ProgramNotFound Provenance \
                    SafetyDeclaration discover\n";
    assert_eq!(ran.stdout, exported);
}

// contract: PC-STAB-03
#[test]
fn readers_need_nothing_that_is_opaque() {
    let env = TestEnv::new();
    media(&env, "packs/media");
    // The Python package answers the same when the opaque fields are gone, and when there are more.
    let ran = env.shell(
        "python3 -c '
import astrid, astrid.discovery as own
document = astrid.discover().to_dict()
for one in document[\"executors\"] + document[\"orchestrators\"] + document[\"elements\"]:
    for name in (\"schema\", \"defaults\", \"definition\"):
        del one[name]
    one[\"added_later\"] = one[\"handle\"][\"added_later\"] = 1
document[\"added_later\"] = {}
print(len(own._result(document).capabilities))
'",
    );
    assert_eq!(ran.stdout, "3\n");
}

// contract: PC-VER-01
#[test]
fn versions_are_semver() {
    let env = TestEnv::new();
    let document = env.ok(&["version", "--json"]).json();
    let version = document["version"].as_str().unwrap();
    let core = version.split(['-', '+']).next().unwrap();
    let numbers: Vec<&str> = core.split('.').collect();
    assert!(numbers.len() == 3 && numbers.iter().all(|number| number.parse::<u32>().is_ok()), "{version}");
    let python = env.shell("python3 -c 'import astrid; print(astrid.__version__)'");
    assert_eq!(python.stdout.trim_end(), version, "the package and the program are released together");
}

/// `MAJOR.MINOR` as two numbers.
fn minor(text: &str) -> (u64, u64) {
    let (major, minor) = text.split_once('.').unwrap();
    (major.parse().unwrap(), minor.parse().unwrap())
}

// contract: PC-VER-02
#[test]
fn what_is_deprecated_works_for_two_minor_releases() {
    let env = TestEnv::new();
    let rows = table("| deprecated | since | not gone before | use instead |");
    for row in &rows {
        let (since, until) = (minor(&row[1]), minor(&row[2]));
        assert!(until >= (since.0, since.1 + 2), "{row:?}");
        assert!(!names(&row[3]).is_empty(), "{row:?} names nothing in its place");
    }
    // Each old form beside the new one, and both say the same.
    let pack = |more: &str| format!("schema_version: 1\nid: old\nname: Old\nversion: 1.0.0\n{more}");
    let executor = |runtime: &str| {
        format!(
            "schema_version: 1\nid: old.do\nname: Do\nversion: 1.0.0\nkind: external\nruntime: {runtime}\n"
        )
    };
    let forms = [
        (
            pack("agent: {entrypoints: [old.do]}\n"),
            pack("agent: {normal_entrypoints: [old.do]}\n"),
            "agent.entrypoints",
        ),
        (
            pack("secrets: {required: [API_KEY]}\n"),
            pack("secrets: [{name: API_KEY, required: true}]\n"),
            "secrets",
        ),
    ];
    let content = "content: {executors: executors}\n";
    let discovered = |manifest: &str, runtime: &str| {
        env.write("packs/old/pack.yaml", format!("{manifest}{content}"));
        env.write("packs/old/executors/do/executor.yaml", executor(runtime));
        env.ok(&["packs", "validate", "packs/old"]);
        let document = env.ok(&["discover", "--json"]).json();
        let pack = &document["packs"]["old"];
        let definition = &document["executors"][0]["definition"]["runtime"];
        (pack["agent"]["entrypoints"].clone(), pack["declared_secrets"].clone(), definition.clone())
    };
    let new = "{kind: command, command: {argv: [/bin/true]}}";
    for (old_form, new_form, name) in &forms {
        assert!(rows.iter().any(|row| row[0].contains(name)), "{name}");
        assert_eq!(discovered(old_form, new), discovered(new_form, new), "{name}");
    }
    let old = "{type: command, command: {argv: [/bin/true]}}";
    assert_eq!(discovered(&pack(""), old), discovered(&pack(""), new));
    assert_eq!(rows.len(), 3, "a deprecated form without a test");
}
