//! A source and a sink under fire: tidemill and the servers are killed at random moments, while numbered records pass from one to the
//! other; in the end each must be there, and where that is promised exactly once.

mod inputs;
mod outputs;

use std::collections::BTreeSet;
use std::ops::Range;
use std::os::unix::process::ExitStatusExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use crate::chance::{Chance, kills};
use crate::{Ended, Job, Run};

pub use inputs::{FileInput, HttpInput, JetStreamInput, KafkaInput, MqttInput};
pub use outputs::{DeltaOutput, FileOutput, KafkaOutput, PostgresOutput};

/// Without a record that arrives for so long, none will: a circuit breaker is open for five minutes at most.
const LIMIT: Duration = Duration::from_secs(330);

/// Without one for so long, the server is asked whether it has lost something.
const PATIENCE: Duration = Duration::from_mins(1);

/// Where records come from. Times and sensors follow from their numbers.
pub trait Input: Send + Sync {
    /// The source of the pipeline: everything but `[source]`.
    fn source(&self) -> String;

    /// Hands over the records with these numbers. Returns once they are safe: at the server, or in the pipeline.
    fn feed(&self, numbers: Range<u64>);

    /// How many records are handed over at once.
    fn part(&self) -> u64 {
        100
    }

    /// The numbers of the records that its server has, in any order; `None` if that is what was handed over. A client that hands records over may repeat some
    /// when it loses its connection.
    fn holds(&self) -> Option<Vec<u64>> {
        None
    }

    /// Kills its server and starts it again after `pause`; no record is handed over meanwhile. Without a server, nothing happens.
    fn restart(&self, _pause: Duration) {}
}

/// Where records go.
pub trait Output: Send + Sync {
    /// The sink of the pipeline: everything but `[[sink]]`.
    fn sink(&self) -> String;

    /// The numbers of the records that have arrived, in any order.
    fn arrived(&self) -> Vec<u64>;

    /// What the server's own tools say that it has lost or made visible itself: then nothing that arrives, or does not, says anything about this pair.
    fn faults(&self) -> Vec<String> {
        Vec::new()
    }

    /// Kills its server and starts it again after `pause`; nothing is looked at meanwhile. Without a server, nothing happens.
    fn restart(&self, _pause: Duration) {}
}

/// What is promised for a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// Each record arrives once.
    ExactlyOnce,
    /// Each record arrives; some may be repeated.
    AtLeastOnce,
    /// At least once, as others may take over what this process reads; alone, it repeats nothing.
    OnceIfAlone,
}

impl Promise {
    /// As a run says it.
    fn words(self) -> &'static str {
        match self {
            Self::ExactlyOnce => "exactly once",
            Self::AtLeastOnce | Self::OnceIfAlone => "at least once",
        }
    }
}

/// A server has failed to keep what it promises, with what its own tools say about that.
#[derive(Debug)]
pub struct Inconclusive(pub Vec<String>);

/// A source and a sink.
pub struct Pair<'a> {
    /// The name in messages.
    pub name: &'a str,
    /// Where records come from.
    pub input: &'a dyn Input,
    /// Where they go.
    pub output: &'a dyn Output,
    /// What is promised.
    pub promise: Promise,
}

impl Pair<'_> {
    /// Kills tidemill and restarts each server as often as the environment says, else five times, and checks what has arrived.
    ///
    /// # Errors
    /// If a record is lost or repeated by the fault of a server.
    ///
    /// # Panics
    /// If a record is lost, made up, or against the promise repeated; if a run ends by itself.
    pub fn survive(&self) -> Result<(), Inconclusive> {
        let mut chance = Chance::new(self.name);
        let kills = kills(5);
        let job = Job::new(&format!("[source]\n{}\n[[sink]]\n{}\n", self.input.source(), self.output.sink()));
        let (mut service, fed) = self.storm(&job, kills, &mut chance);
        let given = self.input.holds().unwrap_or_else(|| (0..fed).collect());
        self.await_all(&mut service, fed, given.len())?;
        service.stop().success();
        // Publishes files; elsewhere nothing is left to do.
        job.start_with(&["--state", "state", "--finish"]).wait().success();
        self.check(fed, given, kills)
    }

    /// Checks what has arrived after `kills` kills, if `fed` records were handed over and the input has those with the numbers `given`.
    fn check(&self, fed: u64, mut given: Vec<u64>, kills: u64) -> Result<(), Inconclusive> {
        let mut arrived = self.output.arrived();
        given.sort_unstable();
        arrived.sort_unstable();
        let distinct: BTreeSet<u64> = arrived.iter().copied().collect();
        let repeated = arrived.len().saturating_sub(given.len());
        println!("{}: {fed} records, {kills} kills, {repeated} repeated", self.name);
        let is_complete = fed > 0 && distinct.iter().copied().eq(0..fed);
        let (given, arrived) = (repeats(&given), repeats(&arrived));
        let may_repeat = self.promise == Promise::AtLeastOnce;
        if !(is_complete && (may_repeat || given == arrived)) {
            self.blame_server()?;
        }
        assert!(is_complete, "{}: records are lost or made up", self.name);
        assert!(
            may_repeat || given == arrived,
            "{}: repeated: {arrived:?}, in the input {given:?}",
            self.name
        );
        Ok(())
    }

    /// An error if the server has lost something itself.
    fn blame_server(&self) -> Result<(), Inconclusive> {
        let faults = self.output.faults();
        if faults.is_empty() { Ok(()) } else { Err(Inconclusive(faults)) }
    }

    /// Feeds, kills and restarts beside each other. Returns what runs in the end, and how many records were handed over.
    fn storm<'j>(&self, job: &'j Job, kills: u64, chance: &mut Chance) -> (Service<'j>, u64) {
        let (mut of_input, mut of_output, mut of_feed) = (chance.split(), chance.split(), chance.split());
        let is_over = AtomicBool::new(false);
        // All threads end before this does.
        std::thread::scope(|scope| {
            let end = End(&is_over);
            let mut service = Service::start(job);
            service.run().wait_for(self.promise.words());
            let feeder = scope.spawn(|| self.feed(&mut of_feed, &is_over));
            let restarts = [
                scope.spawn(|| again(kills, &mut of_input, |pause| self.input.restart(pause), &is_over)),
                scope.spawn(|| again(kills, &mut of_output, |pause| self.output.restart(pause), &is_over)),
            ];
            for _ in 0..kills {
                std::thread::sleep(chance.pause(50, 1200));
                service.kill();
            }
            while !restarts.iter().all(ScopedJoinHandle::is_finished) {
                service.supervise();
                std::thread::sleep(Duration::from_millis(100));
            }
            restarts.into_iter().for_each(|thread| thread.join().expect("the server restarts"));
            drop(end);
            (service, feeder.join().expect("all records are handed over"))
        })
    }

    /// Hands over records until it is over, and returns how many.
    fn feed(&self, chance: &mut Chance, is_over: &AtomicBool) -> u64 {
        let mut next = 0;
        while !is_over.load(Ordering::SeqCst) {
            let end = next + self.input.part();
            self.input.feed(next..end);
            next = end;
            std::thread::sleep(chance.pause(0, 20));
        }
        next
    }

    /// Waits until the records handed over have arrived, and as many as the input has.
    fn await_all(&self, service: &mut Service<'_>, fed: u64, given: usize) -> Result<(), Inconclusive> {
        let (mut most, mut since) = (0, Instant::now());
        loop {
            let begun = Instant::now();
            let arrived = self.output.arrived();
            let is_enough = arrived.len() >= given;
            let found = arrived.into_iter().collect::<BTreeSet<_>>().len();
            if is_enough && found as u64 >= fed {
                return Ok(());
            }
            if found > most {
                (most, since) = (found, Instant::now());
            }
            service.supervise();
            if since.elapsed() > PATIENCE {
                self.blame_server()?;
            }
            let mut said =
                || format!("{}: {found} of {fed} have arrived; {}", self.name, service.run().said());
            assert!(since.elapsed() < LIMIT, "{}", said());
            // Looking takes longer the more there is.
            std::thread::sleep(Duration::from_millis(100).max(begun.elapsed()));
        }
    }
}

/// The numbers that occur more than once, of ascending ones, as ranges.
fn repeats(numbers: &[u64]) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for number in numbers.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]) {
        match ranges.last_mut() {
            Some(last) if last.end == number => last.end += 1,
            _ => ranges.push(number..number + 1),
        }
    }
    ranges
}

/// The exit code of a run that begins while the server of its source is away.
const UNAVAILABLE: i32 = 69;

/// A job that is started again when it ends, as the service manager of a system does it.
struct Service<'a> {
    job: &'a Job,
    /// There is always one between two calls.
    run: Option<Run>,
}

impl<'a> Service<'a> {
    fn start(job: &'a Job) -> Self {
        Self { job, run: Some(job.start()) }
    }

    fn run(&mut self) -> &mut Run {
        self.run.get_or_insert_with(|| self.job.start())
    }

    /// Kills it, and starts it again.
    fn kill(&mut self) {
        if let Some(run) = self.run.take() {
            check(run.kill());
        }
        self.run();
    }

    /// Starts it again if it has ended.
    fn supervise(&mut self) {
        if !self.run().is_running() {
            self.kill();
        }
    }

    fn stop(mut self) -> Ended {
        self.supervise();
        self.run().wait_for("delivery to sink");
        self.run.take().expect("a run").stop()
    }
}

/// Nobody but us ends a run, except for one that began while the server of its source was away.
fn check(ended: Ended) {
    let is_fine = ended.status.signal().is_some() || ended.status.code() == Some(UNAVAILABLE);
    assert!(is_fine, "it ended by itself: {}: {}", ended.status, ended.said);
}

/// Restarts something so often.
fn again(times: u64, chance: &mut Chance, restart: impl Fn(Duration), is_over: &AtomicBool) {
    for _ in 0..times {
        std::thread::sleep(chance.pause(100, 1200));
        if is_over.load(Ordering::SeqCst) {
            return;
        }
        restart(chance.pause(0, 800));
    }
}

/// Ends the threads, also when a test panics.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A record as a line of CSV: time, sensor, number.
fn line(number: u64) -> String {
    let (second, millisecond) = (number / 1000, number % 1000);
    let (minute, second) = (second / 60, second % 60);
    let (hour, minute) = (minute / 60, minute % 60);
    let (day, hour) = (1 + hour / 24, hour % 24);
    format!("2020-01-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z,s{},{number}\n", number % 7)
}

/// What every source is told about such lines.
const COLUMNS: &str = "time = 'time'\nsensor = 'sensor'\nmeasurements = ['n']\n";

/// What sources of messages are told besides.
const MESSAGES: &str = "payload = 'csv'\nnames = ['time', 'sensor', 'n']\n";
