use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use astrid_authority::{Capabilities, PrincipalId};

use super::operations::Mode;
use super::*;

struct Fixture {
    root: tempfile::TempDir,
    roots: Roots,
    capabilities: Capabilities,
    principal: PrincipalId,
}

impl Fixture {
    /// A workspace with `docs/a`, `private/b` and Astrid's home in it; `ann` has a home of her own.
    fn new(read: &[&str], write: &[&str]) -> Self {
        // Not below `/tmp`, which is a scope of its own.
        let root = tempfile::tempdir_in("/var/tmp").unwrap();
        for folder in ["w/docs", "w/private", "w/.astrid/home/ann", "outside"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        for (file, content) in
            [("w/docs/a", "a"), ("w/private/b", "b"), ("w/.astrid/key", "key"), ("outside/c", "c")]
        {
            fs::write(root.path().join(file), content).unwrap();
        }
        let (workspace, home) = (root.path().join("w"), root.path().join("w/.astrid"));
        let roots = Roots::new(Some(&workspace), &home, &home.join("home")).unwrap();
        let scopes = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let capabilities =
            Capabilities { fs_read: scopes(read), fs_write: scopes(write), ..Capabilities::default() };
        Self { root, roots, capabilities, principal: "ann".parse().unwrap() }
    }

    fn files(&self) -> Files<'_> {
        Files { roots: &self.roots, capabilities: &self.capabilities, principal: &self.principal }
    }

    fn at(&self, path: &str) -> std::path::PathBuf {
        self.root.path().join(path)
    }

    fn link(&self, target: &str, name: &str) {
        symlink(Path::new(target), self.at(name)).unwrap();
    }
}

fn everything() -> Fixture {
    Fixture::new(&["*", "home://", "/tmp"], &["*", "home://", "/tmp"])
}

#[test]
fn granted_files_are_read_under_every_name() {
    let fixture = everything();
    for path in ["docs/a", "/docs/a", "cwd://docs/a", "workspace://docs/a"] {
        assert_eq!(fixture.files().read(path), Ok(b"a".to_vec()), "{path}");
    }
    for path in ["/tmp/x", "tmp://x", "home://x"] {
        fixture.files().write(path, b"x").unwrap();
        assert_eq!(fixture.files().read(path), Ok(b"x".to_vec()), "{path}");
    }
    assert!(fixture.at("w/.astrid/home/ann/.local/tmp/x").exists());
}

#[test]
fn what_is_missing_is_not_found_exactly() {
    let fixture = everything();
    let files = fixture.files();
    assert_eq!(files.read("docs/none"), Err(FileError::NotFound));
    assert_eq!(files.list("none"), Err(FileError::NotFound));
    assert_eq!(files.read("none/deeper"), Err(FileError::NotFound));
    assert_eq!(files.stat("none", true).map(drop), Err(FileError::NotFound));
    assert_eq!(files.unlink("none"), Err(FileError::NotFound));
    assert_eq!(files.exists("none/deeper"), Ok(false));
    assert_eq!(files.exists("docs/a/deeper"), Ok(false));
    assert_eq!(files.exists("docs"), Ok(true));
    assert_eq!(files.read("docs"), Err(FileError::IsDirectory));
    assert_eq!(files.list("docs/a"), Err(FileError::NotDirectory));
}

#[test]
fn a_principal_without_a_home_is_denied() {
    let mut fixture = everything();
    fixture.principal = "bob".parse().unwrap();
    assert_eq!(fixture.files().read("home://x"), Err(FileError::NotFound));
    assert_eq!(fixture.files().write("/tmp/x", b""), Err(FileError::NotFound));
}

#[test]
fn what_is_not_granted_is_denied() {
    let fixture = Fixture::new(&["cwd://docs"], &[]);
    let files = fixture.files();
    assert!(files.read("docs/a").is_ok());
    for path in ["private/b", "private/none", "", "home://x", "/tmp/x"] {
        assert_eq!(files.read(path), Err(FileError::CapabilityDenied), "{path}");
    }
    assert_eq!(files.write("docs/a", b""), Err(FileError::CapabilityDenied));
    assert_eq!(files.copy("docs/a", "docs/b"), Err(FileError::CapabilityDenied));
    assert!(matches!(files.open("docs/a", Mode::ReadWrite), Err(FileError::CapabilityDenied)));
    assert_eq!(files.create_folders("docs/x/y"), Err(FileError::CapabilityDenied));
}

#[test]
fn leaving_the_root_is_denied() {
    let fixture = everything();
    fixture.link("../outside", "w/out");
    fixture.link(fixture.at("outside").to_str().unwrap(), "w/absolute");
    fixture.link("..", "w/docs/up");
    fixture.link("loop", "w/loop");
    let files = fixture.files();
    for path in
        ["../outside/c", "docs/../../outside/c", "out/c", "absolute/c", "docs/up/../outside/c", "loop"]
    {
        assert_eq!(files.read(path), Err(FileError::BoundaryEscape), "{path}");
        assert_eq!(files.write(path, b"x"), Err(FileError::BoundaryEscape), "{path}");
    }
    assert_eq!(fs::read(fixture.at("outside/c")).unwrap(), b"c");
    assert_eq!(files.read("bad\0name"), Err(FileError::InvalidPath));
}

#[test]
fn links_inside_are_followed_but_grant_nothing_denied() {
    let fixture = Fixture::new(&["cwd://docs"], &["cwd://docs"]);
    fixture.link("a", "w/docs/same");
    fixture.link("../private", "w/docs/other");
    fixture.link("../private/b", "w/docs/file");
    let files = fixture.files();
    assert_eq!(files.read("docs/same"), Ok(b"a".to_vec()));
    assert_eq!(files.canonicalize("docs/same"), Ok("cwd://docs/a".to_owned()));
    assert_eq!(files.read_link("docs/same"), Ok("a".to_owned()));
    for path in ["docs/other/b", "docs/file"] {
        assert_eq!(files.read(path), Err(FileError::CapabilityDenied), "{path}");
        assert_eq!(files.write(path, b"x"), Err(FileError::CapabilityDenied), "{path}");
    }
    // The link itself is inside, and may go.
    assert_eq!(files.unlink("docs/file"), Ok(()));
    assert_eq!(fs::read(fixture.at("w/private/b")).unwrap(), b"b");
}

#[test]
fn the_home_of_astrid_is_denied_through_the_workspace() {
    let fixture = everything();
    fixture.link(".astrid", "w/alias");
    let files = fixture.files();
    for path in [".astrid/key", ".astrid/home/ann/x", "alias/key"] {
        assert_eq!(files.read(path), Err(FileError::BoundaryEscape), "{path}");
        assert_eq!(files.write(path, b"x"), Err(FileError::BoundaryEscape), "{path}");
    }
    assert_eq!(files.list(".astrid"), Err(FileError::BoundaryEscape));
    assert_eq!(files.rename(".astrid", "moved"), Err(FileError::BoundaryEscape));
    assert_eq!(files.remove_folder(".astrid"), Err(FileError::BoundaryEscape));
    assert_eq!(fs::read(fixture.at("w/.astrid/key")).unwrap(), b"key");
}

#[test]
fn a_workspace_inside_the_home_of_astrid_is_denied() {
    let fixture = everything();
    let home = fixture.at("w/.astrid");
    let roots = Roots::new(Some(&home.join("home")), &home, &home.join("home")).unwrap();
    let files = Files { roots: &roots, ..fixture.files() };
    assert_eq!(files.list(""), Err(FileError::BoundaryEscape));
}

#[test]
fn machine_scopes_cover_what_is_really_there() {
    let fixture = everything();
    let docs = fixture.at("w/docs").canonicalize().unwrap();
    let granted = Fixture::new(&[docs.to_str().unwrap()], &[]);
    // Another fixture's folder: granted by its own absolute path only.
    let files = Files { roots: &fixture.roots, ..granted.files() };
    assert_eq!(files.read("docs/a"), Ok(b"a".to_vec()));
    assert_eq!(files.read("private/b"), Err(FileError::CapabilityDenied));
    assert_eq!(granted.files().read("docs/a"), Err(FileError::CapabilityDenied));
}

#[test]
fn files_are_changed_moved_and_removed() {
    let fixture = everything();
    let files = fixture.files();
    files.create_folders("new/deep").unwrap();
    files.create_folders("new/deep").unwrap();
    assert_eq!(files.create_folder("new"), Err(FileError::AlreadyExists));
    files.write("new/deep/f", b"12").unwrap();
    files.append("new/deep/f", b"3").unwrap();
    files.copy("new/deep/f", "new/g").unwrap();
    files.copy("new/g", "new/g").unwrap();
    files.hard_link("new/g", "new/h").unwrap();
    files.rename("new/g", "new/i").unwrap();
    assert_eq!(files.read("new/h"), Ok(b"123".to_vec()));
    assert_eq!(files.list("new"), Ok(vec!["deep".into(), "h".into(), "i".into()]));
    assert_eq!(files.rename("new/i", "home://i"), Err(FileError::CrossRoots));
    assert_eq!(files.unlink("new"), Err(FileError::IsDirectory));
    assert_eq!(files.remove_folder("new"), Ok(5));
    assert_eq!(files.exists("new"), Ok(false));
    assert_eq!(files.remove_folder(""), Err(FileError::Access));
}

#[test]
fn moving_and_linking_into_sight_is_denied() {
    let fixture = Fixture::new(&["cwd://docs"], &["cwd://docs", "cwd://private"]);
    let files = fixture.files();
    assert_eq!(files.rename("private/b", "docs/b"), Err(FileError::CapabilityDenied));
    assert_eq!(files.hard_link("private/b", "docs/b"), Err(FileError::CapabilityDenied));
    assert_eq!(files.rename("private/b", "private/c"), Ok(()));
    assert_eq!(files.rename("docs/a", "private/a"), Ok(()));
}

#[test]
fn handles_read_and_write_in_place() {
    let fixture = everything();
    let handle = fixture.files().open("docs/a", Mode::ReadWrite).unwrap();
    assert_eq!(handle.write_at(2, b"xyz"), Ok(3));
    assert_eq!(handle.read_at(0, 100), Ok(b"a\0xyz".to_vec()));
    assert_eq!(handle.read_at(9, 100), Ok(Vec::new()));
    handle.set_len(1).unwrap();
    assert_eq!(handle.stat().unwrap().st_size, 1);
    assert_eq!(handle.read_at(0, 1_000_001), Err(FileError::TooLarge));
    assert_eq!(handle.write_at(0, &vec![0; 1_000_001]), Err(FileError::TooLarge));
    let read_only = fixture.files().open("docs/a", Mode::Read).unwrap();
    assert!(read_only.write_at(0, b"x").is_err());
}

#[test]
fn what_is_too_large_is_denied() {
    let fixture = everything();
    let files = fixture.files();
    fs::File::create(fixture.at("w/big")).unwrap().set_len(MAX_FILE_BYTES + 1).unwrap();
    assert_eq!(files.read("big"), Err(FileError::TooLarge));
    fs::create_dir(fixture.at("w/many")).unwrap();
    for name in 0..=MAX_NAMES {
        fs::write(fixture.at("w/many").join(name.to_string()), b"").unwrap();
    }
    assert_eq!(files.list("many"), Err(FileError::TooLarge));
}

#[test]
fn pipes_do_not_block_and_are_denied() {
    let fixture = everything();
    let pipe = fixture.at("w/pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    assert!(fixture.files().read("pipe").is_err());
    assert!(fixture.files().write("pipe", b"x").is_err());
}
