//! What a capsule may use up, and that it takes nothing with it.

use std::time::Duration;

use astrid_host::{Capsule, HookResult, HostError};
use serde_json::json;

use crate::fixture::{Fixture, call, caller};

async fn raw(capsule: &Capsule, arguments: serde_json::Value) -> Result<HookResult, HostError> {
    capsule.invoke(&caller("ann"), "call", arguments.to_string().as_bytes()).await
}

async fn still_answers(capsule: &Capsule) {
    assert_eq!(call(capsule, json!({"op": "echo", "a": 1})).await.unwrap(), json!({"a": 1}));
}

#[tokio::test]
async fn a_panic_says_what_it_said_and_the_next_call_answers() {
    let fixture = Fixture::new();
    let probe = fixture.capsule();
    let result = raw(&probe, json!({"op": "panic", "message": "out of cheese"})).await;
    let Err(HostError::Trap(text)) = result else { panic!("{result:?}") };
    assert!(text.contains("out of cheese"), "{text}");
    still_answers(&probe).await;
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_denied() {
    let fixture = Fixture::new();
    let probe = fixture.capsule_with("probe", |spec| spec.limits.call = Duration::from_millis(300));
    for operation in [json!({"op": "spin"}), json!({"op": "sleep", "ms": 50_000})] {
        let result = raw(&probe, operation).await;
        assert!(matches!(result, Err(HostError::Timeout(_))), "{result:?}");
    }
    still_answers(&fixture.capsule()).await;
}

#[tokio::test]
async fn one_that_spins_does_not_keep_others_from_answering() {
    let fixture = Fixture::new();
    let probe = fixture.capsule();
    let spinning = tokio::spawn({
        let probe = probe.clone();
        async move { raw(&probe, json!({"op": "spin"})).await }
    });
    // One thread runs both: this only ends because the other one is made to give way.
    still_answers(&probe).await;
    spinning.abort();
}

#[tokio::test]
async fn more_memory_than_allowed_is_denied() {
    let fixture = Fixture::new();
    let probe = fixture.capsule();
    assert_eq!(call(&probe, json!({"op": "allocate", "mib": 16})).await.unwrap(), json!(16));
    let result = raw(&probe, json!({"op": "allocate", "mib": 200})).await;
    // The probe is told and says so; had it crashed, the error would name the limit.
    let told = matches!(&result, Ok(HookResult::Deny(reason)) if reason.contains("out of memory"));
    assert!(told || matches!(&result, Err(HostError::Memory(_))), "{result:?}");
    still_answers(&probe).await;
}

#[tokio::test]
async fn an_instance_that_does_not_fit_is_denied() {
    let fixture = Fixture::new();
    let probe = fixture.capsule_with("probe", |spec| spec.limits.memory = 64 << 10);
    let result = raw(&probe, json!({"op": "echo"})).await;
    assert!(matches!(result, Err(HostError::Memory(_))), "{result:?}");
}

#[tokio::test]
async fn endless_recursion_is_denied() {
    let fixture = Fixture::new();
    let probe = fixture.capsule();
    let result = raw(&probe, json!({"op": "recurse", "depth": 100_000_000_u64})).await;
    assert!(matches!(result, Err(HostError::Trap(_))), "{result:?}");
    still_answers(&probe).await;
}

#[tokio::test]
async fn nothing_is_left_of_a_call_in_the_next_instance() {
    let fixture = Fixture::new();
    let probe = fixture.capsule();
    let tasks: Vec<_> = (0..40)
        .map(|at| {
            let probe = probe.clone();
            tokio::spawn(async move { call(&probe, json!({"op": "echo", "at": at})).await.unwrap() })
        })
        .collect();
    for (at, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.await.unwrap(), json!({"at": at}));
    }
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_denied() {
    let fixture = Fixture::new();
    let probe = fixture.capsule();
    assert!(raw(&probe, json!({"op": "big_answer", "mib": 9})).await.is_ok());
    let result = raw(&probe, json!({"op": "big_answer", "mib": 10})).await;
    assert!(matches!(result, Err(HostError::Answer { .. })), "{result:?}");
}

#[tokio::test]
async fn more_loops_than_there_is_room_for_are_denied() {
    let fixture = Fixture::new();
    let mut options = astrid_host::EngineOptions { calls: 1, loops: 1, ..Default::default() };
    options.compiled = None;
    let engine = astrid_host::Engine::new(&options).unwrap();
    let bytes = std::fs::read(crate::fixture::component_path("probe-loop")).unwrap();
    let digest = astrid_authority::Digest::of(&bytes);
    let loaded = engine.load(&astrid_host::ComponentSource { digest, bytes: &|| Ok(bytes.clone()) }).unwrap();
    let probe = Capsule::new(Fixture::spec(), loaded, fixture.ports.clone());
    let running = tokio::spawn({
        let probe = probe.clone();
        async move { probe.run(&caller("ann")).await }
    });
    probe.wait_ready().await;
    let second = probe.run(&caller("ann")).await;
    assert!(matches!(second, Err(HostError::TooManyLoops(1))), "{second:?}");
    running.abort();
}

#[tokio::test]
async fn a_loop_that_never_waits_is_denied() {
    let component = r#"(component
        (core module $m (func (export "run") (loop $again (br $again))))
        (core instance $i (instantiate $m))
        (func $run (canon lift (core func $i "run")))
        (export "run" (func $run)))"#;
    let fixture = Fixture::new();
    let mut spec = Fixture::spec();
    spec.limits.run_window = Duration::from_millis(100);
    let loaded = crate::fixture::load(wat::parse_str(component).unwrap()).unwrap();
    let result = Capsule::new(spec, loaded, fixture.ports.clone()).run(&caller("ann")).await;
    assert!(matches!(result, Err(HostError::Starved(_))), "{result:?}");
}
