use std::path::Path;

use tidemill_engine::time::Timestamp;

use super::*;
use crate::transport::Failed;

/// A server that keeps the subjects of mails, refuses some, and may refuse the login.
#[derive(Clone, Default)]
struct Fake(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    subjects: Vec<String>,
    attempts: u32,
    refused: &'static str,
    is_closed: bool,
}

impl Carrier for Fake {
    fn send(&self, item: &Item) -> Result<(), Failed> {
        let mut state = self.0.lock().expect("no panic");
        state.attempts += 1;
        if state.is_closed {
            return Err(Error::unavailable("535").into());
        }
        if !state.refused.is_empty() && item.text.contains(state.refused) {
            return Err(Failed { error: Error::unavailable("554"), is_refused: true });
        }
        state.subjects.push(item.subject.clone());
        Ok(())
    }
}

impl Fake {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic")
    }

    fn subjects(&self) -> String {
        self.state().subjects.join(" ")
    }

    fn outgoing(&self, most: usize, clock: &Clock, folder: Option<&Path>) -> Outgoing {
        let context = SinkContext {
            state: folder.map(Path::to_path_buf),
            clock: clock.clone(),
            ..SinkContext::default()
        };
        Outgoing::new(Box::new(self.clone()), (most, HOUR), &context).expect("outgoing")
    }
}

const HOUR: Duration = Duration::from_hours(1);

fn clock() -> Clock {
    Clock::simulated(Timestamp::from_nanos(1_000_000_000_000_000_000))
}

fn pass(clock: &Clock, time: Duration) {
    clock.set(clock.read().saturating_add(i64::try_from(time.as_nanos()).expect("short")));
}

fn items(names: &[&str]) -> Vec<Item> {
    let item =
        |name: &&str| Item { subject: (*name).to_owned(), text: format!("{name}\n"), id: (*name).to_owned() };
    names.iter().map(item).collect()
}

#[test]
fn a_message_that_is_refused_is_an_error_of_its_epoch_and_holds_up_no_other() {
    let (fake, clock) = (Fake::default(), clock());
    let mut outgoing = fake.outgoing(20, &clock, None);
    fake.state().refused = "bad";
    for _ in 0..2 {
        assert!(outgoing.take(1, items(&["a", "bad", "b"])).is_err());
        assert_eq!(fake.subjects(), "a b");
    }
    // The epoch was dropped.
    outgoing.take(2, items(&["c"])).expect("taken");
    assert_eq!((fake.subjects().as_str(), fake.state().attempts), ("a b c", 5));
    fake.state().refused = "";
    outgoing.take(3, items(&["d"])).expect("taken");
    assert_eq!(fake.subjects(), "a b c d");
    assert_eq!(outgoing.finish().expect("finished"), Vec::<String>::new());
}

#[test]
fn a_message_that_was_refused_is_sent_by_a_later_run_without_the_others() {
    let (fake, clock, folder) = (Fake::default(), clock(), tempfile::tempdir().expect("a folder"));
    let epoch = || items(&["a", "bad", "b"]);
    fake.state().refused = "bad";
    assert!(fake.outgoing(20, &clock, Some(folder.path())).take(1, epoch()).is_err());
    fake.state().refused = "";
    let mut outgoing = fake.outgoing(20, &clock, Some(folder.path()));
    outgoing.finish().expect("nothing is acknowledged");
    outgoing.take(1, epoch()).expect("taken");
    assert_eq!(fake.subjects(), "a b bad");
    fake.outgoing(20, &clock, Some(folder.path())).take(1, epoch()).expect("it was taken");
    assert_eq!(fake.subjects(), "a b bad");
}

#[test]
fn messages_that_had_waited_and_are_refused_are_told_of_and_hold_up_no_other() {
    let (fake, clock) = (Fake::default(), clock());
    let mut outgoing = fake.outgoing(1, &clock, None);
    for (epoch, name) in [(1, "a"), (2, "bad"), (3, "b")] {
        outgoing.take(epoch, items(&[name])).expect("taken");
    }
    assert_eq!(fake.subjects(), "a");
    fake.state().refused = "bad";
    pass(&clock, HOUR);
    outgoing.turn(&mut Backoff::default());
    outgoing.take(4, items(&["c"])).expect("taken");
    assert_eq!(fake.subjects(), "a c");
    let said = outgoing.finish().expect("finished").join(" ");
    assert!(said.contains("2 messages that had waited were dropped") && said.contains("554"), "{said}");
}

#[test]
fn messages_that_wait_while_nothing_can_be_sent_are_not_lost_and_the_next_delivery_fails() {
    let (fake, clock) = (Fake::default(), clock());
    let mut outgoing = fake.outgoing(1, &clock, None);
    outgoing.take(1, items(&["a"])).expect("taken");
    outgoing.take(2, items(&["b"])).expect("taken");
    fake.state().is_closed = true;
    pass(&clock, HOUR);
    outgoing.turn(&mut Backoff::default());
    assert!(outgoing.failing.is_some());
    assert!(outgoing.take(3, items(&["c"])).is_err());
    assert!(outgoing.finish().is_err());
    fake.state().is_closed = false;
    outgoing.take(3, items(&["c"])).expect("taken");
    assert_eq!(fake.subjects(), "a b (and 1 more)");
    outgoing.turn(&mut Backoff::default());
    assert!(outgoing.failing.is_none());
    let said = outgoing.finish().expect("finished").join(" ");
    assert!(said.contains("failed 1 times"), "{said}");
}

#[test]
fn a_run_that_is_killed_again_and_again_sends_no_more_mails_than_one_that_is_not() {
    let (fake, clock, folder) = (Fake::default(), clock(), tempfile::tempdir().expect("a folder"));
    for epoch in 1..20 {
        fake.outgoing(3, &clock, Some(folder.path())).take(epoch, items(&["a", "b"])).expect("taken");
        pass(&clock, Duration::from_secs(5));
    }
    assert_eq!(fake.state().subjects.len(), 3);
    pass(&clock, HOUR);
    fake.outgoing(3, &clock, Some(folder.path())).turn(&mut Backoff::default());
    assert_eq!(fake.state().subjects.len(), 6);
}
