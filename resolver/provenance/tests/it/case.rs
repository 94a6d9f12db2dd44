//! Cases of what must not be taken.

use astrid_hermetic_sigstore::Sigstore;
use astrid_provenance::ErrorKind;

use crate::bench_of_cases::{BYTES, claims, statement, verify};

pub(crate) const ENTRIES: &str = "/verificationMaterial/tlogEntries";
pub(crate) const ENTRY: &str = "/verificationMaterial/tlogEntries/0";
pub(crate) const PROOF: &str = "/verificationMaterial/tlogEntries/0/inclusionProof";
pub(crate) const MATERIAL: &str = "/verificationMaterial";
pub(crate) const TIMES: &str = "/verificationMaterial/timestampVerificationData";

/// Something that must not be taken.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) root: String,
    pub(crate) bundle: String,
    pub(crate) bytes: &'static [u8],
    pub(crate) kind: ErrorKind,
    /// A part of what is said.
    pub(crate) says: &'static str,
}

/// Good bundles, and a place to collect what is spoiled.
pub(crate) struct Cases {
    pub(crate) sigstore: Sigstore,
    pub(crate) root: String,
    pub(crate) blob: String,
    pub(crate) second: String,
    pub(crate) dsse: String,
    pub(crate) all: Vec<Case>,
}

impl Cases {
    pub(crate) fn new() -> Self {
        let sigstore = Sigstore::default();
        let signing = || sigstore.signing(&claims());
        let root = sigstore.trusted_root();
        let [blob, second, dsse] =
            [signing().blob(BYTES), signing().rekor_2().blob(BYTES), signing().statement(&statement())];
        for bundle in [&blob, &second, &dsse] {
            assert!(verify(&root, bundle, BYTES).is_ok());
        }
        Self { root, blob, second, dsse, all: Vec::new(), sigstore }
    }

    /// A bundle that is not taken.
    pub(crate) fn bundle(&mut self, name: &'static str, bundle: String, kind: ErrorKind, says: &'static str) {
        let root = self.root.clone();
        self.all.push(Case { name, root, bundle, bytes: BYTES, kind, says });
    }

    /// A good bundle with a root that does not believe it.
    pub(crate) fn root(
        &mut self,
        name: &'static str,
        bundle: &str,
        root: String,
        kind: ErrorKind,
        says: &'static str,
    ) {
        self.all.push(Case { name, root, bundle: bundle.to_owned(), bytes: BYTES, kind, says });
    }

    pub(crate) fn check(self) {
        let mut names: Vec<_> = self.all.iter().map(|case| case.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), self.all.len(), "every case has a name of its own");
        let mut wrong = Vec::new();
        for case in self.all {
            match verify(&case.root, &case.bundle, case.bytes) {
                Ok(verified) => wrong.push(format!("{}: taken: {verified:?}", case.name)),
                Err(error) => {
                    if error.kind() != case.kind || !error.to_string().contains(case.says) {
                        wrong.push(format!("{}: {:?}: {error}", case.name, error.kind()));
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
