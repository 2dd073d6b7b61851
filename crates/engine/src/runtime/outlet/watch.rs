//! Notes which sink a run waits for: when it has accepted nothing for a while, and when it accepts messages again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::door::Door;
use crate::error::Masks;
use crate::files::patient::waited_for;
use crate::notes::Event;

/// How long a sink may accept nothing before a note says so.
const SLOW: Duration = Duration::from_secs(10);

/// Watches a sink while the run waits for it.
pub(super) struct Watch {
    door: Arc<Door>,
    masks: Arc<Masks>,
    /// The number of messages it had accepted, and since when.
    stands: Option<(u64, Instant)>,
    is_said: bool,
}

impl Watch {
    pub(super) fn new(door: &Arc<Door>, masks: &Arc<Masks>) -> Self {
        Self { door: Arc::clone(door), masks: Arc::clone(masks), stands: None, is_said: false }
    }

    /// The run waits for it; it has accepted `taken` messages.
    pub(super) fn waits(&mut self, taken: u64) {
        self.waits_at(taken, Instant::now());
    }

    /// The run no longer waits for it.
    pub(super) fn resumes(&mut self) {
        let Some((_, since)) = self.stands.take() else { return };
        self.door.meters.resumes();
        if std::mem::take(&mut self.is_said) {
            let waited = since.elapsed();
            let what = format!("accepts records again, after {}", waited_for(waited));
            self.say(Event::info("sink_resumed").seconds(waited.as_secs_f64()), &what);
        }
    }

    fn waits_at(&mut self, taken: u64, now: Instant) -> bool {
        match self.stands {
            Some((before, since)) if before == taken => {
                let is_news = !self.is_said && now.saturating_duration_since(since) >= SLOW;
                if is_news {
                    self.is_said = true;
                    let waited = waited_for(now.saturating_duration_since(since));
                    let what = format!("has accepted no records for {waited}: the run is waiting for it");
                    self.say(Event::warn("sink_stalled"), &what);
                }
                is_news
            }
            stands => {
                if stands.is_some() {
                    self.resumes();
                }
                self.stands = Some((taken, now));
                self.door.meters.stands_still();
                false
            }
        }
    }

    fn say(&self, event: Event<'_>, what: &str) {
        let Door { label, address, .. } = &*self.door;
        let address = address.as_ref().map_or_else(String::new, |address| format!(" (to {address})"));
        event.part(label).say(&self.masks, &format!("{label}{address} {what}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::PartIndex;
    use crate::sink::Takes;

    #[test]
    fn a_sink_that_takes_nothing_is_spoken_of_once() {
        let door = Door {
            at: 0,
            label: "sink 0 (csv)".into(),
            address: Some("standard output".into()),
            part: PartIndex::Sink(0),
            takes: Takes::Records,
            ports: Vec::new(),
            filter: None,
            restarts: false,
            meters: Arc::default(),
        };
        let mut watch = Watch::new(&Arc::new(door), &Arc::default());
        let (begun, second) = (Instant::now(), Duration::from_secs(1));
        assert!(!watch.waits_at(3, begun) && !watch.waits_at(3, begun + SLOW - second));
        assert!(!watch.waits_at(4, begun + SLOW), "it has taken something");
        assert!(!watch.waits_at(4, begun + 2 * SLOW - second));
        assert!(watch.waits_at(4, begun + 2 * SLOW), "said");
        assert!(!watch.waits_at(4, begun + 3 * SLOW), "once");
        assert!(!watch.waits_at(5, begun + 3 * SLOW) && !watch.is_said, "it goes on");
        watch.resumes();
        assert!(watch.stands.is_none());
    }
}
