//! The whole path from a person's tool to a capsule and back.

use std::path::PathBuf;
use std::time::Duration;

use astrid_daemon::client::ClientError;
use astrid_daemon::{Client, LaunchError, Start, Started, Stopped, start, stop};
use astrid_kernel::health::Health;
use astrid_store::GenerationNumber;
use serde_json::json;

use crate::home::{DENY, Member, TRAP, TestHome, handmade, probe, probe_loop};

const LONG: Duration = Duration::from_mins(2);

/// The program that is started; cargo builds examples along with tests.
fn program() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    own.parent().unwrap().parent().unwrap().join("examples/background")
}

struct Background(TestHome);

impl Background {
    fn new(members: &[Member]) -> Self {
        let home = TestHome::new();
        home.apply("", members);
        Self(home)
    }

    fn start(&self) -> Result<Started, LaunchError> {
        let workspace = self.0.workspace();
        start(&Start { program: &program(), home: &self.0.home, workspace: &workspace, timeout: LONG })
    }

    fn client(&self) -> Client {
        Client::connect_owner(&self.0.home).unwrap()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = stop(&self.0.home, LONG);
    }
}

#[test]
fn a_kernel_starts_answers_and_stops() {
    let background = Background::new(&[probe(), probe_loop()]);
    let started = background.start().unwrap();
    assert!(!started.already_ran);
    assert_eq!(started.status.health, Health::Healthy, "{:?}", started.status);
    assert!(background.start().unwrap().already_ran);
    let mut client = background.client();
    assert_eq!(client.ps().unwrap().len(), 2);
    assert_eq!(client.tools().unwrap().len(), 2);
    let echoed = client.tool_call("probe_echo", json!({ "text": "hello" }), LONG).unwrap();
    assert!(!echoed.is_error && echoed.content.contains("hello"), "{echoed:?}");
    assert_eq!(stop(&background.0.home, LONG).unwrap(), Stopped::Gracefully);
    assert_eq!(stop(&background.0.home, LONG).unwrap(), Stopped::DidNotRun);
    assert!(matches!(Client::connect_owner(&background.0.home), Err(ClientError::NotRunning)));
}

#[test]
fn calls_that_nobody_can_answer_are_denied_at_once() {
    let tool =
        |name: &'static str, tool: &str, body: &str| handmade(name, &format!("tool.v1.execute.{tool}"), body);
    let background = Background::new(&[tool("no", "refuses", DENY), tool("crash", "crashes", TRAP)]);
    background.start().unwrap();
    let mut client = background.client();
    for name in ["absent", "No Tool", "a.b", ""] {
        let error = client.tool_call(name, json!({}), LONG).unwrap_err();
        assert!(matches!(error, ClientError::NoTool(_)), "{name:?}: {error}");
    }
    let error = client.tool_call("refuses", json!({}), LONG).unwrap_err();
    assert!(error.to_string().contains("because"), "{error}");
    let error = client.tool_call("crashes", json!({}), LONG).unwrap_err();
    assert!(error.to_string().contains("crashed"), "{error}");
}

#[test]
fn a_killed_kernel_leaves_nothing_that_blocks_the_next() {
    let background = Background::new(&[]);
    let pid = background.start().unwrap().status.pid;
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    while astrid_kernel::uplink::endpoint::RunFolder::new(background.0.home.run()).is_locked().unwrap() {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(background.0.home.socket().exists(), "it had no time to remove it");
    assert!(matches!(Client::connect_owner(&background.0.home), Err(ClientError::NotRunning)));
    let again = background.start().unwrap();
    assert!(!again.already_ran && again.status.ready);
}

#[test]
fn a_signal_stops_it_as_a_request_does() {
    let background = Background::new(&[]);
    let pid = background.start().unwrap().status.pid;
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    while background.0.home.socket().exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(!background.0.home.token().exists() || background.0.home.pid().exists());
}

#[test]
fn a_start_that_fails_says_why() {
    let background = Background::new(&[]);
    std::fs::write(background.0.home.root().join("fail"), "").unwrap();
    let error = background.start().unwrap_err();
    assert!(matches!(&error, LaunchError::Ended { .. }), "{error}");
    assert!(error.to_string().contains("told to fail"), "{error}");
    assert!(!error.to_string().contains("backtrace"), "{error}");
}

#[test]
fn it_goes_to_the_next_generation_without_a_restart() {
    let background = Background::new(&[probe()]);
    let pid = background.start().unwrap().status.pid;
    let number = background.0.apply("", &[probe(), probe_loop()]);
    let mut client = background.client();
    let done = client.converge(GenerationNumber::new(number).unwrap()).unwrap();
    assert_eq!((done.kept.len(), done.loaded.len()), (1, 1));
    let status = client.status().unwrap();
    assert_eq!((status.pid, status.generation.unwrap().number), (pid, number));
}

#[test]
fn asking_while_it_is_stopped_leaves_no_trace_denied() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("home");
    let home = astrid_store::Home::new(&root, folder.path().join("packs")).unwrap();
    assert!(matches!(Client::connect_owner(&home), Err(ClientError::NotRunning)));
    assert_eq!(stop(&home, LONG).unwrap(), Stopped::DidNotRun);
    assert!(!root.exists());
}
