//! Bars for long work, on a terminal only.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use astrid_resolver::progress::{Progress, TaskId};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Shows at most this many bars at once: thousands of artifacts must not fill the screen.
const SHOWN: usize = 6;

/// One bar per piece of work, on standard error.
pub(crate) struct Bars {
    all: MultiProgress,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    running: HashMap<TaskId, ProgressBar>,
}

impl Bars {
    pub(crate) fn new() -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        Self { all, state: Mutex::default() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Bars {
    fn start(&self, what: &str, total: Option<u64>) -> TaskId {
        let mut state = self.state();
        let task = TaskId(state.next);
        state.next += 1;
        if state.running.len() < SHOWN {
            let template = if total.is_some() {
                "  {spinner} {msg}  {bytes}/{total_bytes}  {bar:24}"
            } else {
                "  {spinner} {msg}"
            };
            let style =
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
            let bar = self.all.add(ProgressBar::no_length());
            bar.set_style(style);
            if let Some(total) = total {
                bar.set_length(total);
            }
            bar.set_message(crate::render::safe(what));
            bar.enable_steady_tick(Duration::from_millis(120));
            state.running.insert(task, bar);
        }
        task
    }

    fn advance(&self, task: TaskId, bytes: u64) {
        if let Some(bar) = self.state().running.get(&task) {
            bar.inc(bytes);
        }
    }

    fn finish(&self, task: TaskId) {
        if let Some(bar) = self.state().running.remove(&task) {
            bar.finish_and_clear();
        }
    }
}
