use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

const HEAD: &str = "schema-version = 1\n[distro]\nid = \"demo\"\nname = \"Demo\"\nversion = \"0.1.0\"\n";
const FRONT: &str =
    "[[capsule]]\nname = \"front\"\nsource = \"./front.capsule\"\nversion = \"0.1.0\"\nrole = \"uplink\"\n";

fn parse(text: &str) -> Result<Parsed<Distro>, Diagnostics> {
    Distro::parse("Distro.toml", text)
}

#[track_caller]
fn accepts(text: &str) -> Distro {
    parse(text).unwrap_or_else(|complaints| panic!("{}", complaints.render(false))).value
}

#[track_caller]
fn refuses(text: &str, rule: &str) -> Diagnostics {
    let complaints = parse(text).expect_err("it was taken");
    assert!(complaints.has_rule(rule), "no `{rule}` in\n{complaints}");
    complaints
}

fn with_front(more: &str) -> String {
    format!("{HEAD}{FRONT}{more}")
}

#[test]
fn minimal_is_taken() {
    let distro = accepts(&with_front(""));
    assert_eq!(distro.capsules[0].at.line, 6);
    assert!(distro.capsules[0].is_uplink());
    assert_eq!(distro.header.display_name(), "Demo");
}

#[test]
fn d1_other_schema_version_denied() {
    refuses(&with_front("").replace("schema-version = 1", "schema-version = 2"), "schema-version");
    refuses(&with_front("").replace("schema-version = 1\n", ""), "missing-field");
}

#[test]
fn d2_distro_ids_denied() {
    for id in ["Demo", "1demo", "a_b", ""] {
        refuses(&with_front("").replace("\"demo\"", &format!("\"{id}\"")), "distro-id");
    }
}

#[test]
fn d3_partial_version_denied() {
    refuses(&with_front("").replacen("\"0.1.0\"", "\"1.0\"", 1), "version");
}

#[test]
fn d4_requirement_that_is_none_denied() {
    refuses(&with_front("[distro.requires.astrid]\nllm = \"banana\"\n"), "requirement");
    let distro = accepts(&with_front("[distro.requires.astrid]\nllm = \"^1.0\"\n"));
    assert_eq!(distro.header.requires[0].interface.as_str(), "astrid:llm");
}

#[test]
fn d5_nothing_in_it_denied() {
    refuses(HEAD, "empty-distro");
    assert!(Distro::parse_home("Distro.toml", HEAD).is_ok());
    // No uplink is needed: the kernel has its own.
    accepts(&with_front("").replace("role = \"uplink\"\n", ""));
}

#[test]
fn d6_duplicate_and_bad_names_denied() {
    let complaints = refuses(&with_front(FRONT), "duplicate");
    assert_eq!(complaints.iter().next().unwrap().line, 12);
    refuses(&with_front("").replace("\"front\"", "\"a/../b\""), "capsule-name");
}

#[test]
fn d7_branch_and_rev_denied() {
    for key in ["branch", "rev"] {
        let complaints = refuses(&with_front(&format!("{key} = \"main\"\n")), "moving-reference");
        let message = &complaints.iter().next().unwrap().message;
        for word in ["branch", "rev", "front"] {
            assert!(message.contains(word), "{message}");
        }
    }
}

#[test]
fn d8_versions_denied() {
    let with_version =
        |version: &str| with_front("").replace("version = \"0.1.0\"\nrole", &format!("{version}\nrole"));
    refuses(&with_version("version = \"\""), "unpinned");
    refuses(&with_version("version = \"latest\""), "requirement");
    refuses(&with_version("tag = \"\""), "tag");
    refuses(&with_version("version = \" 1.0.0\""), "requirement");
    refuses(&with_version("").replace("./front.capsule", "@acme/front"), "unpinned");
    // A folder has one version, and may say nothing.
    accepts(&with_version(""));
}

#[test]
fn d9_a_tag_is_enough() {
    let text = with_front("").replace("version = \"0.1.0\"\nrole", "version = \"\"\ntag = \"v1-rc1\"\nrole");
    assert_eq!(accepts(&text).capsules[0].tag.as_deref(), Some("v1-rc1"));
}

#[test]
fn d10_unknown_variable_denied() {
    refuses(&with_front("env = { a = \"{{ x }}\" }\n"), "unknown-variable");
}

#[test]
fn d11_any_spacing_is_a_variable() {
    let distro = accepts(&with_front("env = { a = \"{{  x  }}\" }\n[variables.x]\ndefault = \"\"\n"));
    let template = distro.capsules[0].env.values().next().unwrap();
    let values = BTreeMap::from([("x".to_owned(), "1".to_owned())]);
    assert_eq!(template.render(&values).unwrap(), "1");
}

#[test]
fn d12_invites_denied() {
    refuses(&with_front("[invites]\nissuers = [\"admin\"]\n"), "missing-field");
    refuses(&with_front("[invites]\ndefault-expires = \"24\"\n"), "period");
    refuses(&with_front("[invites]\nmax-principals = \"-1\"\n"), "wrong-value");
    accepts(&with_front(
        "[invites]\nissuers = [\"admin\"]\ndefault-group = \"g\"\nmax-principals = \"unlimited\"\n",
    ));
}

#[test]
fn d13_unknown_keys_denied() {
    refuses(&with_front("[invites]\ntypo = 1\n"), "unknown-key");
    let text = with_front("").replace("name = \"Demo\"\n", "name = \"Demo\"\npretty_nam = \"x\"\n");
    let complaints = refuses(&text, "unknown-key");
    let one = complaints.iter().next().unwrap();
    assert_eq!((one.line, one.column), (5, 1));
    assert_eq!(one.help.as_deref(), Some("did you mean `pretty-name`?"));
}

#[test]
fn d14_branding_denied() {
    let icon = format!("data:{}", "x".repeat(65_532));
    refuses(&with_front(&format!("[branding]\nicon = \"{icon}\"\n")), "too-large");
    refuses(&with_front("[branding]\nprimary-color = \"#abcd\"\n"), "color");
    accepts(&with_front("[branding]\nicon = \"./a.png\"\nprimary-color = \"#abc\"\n"));
}

#[test]
fn d15_floors_are_kept() {
    let distro = accepts(
        &with_front("").replace("name = \"Demo\"\n", "name = \"Demo\"\nastrid-version = \">=0.6.0\"\n"),
    );
    let floor = distro.header.astrid_version.unwrap();
    assert!(crate::platform_admits(&floor, &"0.6.0-dev.3".parse().unwrap()));
}

#[test]
fn d16_the_first_of_a_group_stands_in() {
    let member = |name: &str, more: &str| {
        format!("[[capsule]]\nname = \"{name}\"\nsource = \"./{name}\"\ngroup = \"llm\"\n{more}")
    };
    let distro = accepts(&format!("{HEAD}{}{}", member("b", ""), member("a", "")));
    let (chosen, by_want) = Distro::default_selection(&distro.groups()["llm"]);
    assert_eq!((chosen[0].name.as_str(), by_want), ("b", true));
    let distro = accepts(&format!("{HEAD}{}{}", member("b", ""), member("a", "default = true\n")));
    let (chosen, by_want) = Distro::default_selection(&distro.groups()["llm"]);
    assert_eq!((chosen[0].name.as_str(), chosen.len(), by_want), ("a", 1, false));
}

#[test]
fn d17_a_variable_without_a_value_stays_without() {
    let distro = accepts(&with_front("env = { a = \"{{ x }}\" }\n[variables.x]\nsecret = true\n"));
    assert_eq!(distro.variables["x"].default, None);
    let template = distro.capsules[0].env.values().next().unwrap();
    assert!(template.render(&BTreeMap::new()).is_err());
}

#[test]
fn packs_and_the_rest_of_our_format_are_read() {
    let text = with_front(
        "depends-on = [\"kv\"]\nkeep = true\nprobe = { tool = \"read_file\", args = { path = \"README.md\" } }\n\
         [[pack]]\nid = \"media_tools\"\nsource = \"git+https://example.org/m?path=packs/m\"\ntag = \"v1.4.0\"\ncapsules = [\"thumbs\"]\n\
         [[index]]\nname = \"acme\"\nurl = \"./index\"\n\
         [policy]\nprovenance = \"if-present\"\nmin-age = \"3d\"\nungranted-imports = \"error\"\n\
         [policy.authority]\ndeny = [\"host_process\", \"net:*\"]\n",
    );
    let distro = accepts(&text);
    assert_eq!(distro.packs[0].capsules.as_ref().unwrap()[0].as_str(), "thumbs");
    assert_eq!(distro.packs[0].at.line, 14);
    assert_eq!(distro.policy.authority.deny.len(), 2);
    assert_eq!(distro.policy.min_age, Some(Period::from_secs(259_200)));
    assert_eq!(distro.capsules[0].probe.as_ref().unwrap().tool, "read_file");
}

#[test]
fn what_this_version_lacks_is_denied() {
    for more in [
        "[reconcile]\nsource = \"git+https://example.org/fleet?ref=main\"\nupgrade = \"manual\"\n",
        "[[index]]\nname = \"acme\"\nurl = \"https://example.org/index\"\n",
        "[[capsule]]\nname = \"x\"\nsource = \"oci://example.org/x\"\nversion = \"1.0.0\"\n",
    ] {
        let complaints = refuses(&with_front(more), "not-supported");
        assert_eq!(complaints.len(), 1, "{complaints}");
        assert!(complaints.to_string().contains("not supported by this version"), "{complaints}");
    }
}

#[test]
fn all_complaints_come_at_once() {
    let text = "schema-version = 1\n[distro]\nid = \"Demo\"\nname = 3\nversion = \"x\"\n[[capsule]]\nname = \"A\"\nsource = \"x\"\n";
    let complaints = parse(text).unwrap_err();
    let lines: Vec<u32> = complaints.iter().map(|one| one.line).collect();
    assert_eq!(lines, [3, 4, 5, 7, 8]);
}

#[test]
fn indexes_must_be_declared_denied() {
    let entry = "[[capsule]]\nname = \"x\"\nsource = \"index:acme/x\"\nversion = \"1.0\"\n";
    refuses(&with_front(entry), "unknown-index");
    accepts(&with_front(&format!("{entry}[[index]]\nname = \"acme\"\nurl = \"/srv/index\"\n")));
}

#[test]
fn dependencies_must_exist_denied() {
    refuses(&with_front("depends-on = [\"kv\"]\n"), "depends-on");
    refuses(&with_front("depends-on = [\"front\"]\n"), "depends-on");
}

#[test]
fn the_hash_is_of_what_resolution_reads() {
    let base = with_front("");
    let hash = |text: &str| manifest_hash(&accepts(text));
    let same = "# hello\n\n[[capsule]]\nrole=\"uplink\"\nversion='0.1.0'\nsource = './front.capsule'\nname = \"front\"\nenv = { a = \"b\" }\n";
    let reordered =
        format!("schema-version = 1\n{same}[distro]\nversion = \"0.1.0\"\nname = \"Other\"\nid = \"demo\"\n");
    assert_eq!(hash(&base), hash(&reordered));
    let changed = base.replace("\"0.1.0\"\nrole", "\"^0.1.0\"\nrole");
    assert_ne!(hash(&base), hash(&changed));
    assert_ne!(hash(&base), hash(&with_front("[[pack]]\nid = \"p\"\nsource = \"./p\"\n")));
}

#[test]
fn ten_thousand_entries_are_read() {
    let mut text = HEAD.to_owned();
    for at in 0..10_000 {
        write!(text, "[[capsule]]\nname = \"c{at}\"\nsource = \"./c{at}\"\n").unwrap();
    }
    let distro = accepts(&text);
    assert_eq!(distro.capsules.len(), 10_000);
    assert_eq!(distro.capsules[9_999].at.line, 6 + 3 * 9_999);
}

#[test]
fn places_on_one_long_line_are_right() {
    let entries: Vec<String> =
        (0..5_000).map(|at| format!("{{ name = \"é{at}\", source = \"./x\" }}")).collect();
    let text = format!("capsule = [{}]\n{HEAD}", entries.join(", "));
    let complaints = parse(&text).unwrap_err();
    let columns: Vec<u32> = complaints.iter().filter(|one| one.line == 1).map(|one| one.column).collect();
    assert_eq!(columns[..3], [21, 54, 87]);
}

#[test]
fn complaints_are_shown_with_their_line() {
    let shown = parse(&with_front("grup = \"llm\"\n")).unwrap_err().render(false);
    let expected = "error[unknown-key]: unknown key `grup` in capsule `front`\n  --> Distro.toml:11:1\n   |\n11 | grup = \"llm\"\n   | ^^^^\n   = help: did you mean `group`?\n";
    assert_eq!(shown, expected);
}

#[test]
fn deep_and_large_texts_are_denied() {
    refuses(&format!("x = {}{}\n", "[".repeat(500), "]".repeat(500)), "syntax");
    refuses(&format!("a.{}b = 1\n", "a.".repeat(70)), "too-deep");
    refuses(&"#".repeat(crate::MAX_DISTRO_BYTES + 1), "too-large");
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn no_broken_document_panics(at in 0_usize..2000, len in 0_usize..20, with in "[\\[\\]{}\"'=.,\\n a-z0-9é]{0,8}") {
        let mut text = with_front("env = { a = \"{{ x }}\" }\n[variables.x]\ndefault = \"é\"\n[policy]\nmin-age = \"3d\"\n");
        let start = (0..=at % text.len()).rev().find(|at| text.is_char_boundary(*at)).unwrap();
        let end = (start..=(start + len).min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap();
        text.replace_range(start..end, &with);
        if let Err(complaints) = parse(&text) {
            let _ = complaints.render(true);
        }
    }
}

#[test]
fn rules_about_signers_are_read() {
    const KEY: &str = "ed25519:6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=";
    let more = format!(
        "[distro.signing]\npubkey = \"{KEY}\"\n[policy]\nprovenance = \"required\"\n\
         [[policy.signer]]\nmatch = [\"pack:x\", \"@acme/*\", \"distro:demo\"]\nissuer = \"https://token.example.org\"\n\
         repository = \"acme/x\"\nworkflow = \".github/workflows/release.yml\"\nref = \"refs/tags/v*\"\n\
         predicate = \"https://slsa.dev/provenance/v1\"\nbuilder = \"https://example.org/builder\"\n\
         [[policy.signer]]\nmatch = [\"capsule:*\"]\nkey = \"{KEY}\"\n\
         [[policy.change]]\nsubject = \"capsule:fs\"\nfrom = \"a\"\nto = \"b\"\nreason = \"c\"\n"
    );
    let distro = parse(&with_front(&more)).unwrap().value;
    assert_eq!(distro.header.signing.as_ref().unwrap().pubkey, KEY);
    assert_eq!((distro.policy.signers.len(), distro.policy.changes.len()), (2, 1));
    assert!(distro.policy.signers[0].builder.is_some());
}

#[test]
fn other_rules_about_signers_are_denied() {
    let rule = |fields: &str| with_front(&format!("[[policy.signer]]\nmatch = [\"pack:x\"]\n{fields}"));
    refuses(&rule("key = \"ed25519:AAAA\"\n"), "key");
    for fields in [
        "",
        "issuer = \"https://a.example\"\n",
        "issuer = \"https://a.example\"\nidentity = \"a\"\nworkflow = \"w\"\n",
        "issuer = \"https://a.example\"\nrepository = \"a/b\"\nbuilder = \"c\"\n",
    ] {
        refuses(&rule(fields), "signer");
    }
    refuses(&with_front("[distro.signing]\npubkey = \"ed25519:AAAA\"\n"), "key");
}

#[test]
fn what_was_asked_for_and_just_this_content_are_read() {
    let digest = format!("blake3:{}", "0".repeat(64));
    let entry = |more: &str| with_front(&format!("[[pack]]\nid = \"p\"\nsource = \"./p\"\n{more}"));
    for reference in ["HEAD", "refs/heads/a/b", "refs/tags/v1", &"a".repeat(40)] {
        let distro = accepts(&entry(&format!("requested-ref = \"{reference}\"\ncontent = \"{digest}\"\n")));
        assert_eq!(distro.packs[0].requested_ref.as_deref(), Some(reference));
        assert_eq!(distro.packs[0].content.map(|own| own.to_string()), Some(digest.clone()));
    }
    let plain = manifest_hash(&accepts(&entry("")));
    assert_eq!(manifest_hash(&accepts(&entry("requested-ref = \"HEAD\"\n"))), plain);
    assert_ne!(manifest_hash(&accepts(&entry(&format!("content = \"{digest}\"\n")))), plain);
}

#[test]
fn other_references_and_parts_of_a_digest_are_denied() {
    let entry = |more: &str| with_front(&format!("[[pack]]\nid = \"p\"\nsource = \"./p\"\n{more}"));
    for reference in ["main", "refs/heads/", "refs/heads/../x", "refs/x", "", &"A".repeat(40), "head"] {
        refuses(&entry(&format!("requested-ref = \"{reference}\"\n")), "reference");
    }
    refuses(&entry("content = \"blake3:0000\"\n"), "digest");
}
