//! Release assets, from a server on this machine.

use astrid_authority::Digest;
use astrid_resolver::context::{Network, Token};
use astrid_resolver::{ErrorKind, Freshness, Request, Upgrade};

use crate::support::{Server, World, archive};

fn release(server: &Server, tag: &str, assets: &[&str]) -> serde_json::Value {
    let assets: Vec<_> = assets
        .iter()
        .map(|name| serde_json::json!({ "name": name, "size": 10, "url": format!("{}/assets/{tag}/{name}", server.base) }))
        .collect();
    serde_json::json!({ "tag_name": tag, "assets": assets })
}

/// A server with two releases of a capsule.
fn served(world: &mut World) -> Server {
    let server = Server::start();
    world.home_policy("[policy]\nprovenance = \"if-present\"\n");
    world.context.endpoints.release_api.clone_from(&server.base);
    let releases = ["v1.1.0", "v1.0.0"].map(|tag| release(&server, tag, &["fs.capsule"]));
    server.answer("/repos/acme/tools/releases?per_page=100&page=1", serde_json::to_vec(&releases).unwrap());
    for (tag, one) in ["v1.1.0", "v1.0.0"].iter().zip(&releases) {
        server.answer(&format!("/repos/acme/tools/releases/tags/{tag}"), serde_json::to_vec(one).unwrap());
        server.answer(&format!("/assets/{tag}/fs.capsule"), archive("fs", &tag[1..], ""));
    }
    server
}

fn declare(world: &World, rest: &str) {
    world.distro(&format!("[[capsule]]\nname = \"fs\"\nsource = \"@acme/tools\"\n{rest}\n"));
}

#[test]
fn the_newest_allowed_release_is_taken_and_locked() {
    let mut world = World::new();
    let server = served(&mut world);
    declare(&world, "version = \"^1\"");
    let fleet = world.lock().unwrap();
    let locked = &fleet.lock().capsules[0];
    assert_eq!(
        (locked.version.to_string().as_str(), locked.resolved_ref.as_deref()),
        ("1.1.0", Some("v1.1.0"))
    );
    assert_eq!(locked.archive, Some(Digest::of(&archive("fs", "1.1.0", ""))));
    // From here on the server is not asked again.
    let asked = server.asked();
    world.context.network = Network::Offline;
    for freshness in [Freshness::StatCache, Freshness::Hash] {
        let again = world.verified_with(&Request::default(), freshness).unwrap();
        assert_eq!(again.lock(), fleet.lock());
    }
    assert_eq!(server.asked(), asked);
}

#[test]
fn a_replaced_asset_is_refused_denied() {
    let mut world = World::new();
    let server = served(&mut world);
    declare(&world, "tag = \"v1.0.0\"");
    world.lock().unwrap();
    let mut other = World::new();
    other.home_policy("[policy]\nprovenance = \"if-present\"\n");
    other.context.endpoints.release_api.clone_from(&server.base);
    other.write("fleet/Distro.toml", std::fs::read(world.path("fleet/Distro.toml")).unwrap());
    other.write("fleet/Distro.lock", world.lock_text());
    server.answer("/assets/v1.0.0/fs.capsule", archive("fs", "1.0.0", "[capabilities]\nuplink = true\n"));
    let error = other.verified().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    let upgrade = Request { upgrade: Upgrade::All, ..Request::default() };
    assert!(other.verified_with(&upgrade, Freshness::Hash).is_ok());
}

#[test]
fn the_token_goes_to_the_api_only() {
    let mut world = World::new();
    let server = served(&mut world);
    let elsewhere = Server::start();
    elsewhere.answer("/fs.capsule", archive("fs", "1.0.0", ""));
    let mut one = release(&server, "v1.0.0", &["fs.capsule"]);
    one["assets"][0]["url"] = format!("{}/fs.capsule", elsewhere.base).into();
    server.answer("/repos/acme/tools/releases/tags/v1.0.0", serde_json::to_vec(&one).unwrap());
    world.context.tokens.release = Token::new("hush");
    declare(&world, "version = \"1.0.0\"");
    world.verified().unwrap();
    let has_token =
        |server: &Server| server.requests.lock().unwrap().iter().any(|head| head.contains("hush"));
    assert!(has_token(&server));
    assert!(!has_token(&elsewhere));
    assert!(!format!("{:?}", world.context).contains("hush"));
}

#[test]
fn a_release_without_an_answer_is_refused_denied() {
    let mut world = World::new();
    let _server = served(&mut world);
    declare(&world, "tag = \"v9.0.0\"");
    assert_eq!(world.verified().unwrap_err().kind(), ErrorKind::Invalid);
    declare(&world, "version = \"^9\"");
    assert_eq!(world.verified().unwrap_err().kind(), ErrorKind::Invalid);
    world.context.network = Network::Offline;
    assert_eq!(world.verified().unwrap_err().kind(), ErrorKind::NeedsNetwork);
}

#[test]
fn an_unencrypted_server_elsewhere_is_refused_denied() {
    let mut world = World::new();
    world.context.endpoints.release_api = "http://example.org".to_owned();
    declare(&world, "version = \"1.0.0\"");
    assert_eq!(world.verified().unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn what_is_younger_than_the_policy_asks_for_is_refused_denied() {
    let mut world = World::new();
    let _server = served(&mut world);
    declare(&world, "version = \"^1\"\n[policy]\nmin-age = \"3d\"");
    let error = world.verified().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Policy, "{error}");
    assert!(error.next_step().unwrap().contains("2036-01-04T00:00:00Z"), "{error:?}");
    *world.clock.0.lock().unwrap() = "2036-01-04T00:00:00Z".parse().unwrap();
    assert!(world.lock().is_ok());
    // What is locked was old enough once.
    *world.clock.0.lock().unwrap() = "2036-01-01T00:00:00Z".parse().unwrap();
    assert!(world.verified().is_ok());
}
