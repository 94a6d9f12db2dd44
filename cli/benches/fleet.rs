//! What the command line costs, beside a baseline that does the least possible work on the same files.
//!
//! ```text
//! cargo bench -p astrid --bench fleet              # everything, 1,000 and 10,000 capsules
//! cargo bench -p astrid --bench fleet -- --check   # smaller, and fails when a ratio is over its limit
//! ```
//!
//! Milliseconds depend on the machine; the ratios are what is compared. Limits are generous, because
//! a machine that runs tests is never quiet.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark that can't go on has failed, and prints what it measured"
)]

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Bytes of one artifact's component.
const COMPONENT_BYTES: usize = 64 * 1024;

struct Fleet {
    root: tempfile::TempDir,
    count: usize,
}

/// The text of a component that is valid, does nothing, and is `size` bytes of which `seed` makes it unlike others.
fn component(seed: usize, size: usize) -> Vec<u8> {
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    let mut noise = blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof();
    let mut body = vec![3, b'p', b'a', b'd'];
    let mut fill = vec![0; size];
    noise.fill(&mut fill);
    body.extend(fill);
    // A custom section: id 0, length as LEB128, name, contents.
    bytes.push(0);
    let mut length = body.len();
    loop {
        let byte = u8::try_from(length & 0x7f).unwrap();
        length >>= 7;
        bytes.push(if length == 0 { byte } else { byte | 0x80 });
        if length == 0 {
            break;
        }
    }
    bytes.extend(body);
    bytes
}

impl Fleet {
    fn new(count: usize, size: usize) -> Self {
        let root = tempfile::tempdir().unwrap();
        let distro = root.path().join("fleet");
        let mut text = String::from(
            "schema-version = 1\n\n[distro]\nid = \"bench\"\nname = \"Bench\"\nversion = \"0.1.0\"\n",
        );
        for index in 0..count {
            let folder = distro.join(format!("capsules/c{index}"));
            fs::create_dir_all(&folder).unwrap();
            fs::write(
                folder.join("Capsule.toml"),
                format!(
                    "[package]\nname = \"c{index}\"\nversion = \"1.0.0\"\n\n[[component]]\nfile = \"c{index}.wasm\"\n"
                ),
            )
            .unwrap();
            fs::write(folder.join(format!("c{index}.wasm")), component(index, size)).unwrap();
            let _ = write!(
                text,
                "\n[[capsule]]\nname = \"c{index}\"\nsource = \"./capsules/c{index}\"\nversion = \"1.0.0\"\n"
            );
        }
        fs::write(distro.join("Distro.toml"), text).unwrap();
        Self { root, count }
    }

    fn distro(&self) -> PathBuf {
        self.root.path().join("fleet")
    }

    fn command(&self, home: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_astrid"));
        command
            .env_clear()
            .env("HOME", self.root.path())
            .env("XDG_DATA_HOME", self.root.path().join("data").join(home))
            .env("ASTRID_HOME", self.root.path().join(home))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .current_dir(self.distro());
        command
    }

    fn apply(&self, home: &str) -> Duration {
        let mut command = self.command(home);
        command.args(["apply", "--yes", "--trust", "--no-boot"]);
        timed(command).0
    }
}

/// Runs to the end; the time it took and the most memory that was resident, in bytes.
fn timed(mut command: Command) -> (Duration, u64) {
    // A file, not a pipe: nobody reads while the program runs.
    let mut said = tempfile::tempfile().unwrap();
    let begun = Instant::now();
    let mut child = command.stderr(said.try_clone().unwrap()).spawn().unwrap();
    let status_file = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let status = loop {
        if let Ok(text) = fs::read_to_string(&status_file)
            && let Some(line) = text.lines().find(|line| line.starts_with("VmHWM:"))
        {
            let kib: u64 = line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
            peak = peak.max(kib * 1024);
        }
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_micros(500));
    };
    let took = begun.elapsed();
    if !status.success() {
        let mut text = String::new();
        std::io::Seek::rewind(&mut said).unwrap();
        std::io::Read::read_to_string(&mut said, &mut text).unwrap();
        panic!("{command:?} failed: {text}");
    }
    (took, peak)
}

/// The shortest of `repetitions` runs: the one that was disturbed least.
fn best(repetitions: usize, mut run: impl FnMut() -> Duration) -> Duration {
    (0..repetitions).map(|_| run()).min().unwrap()
}

/// Copies every file of the fleet, hashes it, and makes it durable: the least that an apply must do.
fn copy_hash_and_sync(from: &Path, to: &Path) -> Duration {
    let begun = Instant::now();
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from.join("capsules")).unwrap() {
        let folder = entry.unwrap().path();
        for file in fs::read_dir(&folder).unwrap() {
            let file = file.unwrap().path();
            let bytes = fs::read(&file).unwrap();
            let name = blake3::hash(&bytes).to_hex();
            let mut copy = File::create(to.join(name.as_str())).unwrap();
            copy.write_all(&bytes).unwrap();
            copy.sync_all().unwrap();
        }
    }
    begun.elapsed()
}

/// How long `status` takes.
fn status(fleet: &Fleet, home: &str) -> Duration {
    best(5, || {
        let mut command = fleet.command(home);
        command.args(["status"]);
        timed(command).0
    })
}

struct Report {
    check: bool,
    failed: bool,
}

impl Report {
    fn line(&mut self, name: &str, value: &str, ratio: f64, limit: f64) {
        let over = ratio > limit;
        self.failed |= over;
        let mark = if over { "OVER" } else { "ok" };
        println!("{name:<44} {value:>12}   ratio {ratio:>6.2}   limit {limit:>5.2}   {mark}");
    }

    fn finish(self) {
        if self.check && self.failed {
            std::process::exit(1);
        }
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

fn main() {
    // `cargo test --benches` runs this with `--test`: then there is nothing to measure.
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.iter().any(|argument| argument == "--test") {
        return;
    }
    let check = arguments.iter().any(|argument| argument == "--check");
    let mut report = Report { check, failed: false };
    let (small, large) = if check { (200, 2_000) } else { (1_000, 10_000) };
    let growth = large as f64 / small as f64;

    let version = {
        let fleet = Fleet::new(1, 64);
        best(5, || {
            let mut command = fleet.command("home");
            command.arg("version");
            timed(command).0
        })
    };
    println!("process start (`version`): {}", milliseconds(version));

    let fleet = Fleet::new(small, COMPONENT_BYTES);
    let mut home = 0;
    let cold = best(3, || {
        home += 1;
        fleet.apply(&format!("cold{home}"))
    });
    let mut copy = 0;
    let baseline = best(3, || {
        copy += 1;
        copy_hash_and_sync(&fleet.distro(), &fleet.root.path().join(format!("copy{copy}")))
    });
    println!("copy, hash and sync of {} capsules: {}", fleet.count, milliseconds(baseline));
    report.line(
        &format!("cold apply of {small} x 64 KiB, to the copy"),
        &milliseconds(cold),
        cold.as_secs_f64() / baseline.as_secs_f64(),
        2.0,
    );

    let plan = |fleet: &Fleet, home: &str| {
        let mut peak = 0;
        let time = best(5, || {
            let mut command = fleet.command(home);
            command.args(["plan"]);
            let (time, memory) = timed(command);
            peak = peak.max(memory);
            time
        });
        (time, peak)
    };
    let (small_plan, small_peak) = plan(&fleet, "cold1");
    println!("plan of {small} without a change: {}, {} MiB", milliseconds(small_plan), small_peak >> 20);
    if !check {
        report.line("  to 100 ms", &milliseconds(small_plan), small_plan.as_secs_f64() / 0.1, 1.0);
        report.line(
            "  to 64 MiB",
            &format!("{} MiB", small_peak >> 20),
            small_peak as f64 / f64::from(64 << 20),
            1.0,
        );
    }
    let small_status = status(&fleet, "cold1");
    println!("status of {small}: {}", milliseconds(small_status));
    drop(fleet);

    let fleet = Fleet::new(20, 256);
    fleet.apply("few");
    let few_status = status(&fleet, "few");
    println!("status of 20: {}", milliseconds(few_status));
    if !check {
        report.line("  to 15 ms", &milliseconds(few_status), few_status.as_secs_f64() / 0.015, 1.0);
    }
    drop(fleet);

    let fleet = Fleet::new(large, 256);
    fleet.apply("large");
    let (large_plan, large_peak) = plan(&fleet, "large");
    println!("plan of {large} without a change: {}, {} MiB", milliseconds(large_plan), large_peak >> 20);
    report.line(
        &format!("plan of {large}, to {growth} x that of {small}"),
        &milliseconds(large_plan),
        large_plan.as_secs_f64() / (small_plan.as_secs_f64() * growth),
        1.3,
    );
    let large_status = status(&fleet, "large");
    report.line(
        &format!("status of {large}, to {growth} x that of {small}"),
        &milliseconds(large_status),
        large_status.as_secs_f64() / (small_status.as_secs_f64() * growth),
        1.3,
    );
    report.finish();
}
