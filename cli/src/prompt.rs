//! Questions to a person at a terminal. Where there is no terminal, nothing is ever asked.

use std::io::{BufRead as _, Read as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once, PoisonError};

use astrid_authority::CapsuleName;
use astrid_resolver::plan::document::PlanDocument;
use astrid_resolver::secrets::Secret;
use astrid_resolver::trust::grant::Request;
use astrid_resolver::variables::Question;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::exit::{Failure, Kind};
use crate::facts::AllFacts;
use crate::render;
use crate::shell::{Color, Shell, paint, style};

/// The terminal as it was before echo was turned off: an interrupt must not leave it silent.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);
/// Folders that an interrupt must not leave.
static ASIDE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
/// An interrupt of a question is an answer: no.
static CANCELS: AtomicBool = AtomicBool::new(false);
/// Somebody is asked right now.
static ASKING: AtomicBool = AtomicBool::new(false);

/// An interrupt ends the process with 130. Whatever was being written is journaled and repaired by the next run.
pub(crate) fn end_on_interrupt() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Without a handler an interrupt ends the process as well, only with another status.
        let _ = ctrlc::set_handler(|| {
            if crate::interrupt::is_handed_on() {
                return;
            }
            restore_terminal();
            for folder in ASIDE.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
                let _ = std::fs::remove_dir_all(folder);
            }
            if CANCELS.load(Ordering::SeqCst) && ASKING.load(Ordering::SeqCst) {
                Shell::new(Color::Auto).say("\nCancelled.");
                std::process::exit(i32::from(Kind::Failed.code()));
            }
            std::process::exit(i32::from(Kind::Interrupted.code()));
        });
    });
}

/// From now on an interrupt of a question declines it, with 1.
pub(crate) fn decline_on_interrupt() {
    CANCELS.store(true, Ordering::SeqCst);
    end_on_interrupt();
}

/// The folder goes when the run is interrupted.
pub(crate) fn remove_on_interrupt(folder: &Path) {
    ASIDE.lock().unwrap_or_else(PoisonError::into_inner).push(folder.to_owned());
    end_on_interrupt();
}

fn restore_terminal() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before {
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &before);
    }
}

/// Reads a line without its end; nothing at the end of input.
fn read_line() -> Result<Option<String>, Failure> {
    let mut line = String::new();
    ASKING.store(true, Ordering::SeqCst);
    let read = std::io::stdin().lock().read_line(&mut line);
    ASKING.store(false, Ordering::SeqCst);
    let read = read?;
    if read == 0 {
        return Ok(None);
    }
    Ok(Some(line.trim_end_matches(['\n', '\r']).to_owned()))
}

/// Asks a question that is answered with y or n; anything but yes is no.
pub(crate) fn confirm(shell: &mut Shell, question: &str) -> Result<bool, Failure> {
    end_on_interrupt();
    shell.ask(&format!("{question} [y/N] "));
    let answer = read_line()?.unwrap_or_default();
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Asks for a text.
pub(crate) fn text(shell: &mut Shell, label: &str) -> Result<Option<String>, Failure> {
    end_on_interrupt();
    shell.ask(label);
    read_line()
}

/// Asks for a text that is not shown while it is typed.
///
/// Echo is off before the question is shown, and nothing that was typed meanwhile is thrown away.
pub(crate) fn hidden(shell: &mut Shell, label: &str) -> Result<Option<String>, Failure> {
    end_on_interrupt();
    let before = tcgetattr(rustix::stdio::stdin()).map_err(std::io::Error::from)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
    tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &silent).map_err(std::io::Error::from)?;
    shell.ask(&format!("{label}: "));
    let typed = read_line();
    restore_terminal();
    shell.say("");
    typed
}

/// The person at the terminal, as the library asks for one.
pub(crate) struct Person<'a> {
    pub(crate) shell: &'a mut Shell,
    /// What is shown of the packs that need trust.
    pub(crate) packs: &'a AllFacts,
}

impl astrid_resolver::trust::grant::Prompt for Person<'_> {
    fn ask(&mut self, plan: &PlanDocument, request: &Request<'_>) -> astrid_resolver::Result<Option<String>> {
        let summary = render::trust::summary(plan, request, self.packs);
        self.shell.say(&summary);
        let expected = paint(style::HEADING, &request.expected());
        let typed = text(self.shell, &format!("Type `{expected}` to go on: "));
        typed.map_err(|failure| astrid_resolver::Error::failed(failure.message))
    }
}

/// The person at the terminal, asked for values of variables.
pub(crate) struct Values<'a>(pub(crate) &'a mut Shell);

impl astrid_resolver::variables::Prompt for Values<'_> {
    fn text(&mut self, question: &Question) -> astrid_resolver::Result<Option<String>> {
        let label = format!("{}: ", render::safe(&question.label));
        text(self.0, &label).map_err(|failure| astrid_resolver::Error::failed(failure.message))
    }

    fn secret(&mut self, question: &Question) -> astrid_resolver::Result<Option<Secret>> {
        let typed = hidden(self.0, &render::safe(&question.label))
            .map_err(|failure| astrid_resolver::Error::failed(failure.message))?;
        typed
            .map(|typed| {
                Secret::new(typed).map_err(|error| astrid_resolver::Error::invalid(error.to_string()))
            })
            .transpose()
    }
}

/// A value for a secret: asked for without echo, or all of standard input.
pub(crate) fn secret_value(
    shell: &mut Shell,
    is_terminal: bool,
    capsule: &CapsuleName,
    key: &str,
) -> Result<String, Failure> {
    if is_terminal {
        return Ok(hidden(shell, &format!("{key} for {capsule}"))?.unwrap_or_default());
    }
    let mut value = String::new();
    let mut limited = std::io::stdin().lock().take(65_537);
    limited
        .read_to_string(&mut value)
        .map_err(|error| Failure::usage(format!("standard input can't be read as text: {error}")))?;
    let trimmed = value.strip_suffix('\n').unwrap_or(&value);
    let trimmed = trimmed.strip_suffix('\r').unwrap_or(trimmed);
    Ok(trimmed.to_owned())
}
