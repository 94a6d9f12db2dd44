//! Doing many independent things at once, in a result that does not depend on who was first.

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use astrid_store::Store;

use crate::error::{Error, Result};

/// With fewer things than this to look at, starting threads costs more than it saves.
const WORTH_THREADS: usize = 48;

/// How many threads to look at that many things of the store with: the fewer things, the fewer threads.
pub(crate) fn threads_for(store: &Store, things: usize) -> NonZeroUsize {
    let threads = store.disk().parallelism().min(things / WORTH_THREADS);
    NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN)
}

/// Runs `work` over `items` on at most `jobs` threads, and gives the results in the items' order.
///
/// # Errors
/// Of several failures the one that weighs most, and among those the one of the first item; what
/// has not begun when something fails does not begin.
pub(crate) fn for_each<T: Sync, R: Send>(
    jobs: NonZeroUsize,
    items: &[T],
    work: impl Fn(&T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    if jobs.get() == 1 || items.len() < 2 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let done: Mutex<Vec<(usize, Result<R>)>> = Mutex::new(Vec::with_capacity(items.len()));
    std::thread::scope(|scope| {
        for _ in 0..jobs.get().min(items.len()) {
            scope.spawn(|| {
                let mut mine = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(index) else { break };
                    let result = work(item);
                    if result.is_err() {
                        stop.store(true, Ordering::Relaxed);
                    }
                    mine.push((index, result));
                }
                if let Ok(mut done) = done.lock() {
                    done.append(&mut mine);
                }
            });
        }
    });
    let mut done = done.into_inner().map_err(|_| Error::failed("a worker thread broke off"))?;
    done.sort_by_key(|(index, _)| *index);
    let mut results = Vec::with_capacity(done.len());
    let mut worst: Option<Error> = None;
    for (_, result) in done {
        match result {
            Ok(result) => results.push(result),
            Err(error) => {
                let heavier =
                    worst.as_ref().is_none_or(|known| error.kind().precedence() < known.kind().precedence());
                if heavier {
                    worst = Some(error);
                }
            }
        }
    }
    match worst {
        Some(error) => Err(error),
        None if results.len() == items.len() => Ok(results),
        None => Err(Error::failed("a worker thread broke off")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    const JOBS: NonZeroUsize = NonZeroUsize::new(4).unwrap();

    #[test]
    fn results_keep_their_order() {
        let items: Vec<usize> = (0..500).collect();
        assert_eq!(
            for_each(JOBS, &items, |item| Ok(item * 2)).unwrap(),
            items.iter().map(|i| i * 2).collect::<Vec<_>>()
        );
    }

    #[test]
    fn one_failure_fails_the_whole_denied() {
        let items: Vec<usize> = (0..50).collect();
        let result =
            for_each(
                JOBS,
                &items,
                |item| {
                    if *item == 17 { Err(Error::corrupt("seventeen")) } else { Ok(*item) }
                },
            );
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
