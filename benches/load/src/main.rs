//! Puts a live run under load over TCP, for `cargo xtask live`. Standard library only, and frugal: it shares the cores with what it
//! measures. What it found is one line of JSON on standard output.

mod flood;
mod histogram;
mod paced;
mod saturate;
mod schedule;

use std::collections::HashMap;
use std::io;
use std::net::TcpStream;
use std::process::ExitCode;
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

const USAGE: &str = "\
usage: tidemill-load flood ADDRESS FILE [turns=1]
         sends FILE (without its first line) as fast as it is taken: so many turns, or with turns=0 until standard input ends
       tidemill-load paced ADDRESS [rate=100000] [tick_us=1000] [sensors=1000] [warm_up=5] [seconds=60] [silent=0]
         sends records on a fixed schedule, and reads from standard input what the run makes of them; before that it opens so many
         connections that say nothing
       tidemill-load connections ADDRESS [connections=60] [seconds=30]
         sends over so many connections as fast as each is taken, each of a sensor of its own
       tidemill-load files FOLDER [files=20] [seconds=30] [rate=8388608]
         appends to the files 00.csv, 01.csv … so many bytes a second each";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        ["flood", address, file, options @ ..] => {
            Options::parse(options).and_then(|options| flood::flood(address, file.as_ref(), &options))
        }
        ["paced", address, options @ ..] => {
            Options::parse(options).and_then(|options| paced::paced(address, &options))
        }
        ["connections", address, options @ ..] => {
            Options::parse(options).and_then(|options| saturate::connections(address, &options))
        }
        ["files", folder, options @ ..] => {
            Options::parse(options).and_then(|options| saturate::files(folder.as_ref(), &options))
        }
        _ => Err(USAGE.into()),
    };
    match result {
        Ok(found) => {
            println!("{found}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// What was said as `name=value`.
struct Options(HashMap<String, String>);

impl Options {
    fn parse(arguments: &[&str]) -> Result<Self, String> {
        let pair = |argument: &&str| match argument.split_once('=') {
            Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
            None => Err(USAGE.to_owned()),
        };
        arguments.iter().map(pair).collect::<Result<_, _>>().map(Self)
    }

    fn get<T: FromStr>(&self, name: &str, otherwise: T) -> Result<T, String> {
        match self.0.get(name) {
            Some(text) => text.parse().map_err(|_| format!("{name}={text} is no number")),
            None => Ok(otherwise),
        }
    }
}

/// Connects as soon as somebody listens, which may take a moment.
fn connect(address: &str) -> Result<TcpStream, String> {
    const PATIENCE: Duration = Duration::from_secs(10);
    let start = Instant::now();
    loop {
        match TcpStream::connect(address) {
            Ok(stream) => return stream.set_nodelay(true).map(|()| stream).map_err(|error| failed(&error)),
            Err(error) if start.elapsed() > PATIENCE => return Err(format!("{address}: {error}")),
            Err(_) => thread::sleep(Duration::from_millis(5)),
        }
    }
}

fn failed(error: &io::Error) -> String {
    format!("the connection failed: {error}")
}
