//! Questions at a terminal: what must be typed, what a refusal does, and that nobody is asked without one.

use expectrl::ControlCode;

use crate::env::TestEnv;

#[test]
fn typed_trust_and_a_yes_apply() {
    let env = TestEnv::new();
    env.demo();
    let mut terminal = env.terminal(&["apply", "--no-boot"]);
    terminal.sees("Trust summary: capsules of distro demo").sees("Type `trust distro demo` to go on: ");
    terminal.types("trust distro demo").sees("Proceed? [y/N] ").types("y");
    let (code, shown) = terminal.ends();
    assert_eq!(code, 0, "{shown}");
    assert!(env.home("generations/current").exists());
}

#[test]
fn another_text_is_no_trust_denied() {
    for typed in ["yes", "trust demo", "Trust distro demo", "trust distro other", ""] {
        let env = TestEnv::new();
        env.demo();
        let mut terminal = env.terminal(&["apply", "--no-boot"]);
        terminal.sees("to go on: ").types(typed);
        let (code, shown) = terminal.ends();
        assert_eq!(code, 1, "{typed:?}: {shown}");
        assert!(!env.home("generations/current").exists());
    }
}

#[test]
fn a_declined_prompt_is_1_denied() {
    let env = TestEnv::new();
    env.demo();
    let mut terminal = env.terminal(&["apply", "--no-boot"]);
    terminal.sees("to go on: ").types("trust distro demo").sees("Proceed? [y/N] ").types("");
    let (code, shown) = terminal.ends();
    assert_eq!(code, 1, "{shown}");
    assert!(!env.home("generations/current").exists());
}

#[test]
fn yes_still_asks_for_trust() {
    let env = TestEnv::new();
    env.demo();
    let mut terminal = env.terminal(&["apply", "--yes", "--no-boot"]);
    terminal.sees("Type `trust distro demo` to go on: ").types("trust distro demo");
    let (code, shown) = terminal.ends();
    assert_eq!(code, 0, "{shown}");
    assert!(!shown.contains("Proceed?"), "{shown}");
}

#[test]
fn an_interrupt_at_a_prompt_is_130() {
    let env = TestEnv::new();
    env.demo();
    let mut terminal = env.terminal(&["apply", "--no-boot"]);
    terminal.sees("to go on: ").presses(ControlCode::EndOfText);
    let (code, shown) = terminal.ends();
    assert_eq!(code, 130, "{shown}");
    assert!(!env.home("generations/current").exists());
}

#[test]
fn without_a_terminal_nothing_is_asked_denied() {
    let env = TestEnv::new();
    env.demo();
    let ran = env.run(&["apply", "--no-boot"]).input("trust distro demo\ny\n").go();
    assert_eq!(ran.code, 82, "{}", ran.shown());
    assert!(!ran.stderr.contains("to go on"), "{}", ran.shown());
    let ran = env.run(&["apply", "--trust", "--no-boot"]).input("y\n").go();
    assert_eq!(ran.code, 64, "{}", ran.shown());
    assert!(ran.stderr.contains("--yes"), "{}", ran.shown());
    assert!(!env.home("generations/current").exists());
}

fn with_secret(env: &TestEnv) {
    env.distro("\n[[capsule]]\nname = \"notes\"\nsource = \"./notes\"\nversion = \"1.0.0\"\n");
    env.capsule("notes", "notes", "1.0.0", "\n[env]\nAPI_KEY = { type = \"secret\" }\n");
    env.ok(&["apply", "--yes", "--trust", "--no-boot"]);
}

#[test]
fn a_secret_is_typed_without_echo() {
    let env = TestEnv::new();
    with_secret(&env);
    let mut terminal = env.terminal(&["secret", "set", "notes", "API_KEY"]);
    terminal.sees("API_KEY for notes").types("hunter2hunter2");
    let (code, shown) = terminal.ends();
    assert_eq!(code, 0, "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
    let listed = env.ok(&["secret", "list", "--json"]);
    assert!(listed.stdout.contains("API_KEY") && !listed.stdout.contains("hunter2"), "{}", listed.shown());
}

// contract: SEC-HOME-03
#[test]
fn a_secret_is_read_from_standard_input_and_never_kept_in_the_clear() {
    let env = TestEnv::new();
    with_secret(&env);
    let ran = env.run(&["secret", "set", "notes", "API_KEY"]).input("hunter2hunter2\n").go();
    assert_eq!(ran.code, 0, "{}", ran.shown());
    let mut folders = vec![env.home("")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else if path.is_file() {
                let bytes = std::fs::read(&path).unwrap();
                assert!(!bytes.windows(7).any(|window| window == b"hunter2"), "{}", path.display());
            }
        }
    }
    env.ok(&["secret", "delete", "notes", "API_KEY"]);
    assert!(!env.ok(&["secret", "list"]).stdout.contains("API_KEY"));
}

#[test]
fn a_secret_on_the_command_line_is_refused_denied() {
    let env = TestEnv::new();
    with_secret(&env);
    let ran = env.astrid(&["secret", "set", "notes", "API_KEY", "hunter2hunter2"]);
    assert_eq!(ran.code, 64, "{}", ran.shown());
    assert!(!ran.stderr.contains("hunter2") && ran.stderr.contains("standard input"), "{}", ran.shown());
}
