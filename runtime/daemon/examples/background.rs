//! The smallest program that can be started in the background: `background --home HOME -C WORK daemon`.
//!
//! Tests start it, and kill it. With a file `fail` in the home it ends at once.

use std::path::PathBuf;
use std::process::ExitCode;

use astrid_daemon::{Foreground, ports, run_foreground};
use astrid_store::{Disk, Home};

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [program, home_flag, home, work_flag, workspace, verb] = arguments.as_slice() else {
        return Ok(ExitCode::from(64));
    };
    if (home_flag.as_str(), work_flag.as_str(), verb.as_str()) != ("--home", "-C", "daemon") {
        return Ok(ExitCode::from(64));
    }
    let root = PathBuf::from(home);
    if root.join("fail").exists() {
        return Err("it was told to fail".into());
    }
    let home = Home::new(&root, root.join("packs"))?;
    let disk = Disk::default();
    let ports = ports::of_machine(&home, &disk);
    run_foreground(
        Foreground {
            home,
            disk,
            workspace: Some(PathBuf::from(workspace)),
            program: PathBuf::from(program),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ports,
        },
        |_| {},
    )?;
    Ok(ExitCode::SUCCESS)
}
