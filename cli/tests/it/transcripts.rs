//! What the documentation shows is what the program prints.
//!
//! A fenced `console` block that follows a line `<!-- checked -->` is run. Blocks of one file run in
//! order, on one machine of their own that has copies of `distros/` and `packs/`. A line that starts
//! with `$ ` is a command of the shell; the lines up to the next one are its whole output, standard output and
//! standard error together. `…` stands for any text within a line, and alone for any number of lines.
//! A block that must end with another code than 0 says so in the mark: `<!-- checked: exit 82 -->`, of
//! its last command. A block of any kind that follows `<!-- file: PATH -->` is written to that file first.

use std::fs;
use std::path::{Path, PathBuf};

use crate::env::TestEnv;

struct Block {
    line: usize,
    exit: i32,
    steps: Vec<(String, Vec<String>)>,
    /// Files that are written before the first step.
    files: Vec<(String, String)>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn blocks(text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut files = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((_, line)) = lines.next() {
        let path = line.strip_prefix("<!-- file: ").and_then(|rest| rest.strip_suffix(" -->"));
        if let Some(path) = path {
            let (number, fence) = lines.next().unwrap();
            assert!(fence.starts_with("```"), "line {}: a file is a fenced block", number + 1);
            let inside = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```");
            let contents: String = inside.flat_map(|line| [line, "\n"]).collect();
            files.push((path.to_owned(), contents));
            continue;
        }
        let Some(mark) = line.strip_prefix("<!-- checked").and_then(|rest| rest.strip_suffix("-->")) else {
            continue;
        };
        let exit = mark.trim().strip_prefix(": exit ").map_or(0, |code| code.trim().parse().unwrap());
        let (number, fence) = lines.next().unwrap();
        assert_eq!(fence, "```console", "line {}: a checked block is a console block", number + 1);
        let mut steps: Vec<(String, Vec<String>)> = Vec::new();
        for (number, line) in lines.by_ref() {
            if line == "```" {
                break;
            }
            if let Some(command) = line.strip_prefix("$ ") {
                steps.push((command.to_owned(), Vec::new()));
            } else {
                let step = steps.last_mut();
                let step = step.unwrap_or_else(|| panic!("line {}: output before a command", number + 1));
                step.1.push(line.trim_end().to_owned());
            }
        }
        found.push(Block { line: number + 1, exit, steps, files: std::mem::take(&mut files) });
    }
    found
}

/// Does `line` read as `expected`, where `…` stands for any text?
fn line_matches(expected: &str, line: &str) -> bool {
    let mut parts = expected.split('…');
    let first = parts.next().unwrap();
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

fn matches(expected: &[String], lines: &[String]) -> bool {
    match (expected.split_first(), lines.split_first()) {
        (None, None) => true,
        (Some((wanted, rest)), _) if wanted.trim() == "…" => {
            (0..=lines.len()).any(|skip| matches(rest, &lines[skip..]))
        }
        (Some((wanted, wanted_rest)), Some((line, rest))) => {
            line_matches(wanted, line) && matches(wanted_rest, rest)
        }
        _ => false,
    }
}

/// Copies a folder without what builds leave in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            if entry.file_name() != "target" {
                copy(&entry.path(), &target);
            }
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Some systems let nobody make a namespace of their own: there a command runs without one.
fn without_what_is_missing(command: &str) -> String {
    static WORKS: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    const ALONE: &str = "unshare -rn ";
    let works = || {
        let tried = std::process::Command::new("unshare").args(["-rn", "true"]).output();
        tried.is_ok_and(|output| output.status.success())
    };
    if !command.starts_with(ALONE) || *WORKS.get_or_init(works) {
        return command.to_owned();
    }
    command.trim_start_matches(ALONE).to_owned()
}

fn check(file: &Path) {
    let blocks = blocks(&fs::read_to_string(file).unwrap());
    if blocks.is_empty() {
        return;
    }
    let env = TestEnv::new();
    for folder in ["distros", "packs"] {
        copy(&root().join(folder), &env.work(folder));
    }
    let name = file.strip_prefix(root()).unwrap().display();
    for block in blocks {
        for (path, contents) in &block.files {
            env.write(path, contents);
        }
        let last = block.steps.len() - 1;
        for (index, (command, expected)) in block.steps.iter().enumerate() {
            let ran = env.shell(&without_what_is_missing(command));
            let lines: Vec<String> = ran.stdout.lines().map(|line| line.trim_end().to_owned()).collect();
            let code = if index == last { block.exit } else { 0 };
            let as_written = matches(expected, &lines) && ran.code == code;
            assert!(
                as_written,
                "{name}:{}: `{command}` ends with {} and prints\n\n{}\n\nthe page says {code} and\n\n{}",
                block.line,
                ran.code,
                ran.stdout,
                expected.join("\n"),
            );
        }
    }
    env.stop();
}

#[test]
fn the_readme_shows_what_is_printed() {
    check(&root().join("README.md"));
}

#[test]
fn the_security_page_shows_what_is_printed() {
    check(&root().join("SECURITY.md"));
}

#[test]
fn the_documentation_shows_what_is_printed() {
    let mut pages: Vec<PathBuf> = fs::read_dir(root().join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    pages.sort();
    for page in pages {
        check(&page);
    }
}

#[test]
fn an_ellipsis_stands_for_anything() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert!(matches(&lines("a …c\n…\nlast"), &lines("a b c\nx\ny\nlast")));
    assert!(matches(&lines("…"), &lines("")));
}

#[test]
fn another_text_does_not_match_denied() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert!(!matches(&lines("a …c"), &lines("a b d")));
    assert!(!matches(&lines("a"), &lines("a\nb")));
    assert!(!matches(&lines("a\n…\nlast"), &lines("a\nb")));
}
