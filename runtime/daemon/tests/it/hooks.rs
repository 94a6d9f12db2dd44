//! Lifecycle hooks, with a kernel and without one.

use astrid_authority::PrincipalId;
use astrid_daemon::{SandboxHooks, ports};
use astrid_host::{Kv, KvStore, Namespace};
use astrid_resolver::ErrorKind;
use astrid_resolver::apply::BeforeSwitch;
use astrid_store::generation::Generation;
use astrid_store::journal::Switch;

use crate::home::{Member, TRAP, TestHome, probe};

/// A capsule whose install hook has this body.
fn installs(name: &'static str, body: &str) -> Member {
    let wat = format!(
        r#"(component
            (core module $m (func (export "install") {body}))
            (core instance $i (instantiate $m))
            (func $install (canon lift (core func $i "install")))
            (export "astrid-install" (func $install)))"#
    );
    Member {
        name,
        manifest: format!(
            "[package]\nname = \"{name}\"\nversion = \"1.0.0\"\n[[component]]\nfile = \"a.wasm\"\n"
        ),
        component: Some(wat::parse_str(wat).unwrap()),
        tools: None,
        config: Vec::new(),
    }
}

fn hooks(home: &TestHome) -> SandboxHooks {
    let ports = ports::of_machine(&home.home, &home.disk);
    SandboxHooks::new(home.home.clone(), home.disk.clone(), ports, astrid_daemon::Loading::All)
}

fn try_hooks(home: &TestHome, to: &Generation) -> Result<(), ErrorKind> {
    let mut hooks = hooks(home);
    match hooks.before_switch(None, to) {
        Ok(()) => {
            hooks.switched().unwrap();
            Ok(())
        }
        Err(error) => {
            hooks.abandoned();
            assert!(error.to_string().contains("bad") || error.to_string().contains("torn"), "{error}");
            Err(error.kind())
        }
    }
}

fn torn(name: &'static str) -> Member {
    Member { component: Some(b"no component".to_vec()), ..installs(name, "") }
}

#[test]
fn hooks_that_succeed_let_the_switch_go_on() {
    let home = TestHome::new();
    let staged = home.stage("", &[installs("good", "")]);
    assert_eq!(try_hooks(&home, &staged), Ok(()));
    assert!(home.home.compiled().read_dir().unwrap().next().is_some(), "compiled for the boot");
}

#[test]
fn hooks_that_fail_and_capsules_that_can_not_load_are_denied() {
    let home = TestHome::new();
    let staged = home.stage("", &[installs("bad", TRAP)]);
    assert_eq!(try_hooks(&home, &staged), Err(ErrorKind::Failed));
    let staged = home.stage("", &[torn("torn")]);
    assert_eq!(try_hooks(&home, &staged), Err(ErrorKind::Failed));
}

#[test]
fn a_running_kernel_runs_them() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let home = TestHome::new();
    home.apply("", &[]);
    let kernel = runtime.block_on(home.boot()).unwrap();
    let staged = home.stage("", &[installs("good", "")]);
    assert_eq!(try_hooks(&home, &staged), Ok(()));
    let staged = home.stage("", &[installs("bad", TRAP)]);
    assert_eq!(try_hooks(&home, &staged), Err(ErrorKind::Failed));
    runtime.block_on(kernel.shut_down()).unwrap();
}

/// The mark that the probe's install hook leaves in its values.
fn mark(home: &TestHome) -> Option<Vec<u8>> {
    let values = Kv::Store(KvStore::open(&home.home.state()).unwrap());
    let namespace = Namespace::new(&PrincipalId::default_user(), &"probe".parse().unwrap());
    values.get(&namespace, "installed").unwrap()
}

fn switch_to(home: &TestHome, to: &Generation) {
    let writer = home.writer();
    Switch::new(&home.home, &home.disk, &writer, Some(to.number())).commit().unwrap();
}

#[test]
fn what_hooks_write_is_kept_with_the_switch() {
    let home = TestHome::new();
    let staged = home.stage("", &[probe()]);
    let mut hooks = hooks(&home);
    hooks.before_switch(None, &staged).unwrap();
    switch_to(&home, &staged);
    hooks.switched().unwrap();
    assert_eq!(mark(&home).as_deref(), Some(b"true".as_slice()));
}

#[test]
fn what_hooks_write_is_denied_without_the_switch() {
    let home = TestHome::new();
    let staged = home.stage("", &[probe()]);
    let mut hooks = hooks(&home);
    hooks.before_switch(None, &staged).unwrap();
    hooks.abandoned();
    assert_eq!(mark(&home), None);
}

#[test]
fn a_running_kernel_keeps_what_hooks_write_only_with_the_switch() {
    for happens in [true, false] {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let home = TestHome::new();
        let kernel = runtime.block_on(home.boot()).unwrap();
        let staged = home.stage("", &[probe()]);
        let mut hooks = hooks(&home);
        hooks.before_switch(None, &staged).unwrap();
        if happens {
            switch_to(&home, &staged);
            hooks.switched().unwrap();
        } else {
            hooks.abandoned();
        }
        runtime.block_on(kernel.shut_down()).unwrap();
        drop(runtime);
        assert_eq!(mark(&home).is_some(), happens);
    }
}
