//! Cases of artifacts that must be refused, each by `verify` and by `apply`.

use std::collections::BTreeSet;
use std::fs;

use super::scene::{GITHUB, Leaves, Scene, policy, refusal};

/// The workflow that may sign, as the home's policy has it.
pub(crate) const RULE: &str = "[[policy.signer]]
match = [\"capsule:fs\"]
issuer = \"https://token.actions.githubusercontent.com\"
repository = \"acme/fs\"
workflow = \".github/workflows/release.yml\"
ref = \"refs/tags/v*\"
";
/// The same, as `verify` is told.
pub(crate) const WHOSE: [&str; 6] =
    ["-R", "acme/fs", "--signer-workflow", ".github/workflows/release.yml", "--source-ref", "refs/tags/v*"];
/// A distro of the artifact.
pub(crate) const ENTRY: &str =
    "\n[[capsule]]\nname = \"fs\"\nsource = \"./fs.capsule\"\nversion = \"1.2.0\"\n";
/// What applies it with all consent that can be given by flags.
pub(crate) const APPLY: [&str; 4] = ["apply", "--yes", "--trust", "--no-boot"];

/// An artifact that must be refused.
pub(crate) struct Case {
    name: String,
    bundle: Vec<u8>,
    artifact: Option<Vec<u8>>,
    root: Option<String>,
    rule: Option<String>,
    whose: Vec<String>,
    code: i32,
    says: String,
}

/// A machine, and what it must refuse.
pub(crate) struct Cases {
    pub(crate) scene: Scene,
    all: Vec<Case>,
}

impl Case {
    /// Over other bytes.
    pub(crate) fn over(&mut self, artifact: &[u8]) -> &mut Self {
        self.artifact = Some(artifact.to_vec());
        self
    }

    /// With another root in the home.
    pub(crate) fn root(&mut self, root: &str) -> &mut Self {
        self.root = Some(root.to_owned());
        self
    }

    /// Against another rule.
    pub(crate) fn rule(&mut self, rule: &str, whose: &[&str]) -> &mut Self {
        self.rule = Some(rule.to_owned());
        self.whose = whose.iter().map(|&word| word.to_owned()).collect();
        self
    }
}

impl Cases {
    pub(crate) fn new() -> Self {
        let scene = Scene::new();
        scene.env.distro(ENTRY);
        policy(&scene.env, RULE);
        // What is not spoiled is taken.
        let cases = Self { scene, all: Vec::new() };
        for bundle in [cases.scene.blob(), cases.scene.attestation(), cases.second()] {
            cases.scene.env.write("fs.capsule.sigstore.json", bundle);
            cases.scene.env.ok(&[&["verify", "fs.capsule"][..], &WHOSE].concat());
            cases.scene.env.ok(&["plan"]);
        }
        cases
    }

    /// A bundle whose entry is in a log of the second kind.
    pub(crate) fn second(&self) -> String {
        self.scene.sigstore.signing(&super::scene::claims()).rekor_2().blob(&self.scene.bytes)
    }

    /// A bundle that must be refused.
    pub(crate) fn add(&mut self, name: &str, bundle: impl AsRef<[u8]>, code: i32, says: &str) -> &mut Case {
        self.all.push(Case {
            name: name.to_owned(),
            bundle: bundle.as_ref().to_vec(),
            artifact: None,
            root: None,
            rule: None,
            whose: WHOSE.iter().map(|&word| word.to_owned()).collect(),
            code,
            says: says.to_owned(),
        });
        self.all.last_mut().unwrap()
    }

    /// Runs them all; what is wrong is told at the end, together.
    #[track_caller]
    pub(crate) fn check(self, at_least: usize) {
        let names: BTreeSet<&str> = self.all.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(names.len(), self.all.len(), "every case has a name of its own");
        assert!(names.len() >= at_least, "only {} cases", names.len());
        let root = self.scene.sigstore.trusted_root();
        let mut wrong = Vec::new();
        for case in &self.all {
            wrong.extend(self.run(case, &root));
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    fn run(&self, case: &Case, root: &str) -> Vec<String> {
        let env = &self.scene.env;
        env.write("fs.capsule.sigstore.json", &case.bundle);
        env.write("fs.capsule", case.artifact.as_ref().unwrap_or(&self.scene.bytes));
        fs::write(env.home("trust/trusted_root.json"), case.root.as_deref().unwrap_or(root)).unwrap();
        policy(env, case.rule.as_deref().unwrap_or(RULE));
        let whose: Vec<&str> = case.whose.iter().map(String::as_str).collect();
        let verify = [&["verify", "fs.capsule"][..], &whose].concat();
        let mut wrong = Vec::new();
        for (arguments, leaves) in [(&verify[..], Leaves::Nothing), (&APPLY[..], Leaves::Notes)] {
            let (ran, found) = refusal(env, arguments, leaves, case.code, &[&case.says]);
            if !found.is_empty() {
                wrong.push(format!("{}: {}\n{}", case.name, found.join("\n"), ran.shown()));
            }
        }
        wrong
    }
}

/// Flags and rule for a signer by certificate.
pub(crate) fn identity(identity: &str, issuer: &str) -> (String, Vec<String>) {
    let rule = format!(
        "[[policy.signer]]\nmatch = [\"capsule:fs\"]\nissuer = \"{issuer}\"\nidentity = \"{identity}\"\n"
    );
    let flags = ["--certificate-identity", identity, "--certificate-oidc-issuer", issuer];
    (rule, flags.iter().map(|&word| word.to_owned()).collect())
}

/// Flags and rule for a workflow, with a change in both.
pub(crate) fn workflow(from: &str, to: &str) -> (String, Vec<String>) {
    assert!(RULE.contains(from), "{from}");
    (RULE.replace(from, to), WHOSE.iter().map(|word| word.replace(from, to)).collect())
}

/// The issuer of the good bundles, for cases that name another one.
pub(crate) const ISSUER: &str = GITHUB;
