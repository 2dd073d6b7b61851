//! An open loop: records are sent on a fixed schedule, whatever becomes of them, and their latency counts from the moment at which
//! they were *meant* to be sent to the moment at which their line was read behind the run. A generator that is late makes it longer,
//! never shorter; how late it was is told, too.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::histogram::Histogram;
use crate::schedule::Schedule;
use crate::{Options, connect, failed};

/// The reader gives up this long behind the last record.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the output has to be.
struct Expected {
    schedule: Schedule,
    start: Instant,
    /// Records before this one are not measured.
    first: u64,
    /// The record behind the last one.
    end: u64,
}

/// What the reader keeps.
struct Seen {
    latencies: Histogram,
    /// Records whose line has been read.
    records: u64,
    /// Lines looked at that are not what was sent.
    unlike: u64,
    /// Lines looked at.
    looked_at: u64,
}

pub(crate) fn paced(address: &str, options: &Options) -> Result<String, String> {
    let schedule = Schedule {
        rate: options.get("rate", 100_000)?,
        tick: options.get("tick_us", 1000)?,
        sensors: options.get("sensors", 1000)?,
    };
    let (warm_up, seconds) = (options.get("warm_up", 5u64)?, options.get("seconds", 60u64)?);
    let silent: Vec<TcpStream> =
        (0..options.get("silent", 0u64)?).map(|_| connect(address)).collect::<Result<_, _>>()?;
    let stream = connect(address)?;
    let ticks = (warm_up + seconds) * 1_000_000 / schedule.tick;
    // The first tick is due when both threads are there.
    let start = Instant::now() + Duration::from_millis(200);
    let first = schedule.before(warm_up * 1_000_000 / schedule.tick);
    let expected = Expected { schedule, start, first, end: schedule.before(ticks) };
    let (slips, seen) = thread::scope(|scope| {
        let reader = scope.spawn(|| read(&expected));
        let slips = send(stream, &schedule, start, ticks);
        (slips, reader.join())
    });
    drop(silent);
    let (slips, seen) = (slips?, seen.map_err(|_| "the reader panicked")??);
    Ok(format!(
        "{{\"sent\": {}, \"read\": {}, \"measured\": {}, \"looked_at\": {}, \"unlike\": {}, \"latency_ms\": {}, \
         \"slip_ms\": {}, \"ticks\": {}, \"ticks_late_by_1_ms\": {}}}",
        expected.end,
        seen.records,
        seen.latencies.total(),
        seen.looked_at,
        seen.unlike,
        seen.latencies.json(),
        slips.json(),
        slips.total(),
        slips.beyond(Duration::from_millis(1)),
    ))
}

/// Sends every tick when it is due, or at once where that has passed; gives how late each was.
fn send(mut stream: TcpStream, schedule: &Schedule, start: Instant, ticks: u64) -> Result<Histogram, String> {
    let (rests, mut text, mut slips) = (schedule.rests(), Vec::new(), Histogram::new());
    for tick in 0..ticks {
        text.clear();
        schedule.write(tick, &rests, &mut text);
        let due = start + schedule.at(tick);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        slips.add(Instant::now().saturating_duration_since(due), 1);
        stream.write_all(&text).map_err(|error| failed(&error))?;
    }
    Ok(slips)
}

/// Reads what the run writes, until all has come: a header, and a line for every record, in their order.
fn read(expected: &Expected) -> Result<Seen, String> {
    let mut seen = Seen { latencies: Histogram::new(), records: 0, unlike: 0, looked_at: 0 };
    let (mut buffer, mut kept) = (vec![0; 1 << 18], 0);
    let mut input = io::stdin().lock();
    let mut is_header = true;
    let last = expected.start + expected.schedule.at(expected.schedule.tick_of(expected.end - 1));
    while seen.records < expected.end && Instant::now() < last + PATIENCE {
        let read = input.read(&mut buffer[kept..]).map_err(|error| format!("standard input: {error}"))?;
        let now = Instant::now();
        if read == 0 {
            break;
        }
        let filled = kept + read;
        let whole = buffer[..filled].iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let mut lines = &buffer[..whole];
        if is_header && whole > 0 {
            let newline = lines.iter().position(|byte| *byte == b'\n').unwrap_or(0);
            lines = &lines[newline + 1..];
            is_header = false;
        }
        seen.take(lines, now, expected);
        buffer.copy_within(whole..filled, 0);
        kept = filled - whole;
    }
    Ok(seen)
}

impl Seen {
    /// Whole lines that were read at `now`. The first of them is looked at; the others are as many as there are line ends.
    fn take(&mut self, lines: &[u8], now: Instant, expected: &Expected) {
        if lines.is_empty() {
            return;
        }
        let key = expected.schedule.key(self.records);
        self.looked_at += 1;
        self.unlike += u64::from(!lines.starts_with(key.as_bytes()));
        let count = lines.iter().filter(|byte| **byte == b'\n').count() as u64;
        let (mut record, end) = (self.records, (self.records + count).min(expected.end));
        while record < end {
            let tick = expected.schedule.tick_of(record);
            let next = expected.schedule.before(tick + 1).min(end);
            if record >= expected.first {
                let meant = expected.start + expected.schedule.at(tick);
                self.latencies.add(now.saturating_duration_since(meant), next - record);
            }
            record = next;
        }
        self.records += count;
    }
}
