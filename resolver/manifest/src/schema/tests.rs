//! The keys of the schemas are the keys that the readers ask for.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::all;
use crate::document::reader::asked;

/// The properties of the root, or of a definition, of a schema.
fn properties(file: &str, definition: Option<&str>) -> BTreeSet<String> {
    let schema = all().into_iter().find(|one| one.file == file).unwrap().schema;
    let root: &Value = schema.as_value();
    let object = match definition {
        Some(name) => &root["definitions"][name],
        None => root,
    };
    object["properties"]
        .as_object()
        .unwrap_or_else(|| panic!("no properties in {definition:?} of {file}"))
        .keys()
        .cloned()
        .collect()
}

fn asked_for(parse: impl FnOnce()) -> BTreeMap<String, BTreeSet<&'static str>> {
    asked::take();
    parse();
    asked::take()
}

/// Compares the keys of a table; `gone` are asked for only to be refused.
#[track_caller]
fn same(
    asked: &BTreeMap<String, BTreeSet<&'static str>>,
    table: &str,
    file: &str,
    definition: Option<&str>,
    gone: &[&str],
) {
    let known: BTreeSet<String> = asked
        .get(table)
        .unwrap_or_else(|| panic!("{table} was not read; read were {:?}", asked.keys()))
        .iter()
        .filter(|key| !gone.contains(*key))
        .map(|key| (*key).to_owned())
        .collect();
    assert_eq!(known, properties(file, definition), "{table}");
}

#[test]
fn distro() {
    let text = "schema-version = 1\n[distro]\nid = \"a\"\nname = \"a\"\nversion = \"1.0.0\"\n[distro.signing]\npubkey = \"ed25519:6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=\"\n\
        [variables.v]\n[[index]]\n[[capsule]]\nname = \"c\"\nprobe = {}\n[[pack]]\nid = \"p\"\n[policy]\n[policy.authority]\n\
        [[policy.change]]\n[invites]\n[branding]\n[reconcile]\n";
    let asked = asked_for(|| drop(crate::Distro::parse("Distro.toml", text)));
    let file = "distro.schema.json";
    same(&asked, "the file", file, None, &[]);
    for (table, definition) in [
        ("`distro`", "Header"),
        ("`signing`", "Signing"),
        ("`variables.v`", "Variable"),
        ("`index`", "IndexEntry"),
        ("`probe`", "Probe"),
        ("`policy`", "Policy"),
        ("`authority`", "AuthorityPolicy"),
        ("`change`", "PolicyChange"),
        ("`invites`", "Invites"),
        ("`branding`", "Branding"),
        ("`reconcile`", "Reconcile"),
    ] {
        same(&asked, table, file, Some(definition), &[]);
    }
    same(&asked, "capsule `c`", file, Some("CapsuleEntry"), &["branch", "rev"]);
    same(&asked, "pack `p`", file, Some("PackEntry"), &["branch", "rev"]);
}

#[test]
fn capsule() {
    let text = "[package]\nname = \"a\"\nversion = \"1.0.0\"\n[[component]]\n[capabilities]\n[env.E]\ntype = \"text\"\n\
        options_from = { http = \"x\" }\n[[command]]\n[[mcp_server]]\n[[uplink]]\n[[context_file]]\n[[tool]]\n[imports]\n\"a:b\" = { version = \"1\" }\n\
        [publish]\n\"a.b\" = { wit = \"opaque\" }\n[subscribe]\n\"a.b\" = { wit = \"opaque\" }\n";
    let asked =
        asked_for(|| drop(crate::CapsuleManifest::parse("Capsule.toml", text, crate::Strictness::Check)));
    let file = "capsule.schema.json";
    let gone = ["interceptor", "topic", "cron", "llm_provider", "dependencies", "skill"];
    same(&asked, "the manifest", file, None, &gone);
    same(&asked, "`capabilities`", file, Some("CapabilitiesTable"), &["ipc_publish", "ipc_subscribe"]);
    for (table, definition) in [
        ("`package`", "Package"),
        ("`component`", "ComponentTable"),
        ("`options_from`", "OptionsFrom"),
        ("`command`", "CommandTable"),
        ("`mcp_server`", "McpServerTable"),
        ("`uplink`", "UplinkTable"),
        ("`context_file`", "ContextFileTable"),
        ("`tool`", "ToolTable"),
        ("import `a:b`", "InterfaceTable"),
        ("publish `a.b`", "PublishTable"),
        ("subscribe `a.b`", "SubscribeTable"),
    ] {
        same(&asked, table, file, Some(definition), &[]);
    }
    // The other spelling of `options_from` is asked for only when the first is absent.
    let text = "[package]\nname = \"a\"\nversion = \"1.0.0\"\n[env.E]\ntype = \"text\"\n";
    let asked =
        asked_for(|| drop(crate::CapsuleManifest::parse("Capsule.toml", text, crate::Strictness::Check)));
    same(&asked, "`env.E`", file, Some("EnvTable"), &[]);
}

#[test]
fn pack() {
    let text = "{schema_version: 1, id: a, name: A, version: x, content: {}, agent: {}, aliases: [{}], permissions: [{}], secrets: [{}], dependencies: {}, \
        extensions: {generation: {backends: [{}], features: [{}]}, elements: {kinds: [{}]}, timeline: {kinds: [{}]}}}";
    let asked = asked_for(|| drop(crate::PackManifest::parse("pack.yaml", text)));
    let file = "pack.schema.json";
    same(&asked, "the manifest", file, None, &[]);
    for (table, definition) in [
        ("`content`", "Content"),
        ("`aliases[0]`", "Alias"),
        ("`permissions[0]`", "Permission"),
        ("`secrets[0]`", "PackSecret"),
        ("`dependencies`", "Dependencies"),
        ("`extensions`", "Extensions"),
        ("`generation`", "Generation"),
        ("`generation.backends[0]`", "Backend"),
        ("`features[0]`", "Feature"),
        ("`elements`", "ElementKinds"),
        ("`elements.kinds[0]`", "ElementKind"),
        ("`timeline`", "Timeline"),
        ("`timeline.kinds[0]`", "TimelineKind"),
    ] {
        same(&asked, table, file, Some(definition), &[]);
    }
}

const ACTION: &str = "schema_version: 1, id: a.b, name: B, version: x, inputs: [{}], outputs: [{}], cache: {}, isolation: {}, secrets: [{}], docs: {}";

#[test]
fn executor() {
    let file = "executor.schema.json";
    let text = format!("{{{ACTION}, command: {{argv: [x], input_args: [{{}}]}}}}");
    let asked = asked_for(|| drop(crate::pack::Executor::parse("executor.yaml", &text)));
    for (table, definition) in [
        ("the manifest", "ExecutorTable"),
        ("`command`", "CommandTable"),
        ("`command.input_args[0]`", "InputArgTable"),
        ("`inputs[0]`", "InputTable"),
        ("`outputs[0]`", "OutputTable"),
        ("`cache`", "Cache"),
        ("`isolation`", "Isolation"),
        ("`secrets[0]`", "PackSecret"),
        ("`docs`", "Docs"),
    ] {
        same(&asked, table, file, Some(definition), &[]);
    }
    let several = asked_for(|| drop(crate::pack::Executor::parse("executor.yaml", "executors: [{}]")));
    same(&several, "the manifest", file, Some("ExecutorList"), &[]);
    same(&several, "`executors[0]`", file, Some("ExecutorTable"), &[]);
    // Every runtime is asked for `type` and `kind`, and has one of them.
    for (runtime, definition, other) in [
        ("type: python-cli", "PythonCliTable", "kind"),
        ("kind: python", "PythonTable", "type"),
        ("kind: command", "CommandRuntimeTable", "type"),
        ("type: command", "OldCommandRuntimeTable", "kind"),
    ] {
        let text = format!("{{{ACTION}, runtime: {{{runtime}}}}}");
        let asked = asked_for(|| drop(crate::pack::Executor::parse("executor.yaml", &text)));
        same(&asked, "`runtime`", file, Some(definition), &[other]);
    }
}

#[test]
fn orchestrator() {
    let file = "orchestrator.schema.json";
    let text =
        format!("{{{ACTION}, runtime: {{kind: command, command: {{argv: [x], input_args: [{{}}]}}}}}}");
    let asked = asked_for(|| drop(crate::pack::Orchestrator::parse("orchestrator.yaml", &text)));
    for (table, definition) in [
        ("the manifest", None),
        ("`runtime`", Some("CommandRuntimeTable")),
        ("`command`", Some("CommandTable")),
        ("`inputs[0]`", Some("InputTable")),
        ("`outputs[0]`", Some("OutputTable")),
        ("`isolation`", Some("Isolation")),
    ] {
        same(&asked, table, file, definition, if table == "`runtime`" { &["type"] } else { &[] });
    }
}

#[test]
fn element() {
    let file = "element.schema.json";
    let text = "{schema_version: 1, id: a, kind: effect, pack_id: p, metadata: {}, schema: {}, defaults: {}, dependencies: {}, inputs: [{}], outputs: [{}], runtime: {}, docs: {}}";
    let asked = asked_for(|| drop(crate::pack::Element::parse("element.yaml", text)));
    for (table, definition) in [
        ("the manifest", None),
        ("`dependencies`", Some("ElementDependencies")),
        ("`inputs[0]`", Some("InputTable")),
        ("`outputs[0]`", Some("OutputTable")),
        ("`runtime`", Some("AdapterTable")),
        ("`docs`", Some("Docs")),
    ] {
        same(&asked, table, file, definition, &[]);
    }
}

#[test]
fn lock_trust_and_policy() {
    let text = "schema-version = 2\n[distro]\n[[capsule]]\n[[pack]]\n";
    let asked = asked_for(|| drop(crate::Lock::parse("Distro.lock", text)));
    same(&asked, "the lock", "lock.schema.json", None, &[]);
    same(&asked, "`distro`", "lock.schema.json", Some("LockedDistro"), &[]);
    same(&asked, "`capsule`", "lock.schema.json", Some("LockedCapsule"), &[]);
    same(&asked, "`pack`", "lock.schema.json", Some("LockedPack"), &[]);
    let asked = asked_for(|| drop(crate::AckFile::parse("a.toml", "[[ack]]\n")));
    same(&asked, "the file", "trust.schema.json", None, &[]);
    same(&asked, "`ack`", "trust.schema.json", Some("Ack"), &[]);
    let asked = asked_for(|| drop(crate::HomePolicy::parse("policy.toml", "[policy]\n")));
    same(&asked, "the file", "home-policy.schema.json", None, &[]);
    same(&asked, "`policy`", "home-policy.schema.json", Some("Policy"), &[]);
}
