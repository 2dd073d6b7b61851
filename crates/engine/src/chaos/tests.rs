//! Faults as processes meet them, one after the other.

use super::faults::Faults;
use super::journal::{Event, Journal, Line, read_journal};
use super::schedule::{Effect, Fault, Moment};
use crate::time::Clock;

fn fault(at: u32, effect: Effect) -> Fault {
    Fault { at, effect }
}

/// Faults over an input of 100 items, after `events`.
fn after(events: &[Event], schedule: &[Fault], delivers: bool) -> (Faults, impl Fn() -> Vec<Event>) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal");
    let lines: Vec<_> = events.iter().map(|event| Line { nanos: 0, event: event.clone() }).collect();
    let journal = Journal::open(&path).expect("a journal");
    let events = move || {
        let _kept = &folder;
        read_journal(&path).expect("read").into_iter().map(|line| line.event).collect()
    };
    (Faults::after(&lines, schedule.to_vec(), 100, delivers, journal), events)
}

#[test]
fn faults_begin_after_their_share_of_the_input_and_end_after_their_calls() {
    let refuse = Effect::Refuse { deliveries: 2, status: 500, retry_after: None };
    let schedule = [fault(20, refuse.clone()), fault(50, Effect::Disk { writes: 1 })];
    let (faults, events) = after(&[], &schedule, true);
    faults.read().expect("read");
    assert_eq!(faults.delivery().expect("nothing yet"), None);
    faults.read().expect("read");
    for _ in 0..2 {
        let met = faults.delivery().expect("met").expect("the fault");
        assert_eq!(met.effect, refuse);
        faults.over(&met).expect("noted");
    }
    assert_eq!(faults.delivery().expect("over"), None);
    for _ in 0..3 {
        faults.read().expect("read");
    }
    faults.change(false).expect("needs no space");
    assert_eq!(faults.change(true).expect_err("full").kind(), std::io::ErrorKind::StorageFull);
    faults.change(true).expect("there is space again");
    let (read, began, struck, ended) = (
        || Event::Read,
        |fault| Event::Began { fault },
        |fault| Event::Struck { fault },
        |fault| Event::Ended { fault },
    );
    let expected = [
        read(),
        read(),
        began(0),
        struck(0),
        ended(0),
        read(),
        read(),
        read(),
        began(1),
        struck(1),
        ended(1),
    ];
    assert_eq!(events(), expected);
}

#[test]
fn a_process_continues_the_schedule_where_the_last_one_was_killed() {
    let schedule = [
        fault(10, Effect::Kill { moment: Moment::Reading }),
        fault(20, Effect::Drop { deliveries: 3, is_delivered: true }),
        fault(30, Effect::Clock { seconds: 60 }),
    ];
    // Killed once, and again while the second fault had begun without effect.
    let events = [
        Event::Read,
        Event::Began { fault: 0 },
        Event::Struck { fault: 0 },
        Event::Read,
        Event::Began { fault: 1 },
    ];
    let (faults, _) = after(&events, &schedule, true);
    let met = faults.delivery().expect("met").expect("still before it");
    assert_eq!(met.fault, 1);
    let before = Clock::default().read();
    faults.read().expect("read");
    assert!(faults.clock().read() >= before.saturating_add(60_000_000_000), "the clock has jumped");
    // What has struck is over, but a clock stays as it is.
    let more = [Event::Struck { fault: 1 }, Event::Began { fault: 2 }, Event::Struck { fault: 2 }];
    let (faults, _) = after(&[&events[..], &more].concat(), &schedule, true);
    assert_eq!(faults.delivery().expect("none"), None);
    assert!(faults.clock().read() >= before.saturating_add(60_000_000_000));
}

#[test]
fn an_outage_ends_after_its_time_and_its_deliveries_and_outlives_a_process() {
    let outage = |millis| Effect::Outage { deliveries: 3, millis };
    let schedule = [fault(10, outage(0)), fault(10, Effect::Slow { calls: 1, millis: 0 })];
    let (faults, _) = after(&[], &schedule, true);
    faults.read().expect("read");
    // The next fault of the network does not cut it short, and comes after it.
    let met: Vec<_> = (0..5).map(|_| faults.delivery().expect("met").map(|met| met.fault)).collect();
    assert_eq!(met, [Some(0), Some(0), Some(0), Some(1), None]);
    // It lasts as long as the time has not passed, also in the next process.
    let schedule = [fault(10, outage(3_600_000))];
    let events = [Event::Read, Event::Began { fault: 0 }, Event::Struck { fault: 0 }];
    let journal = |nanos: i64| events.clone().map(|event| Line { nanos, event });
    let now = Clock::default().read().as_nanos();
    for (begun, is_over) in [(now, false), (now - 3_600_000_000_000, true)] {
        let folder = tempfile::tempdir().expect("a folder");
        let file = Journal::open(&folder.path().join("journal")).expect("a journal");
        let faults = Faults::after(&journal(begun), schedule.to_vec(), 100, true, file);
        for _ in 0..3 {
            assert!(faults.delivery().expect("met").is_some());
        }
        assert_eq!(faults.delivery().expect("met").is_none(), is_over);
    }
    let ended = [&events[..], &[Event::Ended { fault: 0 }]].concat();
    assert_eq!(after(&ended, &schedule, true).0.delivery().expect("none"), None);
}

#[test]
fn an_input_fails_once_or_is_silent_for_a_while() {
    for delivers in [false, true] {
        let schedule =
            [fault(10, Effect::Input { silent: None }), fault(20, Effect::Input { silent: Some(40) })];
        let (faults, events) = after(&[], &schedule, delivers);
        assert!(faults.read().expect_err("it fails").is_transient());
        assert_eq!(faults.read().expect("read again").as_millis(), 40);
        assert_eq!(faults.read().expect("read").as_millis(), 0);
        assert!(events().contains(&Event::Ended { fault: 1 }));
    }
}

#[test]
fn it_is_the_input_that_is_slow_where_nothing_is_delivered() {
    let schedule = [fault(10, Effect::Slow { calls: 1, millis: 40 })];
    for delivers in [false, true] {
        let (faults, _) = after(&[], &schedule, delivers);
        let longer = faults.read().expect("read").as_millis();
        let met = faults.delivery().expect("met");
        assert_eq!((longer, met.is_some()), if delivers { (0, true) } else { (40, false) });
    }
}

#[test]
fn a_kill_is_before_a_process_until_it_happens() {
    let schedule = [fault(10, Effect::Kill { moment: Moment::Delivered })];
    let (faults, events) = after(&[], &schedule, true);
    faults.read().expect("read");
    for _ in 0..3 {
        // The delivery fails by itself.
        let met = faults.delivery().expect("met").expect("the kill");
        faults.over(&met).expect("noted");
    }
    assert!(!events().contains(&Event::Struck { fault: 0 }));
}

#[test]
fn the_network_has_one_fault_at_a_time() {
    let of = |status| Effect::Refuse { deliveries: 3, status, retry_after: None };
    let schedule = [fault(10, of(429)), fault(10, of(500))];
    let (faults, _) = after(&[], &schedule, true);
    faults.read().expect("read");
    let met: Vec<_> = (0..4).map(|_| faults.delivery().expect("met").map(|met| met.fault)).collect();
    assert_eq!(met, [Some(1), Some(1), Some(1), None]);
}
