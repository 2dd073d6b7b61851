//! A board in the text format of Prometheus (version 0.0.4).

use std::fmt::{Display, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use super::board::Board;
use super::cells::{BUCKETS, CheckpointMeters, Moment, SinkMeters, known};
use crate::metrics::Ledger;

/// A count of a ledger: its name, its help, its value.
type LedgerCount = (&'static str, &'static str, fn(&Ledger) -> u64);

/// All counts but that of the records held, which also falls.
const COUNTS: [LedgerCount; 8] = [
    ("tidemill_records_in_total", "Records received by a part.", |ledger| ledger.input),
    ("tidemill_records_out_total", "Records passed on by a part.", |ledger| ledger.output),
    ("tidemill_records_made_total", "New records, such as aggregates.", |ledger| ledger.made),
    ("tidemill_records_folded_total", "Records aggregated into others.", |ledger| ledger.folded),
    ("tidemill_records_filtered_total", "Records removed as configured.", |ledger| ledger.filtered),
    ("tidemill_records_rejected_total", "Records rejected as malformed.", |ledger| ledger.rejected),
    ("tidemill_records_late_total", "Records rejected as late.", |ledger| ledger.late),
    ("tidemill_records_dropped_total", "Records discarded because there was no room.", |ledger| {
        ledger.dropped
    }),
];

/// Text under construction.
#[derive(Default)]
struct Page(String);

impl Page {
    /// A metric with one sample for each of `samples`: its labels, and its value. Without samples, nothing is written.
    fn metric<V: Display>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        samples: impl IntoIterator<Item = (impl AsRef<str>, V)>,
    ) {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return;
        }
        self.head(name, kind, help);
        samples.for_each(|(labels, value)| self.sample(name, labels.as_ref(), value));
    }

    fn gauge<V: Display>(&mut self, name: &str, help: &str, value: Option<V>) {
        self.metric(name, "gauge", help, value.map(|value| ("", value)));
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.metric(name, "counter", help, [("", value)]);
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = match labels {
            "" => writeln!(self.0, "{name} {value}"),
            labels => writeln!(self.0, "{name}{{{labels}}} {value}"),
        };
    }
}

/// All metrics of a run.
pub(super) fn page(board: &Board) -> String {
    let mut page = Page::default();
    for (name, help, count) in COUNTS {
        page.metric(name, "counter", help, board.ledgers().map(|(labels, ledger)| (labels, count(&ledger))));
    }
    let held = board.ledgers().map(|(labels, ledger)| (labels, ledger.held));
    page.metric(
        "tidemill_records_held",
        "gauge",
        "Records held by a part, such as those to be reordered.",
        held,
    );
    sources(&mut page, board);
    sinks(&mut page, board);
    deliveries(&mut page, board);
    if let Some(of_run) = &board.checkpoints {
        checkpoints(&mut page, of_run);
    }
    page.0
}

fn sources(page: &mut Page, board: &Board) {
    let sources = || board.sources.iter().map(String::as_str).zip(&board.crew.sources);
    page.metric(
        "tidemill_source_newest_record_timestamp_seconds",
        "gauge",
        "The newest event time of a source's records, in seconds since 1970: its lag is the time now less this.",
        sources().filter_map(|(labels, source)| Some((labels, seconds_of(&source.newest)?))),
    );
    page.metric(
        "tidemill_source_waiting_messages",
        "gauge",
        "Messages that wait at the origin of a source, where it knows them.",
        sources().filter_map(|(labels, source)| Some((labels, load(&source.waiting).checked_sub(1)?))),
    );
    connections(page, board);
    let queues = sources().map(|(labels, source)| (labels, load(&source.queued)));
    let queues = queues.chain(of_sinks(board).map(|(labels, sink)| (labels, load(&sink.queued))));
    let help = "Bytes between a source and the workers, or in the queue of a sink.";
    page.metric("tidemill_queue_bytes", "gauge", help, queues);
    let total = known(&board.crew.total).filter(|&total| total > 0);
    let share = total.map(|total| load(&board.crew.done) as f64 / total as f64);
    page.gauge(
        "tidemill_input_read_ratio",
        "The share of the input that was read, where its end is known.",
        share,
    );
    page.gauge("tidemill_sensors", "Distinct sensors.", Some(load(&board.crew.sensors)));
}

/// What sources report themselves; files report nothing.
fn connections(page: &mut Page, board: &Board) {
    let all = || board.sources.iter().map(String::as_str).zip(board.crew.sources.iter().map(|it| &it.own));
    let connected = || all().filter_map(|(labels, own)| Some((labels, own, own.is_connected()?)));
    let help = "1 while a source has a connection to its origin, 0 while it has none.";
    let are = connected().map(|(labels, _, is_connected)| (labels, u8::from(is_connected)));
    page.metric("tidemill_source_connected", "gauge", help, are);
    let help = "Connections of a source that are down.";
    let down = connected().map(|(labels, own, _)| (labels, own.down()));
    page.metric("tidemill_source_connections_down", "gauge", help, down);
    let help = "Connections that a source has lost.";
    let lost = connected().map(|(labels, own, _)| (labels, own.losses().0));
    page.metric("tidemill_source_connections_lost_total", "counter", help, lost);
    let help = "Attempts of a source that have failed and were repeated.";
    let failed = connected().map(|(labels, own, _)| (labels, own.losses().1));
    page.metric("tidemill_source_attempts_failed_total", "counter", help, failed);
    let counted = all().flat_map(|(labels, own)| {
        own.counted().into_iter().map(move |(what, count)| (format!("{labels},what=\"{what}\""), count))
    });
    page.metric("tidemill_source_counted_total", "counter", "What else a source has counted.", counted);
}

fn sinks(page: &mut Page, board: &Board) {
    page.metric(
        "tidemill_sink_standstill_seconds",
        "gauge",
        "How long the run has waited for a sink that accepts nothing; 0 if it does not.",
        of_sinks(board).map(|(labels, sink)| (labels, age(&sink.stands))),
    );
    let name = "tidemill_sink_latency_seconds";
    let live: Vec<_> =
        of_sinks(board).filter(|(_, sink)| counts(sink).iter().any(|&count| count > 0)).collect();
    if live.is_empty() {
        return;
    }
    page.head(name, "histogram", "The time from the arrival of live records to the output of a sink.");
    for (labels, sink) in live {
        histogram(page, name, labels, sink);
    }
}

fn histogram(page: &mut Page, name: &str, labels: &str, sink: &SinkMeters) {
    let (counts, mut sum) = (counts(sink), 0);
    let bounds = BUCKETS.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
    for (bound, count) in bounds.zip(counts) {
        sum += count;
        page.sample(&format!("{name}_bucket"), &format!("{labels},le=\"{bound}\""), sum);
    }
    page.sample(&format!("{name}_sum"), labels, load(&sink.latency) as f64 / 1e6);
    page.sample(&format!("{name}_count"), labels, sum);
}

fn deliveries(page: &mut Page, board: &Board) {
    let delivering = || of_sinks(board).filter(|(_, sink)| sink.delivers.load(Ordering::Relaxed));
    let of = |cell: fn(&SinkMeters) -> &AtomicU64| {
        delivering().map(move |(labels, sink)| (labels, load(cell(sink))))
    };
    let (epochs, bytes) = (of(|sink| &sink.epochs), of(|sink| &sink.bytes));
    page.metric(
        "tidemill_delivery_backlog_epochs",
        "gauge",
        "Closed epochs that a sink has not delivered.",
        epochs,
    );
    page.metric(
        "tidemill_delivery_backlog_bytes",
        "gauge",
        "Bytes that wait to be delivered by a sink.",
        bytes,
    );
    let (attempts, failures) = (of(|sink| &sink.attempts), of(|sink| &sink.failures));
    page.metric("tidemill_delivery_attempts_total", "counter", "Attempts to deliver.", attempts);
    page.metric("tidemill_delivery_failures_total", "counter", "Attempts to deliver that failed.", failures);
    let breakers =
        delivering().map(|(labels, sink)| (labels, u8::from(sink.breaker.load(Ordering::Relaxed))));
    let help = "1 while a sink's circuit breaker lets only probes through, else 0.";
    page.metric("tidemill_breaker_open", "gauge", help, breakers);
    let help = "How long the deliveries of a sink have failed; 0 if the last one succeeded.";
    let failing = delivering().map(|(labels, sink)| (labels, age(&sink.fails)));
    page.metric("tidemill_delivery_failing_seconds", "gauge", help, failing);
}

fn checkpoints(page: &mut Page, of_run: &CheckpointMeters) {
    page.counter("tidemill_checkpoints_total", "Checkpoints made.", load(&of_run.made));
    let help = "Checkpoints that were due while another was on its way, and were made less often for that.";
    page.counter("tidemill_checkpoints_deferred_total", help, of_run.deferred());
    let last = of_run.last.age().map(|age| age.as_secs_f64());
    page.gauge("tidemill_checkpoint_age_seconds", "The time since the last checkpoint became durable.", last);
    let made = last.map(|_| load(&of_run.micros) as f64 / 1e6);
    page.gauge("tidemill_checkpoint_duration_seconds", "How long the last checkpoint took.", made);
    let bytes = last.map(|_| load(&of_run.bytes));
    page.gauge("tidemill_checkpoint_bytes", "The size of the last checkpoint.", bytes);
}

fn of_sinks(board: &Board) -> impl Iterator<Item = (&str, &SinkMeters)> {
    board.sinks.iter().zip(&board.of_sinks).map(|(labels, sink)| (labels.as_str(), &**sink))
}

fn counts(sink: &SinkMeters) -> [u64; BUCKETS.len() + 1] {
    std::array::from_fn(|at| load(&sink.latencies[at]))
}

fn load(cell: &AtomicU64) -> u64 {
    cell.load(Ordering::Relaxed)
}

fn seconds_of(moment: &Moment) -> Option<f64> {
    moment.nanos().map(|nanos| nanos as f64 / 1e9)
}

fn age(moment: &Moment) -> f64 {
    moment.age().map_or(0.0, |age| age.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::cells::CrewMeters;
    use super::*;
    use crate::Pipeline;
    use crate::error::Error;
    use crate::meter::SourceMeter;
    use crate::sink::Null;
    use crate::source::Synthetic;

    fn board() -> Board {
        let pipeline = Pipeline::builder().source(Synthetic::default()).sink(Null::default());
        let pipeline = pipeline.build().expect("a pipeline");
        let (crew, sink) =
            (Arc::new(CrewMeters::new([SourceMeter::default()], 0)), Arc::new(SinkMeters::default()));
        Board::new(&pipeline, &[], &crew).with(vec![sink], Some(Arc::default()))
    }

    #[test]
    fn every_sample_has_its_metric_above_it_and_each_metric_is_written_once() {
        let board = board();
        board.of_sinks[0].took(Duration::from_millis(3), 5);
        board.of_sinks[0].took(Duration::from_secs(70), 1);
        board.of_sinks[0].piles_up(2, 100);
        assert!(!board.of_sinks[0].tried(true, true) && board.of_sinks[0].tried(true, true));
        board.checkpoints.as_ref().expect("some").made(Duration::from_millis(2), 77);
        let source = &board.crew.sources[0].own;
        source.connected();
        source.lost(None);
        source.failed(Some(&Error::unavailable("away")));
        source.count("repeated", 3);
        source.count("dropped", 0);
        let text = page(&board);
        let (mut seen, mut current) = (BTreeSet::new(), String::new());
        for line in text.lines() {
            match line.strip_prefix("# TYPE ") {
                Some(typed) => {
                    current = typed.split(' ').next().unwrap_or_default().to_owned();
                    assert!(seen.insert(current.clone()), "{current} twice");
                }
                None => {
                    assert!(line.starts_with("# HELP ") || line.starts_with(&current), "{line} in {current}")
                }
            }
        }
        let labels = "part=\"sink\",index=\"0\",type=\"null\"";
        let of_source = "part=\"source\",index=\"0\",type=\"synthetic\"";
        for line in [
            format!("tidemill_source_connected{{{of_source}}} 0"),
            format!("tidemill_source_connections_down{{{of_source}}} 1"),
            format!("tidemill_source_connections_lost_total{{{of_source}}} 1"),
            format!("tidemill_source_attempts_failed_total{{{of_source}}} 1"),
            format!("tidemill_source_counted_total{{{of_source},what=\"repeated\"}} 3"),
            format!("tidemill_source_counted_total{{{of_source},what=\"dropped\"}} 0"),
            format!("tidemill_sink_latency_seconds_bucket{{{labels},le=\"0.005\"}} 5"),
            format!("tidemill_sink_latency_seconds_bucket{{{labels},le=\"+Inf\"}} 6"),
            format!("tidemill_sink_latency_seconds_count{{{labels}}} 6"),
            format!("tidemill_delivery_backlog_bytes{{{labels}}} 100"),
            format!("tidemill_delivery_failures_total{{{labels}}} 2"),
            format!("tidemill_breaker_open{{{labels}}} 1"),
            "tidemill_checkpoint_bytes 77".to_owned(),
        ] {
            assert!(text.lines().any(|found| found == line), "{line}:\n{text}");
        }
    }

    #[test]
    fn a_sink_that_stands_still_or_fails_is_an_obstacle_and_no_reason_to_be_killed() {
        let board = board();
        assert!(board.obstacles().is_empty() && board.is_live() && !board.is_held_up());
        board.of_sinks[0].stands_still();
        assert!(board.obstacles().is_empty() && board.is_held_up(), "not yet");
        board.of_sinks[0].resumes();
        board.of_sinks[0].tried(true, true);
        assert_eq!(board.obstacles(), ["sink 0 (null) is not sent anything: its deliveries fail"]);
        board.of_sinks[0].tried(false, false);
        assert!(board.obstacles().is_empty() && board.is_live());
    }

    #[test]
    fn a_source_without_a_connection_is_an_obstacle_and_no_reason_to_be_killed() {
        let board = board();
        assert_eq!(board.disconnected(), 0);
        board.crew.sources[0].own.lost(None);
        assert_eq!(board.disconnected(), 1);
        assert!(board.obstacles().is_empty(), "not yet");
        assert!(board.is_live() && !board.is_held_up());
        board.crew.sources[0].own.connected();
        assert_eq!(board.disconnected(), 0);
    }
}
