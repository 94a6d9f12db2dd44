use proptest::prelude::*;

use super::*;

fn source(text: &str) -> Source {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn every_form_is_read() {
    assert_eq!(source("./a/b/").to_string(), "./a/b");
    assert!(matches!(source("/srv/x"), Source::Path(path) if path.is_absolute()));
    assert!(matches!(source("./x.capsule"), Source::Archive(_)));
    assert!(matches!(source("dist/x.capsule"), Source::Archive(_)));
    assert!(matches!(source("@acme/tools"), Source::Release { .. }));
    assert_eq!(source("https://github.com/acme/tools"), source("@acme/tools"));
    assert_eq!(source("index:acme/fs"), Source::Index { index: Some("acme".into()), name: "fs".into() });
    let Source::Git(git) = source("git+https://example.org/x?ref=v1.0.0&path=packs/x") else { panic!() };
    assert_eq!(git.reference, Some(GitRef::Tag("v1.0.0".into())));
    assert_eq!(git.path.unwrap().joined(), "packs/x");
    let Source::Git(git) = source("git+git@example.org:acme/x.git") else { panic!() };
    assert_eq!(git.url, "ssh://git@example.org/acme/x.git");
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let Source::Git(git) = source(&format!("git+https://example.org/x?ref={commit}")) else { panic!() };
    assert_eq!(git.reference, Some(GitRef::Commit(commit.into())));
}

#[test]
fn other_texts_are_denied() {
    for text in [
        "",
        " ./a",
        "fs",
        "a/b",
        "../x",
        "./a/../b",
        "./a//b",
        "./a\\b",
        "/a/./b",
        "https://example.org/x",
        "git+http://example.org/x",
        "git+ext::sh -c id",
        "ext::sh",
        "git+git://example.org/x",
        "git+https://user:pass@example.org/x",
        "git+https://token@example.org/x",
        "git+ssh://git:pass@example.org/x",
        "git+ssh://-oProxyCommand=x/x",
        "git+https://example.org/x?ref=refs/heads/main",
        "git+https://example.org/x?ref=refs/pull/1/head",
        "git+https://example.org/x?ref=a..b",
        "git+https://example.org/x?ref=-x",
        "git+https://example.org/x?ref=0123456789ABCDEF0123456789ABCDEF01234567",
        "git+https://example.org/x?path=../x",
        "git+https://example.org/x?path=/etc",
        "git+https://example.org/x?branch=main",
        "git+https://example.org/x?ref=a&ref=b",
        "git+https://example.org/x#main",
        "git+file://host/x",
        "oci://registry/x",
        "@acme",
        "@acme/a/b",
        "@../x",
        "index:",
        "index:a/b/c",
        "index:../x",
        "openclaw:x",
        "gh:a/b",
    ] {
        assert!(text.parse::<Source>().is_err(), "{text:?} was taken");
    }
}

#[test]
fn local_sources_are_named_by_the_home_only() {
    assert!(source("/srv/x").is_local_only());
    assert!(source("git+file:///srv/x.git").is_local_only());
    assert!(source("git+http://127.0.0.1:8080/x").is_local_only());
    assert!(!source("./x").is_local_only());
    assert!(!source("git+https://example.org/x").is_local_only());
}

#[test]
fn installs_may_be_short() {
    let (from, version) = Source::parse_install("@acme/tools@1.2").unwrap();
    assert_eq!((from, version.unwrap().to_string()), (source("@acme/tools"), "1.2".to_owned()));
    let (from, _) = Source::parse_install("https://example.org/pack").unwrap();
    assert_eq!(from, source("git+https://example.org/pack"));
    let (from, _) = Source::parse_install("git@example.org:a/b").unwrap();
    assert_eq!(from, source("git+ssh://git@example.org/a/b"));
    let (from, _) = Source::parse_install("https://github.com/acme/tools").unwrap();
    assert_eq!(from, source("@acme/tools"));
    let (from, _) = Source::parse_install("https://github.com/acme/tools.git").unwrap();
    assert_eq!(from, source("git+https://github.com/acme/tools.git"));
    let (from, _) = Source::parse_pack_install("https://github.com/acme/tools").unwrap();
    assert_eq!(from, source("git+https://github.com/acme/tools"));
    let (from, _) = Source::parse_pack_install("./tools").unwrap();
    assert_eq!(from, source("./tools"));
    assert!(Source::parse_install("http://example.org/pack").is_err());
    assert!(Source::parse_pack_install("https://token@example.org/pack").is_err());
}

#[test]
fn only_a_distro_follows_a_branch_denied() {
    let text = "git+https://example.org/fleet?ref=refs/heads/main";
    assert!(Source::parse_distro(text).is_ok());
    assert!(text.parse::<Source>().is_err());
}

proptest! {
    #[test]
    fn canonical_text_means_the_same(text in "(git\\+https://h/|\\./|@a/|index:|/)[a-z0-9._/?=&-]{0,24}") {
        if let Ok(read) = text.parse::<Source>() {
            prop_assert_eq!(read.to_string().parse::<Source>(), Ok(read));
        }
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,64}") {
        let _ = text.parse::<Source>();
        let _ = Source::parse_install(&text);
    }
}
