//! Publishing, receiving, loops and lifecycle hooks.

use std::sync::Arc;
use std::time::Duration;

use astrid_bus::{Event, MAX_HOPS, Scope, SourceId};
use astrid_host::{Caller, HookResult, HostError, Kv, LifecycleStep, Overlay};
use serde_json::json;

use crate::fixture::{Fixture, NOW_MS, call, call_as, caller, refused};

fn event(topic: &str, payload: &str, principal: &str) -> Event {
    Event::of_kernel(topic.parse().unwrap(), payload).for_principal(Some(principal.parse().unwrap()))
}

#[tokio::test]
async fn events_carry_the_callers_principal_and_the_capsules_id() {
    let fixture = Fixture::new();
    let seen = fixture.ports.bus.subscribe("probe.v1.out.*".parse().unwrap(), Scope::All);
    let publish = json!({"op": "publish", "topic": "probe.v1.out.x", "payload": {"n": 1}});
    call_as(&fixture.capsule(), "bob", publish).await.unwrap();
    let batch = seen.poll(9);
    let event = &batch.events[0];
    assert_eq!((&*event.payload, event.hops), (r#"{"n":1}"#, 1));
    assert_eq!(event.principal, Some("bob".parse().unwrap()));
    assert_eq!(event.source, Fixture::spec().source);
}

#[tokio::test]
async fn topics_outside_the_lists_are_denied() {
    let fixture = Fixture::new();
    let probe = fixture.capsule();
    let publish = |topic: &str| json!({"op": "publish", "topic": topic});
    refused(&probe, publish("probe.v1.secret"), "CapabilityDenied").await;
    refused(&probe, publish("probe.v1.out"), "CapabilityDenied").await;
    refused(&probe, publish("Probe.v1"), "InvalidInput").await;
    refused(&probe, publish("a.b.c.d.e.f.g.h.i"), "InvalidInput").await;
    let recv = |pattern: &str| json!({"op": "recv", "pattern": pattern, "timeout_ms": 0});
    refused(&probe, recv("probe.*"), "CapabilityDenied").await;
    refused(&probe, recv("probe.*.in"), "InvalidInput").await;
    let mut large = publish("probe.v1.out.x");
    large["payload"] = json!("x".repeat(1 << 20));
    refused(&probe, large, "InvalidInput").await;
}

#[tokio::test]
async fn waiting_without_a_message_is_an_empty_envelope() {
    let fixture = Fixture::new();
    let recv = json!({"op": "recv", "pattern": "probe.v1.in.*", "timeout_ms": 1});
    let envelope = call(&fixture.capsule(), recv).await.unwrap();
    assert_eq!(envelope, json!({"messages": [], "dropped": 0, "lagged": 0}));
}

#[tokio::test]
async fn a_call_receives_only_its_own_principals_events_others_are_denied() {
    let fixture = Fixture::new();
    let probe = fixture.capsule();
    let bus = fixture.ports.bus.clone();
    let recv = json!({"op": "recv", "pattern": "probe.v1.in.*", "timeout_ms": 60_000});
    let waiting = tokio::spawn(async move { call(&probe, recv).await.unwrap() });
    while bus.subscriptions() == 0 {
        tokio::task::yield_now().await;
    }
    bus.publish(event("probe.v1.in.a", "1", "bob")).unwrap();
    bus.publish(event("probe.v1.in.a", "2", "ann")).unwrap();
    let envelope = waiting.await.unwrap();
    assert_eq!(envelope["messages"].as_array().unwrap().len(), 1);
    assert_eq!(envelope["messages"][0]["payload"], "2");
    assert_eq!(envelope["messages"][0]["verified"], "ann");
    assert_eq!(bus.subscriptions(), 0);
}

#[tokio::test]
async fn a_request_is_answered_while_another_call_of_the_capsule_waits() {
    let fixture = Fixture::new();
    let probe = fixture.capsule();
    let bus = fixture.ports.bus.clone();
    let requests = bus.subscribe("probe.v1.out.ask".parse().unwrap(), Scope::All);
    let request = json!({"op": "request", "topic": "probe.v1.out.ask", "namespace": "probe.v1.reply",
        "body": {"q": 1}, "timeout_ms": 60_000});
    let asking = tokio::spawn({
        let probe = probe.clone();
        async move { call(&probe, request).await.unwrap() }
    });
    let batch = requests.recv(1, Duration::from_mins(1)).await;
    // The first call still waits for its reply: a second one gets through.
    assert_eq!(call(&probe, json!({"op": "echo", "a": 1})).await.unwrap(), json!({"a": 1}));
    let asked: serde_json::Value = serde_json::from_str(&batch.events[0].payload).unwrap();
    let reply = format!("probe.v1.reply.{}", asked["correlation_id"].as_str().unwrap());
    bus.publish(event(&reply, r#"{"answer":42}"#, "ann")).unwrap();
    assert_eq!(asking.await.unwrap(), json!({"answer": 42}));
}

#[tokio::test]
async fn more_subscriptions_than_allowed_are_denied_and_given_back() {
    let fixture = Fixture::new();
    let probe = fixture.capsule();
    let many = |count: u32| json!({"op": "subscribe_many", "pattern": "probe.v1.in.*", "count": count});
    refused(&probe, many(129), "Quota").await;
    assert_eq!(call(&probe, many(128)).await.unwrap(), json!(128));
    assert_eq!(fixture.ports.bus.subscriptions(), 0);
}

#[tokio::test]
async fn publishing_too_much_is_denied() {
    let fixture = Fixture::new();
    let probe = fixture.capsule_with("probe", |spec| spec.limits.publish_bytes_per_second = 200);
    let many = |count: u32| json!({"op": "publish_many", "topic": "probe.v1.out.x", "count": count});
    call(&probe, many(4)).await.unwrap();
    refused(&probe, many(10), "RateLimited").await;
    // Another principal has a second of its own.
    call_as(&probe, "bob", many(4)).await.unwrap();
}

#[tokio::test]
async fn publications_that_follow_from_too_many_are_denied() {
    let fixture = Fixture::new();
    let probe = fixture.capsule();
    let payload = br#"{"op": "publish", "topic": "probe.v1.out.x"}"#;
    let mut deep = Caller { hops: MAX_HOPS - 1, ..caller("ann") };
    assert!(matches!(probe.invoke(&deep, "call", payload).await, Ok(HookResult::Continue(_))));
    deep.hops = MAX_HOPS;
    let Ok(HookResult::Deny(reason)) = probe.invoke(&deep, "call", payload).await else { panic!() };
    assert!(reason.contains("Backpressure"), "{reason}");
}

#[tokio::test]
async fn tools_are_described_and_unknown_actions_denied() {
    let fixture = Fixture::new();
    let probe = fixture.capsule();
    let described = probe.describe(&caller("ann")).await.unwrap().unwrap();
    let described: serde_json::Value = serde_json::from_str(&described).unwrap();
    assert_eq!(described["tools"][0]["name"], "probe_echo");
    let unknown = probe.invoke(&caller("ann"), "nonsense", b"{}").await.unwrap();
    assert!(unknown.is_unknown_action("nonsense"), "{unknown:?}");
    let loop_only = fixture.capsule_with("probe-loop", |_| {});
    assert_eq!(loop_only.describe(&caller("ann")).await.unwrap(), None);
}

#[tokio::test]
async fn a_loop_signals_ready_and_answers_each_principal_as_itself() {
    let fixture = Fixture::new();
    let probe = fixture.capsule_with("probe-loop", |_| {});
    assert!(probe.component().exports.run && !fixture.capsule().component().exports.run);
    let bus = fixture.ports.bus.clone();
    let answers = bus.subscribe("probe.v1.loop.response.*".parse().unwrap(), Scope::All);
    let running = tokio::spawn({
        let probe = probe.clone();
        async move { probe.run(&Caller::kernel(None, NOW_MS)).await }
    });
    probe.wait_ready().await;
    assert!(probe.is_ready());
    for principal in ["bob", "ann"] {
        let request = json!({"correlation_id": principal, "do": "echo"}).to_string();
        bus.publish(event("probe.v1.loop.request", &request, principal)).unwrap();
        let batch = answers.recv(1, Duration::from_mins(1)).await;
        let answer = &batch.events[0];
        assert_eq!(answer.topic.as_str(), format!("probe.v1.loop.response.{principal}"));
        assert_eq!(answer.principal, Some(principal.parse().unwrap()));
    }
    bus.publish(event("probe.v1.loop.request", r#"{"do": "exit"}"#, "ann")).unwrap();
    assert!(running.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_stub_is_never_run_denied() {
    let fixture = Fixture::new();
    let result = fixture.capsule().run(&caller("ann")).await;
    assert!(matches!(result, Err(HostError::NoExport("run"))), "{result:?}");
}

#[tokio::test]
async fn lifecycle_hooks_write_into_what_may_still_be_dropped() {
    let fixture = Fixture::new();
    let probe = fixture.capsule();
    let overlay = Overlay::new(fixture.store.clone());
    let files = Arc::clone(&fixture.ports.files);
    let step = LifecycleStep::Upgrade { from: "0.0.9".to_owned() };
    probe.lifecycle(&caller("ann"), step, Kv::Overlay(overlay.clone()), files.clone()).await.unwrap();
    let mark = json!({"op": "kv_get", "key": "upgraded_from"});
    assert_eq!(call(&probe, mark.clone()).await.unwrap(), json!({"absent": true}));
    tokio::task::spawn_blocking(move || overlay.commit().unwrap()).await.unwrap();
    assert_eq!(call(&probe, mark).await.unwrap()["text"], "\"0.0.9\"");

    let dropped = Kv::Overlay(Overlay::new(fixture.store.clone()));
    probe.lifecycle(&caller("ann"), LifecycleStep::Install, dropped, files).await.unwrap();
    let installed = json!({"op": "kv_get", "key": "installed"});
    assert_eq!(call(&probe, installed).await.unwrap(), json!({"absent": true}));
}

#[test]
fn ids_of_capsules_are_not_the_kernels() {
    assert_ne!(Fixture::spec().source, SourceId::KERNEL);
}
