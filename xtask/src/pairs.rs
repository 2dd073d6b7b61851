//! `cargo xtask pairs`: kills tidemill and its servers for longer than the gate does.

use crate::{Outcome, cargo_command, run, servers};

/// The pairs: tests in `connectors/acceptance/tests/pairs.rs`.
const PAIRS: [&str; 7] = [
    "file_to_delta",
    "file_to_postgres",
    "kafka_to_kafka",
    "kafka_to_postgres",
    "jetstream_to_file",
    "mqtt_to_postgres",
    "http_to_file",
];

/// Kills, if the options do not say how many.
const KILLS: &str = "100";

/// Installs the servers, and runs the pairs that `options` name, or all.
pub(crate) fn pairs(options: &[&str]) -> Outcome {
    let usage = || {
        let pairs = PAIRS.join(", ");
        format!("usage: cargo xtask pairs [--kills N] [--seed S] [PAIR…]\npairs: {pairs}")
    };
    let (mut kills, mut seed, mut chosen) = (KILLS, None, Vec::new());
    let mut options = options.iter();
    while let Some(&option) = options.next() {
        match option {
            "--kills" => kills = options.next().ok_or_else(usage)?,
            "--seed" => seed = Some(*options.next().ok_or_else(usage)?),
            pair if PAIRS.contains(&pair) => chosen.push(pair),
            _ => return Err(usage()),
        }
    }
    servers::servers()?;
    let mut command = cargo_command();
    command.args(["test", "--workspace", "--test", "pairs", "--", "--nocapture", "--exact"]);
    command.args(if chosen.is_empty() { &PAIRS[..] } else { &chosen });
    command.env("TIDEMILL_KILLS", kills);
    if let Some(seed) = seed {
        command.env("TIDEMILL_SEED", seed);
    }
    run(&mut command)
}
