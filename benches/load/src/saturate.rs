//! Many senders that always have data: connections, or growing files. The reader decides which are served.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use crate::{Options, connect, failed};

/// Bytes that are handed over at once.
const PIECE: usize = 64 << 10;

/// Sends over so many connections for so many seconds, each as fast as it is taken; its records are of a sensor of its own.
pub(crate) fn connections(address: &str, options: &Options) -> Result<String, String> {
    let (count, seconds) = (options.get("connections", 60usize)?, options.get("seconds", 30u64)?);
    let streams: Vec<_> = (0..count).map(|_| connect(address)).collect::<Result<_, _>>()?;
    // A sender waits while nothing is read.
    let limit = Some(Duration::from_secs(1));
    let send = |at: usize, mut stream: TcpStream, until: Instant| {
        stream.set_write_timeout(limit).map_err(|error| failed(&error))?;
        let (piece, mut sent) = (piece(at), 0);
        while Instant::now() < until {
            match stream.write(&piece[sent % piece.len()..]) {
                Ok(bytes) => sent += bytes,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(failed(&error)),
            }
        }
        // What was sent has been sent.
        let _gone_already = stream.shutdown(Shutdown::Write);
        Ok(sent as u64)
    };
    all(streams, seconds, send)
}

/// Appends to so many files for so many seconds, so many bytes a second to each; its records are of a sensor of its own.
pub(crate) fn files(folder: &Path, options: &Options) -> Result<String, String> {
    let (count, seconds) = (options.get("files", 20usize)?, options.get("seconds", 30u64)?);
    let rate: u64 = options.get("rate", 8 << 20)?;
    let open = |at: usize| {
        let path = folder.join(format!("{at:02}.csv"));
        OpenOptions::new().append(true).open(&path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let files: Vec<_> = (0..count).map(open).collect::<Result<_, _>>()?;
    let append = |at: usize, mut file: std::fs::File, until: Instant| {
        let (piece, start, mut sent) = (piece(at), Instant::now(), 0);
        while Instant::now() < until {
            file.write_all(&piece).map_err(|error| error.to_string())?;
            sent += piece.len() as u64;
            let due = start + Duration::from_secs_f64(sent as f64 / rate as f64);
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        Ok(sent)
    };
    all(files, seconds, append)
}

/// Whole records of sensor `at`.
fn piece(at: usize) -> Vec<u8> {
    let line = format!("2026-01-01T00:00:00Z,s-{at:06},20.5\n");
    line.repeat(PIECE / line.len()).into_bytes()
}

/// Has all of them begin at once, each on a thread of its own; gives the bytes of each.
fn all<T: Send>(
    of: Vec<T>,
    seconds: u64,
    act: impl Fn(usize, T, Instant) -> Result<u64, String> + Sync,
) -> Result<String, String> {
    let barrier = Barrier::new(of.len());
    let sent: Result<Vec<u64>, String> = thread::scope(|scope| {
        let begin = |(at, one): (usize, T)| {
            let (barrier, act) = (&barrier, &act);
            scope.spawn(move || {
                barrier.wait();
                act(at, one, Instant::now() + Duration::from_secs(seconds))
            })
        };
        let threads: Vec<_> = of.into_iter().enumerate().map(begin).collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| "a thread panicked")?).collect()
    });
    let sent: Vec<_> = sent?.iter().map(u64::to_string).collect();
    Ok(format!("{{\"bytes\": [{}]}}", sent.join(", ")))
}
