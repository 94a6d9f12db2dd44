//! Which capsule is called for an event, in which order, and what becomes of its answer.
//!
//! Calls of one capsule for one principal come one after another, in the order of publication.
//! There is one exception that makes waiting safe: an event that follows from another publication
//! waits only for calls at its own depth. So a handler that publishes and waits for what follows
//! never waits for itself, however the capsules are wired.
//!
//! Handlers of equal priority are independent. Different priorities make a chain: an answer that
//! goes on may replace the payload, `final` and `deny` stop it.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use astrid_authority::{CapsuleName, PrincipalId, TopicPattern};
use astrid_bus::{Bus, Delivered, Event, Handler, HandlerIndex, Observer, PublishError, SourceId};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::payload;
use crate::uplink::message::{Ending, Outcome};

/// Most calls that wait for one capsule, for one principal, at one depth.
const MAX_WAITING: usize = 4096;

/// What a call came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Go on; a text replaces the payload for the next handler of a chain.
    Continue(Option<String>),
    /// Stop; the text is the answer.
    Final(Option<String>),
    /// Stop; the text is the reason.
    Deny(String),
    /// The call could not be made or crashed; the text is the reason. A chain goes on without it.
    Failed(String),
}

/// Makes the calls.
pub trait Invoke: Send + Sync + 'static {
    /// Calls `action` of `capsule` for `event` with `payload`, which may be another one than the event's.
    fn invoke(
        &self,
        capsule: &CapsuleName,
        action: &str,
        payload: &str,
        event: &Event,
    ) -> impl Future<Output = Answer> + Send;
}

/// Whose calls come one after another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Line {
    capsule: CapsuleName,
    principal: Option<PrincipalId>,
    depth: u8,
}

/// Collects how the handlers of one publication end; tells when the last is gone.
struct Report {
    endings: Mutex<Vec<Ending>>,
    to: Mutex<Option<oneshot::Sender<Vec<Ending>>>>,
}

impl Drop for Report {
    fn drop(&mut self) {
        if let Some(to) = lock(&self.to).take() {
            // Whoever asked may have left meanwhile.
            let _ = to.send(std::mem::take(&mut lock(&self.endings)));
        }
    }
}

/// One call that is to be made, and the chain that it is part of.
struct Call {
    event: Arc<Event>,
    payload: Option<Arc<str>>,
    handlers: Arc<[Handler]>,
    at: usize,
    report: Option<Arc<Report>>,
}

impl Call {
    fn line(&self) -> Option<Line> {
        let handler = self.handlers.get(self.at)?;
        Some(Line {
            capsule: handler.capsule.clone(),
            principal: self.event.principal.clone(),
            depth: self.event.hops,
        })
    }

    fn report(&self, outcome: Outcome) {
        let (Some(report), Some(handler)) = (&self.report, self.handlers.get(self.at)) else { return };
        lock(&report.endings).push(Ending {
            capsule: handler.capsule.to_string(),
            action: handler.action.clone(),
            outcome,
        });
    }
}

struct Shared<I> {
    invoke: I,
    handlers: RwLock<HandlerIndex>,
    lines: Mutex<HashMap<Line, VecDeque<Call>>>,
    awaited: Mutex<HashMap<SourceId, oneshot::Sender<Vec<Ending>>>>,
    runtime: Handle,
}

/// Takes every event of a bus to its handlers. Clones are the same dispatcher.
pub struct Dispatcher<I>(Arc<Shared<I>>);

impl<I> Clone for Dispatcher<I> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// No lock is held across a call, so a poisoned one still guards sound data.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<I: Invoke> Dispatcher<I> {
    /// A dispatcher without handlers, whose calls run on `runtime`.
    pub fn new(invoke: I, runtime: Handle) -> Self {
        Self(Arc::new(Shared {
            invoke,
            handlers: RwLock::new(HandlerIndex::default()),
            lines: Mutex::new(HashMap::new()),
            awaited: Mutex::new(HashMap::new()),
            runtime,
        }))
    }

    /// Takes every event of `bus` from now on, for as long as this dispatcher is kept.
    pub fn attach(&self, bus: &Bus) {
        // The calls hold the bus; were the bus to hold them, neither would ever be let go.
        bus.observe(Arc::new(Attached(Arc::downgrade(&self.0))));
    }

    /// What makes the calls.
    pub fn invoker(&self) -> &I {
        &self.0.invoke
    }

    /// Replaces all handlers of `capsule`; with none it gets no more events.
    pub fn set_handlers(&self, capsule: &CapsuleName, handlers: Vec<(TopicPattern, Handler)>) {
        let mut index = self.0.handlers.write().unwrap_or_else(PoisonError::into_inner);
        index.remove_capsule(capsule);
        for (pattern, handler) in handlers {
            index.insert(pattern, handler);
        }
    }

    /// How many calls wait or run.
    pub fn pending(&self) -> usize {
        // A line exists for as long as one of its calls runs.
        let lines = lock(&self.0.lines);
        lines.len() + lines.values().map(VecDeque::len).sum::<usize>()
    }

    /// Publishes `event` on `bus`, which this dispatcher observes, and tells how its handlers end.
    ///
    /// Publications of one source must not be made by two callers at once.
    ///
    /// # Errors
    /// When the bus refuses the event.
    pub fn publish(
        &self,
        bus: &Bus,
        event: Event,
    ) -> Result<(Delivered, oneshot::Receiver<Vec<Ending>>), PublishError> {
        let (to, endings) = oneshot::channel();
        let source = event.source;
        lock(&self.0.awaited).insert(source, to);
        let published = bus.publish(event);
        // Still there when no handler took the event: then there is nothing to wait for.
        if let Some(to) = lock(&self.0.awaited).remove(&source) {
            let _ = to.send(Vec::new());
        }
        published.map(|delivered| (delivered, endings))
    }

    fn enqueue(&self, call: Call) {
        let Some(line) = call.line() else { return };
        let mut lines = lock(&self.0.lines);
        if let Some(waiting) = lines.get_mut(&line) {
            if waiting.len() < MAX_WAITING {
                waiting.push_back(call);
            } else {
                drop(lines);
                tracing::error!(capsule = %line.capsule, topic = %call.event.topic, "too many calls wait; one is dropped");
                call.report(Outcome::Failed { reason: format!("{MAX_WAITING} calls wait already") });
            }
            return;
        }
        lines.insert(line.clone(), VecDeque::new());
        drop(lines);
        let dispatcher = self.clone();
        self.0.runtime.spawn(async move { dispatcher.work(line, call).await });
    }

    /// Makes the calls of one line until none waits.
    async fn work(&self, line: Line, first: Call) {
        let mut next = Some(first);
        while let Some(call) = next {
            self.make(call).await;
            let mut lines = lock(&self.0.lines);
            next = lines.get_mut(&line).and_then(VecDeque::pop_front);
            if next.is_none() {
                lines.remove(&line);
            }
        }
    }

    async fn make(&self, mut call: Call) {
        let Some(handler) = call.handlers.get(call.at) else { return };
        let payload = match &call.payload {
            Some(replaced) => Cow::Borrowed(replaced.as_ref()),
            None => payload::guest_form(&call.event.payload),
        };
        let answer = self.0.invoke.invoke(&handler.capsule, &handler.action, &payload, &call.event).await;
        let goes_on = match answer {
            Answer::Continue(data) => {
                call.report(Outcome::Continued);
                if let Some(data) = data.filter(|data| !data.is_empty()) {
                    call.payload = Some(data.into());
                }
                true
            }
            Answer::Failed(reason) => {
                tracing::warn!(capsule = %handler.capsule, action = handler.action, reason, "a handler failed");
                call.report(Outcome::Failed { reason });
                true
            }
            Answer::Final(data) => {
                call.report(Outcome::Final { data });
                false
            }
            Answer::Deny(reason) => {
                tracing::debug!(capsule = %handler.capsule, action = handler.action, reason, "a handler refused");
                call.report(Outcome::Denied { reason });
                false
            }
        };
        call.at += 1;
        if goes_on {
            self.enqueue(call);
        }
    }
}

/// A dispatcher, as the bus knows it.
struct Attached<I>(Weak<Shared<I>>);

impl<I: Invoke> Observer for Attached<I> {
    fn observe(&self, event: &Arc<Event>) -> usize {
        self.0.upgrade().map_or(0, |shared| Dispatcher(shared).take(event))
    }
}

impl<I: Invoke> Dispatcher<I> {
    /// Enqueues the calls of an event; says how many there are.
    fn take(&self, event: &Arc<Event>) -> usize {
        let found: Vec<Handler> = {
            let handlers = self.0.handlers.read().unwrap_or_else(PoisonError::into_inner);
            handlers.matching(&event.topic).into_iter().cloned().collect()
        };
        let (Some(first), Some(last)) = (found.first(), found.last()) else { return 0 };
        let count = found.len();
        let to = lock(&self.0.awaited).remove(&event.source);
        let report =
            to.map(|to| Arc::new(Report { endings: Mutex::new(Vec::new()), to: Mutex::new(Some(to)) }));
        let call = |handlers: Arc<[Handler]>| Call {
            event: Arc::clone(event),
            payload: None,
            handlers,
            at: 0,
            report: report.clone(),
        };
        if first.priority == last.priority {
            for handler in found {
                self.enqueue(call(Arc::from([handler])));
            }
        } else {
            self.enqueue(call(found.into()));
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use astrid_bus::BusLimits;
    use std::sync::OnceLock;
    use tokio::sync::Notify;

    /// Answers by the action's name, and notes what was called with what.
    #[derive(Default)]
    struct Script {
        calls: Mutex<Vec<String>>,
        bus: OnceLock<Bus>,
        woken: Notify,
    }

    impl Invoke for Arc<Script> {
        async fn invoke(&self, capsule: &CapsuleName, action: &str, payload: &str, event: &Event) -> Answer {
            lock(&self.calls).push(format!("{capsule}.{action} {payload}"));
            match action {
                "replace" => Answer::Continue(Some(format!("{capsule} was here"))),
                "stop" => Answer::Final(Some("done".into())),
                "deny" => Answer::Deny("no".into()),
                "crash" => Answer::Failed("trap".into()),
                "ask" => {
                    // Publishes to another handler of its own, and waits for it.
                    let topic = "reply".parse().unwrap();
                    let inner = Event { topic, hops: event.hops + 1, ..event.clone() };
                    self.bus.get().unwrap().publish(inner).unwrap();
                    self.woken.notified().await;
                    Answer::Continue(None)
                }
                "wake" => {
                    self.woken.notify_one();
                    Answer::Continue(None)
                }
                "slow" => {
                    tokio::task::yield_now().await;
                    lock(&self.calls).push(format!("{payload} done"));
                    Answer::Continue(None)
                }
                _ => Answer::Continue(None),
            }
        }
    }

    struct Setup {
        bus: Bus,
        dispatcher: Dispatcher<Arc<Script>>,
        script: Arc<Script>,
    }

    fn setup(handlers: &[(&str, &str, &str, u32)]) -> Setup {
        let script = Arc::new(Script::default());
        let bus = Bus::new(BusLimits::default());
        script.bus.set(bus.clone()).ok().unwrap();
        let dispatcher = Dispatcher::new(Arc::clone(&script), Handle::current());
        dispatcher.attach(&bus);
        let mut by_capsule: HashMap<CapsuleName, Vec<_>> = HashMap::new();
        for (pattern, capsule, action, priority) in handlers {
            let capsule: CapsuleName = capsule.parse().unwrap();
            let handler = Handler { priority: *priority, capsule: capsule.clone(), action: (*action).into() };
            by_capsule.entry(capsule).or_default().push((pattern.parse().unwrap(), handler));
        }
        for (capsule, handlers) in by_capsule {
            dispatcher.set_handlers(&capsule, handlers);
        }
        Setup { bus, dispatcher, script }
    }

    impl Setup {
        async fn publish(&self, topic: &str, payload: &str) -> Vec<Outcome> {
            let event = Event::of_kernel(topic.parse().unwrap(), payload);
            let (_, endings) = self.dispatcher.publish(&self.bus, event).unwrap();
            endings.await.unwrap().into_iter().map(|ending| ending.outcome).collect()
        }

        fn calls(&self) -> Vec<String> {
            lock(&self.script.calls).clone()
        }
    }

    #[tokio::test]
    async fn a_chain_runs_by_priority_and_may_replace_the_payload() {
        let setup = setup(&[("a", "x", "replace", 1), ("a", "y", "note", 2), ("a", "z", "crash", 3)]);
        let outcomes = setup.publish("a", r#"{"type":"custom","data":7}"#).await;
        assert_eq!(setup.calls(), ["x.replace 7", "y.note x was here", "z.crash x was here"]);
        assert_eq!(outcomes[2].refusal(), Some("trap"));
    }

    #[tokio::test]
    async fn final_and_deny_stop_a_chain_denied() {
        for (action, refusal) in [("stop", None), ("deny", Some("no"))] {
            let setup = setup(&[("a", "x", action, 1), ("a", "y", "note", 2)]);
            let outcomes = setup.publish("a", "1").await;
            assert_eq!(outcomes.len(), 1);
            assert_eq!(outcomes[0].refusal(), refusal);
            assert_eq!(setup.calls().len(), 1);
        }
    }

    #[tokio::test]
    async fn equal_priorities_do_not_stop_each_other() {
        let setup = setup(&[("a", "x", "deny", 5), ("a", "y", "note", 5)]);
        assert_eq!(setup.publish("a", "1").await.len(), 2);
        assert_eq!(setup.calls().len(), 2);
    }

    #[tokio::test]
    async fn an_event_that_nobody_handles_settles_at_once() {
        let setup = setup(&[("a.*", "x", "note", 5)]);
        assert!(setup.publish("b", "1").await.is_empty());
        assert!(setup.publish("a.b.c", "1").await.is_empty(), "handlers match strictly");
    }

    #[tokio::test]
    async fn a_handler_that_publishes_and_waits_does_not_wait_for_itself() {
        let setup = setup(&[("a", "x", "ask", 5), ("reply", "x", "wake", 5)]);
        assert_eq!(setup.publish("a", "1").await, [Outcome::Continued]);
        assert_eq!(setup.calls(), ["x.ask 1", "x.wake 1"]);
        tokio::task::yield_now().await;
        assert_eq!(setup.dispatcher.pending(), 0, "idle lines are gone");
    }

    #[tokio::test]
    async fn calls_of_one_principal_keep_their_order() {
        let setup = setup(&[("a", "x", "slow", 5)]);
        let mut last = None;
        for number in 0..20 {
            let event = Event::of_kernel("a".parse().unwrap(), number.to_string());
            last = Some(setup.dispatcher.publish(&setup.bus, event).unwrap().1);
        }
        last.unwrap().await.unwrap();
        let expected: Vec<_> = (0..20).flat_map(|n| [format!("x.slow {n}"), format!("{n} done")]).collect();
        assert_eq!(setup.calls(), expected);
    }

    #[tokio::test]
    async fn a_removed_capsule_and_a_full_line_are_denied() {
        let setup = setup(&[("a", "x", "note", 5)]);
        let mut endings = Vec::new();
        for _ in 0..MAX_WAITING + 2 {
            let event = Event::of_kernel("a".parse().unwrap(), "1");
            endings.push(setup.dispatcher.publish(&setup.bus, event).unwrap().1);
        }
        let last = endings.pop().unwrap().await.unwrap();
        assert!(last[0].outcome.refusal().unwrap().contains("wait already"));
        setup.dispatcher.set_handlers(&"x".parse().unwrap(), Vec::new());
        assert!(setup.publish("a", "1").await.is_empty());
    }
}
