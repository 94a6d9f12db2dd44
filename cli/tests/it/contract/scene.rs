//! A pack with one of everything, and what every pack has.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::env::TestEnv;

/// The six, in their order.
pub(super) const PERMISSIONS: [&str; 6] =
    ["project_files", "network", "subprocess", "environment", "accelerator", "external_services"];

/// The trust block of version 1.
pub(super) fn trust_block() -> Value {
    json!({
        "sandbox": "none",
        "runs_with_user_process_permissions": true,
        "permission_enforcement": "disclosure_only",
    })
}

/// The pack `media`: an executor that renders, an orchestrator that plans, an element, and all six permissions.
pub(super) fn media(env: &TestEnv, folder: &str) {
    env.write(
        &format!("{folder}/pack.yaml"),
        "schema_version: 1
id: media
name: Media
version: 1.0.0
description: Renders films.
content: {executors: executors, orchestrators: orchestrators, elements: elements}
agent: {purpose: Render films., normal_entrypoints: [media.render]}
permissions:
  - {id: project_files, reason: Writes films into the project}
  - {id: network, reason: Asks an API for pictures, services: [api.example.org]}
  - {id: subprocess, reason: Starts a renderer}
  - {id: environment, reason: Reads API_KEY}
  - {id: accelerator, reason: Renders on the GPU, access: one device}
  - {id: external_services, reason: The API is paid by picture}
dependencies: {python: [pillow]}
",
    );
    env.write(
        &format!("{folder}/executors/render/executor.yaml"),
        "schema_version: 1
id: media.render
name: Render
version: 1.0.0
description: Renders one film.
runtime: {kind: command, command: {argv: [/bin/sh, -c, 'echo \"$0\"', '{text}']}}
inputs: [{name: text, type: string, default: a film}]
isolation: {network: true}
secrets: [{name: API_KEY, required: true, description: Of the API}, {name: OTHER_KEY, description: Of another}]
",
    );
    env.write(
        &format!("{folder}/orchestrators/plan/orchestrator.yaml"),
        "schema_version: 1
id: media.plan
name: Plan
version: 1.0.0
runtime: {kind: command, command: {argv: [/bin/true]}}
child_executors: [media.render]
secrets: [{name: PLAN_KEY, required: true}]
",
    );
    env.write(
        &format!("{folder}/elements/effects/fade/element.yaml"),
        "schema_version: 1
id: fade
kind: effect
pack_id: media
metadata: {label: Fade}
schema: {}
defaults: {seconds: 1}
dependencies: {}
",
    );
}

/// Every file, folder and link below a folder, with what it holds.
pub(super) fn files_under(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(here) = folders.pop() {
        for entry in fs::read_dir(&here).unwrap() {
            let path = entry.unwrap().path();
            let kind = fs::symlink_metadata(&path).unwrap().file_type();
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            if kind.is_dir() {
                found.insert(name, b"folder".to_vec());
                folders.push(path);
            } else if kind.is_symlink() {
                found.insert(name, fs::read_link(&path).unwrap().as_os_str().as_encoded_bytes().to_vec());
            } else if kind.is_file() {
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// The lines of the trust block in a summary.
pub(super) fn block_of_lines(text: &str) -> Vec<&str> {
    let lines = text.lines().skip_while(|line| *line != "Trust (v1):").skip(1);
    lines.take_while(|line| line.starts_with("  - ")).collect()
}
