//! What a hostile bundle, lock, repository or signature would try, to be taken for somebody else's.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use astrid_authority::{Digest, PrincipalId};
use astrid_bundle::{Draft, Load};
use astrid_hermetic_sigstore::Sigstore;
use astrid_manifest::Lock;
use astrid_manifest::distro::{Distro, manifest_hash};
use astrid_manifest::signer::Signer;
use astrid_provenance::statement::{Statement, Subject, predicate};
use astrid_provenance::{SigningKey, envelope};
use astrid_resolver::apply::{Applied, ApplyOptions, Applying, NoHooks, apply};
use astrid_resolver::gate::{CarriedRoot, adopt_carried};
use astrid_resolver::proposal::{HomeTrust, Options, propose};
use astrid_resolver::rollback::{RollbackOptions, rollback};
use astrid_resolver::trust::Flags;
use astrid_resolver::trust::grant::{Caller, grant};
use astrid_resolver::{Context, Declaration, Error, ErrorKind, Freshness, Request, Target, VerifiedFleet};
use astrid_store::generation::{Action, GenerationNumber};
use astrid_store::{Disk, Home, Store, TreeFile};
use serde_json::json;

use crate::support::{COMPONENT, Repo, Server, World, archive, capsule, distro};

fn key(byte: u8) -> SigningKey {
    SigningKey::from_bytes(&zeroize::Zeroizing::new([byte; 32]))
}

fn by_key(key: &SigningKey, kind: &str, name: &str, bytes: &[u8]) -> String {
    envelope::sign(&Statement::new(vec![Subject::of(name, bytes)], kind, json!({})), key).unwrap()
}

fn rule(pattern: &str, key: &SigningKey) -> String {
    format!("[[policy.signer]]\nmatch = [\"{pattern}\"]\nkey = \"{}\"\n", key.public())
}

#[track_caller]
fn says(error: &Error, kind: ErrorKind, words: &[&str]) {
    let text = format!("{error}\n{}", error.next_step().unwrap_or_default());
    assert_eq!(error.kind(), kind, "{text}");
    for word in words {
        assert!(text.contains(word), "no `{word}` in\n{text}");
    }
}

/// A store of its own.
fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path().join("home"), folder.path().join("packs")).unwrap();
    (folder, Store::new(home, Disk::default()))
}

/// What a home sees that looks at a bundle: its bytes go aside.
fn aside(world: &World) -> (tempfile::TempDir, Context) {
    let (folder, store) = store();
    let mut context = world.context.clone();
    context.store = store;
    (folder, context)
}

fn load(context: &Context, world: &World, file: &str) -> Result<Declaration, Error> {
    let target = Target::parse(world.path(file).to_str().unwrap(), world.root.path()).unwrap();
    assert!(matches!(target, Target::Bundle { .. }));
    Declaration::load(context, &target)
}

fn looked_at(world: &World, file: &str) -> Result<VerifiedFleet, Error> {
    let (_folder, context) = aside(world);
    let declaration = load(&context, world, file)?;
    astrid_resolver::verified(&context, &declaration, &Request::default(), Freshness::Hash)
}

/// Seals a lock, whatever it says.
fn sealed(store: &Store, declaration: &str, lock: &Lock, since: Option<&Lock>, by: &SigningKey) -> Vec<u8> {
    let load = Load { declaration, since, ..Load::default() };
    let draft = Draft::new(store, lock, &load).unwrap();
    let signature = envelope::sign(draft.statement(), by).unwrap();
    draft.write(Some(&signature), Vec::new()).unwrap()
}

/// A server with one signed release, which a home has locked.
struct Release {
    world: World,
    server: Server,
    lock: Lock,
}

fn release(more: &str) -> Release {
    let mut world = World::new();
    let server = Server::start();
    world.context.endpoints.release_api.clone_from(&server.base);
    world.home_policy(&rule("@acme/*", &key(7)));
    world.distro(&format!("{more}[[capsule]]\nname = \"fs\"\nsource = \"@acme/tools\"\ntag = \"v1.0.0\"\n"));
    let bytes = archive("fs", "1.0.0", "");
    let assets: Vec<_> = ["fs.capsule", "fs.capsule.sigstore.json"]
        .iter()
        .map(|name| json!({ "name": name, "size": 10, "url": format!("{}/assets/{name}", server.base) }))
        .collect();
    let answer = json!({ "tag_name": "v1.0.0", "assets": assets });
    server.answer("/repos/acme/tools/releases/tags/v1.0.0", serde_json::to_vec(&answer).unwrap());
    let bundle = by_key(&key(7), &predicate("artifact"), "fs.capsule", &bytes);
    server.answer("/assets/fs.capsule", bytes);
    server.answer("/assets/fs.capsule.sigstore.json", bundle);
    let lock = world.lock().unwrap().lock().clone();
    assert_eq!(lock.capsules[0].signer, Signer::Key(key(7).public().to_string()));
    Release { world, server, lock }
}

fn files(name: &str, component: &[u8]) -> Vec<TreeFile> {
    let own = capsule(name, "1.0.0", "").into_iter().filter(|(path, _)| path != "README.md");
    own.map(|(path, bytes)| {
        let bytes = if path.strip_suffix(".wasm").is_some() { component.to_vec() } else { bytes };
        TreeFile { path: path.parse().unwrap(), bytes, executable: false }
    })
    .collect()
}

#[test]
fn a_difference_that_pairs_a_signed_archive_with_other_content_is_denied() {
    let Release { world, lock, .. } = release("");
    // Whoever seals has the signed release as well, and bytes of their own.
    let evil: &[u8] = b"\0asm\x0d\0\x01\0\0\x01\0";
    let (_folder, store) = store();
    let batch = store.batch();
    batch.put_files(&files("fs", COMPONENT)).unwrap();
    let tree = batch.put_files(&files("fs", evil)).unwrap();
    batch.finish().unwrap();
    let named = format!("[distro.signing]\npubkey = \"{}\"\n\n", key(9).public());
    let text =
        distro(&format!("{named}[[capsule]]\nname = \"fs\"\nsource = \"@acme/tools\"\ntag = \"v1.0.0\"\n"));
    let mut forged = lock.clone();
    forged.manifest_hash = manifest_hash(&Distro::parse("Distro.toml", &text).unwrap().value);
    forged.capsules[0].content = tree.digest();
    forged.capsules[0].component = Some(Digest::of(evil));
    world.write("forged.shuttle", sealed(&store, &text, &forged, Some(&lock), &key(9)));
    says(&looked_at(&world, "forged.shuttle").unwrap_err(), ErrorKind::Corrupt, &["archive", "capsule `fs`"]);
    // With the content that the archive holds, the difference is taken.
    let mut honest = lock.clone();
    honest.manifest_hash = forged.manifest_hash;
    let mut earlier = lock.clone();
    earlier.distro.version = "0.0.9".parse().unwrap();
    world.write("honest.shuttle", sealed(&store, &text, &honest, Some(&earlier), &key(9)));
    let fleet = looked_at(&world, "honest.shuttle").unwrap();
    assert_eq!(fleet.lock().capsules[0].content, lock.capsules[0].content);
}

/// The listing of a folder's capsule, which is what a signature of it is over.
fn listing(world: &World, folder: &str) -> Vec<u8> {
    let filter = astrid_store::read::Filter::capsule(Some("fs.wasm")).unwrap();
    let limits = astrid_store::tree::Limits::default();
    astrid_store::read::hash_dir(&world.path(folder), &filter, &limits, None).unwrap().encode()
}

#[test]
fn what_was_signed_as_something_else_is_no_signed_artifact_denied() {
    let world = World::new();
    world.capsule("fleet/fs", "fs", "1.0.0", "");
    world.distro("[[capsule]]\nname = \"fs\"\nsource = \"./fs\"\n");
    let bytes = listing(&world, "fleet/fs");
    let sign = |kind: &str| {
        let bundle = by_key(&key(7), kind, "fs", &bytes);
        world.write("fleet/fs/.astrid/provenance.sigstore.json", bundle);
    };
    for policy in [String::new(), rule("capsule:fs", &key(7))] {
        world.home_policy(&policy);
        // Who seals a fleet, or applies one, names its files, and did not make them.
        for kind in ["bundle", "apply", "distro", "endorsement", "anything"] {
            sign(&predicate(kind));
            let error = world.verified().expect_err(kind);
            says(&error, ErrorKind::Signature, &["capsule:fs", kind]);
        }
        for kind in [&*predicate("artifact"), "https://slsa.dev/provenance/v1", "https://example.org/p/v1"] {
            sign(kind);
            let fleet = world.verified().unwrap();
            assert_eq!(fleet.lock().capsules[0].signer, Signer::Key(key(7).public().to_string()));
        }
    }
}

#[test]
fn what_was_signed_as_something_else_is_no_signed_distro_denied() {
    let world = World::new();
    world.capsule("fleet/fs", "fs", "1.0.0", "");
    let named = format!("[distro.signing]\npubkey = \"{}\"\n\n", key(7).public());
    world.distro(&format!("{named}[[capsule]]\nname = \"fs\"\nsource = \"./fs\"\n"));
    world.lock().unwrap();
    let subjects = ["Distro.toml", "Distro.lock"]
        .map(|name| Subject::of(name, &fs::read(world.path(&format!("fleet/{name}"))).unwrap()));
    let sign = |kind: &str| {
        let statement = Statement::new(subjects.to_vec(), &predicate(kind), json!({}));
        world.write("fleet/Distro.sigstore.json", envelope::sign(&statement, &key(7)).unwrap());
    };
    // A receipt names the same files: whoever applied a fleet did not publish it.
    for kind in ["apply", "artifact", "endorsement"] {
        sign(kind);
        says(&world.verified().expect_err(kind), ErrorKind::Signature, &["distro:demo", kind]);
    }
    for kind in ["distro", "bundle"] {
        sign(kind);
        assert!(!world.verified().unwrap().proof().signer.is_unsigned(), "{kind}");
    }
}

/// A bundle of one local capsule that carries a root, sealed by a key that it names.
fn carrying(world: &World, root: &str, by: Option<&SigningKey>) -> Vec<u8> {
    let (_folder, store) = store();
    let batch = store.batch();
    let tree = batch.put_files(&files("fs", COMPONENT)).unwrap();
    batch.finish().unwrap();
    world.capsule("fleet/fs", "fs", "1.0.0", "");
    let named =
        by.map(|by| format!("[distro.signing]\npubkey = \"{}\"\n\n", by.public())).unwrap_or_default();
    world.distro(&format!("{named}[[capsule]]\nname = \"fs\"\nsource = \"./fs\"\n"));
    let lock = world.lock().unwrap().lock().clone();
    assert_eq!(lock.capsules[0].content, tree.digest());
    let text = fs::read_to_string(world.path("fleet/Distro.toml")).unwrap();
    let load = Load { declaration: &text, trust_root: Some(root.as_bytes()), ..Load::default() };
    let draft = Draft::new(&store, &lock, &load).unwrap();
    let signature = by.map(|by| envelope::sign(draft.statement(), by).unwrap());
    draft.write(signature.as_deref(), Vec::new()).unwrap()
}

#[test]
fn a_root_in_a_bundle_counts_for_a_believed_key_only_denied() {
    let world = World::new();
    let root = Sigstore::default().trusted_root();
    world.write("demo.shuttle", carrying(&world, &root, Some(&key(7))));
    let (_folder, context) = aside(&world);
    let declaration = load(&context, &world, "demo.shuttle").unwrap();
    let bundle = declaration.bundle().unwrap();
    let own = world.context.home.trust().join("trusted_root.json");
    let adopt = || {
        let (writer, _) =
            astrid_resolver::apply::begin(&world.context, "astrid apply", Duration::ZERO).unwrap();
        adopt_carried(&world.context, &writer, bundle).unwrap()
    };
    // Whoever signs one fleet would else say who may sign everything: seen before is not believed.
    fs::write(
        world.context.home.pins(),
        format!(
            "format-version = 1\n\n[[pin]]\ndistro = \"demo\"\nsigner = {{ key = \"{}\" }}\norigin = \"bundle\"\nfirst = \"2026-01-01T00:00:00Z\"\nlast = \"2026-01-01T00:00:00Z\"\n",
            key(7).public()
        ),
    )
    .unwrap();
    assert!(HomeTrust::read(&world.context).unwrap().pins.iter().count() == 1);
    assert_eq!(adopt(), CarriedRoot::LeftAlone);
    assert!(!own.exists());
    world.home_policy(&format!("[[believe]]\nkey = \"{}\"\n", key(8).public()));
    assert_eq!(adopt(), CarriedRoot::LeftAlone);
    world.home_policy(&format!("[[believe]]\nkey = \"{}\"\n", key(7).public()));
    assert!(matches!(adopt(), CarriedRoot::Adopted(_)));
    assert_eq!(fs::read_to_string(own).unwrap(), root);
}

#[test]
fn a_bundle_with_a_broken_root_is_refused_before_anything_is_done_denied() {
    let world = World::new();
    world.write("demo.shuttle", carrying(&world, "{}", Some(&key(7))));
    let (_folder, context) = aside(&world);
    says(&load(&context, &world, "demo.shuttle").unwrap_err(), ErrorKind::Invalid, &["trusted_root.json"]);
}

#[test]
fn what_nobody_sealed_is_never_believed_denied() {
    let world = World::new();
    world.write("demo.shuttle", carrying(&world, &Sigstore::default().trusted_root(), None));
    let (_folder, context) = aside(&world);
    let origin = load(&context, &world, "demo.shuttle").unwrap().origin().identity();
    world.home_policy(&format!("[[believe]]\norigin = \"{origin}\"\n"));
    let trust = HomeTrust::read(&world.context).unwrap();
    assert!(!trust.believes(&origin, &Signer::Unsigned), "{origin}");
    // Nor is it at a terminal.
    let (writer, _) = astrid_resolver::apply::begin(&world.context, "astrid", Duration::ZERO).unwrap();
    let id = "demo".parse().unwrap();
    let typed = "believe demo";
    let error =
        astrid_resolver::trust::files::believe(&world.context, &writer, &origin, &id, typed).unwrap_err();
    says(&error, ErrorKind::Signature, &["nobody sealed"]);
    // By its signer it is.
    world.home_policy(&format!("[[believe]]\norigin = \"bundle by key {}\"\n", key(7).public()));
    let signer = Signer::Key(key(7).public().to_string());
    let trust = HomeTrust::read(&world.context).unwrap();
    assert!(trust.believes(&format!("bundle by {signer}"), &signer));
}

#[test]
fn other_bytes_than_the_locked_ones_are_told_before_their_signature_denied() {
    let Release { world, server, .. } = release("");
    // The release is made again from other bytes, and nobody signs them.
    server.answer("/assets/fs.capsule", archive("fs", "1.0.0", "[capabilities]\nfs_read = [\"cwd://\"]\n"));
    fs::remove_dir_all(world.context.home.var()).unwrap();
    says(&world.verified().unwrap_err(), ErrorKind::Corrupt, &["Distro.lock says"]);
    // Without a lock, that is what is wrong.
    fs::remove_file(world.path("fleet/Distro.lock")).unwrap();
    says(&world.verified().unwrap_err(), ErrorKind::Signature, &["capsule:fs"]);
}

#[test]
fn a_signed_repository_without_its_lock_or_with_other_folders_is_denied() {
    let world = World::new();
    let repo = Repo::new(&world.path("repo"));
    repo.capsule("fs", "fs", "1.0.0", "");
    let named = format!("[distro.signing]\npubkey = \"{}\"\n\n", key(7).public());
    repo.write("Distro.toml", distro(&format!("{named}[[capsule]]\nname = \"fs\"\nsource = \"./fs\"\n")));
    let target = Target::parse(world.path("repo").to_str().unwrap(), world.root.path()).unwrap();
    let folder = Declaration::load(&world.context, &target).unwrap();
    let own = |declaration: &Declaration| {
        astrid_resolver::verified(&world.context, declaration, &Request::default(), Freshness::Hash)
    };
    own(&folder).unwrap().write_lock().unwrap();
    let sign = || {
        let read = |name: &str| fs::read(world.path(&format!("repo/{name}"))).unwrap();
        let subjects = ["Distro.toml", "Distro.lock"].map(|name| Subject::of(name, &read(name)));
        let statement = Statement::new(subjects.to_vec(), &predicate("distro"), json!({}));
        repo.write("Distro.sigstore.json", envelope::sign(&statement, &key(7)).unwrap());
    };
    sign();
    let fetched = |commit: &str| {
        let target = Target::parse(&format!("{}?ref={commit}", repo.url()), world.root.path()).unwrap();
        Declaration::load(&world.context, &target).and_then(|declaration| own(&declaration))
    };
    let fleet = fetched(&repo.commit("signed")).unwrap();
    assert_eq!(fleet.proof().signer, Signer::Key(key(7).public().to_string()));
    // Whoever holds the repository and not the key changes what lies beside the lock.
    repo.write("fs/fs.wasm", b"\0asm\x0d\0\x01\0\0\x01\0");
    says(&fetched(&repo.commit("changed")).unwrap_err(), ErrorKind::Corrupt, &["Distro.lock says"]);
    fs::remove_file(world.path("repo/Distro.lock")).unwrap();
    let error = fetched(&repo.commit("without a lock")).unwrap_err();
    says(&error, ErrorKind::Signature, &["distro:demo"]);
}

/// Signs the distro as it lies there.
fn sign_distro(world: &World, by: &SigningKey) {
    let read = |name: &str| fs::read(world.path(&format!("fleet/{name}"))).unwrap();
    let subjects = ["Distro.toml", "Distro.lock"].map(|name| Subject::of(name, &read(name)));
    let statement = Statement::new(subjects.to_vec(), &predicate("distro"), json!({}));
    world.write("fleet/Distro.sigstore.json", envelope::sign(&statement, by).unwrap());
}

/// Changes the lock by hand, so that it is still one of the declaration.
fn relock(world: &World, from: &str, to: &str) {
    let hash = world.load().unwrap().manifest_hash().to_string();
    let text = world.lock_text().replace(from, to);
    let lines: Vec<String> = text
        .lines()
        .map(|line| match line.strip_prefix("manifest-hash = ") {
            Some(_) => format!("manifest-hash = \"{hash}\""),
            None => line.to_owned(),
        })
        .collect();
    world.write("fleet/Distro.lock", lines.join("\n") + "\n");
}

fn applied(world: &World) -> Result<Applied, Error> {
    let options = Options {
        overrides: &BTreeMap::new(),
        environment: &|_| None,
        principal: &PrincipalId::default_user(),
        acks_of_repository: false,
        builtin: &[],
        returning: &[],
        allow_empty: false,
        tool: "0.1.0",
        look: None,
    };
    let proposal = propose(&world.context, world.verified()?, &options)?;
    let (plan, acknowledgements, draft, parts) = proposal.into_parts();
    let flags = Flags { trust_all: true, ..Flags::default() };
    let caller = Caller { by: "Ada <ada@example.org>", now: world.context.clock.now() };
    let trusted = grant(plan, &acknowledgements, &flags, None, caller)?;
    let options = ApplyOptions {
        command: "astrid apply",
        lock_timeout: Duration::ZERO,
        write_lock: true,
        made_by: Action::Apply,
        saved: None,
    };
    apply(&world.context, &trusted, Applying::new(parts, draft.complete(None)?), &options, &mut NoHooks)
}

#[test]
fn a_fleet_whose_signer_is_believed_is_rolled_back_to() {
    let Release { world, .. } = release("");
    let text = fs::read_to_string(world.path("fleet/Distro.toml")).unwrap();
    let rules = rule("@acme/*", &key(7));
    let named = format!("[distro.signing]\npubkey = \"{}\"\n\n[[capsule]]", key(5).public());
    world.write("fleet/Distro.toml", format!("{}\n{rules}", text.replace("[[capsule]]", &named)));
    world.home_policy(&format!("[[believe]]\nkey = \"{}\"\n", key(5).public()));
    sign_distro(&world, &key(5));
    applied(&world).unwrap();
    let text = fs::read_to_string(world.path("fleet/Distro.toml")).unwrap();
    world.write("fleet/Distro.toml", text.replace("version = \"0.1.0\"", "version = \"0.2.0\""));
    relock(&world, "version = \"0.1.0\"", "version = \"0.2.0\"");
    sign_distro(&world, &key(5));
    assert_eq!(applied(&world).unwrap().generation.map(GenerationNumber::get), Some(2));
    let options =
        RollbackOptions { to: None, command: "astrid rollback", lock_timeout: Duration::ZERO, tool: "0.1.0" };
    let back = rollback(&world.context, &options, &mut NoHooks).unwrap();
    assert_eq!(back.generation.map(GenerationNumber::get), Some(1));
    // Whose word does not count any more does not let it in.
    let options = RollbackOptions { to: GenerationNumber::new(2), ..options };
    world.home_policy("");
    let error = rollback(&world.context, &options, &mut NoHooks).unwrap_err();
    says(&error, ErrorKind::Signature, &["capsule:fs"]);
}

/// The archive of a pack whose one file holds this text.
fn pack(text: &str) -> Vec<TreeFile> {
    let manifest = "schema_version: 1\nid: tools\nname: Tools\nversion: \"1.0.0\"\ndescription: a pack\n";
    let file = |path: &str, bytes: &str| TreeFile {
        path: path.parse().unwrap(),
        bytes: bytes.as_bytes().to_vec(),
        executable: false,
    };
    vec![file("pack.yaml", manifest), file("run.py", text)]
}

#[test]
fn a_content_that_is_pinned_is_not_paired_with_the_signature_of_another_one_denied() {
    let mut world = World::new();
    let server = Server::start();
    world.context.endpoints.release_api.clone_from(&server.base);
    world.home_policy(&rule("@acme/*", &key(7)));
    let entry = "[[pack]]\nid = \"tools\"\nsource = \"@acme/tools\"\ntag = \"v1.0.0\"\n";
    world.distro(entry);
    let bytes = astrid_store::archive::pack(&pack("print(1)"), None).unwrap();
    let names = ["tools.tar.gz", "tools.tar.gz.sigstore.json"];
    let assets =
        names.map(|name| json!({ "name": name, "size": 1, "url": format!("{}/{name}", server.base) }));
    let answer = json!({ "tag_name": "v1.0.0", "assets": assets });
    server.answer("/repos/acme/tools/releases/tags/v1.0.0", serde_json::to_vec(&answer).unwrap());
    server.answer("/tools.tar.gz.sigstore.json", by_key(&key(7), &predicate("artifact"), "tools", &bytes));
    server.answer("/tools.tar.gz", bytes);
    let good = world.lock().unwrap().lock().packs[0].content;
    // Other bytes are in the store, from wherever.
    let batch = world.context.store.batch();
    let evil = batch.put_files(&pack("print(6)")).unwrap().digest();
    batch.finish().unwrap();
    let pin = |content: Digest| {
        world.distro(&format!("{entry}content = \"{content}\"\n"));
        relock(&world, &good.to_string(), &content.to_string());
    };
    pin(good);
    let asked = server.asked();
    let fleet = world.verified().unwrap();
    assert_eq!(fleet.lock().packs[0].signer, Signer::Key(key(7).public().to_string()));
    assert_eq!(server.asked(), asked);
    pin(evil);
    let error = world.verified().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Signature | ErrorKind::Corrupt), "{error}");
}

#[test]
fn who_signs_a_fleet_that_is_applied_already_is_remembered_denied() {
    let world = World::new();
    world.capsule("fleet/fs", "fs", "1.0.0", "");
    let entry = "[[capsule]]\nname = \"fs\"\nsource = \"./fs\"\n";
    let named = format!("[distro.signing]\npubkey = \"{}\"\n\n", key(7).public());
    world.distro(&format!("{named}{entry}"));
    world.lock().unwrap();
    assert!(applied(&world).unwrap().changed && !applied(&world).unwrap().changed);
    // Nothing but the signature is new.
    sign_distro(&world, &key(7));
    assert!(applied(&world).unwrap().changed && !applied(&world).unwrap().changed);
    let pinned = || HomeTrust::read(&world.context).unwrap().pins.get(&"demo".parse().unwrap()).cloned();
    assert_eq!(pinned().unwrap().signer, Signer::Key(key(7).public().to_string()));
    fs::remove_file(world.path("fleet/Distro.sigstore.json")).unwrap();
    says(&applied(&world).unwrap_err(), ErrorKind::Signature, &["is not signed now"]);
}

#[test]
fn a_capsule_of_a_pack_in_a_bundle_is_shown_as_made_by_whoever_made_the_pack_denied() {
    let world = World::new();
    let manifest = "schema_version: 1\nid: tools\nname: Tools\nversion: \"1.0.0\"\ndescription: a pack\ncontent:\n  capsules: capsules\n";
    world.write("fleet/tools/pack.yaml", manifest);
    world.capsule("fleet/tools/capsules/fs", "fs", "1.0.0", "");
    world.distro("[[pack]]\nid = \"tools\"\nsource = \"./tools\"\n");
    let mut lock = world.lock().unwrap().lock().clone();
    lock.capsules[0].signer = Signer::Key(key(7).public().to_string());
    let text = fs::read_to_string(world.path("fleet/Distro.toml")).unwrap();
    world.write("demo.shuttle", sealed(&world.context.store, &text, &lock, None, &key(9)));
    let (_folder, context) = aside(&world);
    let shuttle = astrid_resolver::bundle::open(&world.path("demo.shuttle"), "demo.shuttle").unwrap();
    let examined = astrid_resolver::bundle::examine(&context, &shuttle).unwrap();
    let shown = examined.capsules.values().next().unwrap().provenance.as_ref().unwrap();
    assert!(shown.signer.is_unsigned(), "{}", shown.signer);
}
