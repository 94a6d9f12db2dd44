use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

const HEAD: &str = "schema_version: 1\nid: media_tools\nname: Media tools\nversion: 1.4.0\n";

fn parse(more: &str) -> Result<Parsed<PackManifest>, Diagnostics> {
    PackManifest::parse("pack.yaml", &format!("{HEAD}{more}"))
}

#[track_caller]
fn accepts(more: &str) -> PackManifest {
    parse(more).unwrap_or_else(|complaints| panic!("{}", complaints.render(false))).value
}

#[track_caller]
fn refuses(more: &str, rule: &str) -> Diagnostics {
    let complaints = parse(more).expect_err("it was taken");
    assert!(complaints.has_rule(rule), "no `{rule}` in\n{complaints}");
    complaints
}

#[test]
fn a_whole_manifest_is_read() {
    let pack = accepts(
        "content:\n  executors: executors\n  capsules: capsules\npermissions:\n  - id: network\n    reason: asks a server\n    services: [api.example.org]\n\
         secrets:\n  - {name: API_KEY, required: true}\ndependencies:\n  packs: [\"base >=1.2\", other]\n  python: [numpy]\n\
         agent:\n  purpose: cuts films\n  anything: else\nmetadata:\n  category: media\nstatus: experimental\n",
    );
    assert_eq!(pack.semver(), Some(Version::new(1, 4, 0)));
    assert_eq!(pack.dependencies.packs[0].requirement.as_ref().unwrap().as_str(), ">=1.2");
    assert_eq!(pack.authority().len(), 1);
    assert_eq!(pack.status, Status::Experimental);
}

#[test]
fn json_is_yaml() {
    let text =
        "{\"schema_version\": 1.0, \"id\": \"a\", \"name\": \"A\", \"version\": \"x\", \"permissions\": []}";
    let pack = PackManifest::parse("pack.json", text).unwrap().value;
    assert_eq!((pack.id.as_str(), pack.semver()), ("a", None));
}

#[test]
fn permissions_need_reasons_denied() {
    let complaints = refuses("permissions:\n  - id: network\n", "missing-field");
    assert_eq!(complaints.iter().next().unwrap().line, 6);
    refuses("permissions:\n  - {id: network, reason: ' '}\n", "blank");
    refuses("permissions:\n  - {id: telepathy, reason: x}\n", "permission-id");
    refuses("permissions:\n  - {id: network, reason: x, extra: 1}\n", "unknown-key");
    refuses("permissions:\n  - {id: network, reason: x}\n  - {id: network, reason: y}\n", "duplicate");
    refuses("permissions: {id: network}\n", "wrong-type");
    refuses("permissions:\n  - {id: network, reason: x, services: ['']}\n", "blank");
}

#[test]
fn the_schema_is_closed_denied() {
    let complaints = refuses("permisions: []\n", "unknown-key");
    assert_eq!(complaints.iter().next().unwrap().help.as_deref(), Some("did you mean `permissions`?"));
    refuses("content: {executors: ../x}\n", "path");
    refuses("dependencies: {packs: ['Base']}\n", "pack-dependency");
    refuses("dependencies: {packs: ['base banana']}\n", "requirement");
    refuses("dependencies: {packs: [media_tools]}\n", "pack-dependency");
    refuses("status: great\n", "wrong-value");
    assert!(parse("content: {extras: x}\n").unwrap().warnings.has_rule("unknown-key"));
}

#[test]
fn odd_yaml_is_denied() {
    refuses("id: other\n", "duplicate-key");
    refuses("metadata: {a: .inf}\n", "wrong-type");
    refuses("metadata: {a: 1e999}\n", "wrong-type");
    refuses("metadata: {a: .nan}\n", "wrong-type");
    refuses("metadata: &a\n  b: *a\n", "syntax");
    refuses("metadata: !!python/object x\n", "syntax");
    refuses("---\na: b\n", "syntax");
    refuses(&format!("metadata: {}{}\n", "[".repeat(100), "]".repeat(100)), "too-deep");
    assert!(PackManifest::parse("pack.yaml", "").is_err());
    assert!(PackManifest::parse("pack.yaml", "[]").is_err());
}

#[test]
fn alias_bombs_are_denied() {
    let mut bomb = "metadata:\n  a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for at in 1..12 {
        let before = format!("*a{}, ", at - 1).repeat(9);
        writeln!(bomb, "  a{at}: &a{at} [{before}*a{}]", at - 1).unwrap();
    }
    refuses(&bomb, "too-many");
    // Few values, and gigabytes of text.
    let long = "\\x41".repeat(100_000);
    refuses(&format!("metadata:\n  a: &a \"{long}\"\n  b: [{}*a]\n", "*a, ".repeat(10_000)), "too-many");
    accepts("metadata:\n  a: &a {x: 1}\n  b: *a\n");
}

#[test]
fn places_count_characters() {
    let complaints = refuses("description: héé\nmetadata: {é: é, é: 1}\n", "duplicate-key");
    let one = complaints.iter().next().unwrap();
    assert_eq!((one.line, one.column), (6, 18));
}

#[test]
fn reasons_are_part_of_the_digest() {
    let digest = |text: &str| accepts(text).permissions_digest();
    let one = "permissions:\n  - {id: network, reason: x}\n  - {id: subprocess, reason: y}\n";
    let turned = "permissions:\n  - {id: subprocess, reason: y}\n  - {id: network, reason: x}\n";
    assert_eq!(digest(one), digest(turned));
    assert_ne!(digest(one), digest(&one.replace("reason: x", "reason: z")));
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        let _ = PackManifest::parse("pack.yaml", &text);
    }

    #[test]
    fn no_yaml_panics(text in "[-:?&*!|>'\"%@`{}\\[\\], \\na-c0-9.é]{0,80}") {
        let _ = parse(&text);
    }
}
