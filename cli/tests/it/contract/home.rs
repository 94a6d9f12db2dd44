//! The home on disk, and input that is made to harm.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::env::TestEnv;

const APPLY: [&str; 3] = ["apply", "--yes", "--trust"];

// contract: SEC-HOME-01
#[test]
fn whoever_is_the_same_user_can_rewrite_what_the_home_remembers() {
    let env = TestEnv::new();
    env.demo();
    let text = env.read("Distro.toml");
    env.write("Distro.toml", text.replace("version = \"0.1.0\"", "version = \"0.2.0\""));
    env.ok(&APPLY);
    env.write("Distro.toml", &text);
    assert_eq!(env.astrid(&APPLY).code, 85);
    // Nothing of this machine can tell that from a floor that was never there.
    fs::remove_file(env.home("trust/floors.toml")).unwrap();
    env.ok(&APPLY);
}

// contract: SEC-HOME-02
#[test]
fn the_home_is_for_its_owner_only() {
    let env = TestEnv::new();
    env.demo();
    env.ok(&APPLY);
    let mut folders = vec![env.home("")];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            if metadata.is_dir() {
                folders.push(path.clone());
            }
            seen += 1;
        }
        assert_eq!(
            fs::metadata(&folder).unwrap().permissions().mode() & 0o777 & !0o700,
            0,
            "{}",
            folder.display()
        );
    }
    assert!(seen > 10);
    for file in ["keys/home.key", "keys/receipts.ed25519"] {
        let mode = fs::metadata(env.home(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

// contract: SEC-INPUT-01
#[test]
fn input_that_is_made_to_harm_is_refused_denied() {
    let pack = "schema_version: 1\nid: harm\nname: H\nversion: 1.0.0\n";
    let aliases: String = (1..20).fold("a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, level| {
        let below = format!("*a{}", level - 1);
        format!("{text}a{level}: &a{level} [{}]\n", [below.as_str(); 9].join(", "))
    });
    let harmful = [
        ("too large", format!("{pack}description: {}\n", "x".repeat(8 << 20))),
        ("too deep", format!("{pack}metadata: {}{}\n", "[".repeat(5000), "]".repeat(5000))),
        ("aliases", format!("{pack}metadata:\n  {}", aliases.replace('\n', "\n  "))),
        ("twice", format!("{pack}name: other\n")),
        ("not finite", format!("{pack}metadata: {{x: .nan}}\n")),
        ("control", format!("{pack}content: {{executors: \"../../outside\"}}\n")),
    ];
    for (what, text) in harmful {
        let env = TestEnv::new();
        env.write("harm/pack.yaml", text);
        let ran = env.astrid(&["packs", "validate", "harm"]);
        assert_eq!(ran.code, 65, "{what}: {}", &ran.shown().chars().take(2000).collect::<String>());
    }
    let env = TestEnv::new();
    env.write("harm/pack.yaml", pack);
    env.ok(&["packs", "validate", "harm"]);
    symlink("/etc/passwd", env.work("harm/link")).unwrap();
    assert_eq!(env.astrid(&["packs", "validate", "harm"]).code, 65);
    env.distro("\n[[pack]]\nid = \"harm\"\nsource = \"./harm\"\n");
    let ran = env.astrid(&APPLY);
    assert_eq!(ran.code, 65, "{}", ran.shown());
    assert!(!env.home("generations").exists());
}

// contract: SEC-INPUT-02
#[test]
fn control_characters_of_a_manifest_do_not_reach_the_terminal_denied() {
    let env = TestEnv::new();
    let hidden = "\\e[2K\\e[1A\\u202e";
    env.write(
        "packs/sly/pack.yaml",
        format!(
            "schema_version: 1\nid: sly\nname: \"Sly{hidden}\"\nversion: \"1.0.0{hidden}\"\ndescription: \"x{hidden}\"\n\
             content: {{executors: executors}}\n\
             permissions:\n  - {{id: network, reason: \"none{hidden}\", services: [\"a{hidden}\"]}}\n"
        ),
    );
    env.write(
        "packs/sly/executors/do/executor.yaml",
        format!(
            "schema_version: 1\nid: sly.do\nname: \"Do{hidden}\"\nversion: 1.0.0\ndescription: \"y{hidden}\"\n\
             runtime: {{kind: command, command: {{argv: [/bin/true]}}}}\n"
        ),
    );
    env.write(
        "broken/pack.yaml",
        format!("schema_version: 1\nid: broken\nname: B\nversion: 1.0.0\n\"odd{hidden}\": 1\nstatus: \"s{hidden}\"\n"),
    );
    env.distro("\n[[pack]]\nid = \"sly\"\nsource = \"./packs/sly\"\n");
    let runs: [&[&str]; 6] = [
        &["discover"],
        &["discover", "--extra", "broken"],
        &["packs", "validate", "packs/sly", "--warnings"],
        &["packs", "validate", "broken"],
        &["plan"],
        &["apply", "--yes"],
    ];
    for arguments in runs {
        let ran = env.astrid(arguments);
        let shown = format!("{}{}", ran.stdout, ran.stderr);
        assert!(shown.contains("sly") || shown.contains("broken"), "{arguments:?}: {}", ran.shown());
        let bad = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!shown.contains(bad), "{arguments:?}: {shown:?}");
    }
}
