//! Every shape of bundle that is taken, and what comes out of it.

use astrid_hermetic_sigstore::{BundleForm, Claims, Sigstore};
use astrid_manifest::signer::Signer;
use astrid_provenance::verify::Identity;
use astrid_provenance::{Artifact, Bundle};
use jiff::SignedDuration;

use crate::bench_of_cases::{BUILDER, BYTES, SLSA, claims, statement, verifier, verify_with};

#[test]
fn every_shape_with_a_certificate_is_taken() {
    let sigstore = Sigstore::default();
    let signing = || sigstore.signing(&claims());
    let believer = verifier(&sigstore.trusted_root());
    for (name, bundle, is_statement, times) in [
        ("bytes, first log", signing().blob(BYTES), false, 1),
        ("bytes, first log, timestamp", signing().timestamped().blob(BYTES), false, 2),
        ("bytes, second log, timestamp", signing().rekor_2().blob(BYTES), false, 1),
        ("statement, first log", signing().statement(&statement()), true, 1),
        ("statement, first log, timestamp", signing().timestamped().statement(&statement()), true, 2),
        ("statement, second log, timestamp", signing().rekor_2().statement(&statement()), true, 1),
        ("bytes, version 0.1", signing().form(BundleForm::V0_1).blob(BYTES), false, 1),
        ("bytes, version 0.2", signing().form(BundleForm::V0_2).blob(BYTES), false, 1),
        ("statement, version 0.1", signing().form(BundleForm::V0_1).statement(&statement()), true, 1),
        ("statement, version 0.2", signing().form(BundleForm::V0_2).statement(&statement()), true, 1),
        (
            "statement, version 0.3, older",
            signing().form(BundleForm::V0_3Older).statement(&statement()),
            true,
            1,
        ),
    ] {
        let bundle = Bundle::parse(bundle.as_bytes()).unwrap();
        let verified =
            believer.verify(&Artifact::new(BYTES), &bundle).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(verified.times.len(), times, "{name}");
        let signed = sigstore.today() + SignedDuration::from_secs(5);
        assert!(verified.times.iter().all(|time| *time == signed), "{name}");
        assert_eq!(
            verified.signer(),
            Signer::Ci {
                issuer: "https://token.actions.githubusercontent.com".to_owned(),
                repository: "acme/fs".to_owned(),
                workflow: ".github/workflows/release.yml".to_owned(),
            },
            "{name}"
        );
        assert_eq!(verified.level().as_deref(), is_statement.then_some("slsa-v1"), "{name}");
        assert_eq!(verified.statement.is_some(), is_statement, "{name}");
        if let Some(predicate) = verified.predicate {
            assert_eq!(
                (predicate.kind.as_str(), predicate.builder.as_deref()),
                (SLSA, Some(BUILDER)),
                "{name}"
            );
        }
    }
}

#[test]
fn the_claims_of_a_build_come_out() {
    let sigstore = Sigstore::default();
    let verified = verify_with(&sigstore, &sigstore.sign_blob(&claims(), BYTES)).unwrap();
    let Identity::Certificate(certificate) = &verified.signer else { panic!("{verified:?}") };
    assert_eq!(certificate.identity, claims().identity);
    let claims = &certificate.claims;
    assert_eq!(claims.repository_uri.as_deref(), Some("https://github.com/acme/fs"));
    assert_eq!(claims.reference.as_deref(), Some("refs/tags/v1.2.0"));
    assert_eq!(claims.runner.as_deref(), Some("github-hosted"));
    assert_eq!(claims.trigger.as_deref(), Some("release"));
    assert_eq!(claims.commit.as_deref(), Some("5c0ffee05c0ffee05c0ffee05c0ffee05c0ffee0"));
    assert_eq!(claims.run.as_deref(), Some("https://github.com/acme/fs/actions/runs/1/attempts/1"));
}

#[test]
fn other_signers_have_their_own_form() {
    let sigstore = Sigstore::default();
    let signer =
        |claims: &Claims| verify_with(&sigstore, &sigstore.sign_blob(claims, BYTES)).unwrap().signer();
    let person = Claims::person("ada@example.org", "https://accounts.example.org");
    assert_eq!(
        signer(&person),
        Signer::Identity {
            issuer: "https://accounts.example.org".to_owned(),
            identity: "ada@example.org".to_owned()
        }
    );
    assert_eq!(
        signer(&Claims::gitlab("acme/fs", "refs/heads/main")),
        Signer::Ci {
            issuer: "https://gitlab.com".to_owned(),
            repository: "https://gitlab.com/acme/fs".to_owned(),
            workflow: ".gitlab-ci.yml".to_owned(),
        }
    );
    // Certificates from before the neutral claims have only those of GitHub.
    let mut older = claims();
    older.more.retain(|(number, _)| *number < 8);
    assert_eq!(signer(&older), signer(&claims()));
    // A workflow of another repository is named with it.
    let foreign = "https://github.com/mallory/fs/.github/workflows/release.yml@refs/tags/v1.2.0";
    let elsewhere = claims().with(18, Some(foreign));
    assert_eq!(
        signer(&elsewhere),
        Signer::Ci {
            issuer: claims().issuer,
            repository: "acme/fs".to_owned(),
            workflow: "https://github.com/mallory/fs/.github/workflows/release.yml".to_owned(),
        }
    );
}

#[test]
fn a_ref_with_an_at_sign_is_no_part_of_the_file() {
    let sigstore = Sigstore::default();
    let claims = Claims::github("acme/fs", "release.yml", "refs/tags/fs@1.2.0");
    let verified = verify_with(&sigstore, &sigstore.sign_blob(&claims, BYTES)).unwrap();
    let Signer::Ci { workflow, .. } = verified.signer() else { panic!() };
    assert_eq!(workflow, ".github/workflows/release.yml");
}

#[test]
fn one_verifier_serves_many_threads() {
    let sigstore = Sigstore::default();
    let believer = verifier(&sigstore.trusted_root());
    let bundle = Bundle::parse(sigstore.sign_blob(&claims(), BYTES).as_bytes()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| believer.verify(&Artifact::new(BYTES), &bundle).unwrap());
        }
    });
}

#[test]
fn a_file_may_hold_a_bundle_on_each_line() {
    let sigstore = Sigstore::default();
    let [one, two] = [sigstore.sign_blob(&claims(), BYTES), sigstore.sign_statement(&claims(), &statement())];
    let both = Bundle::parse_all(format!("{one}\n{two}\n").as_bytes()).unwrap();
    assert_eq!(both.len(), 2);
    assert_eq!(both[1].digest(), Bundle::parse(two.trim_end().as_bytes()).unwrap().digest());
    assert_eq!(both[1].payload(), Some(statement().as_bytes()));
    let pretty =
        serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(&one).unwrap()).unwrap();
    assert_eq!(Bundle::parse_all(pretty.as_bytes()).unwrap().len(), 1);
    assert_eq!(Bundle::parse_all(one.as_bytes()).unwrap()[0].bytes(), one.as_bytes());
}
