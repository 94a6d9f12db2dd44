//! Who a certificate is for.

/// The issuer of GitHub Actions' tokens.
pub const GITHUB: &str = "https://token.actions.githubusercontent.com";
/// The issuer of GitLab's tokens.
pub const GITLAB: &str = "https://gitlab.com";

/// What a certificate says about the one who asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The identity: a URI or a mail address.
    pub identity: String,
    /// Who vouches for it.
    pub issuer: String,
    /// Further claims: `n` of the object identifier `1.3.6.1.4.1.57264.1.n`, and the value.
    pub more: Vec<(u64, String)>,
}

impl Claims {
    /// An identity and its issuer, and nothing else.
    #[must_use]
    pub fn new(identity: &str, issuer: &str) -> Self {
        Self { identity: identity.to_owned(), issuer: issuer.to_owned(), more: Vec::new() }
    }

    /// A person with a mail address.
    #[must_use]
    pub fn person(mail: &str, issuer: &str) -> Self {
        Self::new(mail, issuer)
    }

    /// A workflow of GitHub Actions in `repository` (`owner/name`), with all claims that real certificates have.
    #[must_use]
    pub fn github(repository: &str, workflow: &str, reference: &str) -> Self {
        let owner = repository.split('/').next().unwrap_or_default();
        let url = format!("https://github.com/{repository}");
        let identity = format!("{url}/.github/workflows/{workflow}@{reference}");
        let commit = "5c0ffee05c0ffee05c0ffee05c0ffee05c0ffee0";
        let mut claims = Self::new(&identity, GITHUB);
        let event = if reference.starts_with("refs/tags/") { "release" } else { "push" };
        for (number, value) in [
            (2, event.to_owned()),
            (3, commit.to_owned()),
            (4, workflow.to_owned()),
            (5, repository.to_owned()),
            (6, reference.to_owned()),
            (9, identity.clone()),
            (10, commit.to_owned()),
            (11, "github-hosted".to_owned()),
            (12, url.clone()),
            (13, commit.to_owned()),
            (14, reference.to_owned()),
            (15, "1000001".to_owned()),
            (16, format!("https://github.com/{owner}")),
            (17, "1001".to_owned()),
            (18, identity),
            (19, commit.to_owned()),
            (20, event.to_owned()),
            (21, format!("{url}/actions/runs/1/attempts/1")),
            (22, "public".to_owned()),
        ] {
            claims.more.push((number, value));
        }
        claims
    }

    /// A pipeline of GitLab in `project` (`group/name`), at `reference`.
    #[must_use]
    pub fn gitlab(project: &str, reference: &str) -> Self {
        let url = format!("https://gitlab.com/{project}");
        let identity = format!("{url}//.gitlab-ci.yml@{reference}");
        let commit = "5c0ffee05c0ffee05c0ffee05c0ffee05c0ffee0";
        let mut claims = Self::new(&identity, GITLAB);
        for (number, value) in [
            (9, identity.clone()),
            (10, commit.to_owned()),
            (11, "gitlab-hosted".to_owned()),
            (12, url.clone()),
            (13, commit.to_owned()),
            (14, reference.to_owned()),
            (18, identity),
            (19, commit.to_owned()),
            (20, "push".to_owned()),
            (21, format!("{url}/-/jobs/1")),
            (22, "public".to_owned()),
        ] {
            claims.more.push((number, value));
        }
        claims
    }

    /// Replaces the claim `number`, or removes it when there is no value.
    #[must_use]
    pub fn with(mut self, number: u64, value: Option<&str>) -> Self {
        self.more.retain(|(known, _)| *known != number);
        self.more.extend(value.map(|value| (number, value.to_owned())));
        self.more.sort();
        self
    }
}
