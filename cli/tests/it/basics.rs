//! Help, versions, formats, wrong usage: what every verb shares.

use std::fmt::Write as _;
use std::io::Read as _;
use std::process::Stdio;

use crate::env::{TestEnv, astrid_snapshot};

/// Every verb, without the program's name.
fn verbs(env: &TestEnv, path: &[&str]) -> Vec<Vec<String>> {
    let help = env.ok(&[path, &["--help"]].concat());
    let mut found = vec![path.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()];
    let listed = help.stdout.lines().skip_while(|line| *line != "Commands:").skip(1);
    for line in listed.take_while(|line| line.starts_with("  ")) {
        let Some(name) = line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')) else { continue };
        let name = name.split_whitespace().next().unwrap();
        if name != "help" {
            found.extend(verbs(env, &[path, &[name]].concat()));
        }
    }
    found
}

#[test]
fn the_whole_help_is_one_snapshot() {
    let env = TestEnv::new();
    let mut text = String::new();
    for path in verbs(&env, &[]) {
        let words: Vec<&str> = path.iter().map(String::as_str).collect();
        let help = env.ok(&[&words[..], &["-h"]].concat());
        assert_eq!(help.stderr, "");
        // The options that every verb takes are shown once.
        let own = help.stdout.split("\nGlobal options:").next().unwrap().trim_end();
        let shown = if path.is_empty() { help.stdout.trim_end() } else { own };
        write!(text, "$ astrid {} -h\n{shown}\n\n", words.join(" ")).unwrap();
    }
    insta::assert_snapshot!("help", text);
}

#[test]
fn version_in_every_format() {
    let env = TestEnv::new();
    for format in ["pretty", "json", "yaml", "toml"] {
        astrid_snapshot!(format!("version-{format}"), env, ["version", "--format", format]);
    }
    assert!(!env.home("").exists(), "`version` left a trace");
}

#[test]
fn wrong_usage_is_64_denied() {
    let env = TestEnv::new();
    astrid_snapshot!("usage-unknown-verb", env, ["aply"]);
    astrid_snapshot!("usage-unknown-flag", env, ["plan", "--now"]);
    astrid_snapshot!("usage-json", env, ["plan", "--now", "--json"]);
    for arguments in [
        &["apply", "--boot", "--no-boot"][..],
        &["init", "--template", "minimal"],
        &["trust"],
        &["tools", "call"],
        &["--lock-timeout", "soon", "status"],
        &["-C", "nowhere", "status"],
        &["status", "--json", "--format", "toml"],
    ] {
        let ran = env.astrid(arguments);
        assert_eq!(ran.code, 64, "{arguments:?}\n{}", ran.shown());
    }
}

#[test]
fn names_of_older_tools_answer_with_a_hint() {
    let env = TestEnv::new();
    for (old, new) in [
        (&["session", "info"][..], "astrid status"),
        (&["wit", "gc"], "astrid gc"),
        (&["build"], "astrid capsule build"),
        (&["keys"], "astrid keypair list"),
        (&["servers"], "astrid ps"),
        (&["astridd"], "astrid start"),
    ] {
        let ran = env.astrid(old);
        assert_eq!(ran.code, 64, "{}", ran.shown());
        assert!(ran.stderr.contains(&format!("hint: type `{new}`")), "{}", ran.shown());
    }
}

#[test]
fn completions_name_the_verbs() {
    let env = TestEnv::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = env.ok(&["completions", shell]);
        assert!(ran.stdout.contains("generations"), "{shell}");
        assert!(!ran.stdout.contains('\u{1b}'));
    }
}

#[test]
fn a_reader_that_goes_away_is_no_fault() {
    let env = TestEnv::new();
    for arguments in [&["--help"][..], &["completions", "bash"], &["version"], &["status"], &["nonsense"]] {
        let mut child =
            env.run(arguments).command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        let code = child.wait().unwrap().code();
        assert!(matches!(code, Some(0 | 64)), "{arguments:?}: {code:?}");
        assert!(!said.contains("panic") && !said.contains("fault"), "{said}");
    }
}

#[test]
fn colours_are_for_terminals_or_on_demand() {
    let env = TestEnv::new();
    let escape = '\u{1b}';
    assert!(!env.astrid(&["-C", "nowhere", "status"]).stderr.contains(escape));
    assert!(env.astrid(&["--color", "always", "-C", "nowhere", "status"]).stderr.contains(escape));
    let never = env.run(&["--color=never", "--nonsense"]).variable("CLICOLOR_FORCE", "1").go();
    assert!(!never.stderr.contains(escape), "{}", never.shown());
    let forced = env.run(&["-C", "nowhere", "status"]).variable("CLICOLOR_FORCE", "1").go();
    assert!(forced.stderr.contains(escape), "{}", forced.shown());
    let no_color = env.run(&["-C", "nowhere", "status"]).variable("NO_COLOR", "1").go();
    assert!(!no_color.stderr.contains(escape), "{}", no_color.shown());
}

#[test]
fn reading_leaves_no_trace_in_a_home_that_is_not_there() {
    let env = TestEnv::new();
    for arguments in [
        &["status"][..],
        &["generations"],
        &["history"],
        &["ps"],
        &["trust", "list"],
        &["secret", "list"],
        &["gc"],
        &["version"],
        &["tools", "list"],
        &["stop"],
        &[],
    ] {
        let ran = env.astrid(arguments);
        assert!(matches!(ran.code, 0 | 1 | 69), "{arguments:?}\n{}", ran.shown());
        assert!(!env.home("").exists(), "{arguments:?} left a trace");
    }
}

#[test]
fn a_home_that_is_not_absolute_is_refused_denied() {
    let env = TestEnv::new();
    for home in ["relative", "/tmp/../etc"] {
        let ran = env.run(&["status"]).variable("ASTRID_HOME", home).go();
        assert_eq!(ran.code, 64, "{}", ran.shown());
    }
}
