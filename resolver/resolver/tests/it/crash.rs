//! An apply that is cut short at any instruction leaves the old generation or the new one.

use std::sync::Arc;
use std::time::Duration;

use astrid_resolver::apply::{begin, current};
use astrid_resolver::observed::{Depth, observe};
use astrid_store::Disk;
use astrid_store::faults::FailAt;

use crate::fixture::{Machine, trust_all};

const TWO: &str = "[variables.token]\nsecret = true\n\n[[capsule]]\nname = \"fs\"\nsource = \"./fs\"\nenv = { TOKEN = \"{{ token }}\" }\n\n[[pack]]\nid = \"media_tools\"\nsource = \"./media_tools\"\n";

/// A machine with one generation, and a second one wanted that changes everything.
fn machine() -> Machine {
    let mut machine = Machine::in_memory();
    machine.capsule("fs", "1.0.0", "");
    machine.pack("media_tools", "1.0.0", "fetches media", "print(1)");
    machine.pack("old_tools", "1.0.0", "goes", "print(0)");
    machine.env.insert("ASTRID_VAR_TOKEN".to_owned(), "one".to_owned());
    machine.distro("1.0.0", &format!("{TWO}\n[[pack]]\nid = \"old_tools\"\nsource = \"./old_tools\"\n"));
    machine.apply(&trust_all()).unwrap();
    machine.capsule("fs", "2.0.0", "");
    machine.pack("media_tools", "2.0.0", "fetches media", "print(2)");
    machine.pack("new_tools", "1.0.0", "comes", "print(3)");
    machine.env.insert("ASTRID_VAR_TOKEN".to_owned(), "two".to_owned());
    machine.distro("2.0.0", &format!("{TWO}\n[[pack]]\nid = \"new_tools\"\nsource = \"./new_tools\"\n"));
    machine
}

/// Everything that is in force is one generation, whole; what the next command that writes finds.
fn check(machine: &mut Machine, at: u64) -> u64 {
    machine.with_disk(Disk::default());
    let (writer, _) = begin(&machine.context, "astrid recover", Duration::ZERO).unwrap();
    drop(writer);
    let number = machine.current().unwrap();
    let now = current(&machine.context).unwrap().unwrap();
    let observed = observe(&machine.context, &now, Depth::Bytes).unwrap();
    assert!(observed.damaged.is_empty(), "fault {at}: {:?}", observed.damaged);
    assert!(observed.foreign.is_empty(), "fault {at}: {:?}", observed.foreign);
    assert!(!observed.switch_cut_short, "fault {at}");
    let served =
        machine.context.home.pack_active(&"media_tools".parse().unwrap()).join("executors/one/run.py");
    let served = std::fs::read_to_string(served).unwrap();
    assert_eq!(served, if number == 1 { "print(1)" } else { "print(2)" }, "fault {at}");
    let floors = std::fs::read_to_string(machine.context.home.floors()).unwrap();
    assert_eq!(floors.contains("2.0.0"), number == 2, "fault {at}: floors rise with the switch");
    number
}

#[test]
fn a_disk_that_fills_up_at_any_write_leaves_the_old_or_the_new() {
    let mut machine = machine();
    let snapshot = machine.snapshot();
    let (mut old, mut new) = (0, 0);
    for at in 1.. {
        machine.restore(&snapshot);
        let faults = Arc::new(FailAt::full_from(at));
        machine.with_disk(Disk::with_faults(faults.clone()));
        let applied = machine.apply(&trust_all());
        let is_done = applied.is_ok() && faults.seen() < at;
        match check(&mut machine, at) {
            1 => old += 1,
            2 => new += 1,
            other => panic!("generation {other}"),
        }
        // Whatever happened, the same command finishes it.
        machine.apply(&trust_all()).unwrap();
        assert_eq!(machine.current(), Some(2), "fault {at}");
        assert!(machine.propose().unwrap().plan.is_empty(), "fault {at}");
        if is_done {
            break;
        }
        assert!(at < 2_000, "an apply ends");
    }
    assert!(old > 10 && new > 1, "{old} left the old one, {new} the new one");
}

#[test]
fn a_single_failing_write_is_repaired_or_told() {
    let mut machine = machine();
    let snapshot = machine.snapshot();
    for at in 1.. {
        machine.restore(&snapshot);
        let faults = Arc::new(FailAt::once(at, std::io::ErrorKind::PermissionDenied));
        machine.with_disk(Disk::with_faults(faults.clone()));
        let applied = machine.apply(&trust_all());
        let number = check(&mut machine, at);
        if let Ok(applied) = &applied {
            assert_eq!(
                applied.generation.map(astrid_store::GenerationNumber::get),
                Some(number),
                "fault {at}"
            );
        } else {
            assert_eq!(number, 1, "fault {at}: what fails changes nothing");
        }
        if faults.seen() < at {
            break;
        }
    }
}
