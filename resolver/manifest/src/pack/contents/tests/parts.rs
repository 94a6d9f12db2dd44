//! Orchestrators, aliases, elements, extensions and capsules.

use super::*;

const CHILDREN: &str =
    "child_executors: [media_tools.cut, other.thing]\nchild_orchestrators: [media_tools.all]\n";

fn with_orchestrator(more: &str, aliases: &str) -> BTreeMap<String, Vec<u8>> {
    let orchestrator = format!(
        "{HEAD}id: media_tools.all\nruntime: {{kind: python, module: lib.run, function: main}}\n{more}"
    );
    pack(
        &format!("content: {{executors: e, orchestrators: o}}\n{aliases}"),
        &[
            ("e/cut/executor.yaml", &executor("command: {argv: [ls]}\n")),
            ("o/all/orchestrator.yaml", &orchestrator),
            ("o/all/lib/run/__init__.py", ""),
        ],
    )
}

#[test]
fn orchestrators_name_their_children() {
    let contents = accepts(&with_orchestrator(CHILDREN, "")).value;
    let orchestrator = &contents.orchestrators.values().next().unwrap().item;
    assert_eq!(orchestrator.child_executors.len(), 2);
    assert_eq!(contents.actions().count(), 2);
}

#[test]
fn children_that_are_not_there_are_denied() {
    let file = "o/all/orchestrator.yaml";
    refuses(&with_orchestrator("child_executors: [media_tools.nope]\n", ""), "unknown-component", file);
    refuses(&with_orchestrator("child_executors: [media_tools.all]\n", ""), "unknown-component", file);
    refuses(&with_orchestrator("child_orchestrators: [media_tools.cut]\n", ""), "unknown-component", file);
    refuses(&with_orchestrator("child_executors: [cut]\n", ""), "component-id", file);
    refuses(&with_orchestrator("command: {argv: [ls]}\n", ""), "unknown-key", file);
    let files = pack("content: {orchestrators: o}\n", &[("o/a/orchestrator.yaml", &executor(""))]);
    refuses(&files, "missing-field", "o/a/orchestrator.yaml");
}

#[test]
fn aliases_lead_to_components() {
    let aliases =
        "aliases:\n  - {kind: executor, alias: old.cut, canonical_id: media_tools.cut, deprecated: true}\n";
    let contents = accepts(&with_orchestrator("", aliases)).value;
    assert_eq!(contents.resolve("old.cut").map(ActionId::as_str), Some("media_tools.cut"));
}

#[test]
fn aliases_that_lead_nowhere_are_denied() {
    let alias = |kind: &str, alias: &str, id: &str| {
        format!("  - {{kind: {kind}, alias: {alias}, canonical_id: {id}}}\n")
    };
    let good = alias("executor", "old.cut", "media_tools.cut");
    for (lines, rule) in [
        (alias("executor", "old.cut", "media_tools.nope"), "unknown-component"),
        (alias("executor", "old.cut", "media_tools.all"), "unknown-component"),
        (alias("orchestrator", "old.cut", "media_tools.cut"), "unknown-component"),
        (alias("executor", "old.cut", "other.cut"), "foreign-id"),
        (alias("executor", "media_tools.all", "media_tools.cut"), "duplicate"),
        (alias("renderer", "old.cut", "media_tools.cut"), "wrong-value"),
        (alias("executor", "cut", "media_tools.cut"), "qualified-id"),
        (format!("{good}{good}"), "duplicate"),
    ] {
        refuses(&with_orchestrator("", &format!("aliases:\n{lines}")), rule, "pack.yaml");
    }
}

fn with_element(path: &str, kind: &str, more: &str, extensions: &str) -> BTreeMap<String, Vec<u8>> {
    let element = format!(
        "schema_version: 1\nid: fade\nkind: {kind}\npack_id: media_tools\nmetadata: {{}}\nschema: {{}}\ndefaults: {{}}\ndependencies: {{js_packages: [three]}}\n{more}"
    );
    pack(
        &format!("content: {{elements: elements}}\n{extensions}"),
        &[(path, &element), ("elements/effects/fade/icon.svg", "")],
    )
}

#[test]
fn elements_have_kinds_and_places() {
    let files = with_element(
        "elements/effects/fade/element.yaml",
        "effect",
        "assets: {icon: icon.svg}\nruntime: {adapter: web}\n",
        "",
    );
    let contents = accepts(&files).value;
    assert_eq!(contents.elements["effect/fade"].item.adapter.as_deref(), Some("web"));
    // The element is counted, not the folder of its kind.
    assert_eq!(contents.counts().elements, 1);
    let kinds = "extensions: {elements: {kinds: [{id: stickers, singular: sticker}]}}\n";
    let files = with_element("elements/stickers/fade/element.yaml", "sticker", "", kinds);
    assert!(accepts(&files).value.elements.contains_key("stickers/fade"));
}

#[test]
fn elements_out_of_place_are_denied() {
    let path = "elements/effects/fade/element.yaml";
    refuses(&with_element(path, "sticker", "", ""), "wrong-value", path);
    refuses(&with_element(path, "animation", "", ""), "layout", path);
    refuses(
        &with_element("elements/fade/element.yaml", "effect", "", ""),
        "layout",
        "elements/fade/element.yaml",
    );
    refuses(&with_element(path, "effect", "assets: {icon: nope.svg}\n", ""), "entrypoint", path);
    refuses(&with_element(path, "effect", "runtime: {engine: x}\n", ""), "unknown-key", path);
    let mut files = with_element(path, "effect", "", "");
    let text = String::from_utf8(files[path].clone()).unwrap();
    files.insert(path.to_owned(), text.replace("pack_id: media_tools", "pack_id: other").into_bytes());
    refuses(&files, "foreign-id", path);
    files.insert(path.to_owned(), text.replace("defaults: {}\n", "").into_bytes());
    refuses(&files, "missing-field", path);
    files.insert(path.to_owned(), text.replace("id: fade", "id: Fade").into_bytes());
    refuses(&files, "component-id", path);
    let other = "elements/effect/again/element.yaml";
    let mut files = with_element(path, "effect", "", "");
    files.insert(other.to_owned(), text.into_bytes());
    refuses(&files, "duplicate-id", path);
}

#[test]
fn extensions_are_closed_denied() {
    for more in [
        "generation: {engines: []}",
        "generation: {backends: [{id: a, module: b}]}",
        "generation: {features: [{label: x}]}",
        "generation: {modes: {}}",
        "elements: {kinds: [{singular: x}]}",
        "elements: {kinds: [{id: ''}]}",
        "timeline: {kinds: [{catalog: film, id: x}]}",
        "plugins: {}",
    ] {
        let complaints = Contents::read(&pack(&format!("extensions: {{{more}}}\n"), &[])).expect_err(more);
        assert!(complaints.has_errors());
    }
    accepts(&pack(
        "extensions: {generation: {backends: [{id: a, module: b, class: C, init_kwargs: {x: 1}}], features: [f, {id: g}]}, timeline: {kinds: [{catalog: clip, id: x, aliases: [y]}]}, schemas: {}}\n",
        &[],
    ));
}

const CAPSULE: &str = "[package]\nname = \"thumbs\"\nversion = \"1.0.0\"\n[[component]]\nid = \"thumbs\"\nfile = \"thumbs.wasm\"\n";

#[test]
fn capsules_are_part_of_the_pack() {
    let files = pack(
        "content: {capsules: capsules}\n",
        &[("capsules/thumbs/Capsule.toml", CAPSULE), ("capsules/thumbs/thumbs.wasm", "")],
    );
    let contents = accepts(&files);
    assert_eq!(contents.value.counts().capsules, 1);
    assert!(contents.warnings.is_empty() && contents.value.native.is_empty());
    warns(
        &pack("content: {capsules: capsules}\n", &[("capsules/thumbs/Capsule.toml", CAPSULE)]),
        "no-component",
    );
}

#[test]
fn capsules_that_are_wrong_are_denied() {
    let at = |folder: &str, text: &str| {
        pack("content: {capsules: c}\n", &[(&format!("c/{folder}/Capsule.toml"), text)])
    };
    refuses(&at("films", CAPSULE), "folder-name", "c/films/Capsule.toml");
    refuses(&at("thumbs", "[package]\n"), "missing-field", "c/thumbs/Capsule.toml");
}
