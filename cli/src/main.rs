//! The `astrid` program: verbs, prompts, rendering and exit codes. Words for people; it decides nothing.
//!
//! | module | noun |
//! |---|---|
//! | `args` | what can be typed |
//! | `world` | what the process was given: environment, folder, clock, randomness |
//! | `session` | one run: shell, world, and the library's context when a verb needs it |
//! | `shell` | the only place that prints |
//! | `exit` | failures: kind, message, hint, exit code |
//! | `interrupt` | what Ctrl-C does while another process runs |
//! | `prompt` | questions to a person at a terminal |
//! | `progress` | bars on a terminal |
//! | `command` | the work of each verb |
//! | `edit` | changes to the text of a `Distro.toml` |
//! | `facts` | what people are shown about a pack |
//! | `render` | results as text for people |
//! | `starter` | the distro that is part of the program |
//! | `obsolete` | names of older tools, and what to type instead |
//!
//! Files that it touches itself: `Distro.toml`, `Distro.lock` and `trust/` of the folder it works on, the
//! plan that `plan -o` names, the bundle that `sign` makes, the file that `keypair endorse -o` names, and the folder
//! that `capsule build -o` names. Everything else is the libraries'.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod args;
mod command;
mod edit;
mod exit;
mod facts;
mod interrupt;
mod obsolete;
mod progress;
mod prompt;
mod render;
mod session;
mod shell;
mod starter;
mod world;

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};

use crate::args::Cli;
use crate::exit::{Failure, Kind};
use crate::session::Session;
use crate::shell::{Color, Format, Shell};
use crate::world::World;

fn main() -> ExitCode {
    install_panic_message();
    let code = std::panic::catch_unwind(AssertUnwindSafe(start)).unwrap_or(Kind::Internal.code());
    ExitCode::from(code)
}

/// A fault of ours is one short message, never a backtrace into somebody's terminal.
fn install_panic_message() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("no message");
        let place = panic.location().map_or_else(String::new, |at| format!(" ({}:{})", at.file(), at.line()));
        let failure = Failure::new(Kind::Internal, format!("internal fault: {message}{place}"))
            .hint("this is a bug of Astrid: please report it with the command that you ran");
        Shell::new(Color::Auto).fail(&failure);
    }));
}

fn start() -> u8 {
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().collect();
    let texts: Vec<String> =
        arguments.iter().skip(1).map(|argument| argument.to_string_lossy().into_owned()).collect();
    let color = early_color(&texts);
    let mut shell = Shell::new(color);
    let command = Cli::command().color(color.for_clap());
    let parsed = command.try_get_matches_from(&arguments).and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => return not_parsed(&mut shell, &error, &texts),
    };
    let global = &cli.global;
    shell.set(global.format(), global.json_stream, global.quiet, global.verbose);
    if cfg!(debug_assertions) && std::env::var_os("ASTRID_TEST_PANIC").is_some() {
        provoke_fault();
    }
    let mut session = match World::read(global.directory.as_deref()) {
        Ok(world) => Session::new(shell, world, cli.global),
        Err(failure) => {
            shell.fail(&failure);
            return failure.kind.code();
        }
    };
    match command::run(cli.verb, &mut session) {
        Ok(code) => code,
        Err(failure) => {
            session.shell.fail(&failure);
            failure.kind.code()
        }
    }
}

/// How a test shows what a fault of ours looks like; debug builds only.
#[expect(clippy::panic, reason = "it is asked for, and only tests ask")]
fn provoke_fault() {
    panic!("asked for");
}

/// The colour that was asked for, before anything is parsed: the parser's own messages follow it too.
fn early_color(arguments: &[String]) -> Color {
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let value = match argument.strip_prefix("--color") {
            Some("") => arguments.next().map(String::as_str),
            Some(value) => value.strip_prefix('='),
            None => continue,
        };
        return match value {
            Some("always") => Color::Always,
            Some("never") => Color::Never,
            _ => Color::Auto,
        };
    }
    Color::Auto
}

/// Help and version are answers; everything else that doesn't parse is wrong usage.
fn not_parsed(shell: &mut Shell, error: &clap::Error, arguments: &[String]) -> u8 {
    use clap::error::ErrorKind;
    let text = error.render();
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        shell.data(&text.ansi().to_string());
        return exit::DONE;
    }
    let format = if arguments.iter().any(|argument| argument == "--json" || argument == "--format=json") {
        Format::Json
    } else {
        Format::Pretty
    };
    let stream = arguments.iter().any(|argument| argument == "--json-stream");
    shell.set(format, stream, false, false);
    if let Some((old, new)) = obsolete::replacement(arguments) {
        let failure =
            Failure::usage(format!("`astrid {old}` is no verb of Astrid")).hint(format!("type `{new}`"));
        shell.fail(&failure);
    } else {
        let plain = text.to_string();
        let message = plain.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        shell.fail(&Failure { told: true, ..Failure::usage(message) });
        shell.say(text.ansi().to_string().trim_end());
    }
    Kind::Usage.code()
}
