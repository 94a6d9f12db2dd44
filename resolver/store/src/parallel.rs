//! Spreading independent work on files over threads, with results in the order of the items.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::Result;

/// Below this many items, starting threads costs more than it saves.
const WORTH_THREADS: usize = 8;

/// Applies `work` to each item on at most `threads` threads.
///
/// # Errors
/// The failure of the first item in order that failed; items after a failure may not be tried.
pub(crate) fn map<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    work: impl Fn(&T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    if threads <= 1 || items.len() < WORTH_THREADS {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let failed = AtomicUsize::new(usize::MAX);
    let done: Mutex<Vec<(usize, Result<R>)>> = Mutex::new(Vec::with_capacity(items.len()));
    std::thread::scope(|scope| {
        for _ in 0..threads.min(items.len()) {
            scope.spawn(|| {
                let mut mine = Vec::new();
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    // An item before the failed one may still fail, and would be the one to report.
                    if index > failed.load(Ordering::Relaxed) {
                        break;
                    }
                    let Some(item) = items.get(index) else { break };
                    let result = work(item);
                    if result.is_err() {
                        failed.fetch_min(index, Ordering::Relaxed);
                    }
                    mine.push((index, result));
                }
                done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).append(&mut mine);
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_unstable_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StoreError;

    #[test]
    fn results_keep_the_order_of_items() {
        let items: Vec<u32> = (0..1000).collect();
        assert_eq!(map(&items, 4, |item| Ok(*item)).unwrap(), items);
    }

    #[test]
    fn the_first_failure_is_reported_denied() {
        let items: Vec<u32> = (0..1000).collect();
        for _ in 0..20 {
            let error = map(&items, 4, |item| {
                if *item >= 100 { Err(StoreError::refused(item.to_string(), "no")) } else { Ok(()) }
            })
            .unwrap_err();
            assert!(matches!(error, StoreError::Refused { place, .. } if place == "100"));
        }
    }
}
