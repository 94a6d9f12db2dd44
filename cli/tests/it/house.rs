//! The rules of the house that the compiler can't see: which crate may know which, and who may do I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// For each crate of ours, the crates of ours that it may use, as `docs/ARCHITECTURE.md` draws them.
const ARROWS: &[(&str, &[&str])] = &[
    ("astrid-authority", &[]),
    ("astrid-manifest", &["astrid-authority"]),
    ("astrid-store", &["astrid-authority", "astrid-manifest"]),
    ("astrid-build", &["astrid-authority", "astrid-manifest", "astrid-store"]),
    ("astrid-hermetic-sigstore", &[]),
    ("astrid-provenance", &["astrid-authority", "astrid-manifest"]),
    ("astrid-bundle", &["astrid-authority", "astrid-manifest", "astrid-provenance", "astrid-store"]),
    (
        "astrid-resolver",
        &["astrid-authority", "astrid-bundle", "astrid-manifest", "astrid-provenance", "astrid-store"],
    ),
    ("astrid-bus", &["astrid-authority"]),
    ("astrid-host", &["astrid-authority", "astrid-bus"]),
    ("astrid-kernel", &["astrid-authority", "astrid-manifest", "astrid-store", "astrid-bus", "astrid-host"]),
    (
        "astrid-daemon",
        &[
            "astrid-authority",
            "astrid-manifest",
            "astrid-store",
            "astrid-bus",
            "astrid-host",
            "astrid-kernel",
            "astrid-resolver",
        ],
    ),
    ("astrid-executor", &["astrid-authority", "astrid-manifest"]),
    (
        "astrid",
        &[
            "astrid-authority",
            "astrid-manifest",
            "astrid-store",
            "astrid-build",
            "astrid-executor",
            "astrid-resolver",
            "astrid-host",
            "astrid-daemon",
        ],
    ),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn metadata() -> serde_json::Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Each package of ours with those of ours that it depends on, development dependencies left out.
fn arrows() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let ours: BTreeSet<&str> = packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
    packages
        .iter()
        .map(|package| {
            let uses = package["dependencies"].as_array().unwrap().iter();
            let uses = uses
                .filter(|dependency| dependency["kind"].as_str() != Some("dev"))
                .map(|dependency| dependency["name"].as_str().unwrap())
                .filter(|name| ours.contains(name))
                .map(str::to_owned)
                .collect();
            (package["name"].as_str().unwrap().to_owned(), uses)
        })
        .collect()
}

#[test]
fn arrows_point_down_only() {
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        ARROWS.iter().map(|(name, uses)| (*name, uses.iter().copied().collect())).collect();
    for (name, uses) in arrows() {
        let may_use =
            allowed.get(name.as_str()).unwrap_or_else(|| panic!("{name} has no place in the architecture"));
        for used in uses {
            assert!(may_use.contains(used.as_str()), "{name} must not know {used}");
        }
    }
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every line under `folders` that has one of `words`, outside comments.
fn lines_with(folders: &[&str], words: &[&str]) -> Vec<String> {
    let mut files = Vec::new();
    for folder in folders {
        rust_files(&root().join(folder), &mut files);
    }
    assert!(!files.is_empty());
    let mut found = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap();
            if words.iter().any(|word| code.contains(word)) {
                let file = file.strip_prefix(root()).unwrap().display();
                found.push(format!("{file}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    found
}

#[test]
fn pure_crates_do_no_io() {
    let words =
        ["std::fs", "std::net", "std::env::", "std::process", "tokio", "SystemTime::now", "Instant::now"];
    let found = lines_with(&["runtime/authority/src", "resolver/manifest/src"], &words);
    // Addresses are values.
    let found: Vec<_> = found.into_iter().filter(|line| !line.contains("std::net::Ip")).collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_planner_is_pure() {
    let words = ["std::fs", "std::net", "std::env::", "std::process", "SystemTime::now", "Instant::now"];
    let mut found = lines_with(&["resolver/resolver/src"], &words);
    found.retain(|line| line.starts_with("resolver/resolver/src/plan") || line.contains("/solve"));
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn only_the_command_line_prints() {
    let folders = [
        "runtime/authority/src",
        "runtime/bus/src",
        "runtime/host/src",
        "runtime/kernel/src",
        "runtime/daemon/src",
        "runtime/executor/src",
        "resolver/manifest/src",
        "resolver/store/src",
        "resolver/build/src",
        "resolver/bundle/src",
        "resolver/provenance/src",
        "resolver/resolver/src",
    ];
    let found = lines_with(&folders, &["println!", "eprintln!", "print!(", "eprint!(", "dbg!("]);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn unsafe_code_stays_in_one_module() {
    let mut files = Vec::new();
    for folder in ["runtime", "resolver", "cli"] {
        rust_files(&root().join(folder), &mut files);
    }
    let opened: Vec<String> = files
        .iter()
        .filter(|file| !file.ends_with("house.rs"))
        .filter(|file| std::fs::read_to_string(file).unwrap().contains("unsafe {"))
        .map(|file| file.strip_prefix(root()).unwrap().display().to_string())
        .collect();
    assert!(
        opened.len() <= 1 && opened.iter().all(|file| file.starts_with("runtime/host/src/")),
        "{opened:?}"
    );
}

#[test]
fn hints_name_only_verbs_that_exist() {
    let help = Command::new(env!("CARGO_BIN_EXE_astrid")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let verbs: BTreeSet<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(verbs.contains("apply"), "{help}");
    let folders = ["cli/src", "resolver", "runtime"];
    for line in lines_with(&folders, &["`astrid "]) {
        // Names of older tools are answered with a hint.
        if line.starts_with("cli/src/obsolete.rs") || line.contains("/tests/") {
            continue;
        }
        for rest in line.split("`astrid ").skip(1) {
            let verb: String = rest.chars().take_while(char::is_ascii_lowercase).collect();
            assert!(verb.is_empty() || verb == "daemon" || verbs.contains(verb.as_str()), "{line}");
        }
    }
}
