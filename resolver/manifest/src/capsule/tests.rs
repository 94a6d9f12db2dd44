use proptest::prelude::*;

use super::*;

const HEAD: &str = "[package]\nname = \"front\"\nversion = \"0.1.0\"\n";

fn parse(more: &str, strictness: Strictness) -> Result<Parsed<CapsuleManifest>, Diagnostics> {
    CapsuleManifest::parse("Capsule.toml", &format!("{HEAD}{more}"), strictness)
}

#[track_caller]
fn accepts(more: &str) -> CapsuleManifest {
    let parsed =
        parse(more, Strictness::Check).unwrap_or_else(|complaints| panic!("{}", complaints.render(false)));
    assert!(parsed.warnings.is_empty(), "{}", parsed.warnings);
    parsed.value
}

#[track_caller]
fn refuses(more: &str, rule: &str) -> Diagnostics {
    for strictness in [Strictness::Check, Strictness::Load] {
        let complaints = parse(more, strictness).expect_err("it was taken");
        assert!(complaints.has_rule(rule), "no `{rule}` in\n{complaints}");
    }
    parse(more, Strictness::Check).unwrap_err()
}

#[test]
fn minimal_is_taken() {
    let manifest = accepts("");
    assert!(manifest.capabilities().to_set().is_empty());
    assert_eq!(manifest.component_file(), None);
}

#[test]
fn c1_topics_denied() {
    for topic in ["a..b", ".a", "a.", ""] {
        refuses(&format!("[publish]\n\"{topic}\" = \"opaque\"\n"), "topic");
    }
    accepts("[publish]\n\"tool.v1.execute.*.*.result\" = \"opaque\"\n");
}

#[test]
fn c2_two_pins_denied() {
    let complaints =
        refuses("[publish]\n\"a.b\" = { wit = \"x/y\", version = \"1\", tag = \"v1\" }\n", "conflicting-pin");
    assert!(complaints.to_string().contains("a.b"), "{complaints}");
}

#[test]
fn c3_priority_without_handler_denied() {
    refuses("[subscribe]\n\"a.b\" = { wit = \"opaque\", priority = 1 }\n", "priority-without-handler");
    let manifest = accepts("[subscribe]\n\"a.b\" = { wit = \"opaque\", handler = \"h\", priority = 1 }\n");
    assert_eq!(manifest.handlers()[0].1, "h");
}

#[test]
fn c4_versions_of_interfaces_denied() {
    refuses("[imports.astrid]\nsession = \"nope\"\n", "requirement");
    refuses("[exports.astrid]\nsession = \"1.0\"\n", "version");
}

#[test]
fn c5_names_of_interfaces_denied() {
    refuses("[imports]\n\":x\" = \"^1\"\n", "interface");
    refuses("[imports.Astrid]\nx = \"^1\"\n", "interface");
    refuses("[imports]\n\"a:b\" = \"^1\"\n[imports.a]\nb = \"^1\"\n", "duplicate");
}

#[test]
fn c6_an_uplink_imports_nothing_denied() {
    let uplink = "[capabilities]\nuplink = true\n";
    refuses(&format!("{uplink}[imports.astrid]\nsession = \"^1\"\n"), "uplink-imports");
    accepts(&format!("{uplink}[exports.astrid]\nsession = \"1.0.0\"\n"));
}

#[test]
fn c7_names_of_commands_denied() {
    let command = |name: &str, kind: &str| format!("[[command]]\nname = \"{name}\"\nkind = \"{kind}\"\n");
    for name in ["install", "Bad", &"a".repeat(33)] {
        assert!(parse(&command(name, "cli"), Strictness::Load).is_err(), "{name}");
        accepts(&command(name, "slash"));
    }
}

#[test]
fn c8_a_components_capabilities_count() {
    let manifest = accepts(
        "[[component]]\nfile = \"x.wasm\"\n[component.capabilities]\nnet_connect = [\"db:5432\"]\nfs_read = [\"cwd://\"]\n\
         [capabilities]\nfs_read = [\"cwd://\"]\nidentity = [\"resolve\", \"link\"]\n",
    );
    let all: Vec<String> = manifest.capabilities().to_set().iter().map(ToString::to_string).collect();
    assert_eq!(all, ["fs_read:cwd://", "net_connect:db:5432", "identity:link"]);
}

#[test]
fn c9_removed_sections_denied() {
    for (section, word) in [
        ("[[interceptor]]\nevent = \"x\"\n", "handler"),
        ("[[topic]]\nname = \"x\"\n", "wit"),
        ("[[cron]]\nname = \"x\"\n", "scheduler"),
        ("[[llm_provider]]\nid = \"x\"\n", "llm.v1"),
        ("[dependencies]\nprovides = []\n", "exports"),
        ("[[skill]]\nname = \"x\"\n", "skills/"),
        ("[component]\nfile = \"x.wasm\"\n", "[[component]]"),
        ("[capabilities]\nipc_publish = []\n", "[publish]"),
    ] {
        let complaints = refuses(section, "removed-section");
        let help = complaints.iter().find_map(|one| one.help.clone()).unwrap();
        assert!(help.contains(word), "{help}");
    }
}

#[test]
fn c10_scope_has_no_effect() {
    let parsed = parse("[env.A]\ntype = \"text\"\nscope = \"shared\"\n", Strictness::Load).unwrap();
    assert!(parsed.warnings.has_rule("no-effect"));
}

#[test]
fn unknown_keys_are_warnings_for_others_and_errors_for_oneself() {
    let parsed = parse("[whatever]\nx = 1\n", Strictness::Load).unwrap();
    assert!(parsed.warnings.has_rule("unknown-key"));
    assert!(parse("[whatever]\nx = 1\n", Strictness::Check).is_err());
}

#[test]
fn unfinished_wit_is_told() {
    let text = "[publish]\n\"a.b\" = \"TODO\"\n";
    assert!(parse(text, Strictness::Load).unwrap().warnings.has_rule("unfinished-wit"));
    assert!(parse(text, Strictness::Check).unwrap_err().has_rule("unfinished-wit"));
}

#[test]
fn components_are_checked_denied() {
    refuses("[[component]]\nid = \"x\"\n", "missing-field");
    for file in ["../x.wasm", "/x.wasm", "a\\\\b", ""] {
        refuses(&format!("[[component]]\nfile = \"{file}\"\n"), "path");
    }
    refuses("[[component]]\nfile = \"x.wasm\"\nhash = \"sha256:00\"\n", "digest");
    let manifest = accepts("[[component]]\nentrypoint = \"bin/x.wasm\"\ncapabilities = {}\n");
    assert_eq!(manifest.component_file().unwrap().joined(), "bin/x.wasm");
}

#[test]
fn env_types_are_checked() {
    let manifest = accepts(
        "[env.A]\ntype = \"string\"\n[env.K]\ntype = \"secret\"\n[env.N]\ntype = \"integer\"\ndefault = \"5\"\n\
         [env.S]\ntype = \"select\"\nenum_values = [\"a\", \"b\"]\ndefault = \"a\"\n\
         [env.M]\ntype = \"select\"\noptions_from = { http = \"{base_url}/models\", after = [\"K\"] }\n",
    );
    let capabilities = manifest.capabilities();
    assert_eq!(capabilities.secrets.len(), 1);
    assert_eq!(capabilities.env.len(), 4);
    refuses("[env.A]\ntype = \"txet\"\n", "wrong-value");
    refuses("[env.A]\ndefault = \"x\"\n", "missing-field");
    refuses("[env.N]\ntype = \"integer\"\ndefault = \"x\"\n", "env-default");
    refuses("[env.S]\ntype = \"select\"\nenum_values = [\"a\"]\ndefault = \"c\"\n", "env-default");
    refuses("[env.M]\ntype = \"select\"\noptions_from = { http = \"x\", after = [\"K\"] }\n", "unknown-env");
}

#[test]
fn both_forms_of_imports_mix() {
    let manifest = accepts(
        "[imports]\n\"astrid:kv\" = \"1.0\"\n[imports.astrid]\nsession = { version = \"^1.0\", optional = true }\n\
         [exports]\n\"astrid:tools\" = { version = \"1.0.0\" }\n",
    );
    assert_eq!(manifest.imports.len(), 2);
    assert!(manifest.imports["astrid:session"].optional);
    assert_eq!(manifest.exports.len(), 1);
}

#[test]
fn the_platform_is_asked() {
    let manifest = CapsuleManifest::parse(
        "Capsule.toml",
        "[package]\nname = \"a\"\nversion = \"1.0.0\"\nastrid-version = \">=0.10\"\n",
        Strictness::Check,
    );
    let manifest = manifest.unwrap().value;
    assert!(manifest.admits_platform(&crate::PLATFORM_COMPAT));
    assert!(!manifest.admits_platform(&Version::new(0, 9, 0)));
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        let _ = CapsuleManifest::parse("Capsule.toml", &text, Strictness::Load);
    }

    #[test]
    fn no_table_panics(section in "(package|component|imports|exports|publish|subscribe|capabilities|env|command|mcp_server)", key in "[a-z_:.*]{1,8}", value in "(1|\"x\"|true|\\[1\\]|\\[\"a\"\\]|\\{ a = 1 \\}|1.5|1979-05-27)") {
        let _ = parse(&format!("[{section}]\n\"{key}\" = {value}\n"), Strictness::Load);
        let _ = parse(&format!("[[{section}]]\n\"{key}\" = {value}\n"), Strictness::Check);
    }
}
