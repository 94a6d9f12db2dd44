//! Packs, acknowledgements in files, believed origins, revocations: who trusts what, on the command line.

use crate::env::{TestEnv, astrid_snapshot};

const APPLY: [&str; 4] = ["apply", "--yes", "--trust", "--no-boot"];
const CI: [&str; 4] = ["apply", "--yes", "--acks=repository", "--no-boot"];

const PACK: &str = "schema_version: 1\nid: media_tools\nname: Media tools\nversion: 1.4.0\ndescription: Cuts pictures.\ncontent: {}\npermissions:\n  - id: network\n    reason: Calls an API\n    services: [api.example.org]\n";

fn with_pack(env: &TestEnv) {
    env.distro("\n[[pack]]\nid = \"media_tools\"\nsource = \"./media_tools\"\nversion = \"1.4.0\"\n");
    env.write("media_tools/pack.yaml", PACK);
}

// contract: PC-TRUST-02
#[test]
fn a_pack_is_trusted_by_typing_its_id() {
    let env = TestEnv::new();
    with_pack(&env);
    let mut terminal = env.terminal(&["apply", "--no-boot"]);
    terminal.sees("Type `trust media_tools` to go on: ").types("trust media_tools");
    terminal.sees("Proceed? [y/N] ").types("y");
    let (code, shown) = terminal.ends();
    assert_eq!(code, 0, "{shown}");
    for line in [
        "━━━ Trust Summary ━━━",
        "Pack ID:        media_tools",
        "sandbox: none",
        "runs_with_user_process_permissions: true",
        "permission_enforcement: disclosure_only",
        "- network: Calls an API; services=api.example.org",
        "! unsigned",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    // Every digest of a summary is whole.
    assert!(
        shown
            .split("blake3:")
            .skip(1)
            .all(|rest| rest.bytes().take_while(u8::is_ascii_hexdigit).count() == 64)
    );
    let record =
        std::fs::read_to_string(env.path("data/astrid/packs/media_tools/.astrid/install.json")).unwrap();
    assert!(record.contains("\"interactive\""), "{record}");
}

// contract: PC-OUT-04
#[test]
fn what_is_disclosed_is_never_called_enforced() {
    let env = TestEnv::new();
    with_pack(&env);
    let ran = astrid_snapshot!("plan-of-a-pack", env, ["plan"]);
    let disclosed = ran.stdout.split("Disclosed by packs").nth(1).unwrap();
    assert!(!disclosed.contains("kernel enforces"), "{}", ran.shown());
    astrid_snapshot!("plan-of-a-pack-markdown", env, ["plan", "--format", "markdown"]);
    astrid_snapshot!("trust-review-of-a-pack", env, ["trust", "review"]);
}

// contract: PC-TRUST-01
#[test]
fn every_changed_byte_of_a_pack_needs_trust_again_denied() {
    let env = TestEnv::new();
    with_pack(&env);
    env.ok(&APPLY);
    env.write("media_tools/notes.txt", "one more file\n");
    let ran = env.astrid(&["apply", "--yes", "--no-boot"]);
    assert_eq!(ran.code, 82, "{}", ran.shown());
    assert!(ran.stderr.contains("pack:media_tools"), "{}", ran.shown());
}

// contract: PC-TRUST-05
#[test]
fn a_flag_with_a_digest_trusts_exactly_that() {
    let env = TestEnv::new();
    with_pack(&env);
    let plan = env.ok(&["plan", "--json"]).json();
    let content = plan["trust"]["needed"][0]["content"].as_str().unwrap().to_owned();
    let other = format!("blake3:{}", "0".repeat(64));
    for (flag, code) in [
        (format!("--trust=media_tools@{other}"), 82),
        (format!("--trust=media_tools@{}", &content[..19]), 64),
        (format!("--trust=other@{content}"), 82),
        (format!("--trust=media_tools@{content}"), 0),
    ] {
        let ran = env.astrid(&["apply", "--yes", "--no-boot", &flag]);
        assert_eq!(ran.code, code, "{flag}\n{}", ran.shown());
    }
}

// contract: SEC-PROV-04
#[test]
fn acknowledgements_in_the_repository_count_where_the_run_says_so() {
    let env = TestEnv::new();
    with_pack(&env);
    let nobody = env.astrid(&["trust", "ack"]);
    assert_eq!(nobody.code, 82, "{}", nobody.shown());
    env.ok(&["trust", "ack", "--trust"]);
    let file = env.read("trust/pack-media_tools.toml");
    assert!(file.contains("subject = \"pack:media_tools\"") && file.contains("Calls an API"), "{file}");
    env.ok(&["validate"]);
    // A repository does not trust itself.
    let alone = env.astrid(&["apply", "--yes", "--no-boot"]);
    assert_eq!(alone.code, 82, "{}", alone.shown());
    assert!(alone.stderr.contains("trust/pack-media_tools.toml has no effect"), "{}", alone.shown());
    env.ok(&CI);
}

#[test]
fn an_acknowledgement_of_other_bytes_is_void_denied() {
    let env = TestEnv::new();
    with_pack(&env);
    env.ok(&["trust", "ack", "--trust"]);
    env.write("media_tools/notes.txt", "one more file\n");
    let ran = env.astrid(&CI);
    assert_eq!(ran.code, 82, "{}", ran.shown());
}

#[test]
fn an_origin_is_believed_at_a_terminal() {
    let env = TestEnv::new();
    with_pack(&env);
    env.ok(&["trust", "ack", "--trust"]);
    assert_eq!(env.astrid(&["trust", "believe"]).code, 64);
    let mut terminal = env.terminal(&["trust", "believe"]);
    terminal.sees("Type `believe demo` to go on: ").types("yes");
    assert_eq!(terminal.ends().0, 1);
    assert_eq!(env.astrid(&["apply", "--yes", "--no-boot"]).code, 82);
    let mut terminal = env.terminal(&["trust", "believe"]);
    terminal.sees("Type `believe demo` to go on: ").types("believe demo");
    let (code, shown) = terminal.ends();
    assert_eq!(code, 0, "{shown}");
    env.ok(&["apply", "--yes", "--no-boot"]);
    assert!(env.ok(&["trust", "list"]).stdout.contains("believes"));
}

#[test]
fn revoked_trust_stops_a_rollback_denied() {
    let env = TestEnv::new();
    with_pack(&env);
    env.ok(&APPLY);
    env.distro("\n[[capsule]]\nname = \"notes\"\nsource = \"./notes\"\nversion = \"1.0.0\"\n");
    env.capsule("notes", "notes", "1.0.0", "");
    env.ok(&APPLY);
    env.ok(&["trust", "revoke", "pack:media_tools"]);
    let ran = env.astrid(&["rollback", "--yes", "--no-boot"]);
    assert_eq!(ran.code, 82, "{}", ran.shown());
    assert_eq!(env.ok(&["status", "--json"]).json()["generation"]["number"], 2);
}

#[test]
fn an_acknowledgement_is_signed_by_a_key_that_the_home_lists() {
    let env = TestEnv::new();
    with_pack(&env);
    env.ok(&["keypair", "generate"]);
    env.ok(&["keypair", "generate", "--name", "other"]);
    let key = env.ok(&["keypair", "pubkey", "default"]).stdout.trim_end().to_owned();
    let plain = ["apply", "--yes", "--no-boot"];
    let policy = |acks: &str| {
        std::fs::write(env.home("etc/policy.toml"), format!("{acks}[[believe]]\nkey = \"{key}\"\n")).unwrap();
    };
    policy("acks = \"signed\"\n");
    let ack = |sign: &[&str]| env.ok(&[&["trust", "ack", "--trust"][..], sign].concat());
    // Unsigned, or signed by somebody else, it has no effect: neither here nor with the flag.
    for sign in [&[][..], &["--sign", "other"]] {
        ack(sign);
        for apply in [&plain[..], &CI] {
            let ran = env.astrid(apply);
            assert_eq!(ran.code, 82, "{sign:?}\n{}", ran.shown());
            assert!(ran.stderr.contains("trust/pack-media_tools.toml has no effect"), "{}", ran.shown());
        }
        std::fs::remove_file(env.work("trust/pack-media_tools.toml")).unwrap();
    }
    ack(&["--sign", "default"]);
    env.ok(&["validate"]);
    let sound = env.read("trust/pack-media_tools.toml");
    assert!(sound.contains(&format!("signature = \"{key} ")), "{sound}");
    env.write(
        "trust/pack-media_tools.toml",
        sound.replace("at = 2026-11-20T12:00:00Z", "at = 2026-11-20T11:00:00Z"),
    );
    let ran = env.astrid(&plain);
    assert!(
        ran.code == 82 && ran.stderr.contains("its signature is not over what it says"),
        "{}",
        ran.shown()
    );
    env.write("trust/pack-media_tools.toml", &sound);
    // Nobody believed the origin: the key is enough.
    policy("");
    env.ok(&["plan"]);
    policy("acks = \"signed\"\n");
    env.ok(&plain);
    assert_eq!(env.astrid(&["trust", "ack", "--trust", "--sign", "nobody"]).code, 1);
}
