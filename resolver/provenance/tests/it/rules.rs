//! Which signers a rule admits.

use astrid_hermetic_sigstore::{Claims, Key, Sigstore};
use astrid_manifest::distro::Distro;
use astrid_manifest::policy::{SignerRule, SignerRuleIdentity};
use astrid_provenance::rule::{Mismatch, admits, suggestion};
use astrid_provenance::statement::Subject;
use astrid_provenance::{SigningKey, Statement, Verified, envelope};
use serde_json::json;

use crate::bench_of_cases::{BUILDER, BYTES, SLSA, claims, statement, verify, verify_with};

/// The one rule of a distro.
fn rule(lines: &str) -> SignerRule {
    parse(&format!("[[policy.signer]]\nmatch = [\"capsule:fs\"]\n{lines}\n"))
}

fn parse(table: &str) -> SignerRule {
    let text = format!(
        "schema-version = 1\n[distro]\nid = \"house\"\nname = \"House\"\nversion = \"1.0.0\"\n\
         [[capsule]]\nname = \"fs\"\nsource = \"./fs\"\n{table}"
    );
    let parsed = Distro::parse("Distro.toml", &text).unwrap_or_else(|error| panic!("{table}\n{error:?}"));
    let mut signers = parsed.value.policy.signers;
    assert_eq!(signers.len(), 1);
    signers.remove(0)
}

fn signed_by(claims: &Claims) -> Verified {
    let sigstore = Sigstore::default();
    verify_with(&sigstore, &sigstore.sign_statement(claims, &statement())).unwrap()
}

fn signed() -> Verified {
    signed_by(&claims())
}

fn fields(mismatch: &Mismatch) -> Vec<&'static str> {
    mismatch.differences().iter().map(|difference| difference.field).collect()
}

const ISSUER: &str = "issuer = \"https://token.actions.githubusercontent.com\"\n";

#[test]
fn rules_admit_what_they_describe() {
    let signed = signed();
    for lines in [
        "repository = \"acme/fs\"",
        "repository = \"Acme/FS\"",
        "repository = \"https://github.com/acme/fs\"",
        "repository = \"https://GitHub.com/acme/fs\"",
        "repository = \"acme/fs\"\nworkflow = \".github/workflows/release.yml\"",
        "repository = \"acme/fs\"\nref = \"refs/tags/v1.2.0\"",
        "repository = \"acme/fs\"\nref = \"refs/tags/v*\"",
        "repository = \"acme/fs\"\nref = \"refs/*/v1.*\"",
        "repository = \"acme/fs\"\nref = \"**\"",
        "repository = \"acme/fs\"\npredicate = \"https://slsa.dev/provenance/v1\"",
        "repository = \"acme/fs\"\npredicate = \"https://slsa.dev/provenance/v1\"\nbuilder = \"https://github.com/actions/runner/github-hosted\"",
        "repository = \"acme/fs\"\npredicate = \"https://slsa.dev/provenance/v1\"\nbuilder = \"https://github.com/actions/*/github-*\"",
        "repository = \"acme/fs\"\npredicate = \"https://slsa.dev/provenance/v1\"\nbuilder = \"https://github.com/**\"",
        "identity = \"https://github.com/acme/fs/.github/workflows/release.yml@refs/tags/v1.2.0\"",
    ] {
        let rule = rule(&format!("{ISSUER}{lines}"));
        admits(&rule, &signed).unwrap_or_else(|mismatch| panic!("{lines}: {mismatch}"));
    }
}

#[test]
fn other_signers_are_denied() {
    let signed = signed();
    let v1 = "predicate = \"https://slsa.dev/provenance/v1\"";
    for (lines, field, wanted, found) in [
        ("repository = \"mallory/fs\"", "repository", "mallory/fs", "`acme/fs`"),
        ("repository = \"acme/fs2\"", "repository", "acme/fs2", "`acme/fs`"),
        ("repository = \"acme/f\"", "repository", "acme/f", "`acme/fs`"),
        ("repository = \"acme\"", "repository", "acme", "`acme/fs`"),
        ("repository = \"acme/*\"", "repository", "acme/*", "`acme/fs`"),
        (
            "repository = \"https://example.org/acme/fs\"",
            "repository",
            "https://example.org/acme/fs",
            "`acme/fs`",
        ),
        (
            "repository = \"http://github.com/acme/fs\"",
            "repository",
            "http://github.com/acme/fs",
            "`acme/fs`",
        ),
        (
            "repository = \"acme/fs\"\nworkflow = \".github/workflows/test.yml\"",
            "workflow",
            ".github/workflows/test.yml",
            "`.github/workflows/release.yml`",
        ),
        ("repository = \"acme/fs\"\nworkflow = \"release.yml\"", "workflow", "release.yml", "release.yml`"),
        (
            "repository = \"acme/fs\"\nref = \"refs/heads/main\"",
            "ref",
            "refs/heads/main",
            "`refs/tags/v1.2.0`",
        ),
        ("repository = \"acme/fs\"\nref = \"refs/*\"", "ref", "refs/*", "`refs/tags/v1.2.0`"),
        ("repository = \"acme/fs\"\nref = \"refs/tags/v1.2\"", "ref", "refs/tags/v1.2", "`refs/tags/v1.2.0`"),
        ("repository = \"acme/fs\"\nref = \"\"", "ref", "", "`refs/tags/v1.2.0`"),
        (
            "repository = \"acme/fs\"\npredicate = \"https://slsa.dev/provenance/v0.2\"",
            "predicate",
            "https://slsa.dev/provenance/v0.2",
            SLSA,
        ),
        (
            &format!("repository = \"acme/fs\"\n{v1}\nbuilder = \"https://example.org/*\""),
            "builder",
            "https://example.org/*",
            BUILDER,
        ),
        (
            "identity = \"https://github.com/acme/fs/.github/workflows/release.yml@refs/tags/v1.2\"",
            "identity",
            "https://github.com/acme/fs/.github/workflows/release.yml@refs/tags/v1.2",
            "@refs/tags/v1.2.0`",
        ),
    ] {
        let rule = rule(&format!("{ISSUER}{lines}"));
        let mismatch = admits(&rule, &signed).expect_err(lines);
        assert_eq!(fields(&mismatch), [field], "{lines}");
        let text = mismatch.to_string();
        assert!(text.starts_with(&format!("{field}: the rule wants `{wanted}`, and it is")), "{text}");
        assert!(text.contains(found), "{text}");
    }
    let issuer = rule("issuer = \"https://gitlab.com\"\nrepository = \"acme/fs\"");
    assert_eq!(fields(&admits(&issuer, &signed).unwrap_err()), ["issuer"]);
    let all = rule(
        "issuer = \"https://gitlab.com\"\nrepository = \"a/b\"\nworkflow = \"c\"\nref = \"d\"\npredicate = \"e\"\nbuilder = \"f\"",
    );
    let mismatch = admits(&all, &signed).unwrap_err();
    assert_eq!(fields(&mismatch), ["issuer", "repository", "workflow", "ref", "predicate", "builder"]);
    assert_eq!(mismatch.lines().count(), mismatch.to_string().lines().count());
}

#[test]
fn claims_that_contradict_the_rule_are_denied() {
    let full = rule(&format!(
        "{ISSUER}repository = \"acme/fs\"\nworkflow = \".github/workflows/release.yml\"\nref = \"refs/tags/*\""
    ));
    assert!(admits(&full, &signed()).is_ok());
    let of = |number, value| signed_by(&claims().with(number, value));
    let evil = "https://github.com/mallory/fs";
    let evil_workflow = "https://github.com/mallory/fs/.github/workflows/release.yml@refs/tags/v1.2.0";
    for (name, signed, field) in [
        // Somebody else's repository that calls our workflow: the identity is ours, the source is not.
        ("source of another repository", of(12, Some(evil)), "repository"),
        ("workflow of another repository", of(18, Some(evil_workflow)), "workflow"),
        ("another ref", of(14, Some("refs/heads/main")), "ref"),
        ("no ref", signed_by(&claims().with(14, None).with(6, None)), "ref"),
        ("no source", signed_by(&claims().with(12, None).with(5, None)), "repository"),
        ("longer name", of(12, Some("https://github.com/acme/fs-evil")), "repository"),
        ("a folder below", of(12, Some("https://github.com/acme/fs/x")), "repository"),
        ("another host", of(12, Some("https://github.com.example.org/acme/fs")), "repository"),
    ] {
        let mismatch = admits(&full, &signed).expect_err(name);
        assert!(fields(&mismatch).contains(&field), "{name}: {mismatch}");
    }
    let person = signed_by(&Claims::person("ada@example.org", "https://token.actions.githubusercontent.com"));
    let mismatch = admits(&full, &person).unwrap_err();
    assert!(
        mismatch.to_string().contains("repository: the rule wants `acme/fs`, and there is none"),
        "{mismatch}"
    );
}

#[test]
fn other_forges_are_compared_letter_by_letter() {
    let signed = signed_by(&Claims::gitlab("acme/fs", "refs/heads/main"));
    let lab = |rest: &str| rule(&format!("issuer = \"https://gitlab.com\"\n{rest}"));
    let good = "repository = \"https://gitlab.com/acme/fs\"\nworkflow = \".gitlab-ci.yml\"\nref = \"refs/heads/main\"";
    assert!(admits(&lab(good), &signed).is_ok());
    for repository in
        ["acme/fs", "https://gitlab.com/Acme/fs", "https://github.com/acme/fs", "https://gitlab.com/acme/fs/"]
    {
        let rule = lab(&format!("repository = \"{repository}\""));
        assert_eq!(fields(&admits(&rule, &signed).unwrap_err()), ["repository"], "{repository}");
    }
    // An issuer that only looks like GitHub does not get its short names.
    let mut looks = claims();
    looks.issuer = "https://token.actions.githubusercontent.com.example.org".to_owned();
    let rule = rule(&format!("issuer = \"{}\"\nrepository = \"acme/fs\"", looks.issuer));
    assert_eq!(fields(&admits(&rule, &signed_by(&looks)).unwrap_err()), ["repository"]);
}

fn key(byte: u8) -> SigningKey {
    SigningKey::from_bytes(&[byte; 32].into())
}

fn signed_with(byte: u8, kind: &str) -> Verified {
    let statement = Statement::new(vec![Subject::of("fs", BYTES)], kind, json!({}));
    let root = Sigstore::default().trusted_root();
    verify(&root, &envelope::sign(&statement, &key(byte)).unwrap(), BYTES).unwrap()
}

#[test]
fn a_key_is_admitted_by_its_own_rule_only() {
    let own = rule(&format!("key = \"{}\"", key(7).public()));
    assert!(admits(&own, &signed_with(7, "https://example.org/p/v1")).is_ok());
    for (name, signed) in
        [("another key", signed_with(8, "https://example.org/p/v1")), ("a certificate", signed())]
    {
        let mismatch = admits(&own, &signed).expect_err(name);
        assert_eq!(fields(&mismatch), ["key"], "{name}");
    }
    let sigstore = Sigstore::default();
    let ada = Key::p256("ada");
    let bundle = sigstore.signing_by_key(&ada).statement(&statement());
    let foreign = crate::keys::verify_by(&sigstore.trusted_root(), &bundle, &ada).unwrap();
    assert_eq!(fields(&admits(&own, &foreign).unwrap_err()), ["key"]);
    for lines in ["repository = \"acme/fs\"", "identity = \"ada@example.org\""] {
        let keyless = rule(&format!("{ISSUER}{lines}"));
        for signed in [&signed_with(7, "p"), &foreign] {
            let mismatch = admits(&keyless, signed).unwrap_err();
            assert_eq!(fields(&mismatch), ["issuer"]);
            assert!(mismatch.to_string().ends_with("and there is none"), "{mismatch}");
        }
    }
    let mut odd = own;
    odd.identity = SignerRuleIdentity::Key { key: "hello".to_owned() };
    assert!(admits(&odd, &signed_with(7, "p")).is_err());
}

#[test]
fn a_signature_over_bytes_has_no_predicate_denied() {
    let sigstore = Sigstore::default();
    let signed = verify_with(&sigstore, &sigstore.sign_blob(&claims(), BYTES)).unwrap();
    let plain = rule(&format!("{ISSUER}repository = \"acme/fs\""));
    assert!(admits(&plain, &signed).is_ok());
    let demanding =
        rule(&format!("{ISSUER}repository = \"acme/fs\"\npredicate = \"{SLSA}\"\nbuilder = \"**\""));
    let mismatch = admits(&demanding, &signed).unwrap_err();
    assert_eq!(fields(&mismatch), ["predicate", "builder"]);
    assert!(mismatch.lines().all(|line| line.ends_with("and there is none")), "{mismatch}");
}

#[test]
fn the_builder_stands_where_each_version_has_it() {
    let sigstore = Sigstore::default();
    let verified = |kind: &str, predicate: serde_json::Value| {
        let statement = Statement::new(vec![Subject::of("fs", BYTES)], kind, predicate);
        let text = String::from_utf8(statement.to_canonical_json().unwrap()).unwrap();
        verify_with(&sigstore, &sigstore.sign_statement(&claims(), &text)).unwrap()
    };
    let (v0_2, v1) = ("https://slsa.dev/provenance/v0.2", SLSA);
    let [old, new] =
        [json!({ "builder": { "id": "b" } }), json!({ "runDetails": { "builder": { "id": "b" } } })];
    for (kind, predicate, level, found) in [
        (v0_2, &old, "slsa-v0.2", true),
        (v1, &new, "slsa-v1", true),
        (v0_2, &new, "slsa-v0.2", false),
        (v1, &old, "slsa-v1", false),
        ("https://example.org/p/v1", &new, "https://example.org/p/v1", false),
    ] {
        let signed = verified(kind, predicate.clone());
        assert_eq!(signed.level().as_deref(), Some(level));
        let rule =
            rule(&format!("{ISSUER}repository = \"acme/fs\"\npredicate = \"{kind}\"\nbuilder = \"b\""));
        assert_eq!(admits(&rule, &signed).is_ok(), found, "{kind} {predicate}");
    }
}

#[test]
fn a_suggestion_admits_exactly_what_it_was_made_for() {
    let person = Claims::person("ada@example.org", "https://accounts.example.org");
    let quoted = Claims::new("a\"b\\c", "https://issuer.example.org/'\"");
    let others = [signed_by(&Claims::github("acme/fs", "test.yml", "refs/heads/main")), signed_with(8, "p")];
    for signed in [
        signed(),
        signed_by(&person),
        signed_by(&quoted),
        signed_by(&Claims::gitlab("acme/fs", "refs/heads/main")),
        signed_with(7, "https://example.org/p/v1"),
    ] {
        let text = suggestion("capsule:fs", &signed);
        let rule = parse(&text);
        admits(&rule, &signed).unwrap_or_else(|mismatch| panic!("{text}\n{mismatch}"));
        for other in &others {
            assert!(admits(&rule, other).is_err(), "{text}");
        }
    }
    assert_eq!(
        suggestion("capsule:fs", &signed()),
        "[[policy.signer]]\n\
         match = [\"capsule:fs\"]\n\
         issuer = \"https://token.actions.githubusercontent.com\"\n\
         repository = \"acme/fs\"\n\
         workflow = \".github/workflows/release.yml\"\n\
         ref = \"refs/tags/v1.2.0\"\n\
         predicate = \"https://slsa.dev/provenance/v1\"\n\
         builder = \"https://github.com/actions/runner/github-hosted\"\n"
    );
    let sigstore = Sigstore::default();
    let ada = Key::p256("ada");
    let bundle = sigstore.signing_by_key(&ada).statement(&statement());
    let foreign = crate::keys::verify_by(&sigstore.trusted_root(), &bundle, &ada).unwrap();
    assert!(suggestion("capsule:fs", &foreign).starts_with("# only ed25519 keys"));
}
