//! How long a kernel takes from `astrid start` to ready, and to answer, with twenty capsules.
//!
//! ```text
//! cargo bench -p astrid --bench boot
//! ```
//!
//! The capsules are real: the component of `notes`, made different twenty times, so that nothing is shared.
//! The first start compiles; the others load what it kept.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark that can't go on has failed, and prints what it measured"
)]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const CAPSULES: usize = 20;
const REPETITIONS: usize = 10;

/// Writes a distro of [`CAPSULES`] capsules into `folder`.
fn write_fleet(folder: &Path) {
    let notes = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packs/memory/capsules/notes/notes.wasm");
    let notes = fs::read(notes).unwrap();
    let mut text = String::from(
        "schema-version = 1\n\n[distro]\nid = \"bench\"\nname = \"Bench\"\nversion = \"0.1.0\"\n",
    );
    for index in 0..CAPSULES {
        let capsule = folder.join(format!("c{index}"));
        fs::create_dir_all(&capsule).unwrap();
        let manifest = format!(
            "[package]\nname = \"c{index}\"\nversion = \"1.0.0\"\n\n[[component]]\nfile = \"c.wasm\"\n\n\
             [publish]\n\"tool.v1.response.describe.*\" = \"opaque\"\n\n\
             [subscribe]\n\"tool.v1.request.describe\" = {{ wit = \"opaque\", handler = \"tool_describe\" }}\n"
        );
        fs::write(capsule.join("Capsule.toml"), manifest).unwrap();
        let mut component = notes.clone();
        // A custom section of two bytes: its name is one letter.
        component.extend([0, 2, 1, b'A' + u8::try_from(index).unwrap()]);
        fs::write(capsule.join("c.wasm"), component).unwrap();
        let _ = write!(
            text,
            "\n[[capsule]]\nname = \"c{index}\"\nsource = \"./c{index}\"\nversion = \"1.0.0\"\n"
        );
    }
    fs::write(folder.join("Distro.toml"), text).unwrap();
}

fn timed(root: &Path, arguments: &[&str]) -> Duration {
    let mut command = Command::new(env!("CARGO_BIN_EXE_astrid"));
    command
        .env_clear()
        .env("HOME", root)
        .env("ASTRID_HOME", root.join("home"))
        .env("XDG_DATA_HOME", root.join("data"))
        .current_dir(root.join("fleet"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .args(arguments);
    let begun = Instant::now();
    let status = command.status().unwrap();
    let took = begun.elapsed();
    assert!(status.success(), "{command:?}");
    took
}

fn show(name: &str, mut times: Vec<Duration>, limit: Option<Duration>) {
    times.sort();
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    let (best, median) = (times[0], times[times.len() / 2]);
    print!("{name:<44} best {:>7.1} ms   median {:>7.1} ms", milliseconds(best), milliseconds(median));
    match limit {
        Some(limit) => println!(
            "   ratio to {:.0} ms: {:.2}",
            milliseconds(limit),
            median.as_secs_f64() / limit.as_secs_f64()
        ),
        None => println!(),
    }
}

fn main() {
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("fleet")).unwrap();
    write_fleet(&root.path().join("fleet"));
    let run = |arguments: &[&str]| timed(root.path(), arguments);
    run(&["apply", "--yes", "--trust", "--no-boot"]);

    show("process start (`version`)", (0..REPETITIONS).map(|_| run(&["version"])).collect(), None);
    show("first start: compiles 20 components", vec![run(&["start"])], None);
    run(&["stop"]);
    let starts = (0..REPETITIONS).map(|_| {
        let took = run(&["start"]);
        run(&["stop"]);
        took
    });
    show("start to ready, 20 kept components", starts.collect(), Some(Duration::from_millis(60)));
    run(&["start"]);
    let status = (0..REPETITIONS).map(|_| run(&["status"])).collect();
    show("`status` of a running kernel", status, Some(Duration::from_millis(15)));
    run(&["stop"]);
}
