//! Each gate, open and shut.

use astrid_host::{Capsule, HostError};
use serde_json::json;

use crate::fixture::{Fixture, call, call_as, caller, load, refused};

#[tokio::test]
async fn files_within_the_grant_are_reached() {
    let fixture = Fixture::new();
    let probe = fixture.capsule();
    let read = call(&probe, json!({"op": "fs_read", "path": "cwd://readonly/a"})).await.unwrap();
    assert_eq!(read, json!({"text": "w/readonly/a", "len": 12}));
    call(&probe, json!({"op": "fs_write", "path": "allowed/b", "text": "new"})).await.unwrap();
    assert_eq!(std::fs::read(fixture.path("w/allowed/b")).unwrap(), b"new");
    let names = call(&probe, json!({"op": "fs_list", "path": "allowed"})).await.unwrap();
    assert_eq!(names, json!(["a", "b"]));
    let stat = call(&probe, json!({"op": "fs_stat", "path": "allowed/b"})).await.unwrap();
    assert_eq!((&stat["size"], &stat["is_file"]), (&json!(3), &json!(true)));
    let written = json!({"op": "fs_write_at", "path": "allowed/b", "offset": 3, "text": "er"});
    assert_eq!(call(&probe, written).await.unwrap(), json!({"written": 2, "size": 5}));
    let read_at = json!({"op": "fs_read_at", "path": "allowed/b", "offset": 1, "len": 3});
    assert_eq!(call(&probe, read_at).await.unwrap()["text"], "ewe");
}

#[tokio::test]
async fn files_outside_the_grant_are_denied() {
    let fixture = Fixture::new();
    let probe = fixture.capsule();
    refused(&probe, json!({"op": "fs_read", "path": "forbidden/a"}), "CapabilityDenied").await;
    refused(&probe, json!({"op": "fs_write", "path": "readonly/a", "text": "x"}), "CapabilityDenied").await;
    refused(&probe, json!({"op": "fs_read", "path": "allowed/../forbidden/a"}), "BoundaryEscape").await;
    refused(&probe, json!({"op": "fs_read", "path": "allowed/none"}), "NotFound").await;
    refused(&probe, json!({"op": "fs_list", "path": "allowed/none"}), "NotFound").await;
    let rename = json!({"op": "fs_rename", "path": "allowed/a", "to": "forbidden/b"});
    refused(&probe, rename, "CapabilityDenied").await;
    let copy = json!({"op": "fs_copy", "path": "forbidden/a", "to": "allowed/b"});
    refused(&probe, copy, "CapabilityDenied").await;
}

#[tokio::test]
async fn more_open_files_than_allowed_are_denied() {
    let fixture = Fixture::new();
    let probe = fixture.capsule();
    let open = |count: u32| json!({"op": "fs_open_many", "path": "allowed/a", "count": count});
    assert_eq!(call(&probe, open(16)).await.unwrap(), json!(16));
    refused(&probe, open(17), "Quota").await;
}

#[tokio::test]
async fn values_and_homes_belong_to_one_principal() {
    let fixture = Fixture::new();
    let probe = fixture.capsule();
    for (principal, text) in [("ann", "1"), ("bob", "2")] {
        call_as(&probe, principal, json!({"op": "kv_set", "key": "k", "text": text})).await.unwrap();
        let file = json!({"op": "fs_write", "path": "home://notes/n", "text": text});
        call_as(&probe, principal, file).await.unwrap();
    }
    for (principal, text) in [("ann", "1"), ("bob", "2")] {
        let value = call_as(&probe, principal, json!({"op": "kv_get", "key": "k"})).await.unwrap();
        assert_eq!(value["text"], text);
        let file = json!({"op": "fs_read", "path": "home://notes/n"});
        assert_eq!(call_as(&probe, principal, file).await.unwrap()["text"], text);
    }
    let other = fixture.capsule_with("probe", |spec| spec.name = "other".parse().unwrap());
    let absent = call(&other, json!({"op": "kv_get", "key": "k"})).await.unwrap();
    assert_eq!(absent, json!({"absent": true}));
    let nobody = json!({"op": "fs_read", "path": "home://notes/n"});
    assert!(call_as(&probe, "nobody", nobody).await.unwrap_err().contains("NotFound"));
}

#[tokio::test]
async fn values_are_listed_compared_and_cleared() {
    let fixture = Fixture::new();
    let probe = fixture.capsule();
    for key in ["a/1", "a/2", "b"] {
        call(&probe, json!({"op": "kv_set", "key": key, "text": key})).await.unwrap();
    }
    assert_eq!(call(&probe, json!({"op": "kv_list", "prefix": "a/"})).await.unwrap(), json!(["a/1", "a/2"]));
    let page = call(&probe, json!({"op": "kv_page", "prefix": "", "limit": 2})).await.unwrap();
    assert_eq!(page["keys"], json!(["a/1", "a/2"]));
    let rest = json!({"op": "kv_page", "prefix": "", "limit": 2, "cursor": page["next"]});
    assert_eq!(call(&probe, rest).await.unwrap(), json!({"keys": ["b"], "next": null}));
    let cas = |expected: &str| json!({"op": "kv_cas", "key": "b", "expected": expected, "text": "c"});
    assert_eq!(call(&probe, cas("wrong")).await.unwrap(), json!(false));
    assert_eq!(call(&probe, cas("b")).await.unwrap(), json!(true));
    assert_eq!(call(&probe, json!({"op": "kv_clear", "prefix": "a/"})).await.unwrap(), json!(2));
}

#[tokio::test]
async fn values_beyond_the_limits_are_denied() {
    let fixture = Fixture::new();
    let probe = fixture.capsule_with("probe", |spec| spec.limits.store_bytes = 1 << 20);
    refused(&probe, json!({"op": "kv_set", "key": "", "text": "x"}), "InvalidKey").await;
    let large = json!({"op": "kv_set", "key": "k", "len": (1 << 20) + 1});
    refused(&probe, large, "TooLarge").await;
    call(&probe, json!({"op": "kv_set", "key": "k", "len": (1 << 20) - 8})).await.unwrap();
    refused(&probe, json!({"op": "kv_set", "key": "l", "len": 64}), "Quota").await;
}

#[tokio::test]
async fn configuration_is_what_the_spec_says() {
    let fixture = Fixture::new();
    let probe = fixture.capsule();
    assert_eq!(call(&probe, json!({"op": "config", "key": "GREETING"})).await.unwrap(), "hello");
    assert_eq!(call(&probe, json!({"op": "config", "key": "NONE"})).await.unwrap(), json!(null));
    let secret = call_as(&probe, "bob", json!({"op": "config", "key": "TOKEN"})).await.unwrap();
    assert_eq!(secret, "probe/bob/TOKEN/ref");
}

#[tokio::test]
async fn a_secret_that_is_not_declared_is_denied() {
    let fixture = Fixture::new();
    let config = json!({"op": "config", "key": "OTHER_TOKEN"});
    refused(&fixture.capsule(), config, "CapabilityDenied").await;
}

#[tokio::test]
async fn the_caller_and_the_clock_are_the_kernels() {
    let fixture = Fixture::new();
    let probe = fixture.capsule();
    let caller = call_as(&probe, "bob", json!({"op": "caller"})).await.unwrap();
    assert_eq!(caller["principal"], "bob");
    assert_eq!(caller["source_id"], "00000000-0000-0000-0000-000000000000");
    assert_eq!(caller["timestamp"], "2026-11-20T12:00:00Z");
    let clock = call(&probe, json!({"op": "clock"})).await.unwrap();
    assert_eq!(clock, json!({"unix_ms": "1795176000000", "monotonic_ns": "7"}));
}

#[tokio::test]
async fn too_many_random_bytes_and_too_long_sleeps_are_denied() {
    let fixture = Fixture::new();
    let probe = fixture.capsule();
    assert_eq!(call(&probe, json!({"op": "random", "len": 64})).await.unwrap()["len"], 64);
    refused(&probe, json!({"op": "random", "len": 4097}), "TooLarge").await;
    call(&probe, json!({"op": "sleep", "ms": 1})).await.unwrap();
    refused(&probe, json!({"op": "sleep", "ms": 60_001}), "TooLarge").await;
}

#[tokio::test]
async fn capabilities_are_named_and_unknown_ones_denied() {
    let fixture = Fixture::new();
    let probe = fixture.capsule();
    assert_eq!(call(&probe, json!({"op": "capabilities"})).await.unwrap(), json!(["fs_read", "fs_write"]));
    let check = |uuid: &str, capability: &str| json!({"op": "check", "uuid": uuid, "capability": capability});
    let kernel = "00000000-0000-0000-0000-000000000000";
    assert_eq!(call(&probe, check(kernel, "allow_prompt_injection")).await.unwrap(), json!(true));
    assert_eq!(call(&probe, check(kernel, "net")).await.unwrap(), json!(false));
    assert_eq!(call(&probe, check("nobody", "net")).await.unwrap(), json!(false));
}

#[tokio::test]
async fn log_lines_carry_the_principal() {
    let fixture = Fixture::new();
    let log = json!({"op": "log", "level": "warn", "message": "careful"});
    call_as(&fixture.capsule(), "bob", log).await.unwrap();
    let lines = fixture.lines.0.lock().unwrap().clone();
    assert_eq!(lines, [("bob".to_owned(), astrid_host::LogLevel::Warn, "careful".to_owned())]);
}

#[tokio::test]
async fn interfaces_that_are_not_served_are_denied() {
    let fixture = Fixture::new();
    let probe = fixture.capsule();
    let elicit = json!({"op": "elicit", "key": "k", "description": "d"});
    refused(&probe, elicit, "not supported by this version").await;
    let approve = json!({"op": "approve", "action": "a", "resource": "r"});
    refused(&probe, approve, "not supported by this version").await;
}

/// Looks a host up and crashes unless that is refused with the error code of that number.
fn looks_up(code: u32) -> Vec<u8> {
    let cases = "would-block closed capability-denied airlock-rejected connection-refused connection-reset
        timeout address-in-use address-not-available name-unresolvable invalid-handle not-tcp quota";
    let cases: Vec<_> = cases.split_whitespace().map(|case| format!("(case \"{case}\")")).collect();
    let cases = cases.join(" ");
    let text = format!(
        r#"(component
            (import "astrid:net/host@1.0.0" (instance $net
                (type $cases (variant {cases} (case "unknown" string)))
                (export "error-code" (type $code (eq $cases)))
                (export "lookup-host"
                    (func (param "host" string) (result (result (list string) (error $code)))))))
            (core module $memory
                (memory (export "memory") 1)
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024))
            (core instance $memory (instantiate $memory))
            (core func $lookup (canon lower (func $net "lookup-host")
                (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
            (core module $main
                (import "host" "lookup" (func $lookup (param i32 i32 i32)))
                (import "memory" "memory" (memory 1))
                (func (export "run")
                    (call $lookup (i32.const 0) (i32.const 1) (i32.const 16))
                    (if (i32.ne (i32.load8_u (i32.const 16)) (i32.const 1)) (then unreachable))
                    (if (i32.ne (i32.load8_u (i32.const 20)) (i32.const {code})) (then unreachable))))
            (core instance $main (instantiate $main
                (with "host" (instance (export "lookup" (func $lookup))))
                (with "memory" (instance $memory))))
            (func $run (canon lift (core func $main "run")))
            (export "run" (func $run)))"#
    );
    wat::parse_str(text).unwrap()
}

#[tokio::test]
async fn what_is_not_granted_and_not_served_is_denied_as_not_granted() {
    const CAPABILITY_DENIED: u32 = 2;
    const UNKNOWN: u32 = 13;
    let fixture = Fixture::new();
    let loaded = load(looks_up(CAPABILITY_DENIED)).unwrap();
    Capsule::new(Fixture::spec(), loaded.clone(), fixture.ports.clone()).run(&caller("ann")).await.unwrap();

    let mut spec = Fixture::spec();
    spec.capabilities.net_connect = ["example.org:443".parse().unwrap()].into();
    let granted = Capsule::new(spec.clone(), loaded, fixture.ports.clone()).run(&caller("ann")).await;
    assert!(matches!(granted, Err(HostError::Trap(_))), "{granted:?}");
    let loaded = load(looks_up(UNKNOWN)).unwrap();
    Capsule::new(spec, loaded, fixture.ports.clone()).run(&caller("ann")).await.unwrap();
}
