//! Input over sockets, from senders that connect again and again, while the run that listens is killed and started again.
//!
//! What was read and is in no checkpoint is gone with the process, so of every connection a beginning comes out: whole lines in their order, none
//! of them twice, and all that a checkpoint had. History in front of the feed comes out whole.

use std::collections::HashMap;
use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Child;
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::rig::{self, Count, has_checkpoint, lines, newest, settle};

/// Starts of a run in one story.
const STARTS: usize = 10;

/// Records of the history, in three files.
const HISTORY: u64 = 600;

/// Values are means of so many.
const WINDOW: usize = 3;

const SENSORS: u64 = 4;

/// How long a run may take until it listens.
const LIMIT: Duration = Duration::from_secs(60);

/// Where the run listens.
enum Address {
    Tcp(u16),
    Unix,
}

impl Address {
    fn new(random: &mut StdRng) -> Self {
        match random.random_range(0..3) {
            0 => Self::Unix,
            _ => Self::Tcp(
                TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port(),
            ),
        }
    }

    fn path(&self, folder: &Path) -> String {
        match self {
            Self::Tcp(port) => format!("tcp-listen://127.0.0.1:{port}"),
            Self::Unix => format!("unix-listen://{}/socket", folder.display()),
        }
    }

    fn connect(&self, folder: &Path) -> std::io::Result<Stream> {
        match self {
            Self::Tcp(port) => TcpStream::connect(("127.0.0.1", *port)).map(Stream::Tcp),
            Self::Unix => UnixStream::connect(folder.join("socket")).map(Stream::Unix),
        }
    }
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn send(&mut self, text: &str) -> std::io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.write_all(text.as_bytes()),
            Self::Unix(stream) => stream.write_all(text.as_bytes()),
        }
    }

    fn close(self) {
        let _gone_already = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both),
            Self::Unix(stream) => stream.shutdown(Shutdown::Both),
        };
    }
}

/// A record by its number: no two have the same value.
fn record(number: u64) -> String {
    let (second, sensor) = (number / 10, number % SENSORS);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("2024-05-01T{hour:02}:{minute:02}:{second:02}Z,s{sensor},{number}")
}

/// What was sent over one connection.
#[derive(Default)]
struct Sent {
    numbers: Vec<u64>,
    /// A checkpoint has so many of them.
    safe: usize,
}

/// All that was sent.
struct Sender<'a> {
    folder: &'a Path,
    address: Address,
    open: Vec<(usize, Stream)>,
    sent: Vec<Sent>,
    /// The number of the next record.
    next: u64,
    /// Whole and half records that this run has been sent.
    of_this_run: u64,
}

impl Sender<'_> {
    /// Connects as soon as `child` listens.
    fn connect(&mut self, child: &mut Child) {
        let start = Instant::now();
        let stream = loop {
            match self.address.connect(self.folder) {
                Ok(stream) => break stream,
                Err(error) => assert!(start.elapsed() < LIMIT, "{error}"),
            }
            assert!(child.try_wait().expect("a child").is_none(), "the run has ended by itself");
            sleep(Duration::from_millis(1));
        };
        self.open.push((self.sent.len(), stream));
        self.sent.push(Sent::default());
    }

    /// Sends some records over one of the connections, in two pieces cut anywhere.
    fn send(&mut self, random: &mut StdRng) {
        if self.open.is_empty() {
            return;
        }
        let at = random.random_range(0..self.open.len());
        let (connection, stream) = &mut self.open[at];
        let numbers = self.next..self.next + random.random_range(1..60);
        self.next = numbers.end;
        self.of_this_run += numbers.end - numbers.start;
        let text: String = numbers.clone().map(|number| record(number) + "\n").collect();
        self.sent[*connection].numbers.extend(numbers);
        let middle = random.random_range(0..=text.len());
        stream.send(&text[..middle]).expect("taken");
        sleep(Duration::from_millis(random.random_range(0..3)));
        stream.send(&text[middle..]).expect("taken");
    }

    /// Goes away, now and then in the middle of a record.
    fn disconnect(&mut self, random: &mut StdRng) {
        let (_, mut stream) = self.open.pop().expect("connected");
        if random.random_range(0..2) == 0 {
            // What is sent of it would be a record, though without a line end, and with its last digit cut off that of another number.
            let half = record(self.next);
            stream.send(&half[..half.len() - random.random_range(0..2)]).expect("taken");
            (self.next, self.of_this_run) = (self.next + 1, self.of_this_run + 1);
        }
        stream.close();
    }
}

/// Sends and kills for a while, then compares.
pub(crate) fn story(folder: &Path, seed: u64, count: &Count) {
    println!("listen: {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut sender = Sender {
        folder,
        address: Address::new(&mut random),
        open: Vec::new(),
        sent: Vec::new(),
        next: HISTORY,
        of_this_run: 0,
    };
    let history = if random.random_range(0..2) == 0 { HISTORY } else { 0 };
    prepare(folder, &sender.address, history);
    for start in 0..=STARTS {
        let goes_on = has_checkpoint(folder);
        count.resumed.fetch_add(u64::from(goes_on), Ordering::Relaxed);
        let before = newest(folder).map_or(0, |manifest| manifest.records).max(history);
        let mut child = rig::start(folder, "p.toml", &[], &mut random);
        let first = sender.sent.len();
        sender.of_this_run = 0;
        for _ in 0..random.random_range(0..4) {
            sender.connect(&mut child);
            (0..random.random_range(1..4)).for_each(|_| sender.send(&mut random));
            if random.random_range(0..3) > 0 {
                sender.disconnect(&mut random);
            }
        }
        if start == STARTS || random.random_range(0..3) == 0 {
            settle(folder, &mut child, before + sender.of_this_run);
            sender.sent[first..].iter_mut().for_each(|sent| sent.safe = sent.numbers.len());
            sender.send(&mut random);
        }
        sleep(Duration::from_millis(random.random_range(0..60)));
        rig::end(child, folder, &mut random, count);
        sender.open.drain(..).for_each(|(_, stream)| stream.close());
    }
    rig::finish(folder, &[], &mut random, count);
    check(folder, history, &sender, &format!("seed {seed}"));
}

/// The pipeline, and the history in front of the feed.
fn prepare(folder: &Path, address: &Address, history: u64) {
    std::fs::create_dir(folder.join("history")).expect("a folder");
    let each = HISTORY / 3;
    for file in 0..history / each {
        let text: String = (file * each..(file + 1) * each).map(|number| record(number) + "\n").collect();
        std::fs::write(folder.join(format!("history/{file}.csv")), text).expect("written");
    }
    let feed = address.path(folder);
    let path = if history > 0 { format!("['history/*.csv', '{feed}']") } else { format!("'{feed}'") };
    let pipeline = format!(
        "[source]\ntype = 'csv'\npath = {path}\nheader = false\nnames = ['t', 's', 'v']\nmeasurements = ['v']\ntime = 't'\nsensor = 's'\n\
         [[stage]]\ntype = 'moving_average'\nwindow = {WINDOW}\n\
         [[sink]]\ntype = 'csv'\npath = 'out/all.csv'\n[[sink]]\ntype = 'dead_letter'\npath = 'out/rejects.jsonl'\n"
    );
    std::fs::write(folder.join("p.toml"), pipeline).expect("written");
}

/// What has come out is what may have.
fn check(folder: &Path, history: u64, sender: &Sender<'_>, told: &str) {
    let out = lines(&folder.join("out/all.csv"));
    let mut found: HashMap<usize, Vec<u64>> = HashMap::new();
    let of: HashMap<u64, usize> = (0..)
        .zip(&sender.sent)
        .flat_map(|(connection, sent)| sent.numbers.iter().map(move |&number| (number, connection)))
        .collect();
    let mut windows: HashMap<u64, Vec<u64>> = HashMap::new();
    for (at, line) in (0..).zip(&out[1..]) {
        let number: u64 = line.split(',').nth(2).and_then(|number| number.parse().ok()).expect("a number");
        let window = windows.entry(number % SENSORS).or_default();
        window.push(number);
        let last = &window[window.len().saturating_sub(WINDOW)..];
        let mean = last.iter().sum::<u64>() as f64 / last.len() as f64;
        // Nothing is spliced, neither in the line nor in the window.
        assert_eq!(*line, format!("{},{mean}", record(number)), "{told}");
        if at < history {
            assert_eq!(number, at, "{told}: the history has another order");
        } else {
            let connection = of.get(&number).unwrap_or_else(|| panic!("{told}: {line} was never sent"));
            found.entry(*connection).or_default().push(number);
        }
    }
    assert!(out.len() as u64 > history, "{told}: {} of the history", out.len());
    for (connection, sent) in sender.sent.iter().enumerate() {
        let found = found.remove(&connection).unwrap_or_default();
        assert!(sent.numbers.starts_with(&found), "{told}: {found:?} came out of {:?}", sent.numbers);
        let lost = sent.safe.saturating_sub(found.len());
        assert_eq!(lost, 0, "{told}: records of connection {connection} that were in a checkpoint are lost");
    }
    check_rejects(folder, sender, told);
}

/// Of every connection, one half record at most was set aside: the one in whose middle it ended, or the run was stopped.
fn check_rejects(folder: &Path, sender: &Sender<'_>, told: &str) {
    let letters = lines(&folder.join("out/rejects.jsonl"));
    assert!(letters.len() <= sender.sent.len(), "{told}: {letters:?}");
    for letter in letters {
        let letter: serde_json::Value = serde_json::from_str(&letter).expect("JSON");
        let raw = letter["raw"].as_str().expect("text");
        assert!((HISTORY..sender.next).any(|number| record(number).starts_with(raw)), "{told}: {letter}");
    }
}
