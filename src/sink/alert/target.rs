//! Where alerts go: the log, a file, a command.

use std::io::Write;
use std::process::{Child, Command, Stdio};

use serde::Serialize;

use super::incident::Side;
use crate::atomic::AtomicFile;
use crate::error::{Error, Result, visible};
use crate::kernel::json_number;
use crate::time::format_duration;

/// Where alerts go.
pub(super) enum Target {
    Log,
    File(AtomicFile),
    Command(Child, String),
}

/// One alert, as JSON.
#[derive(Serialize)]
pub(super) struct Message<'a> {
    pub(super) state: &'static str,
    pub(super) rule: &'a str,
    pub(super) sensor: &'a str,
    pub(super) column: &'a str,
    pub(super) time: Option<String>,
    #[serde(serialize_with = "json_number::serialize")]
    pub(super) value: f64,
    pub(super) side: Side,
    #[serde(serialize_with = "json_number::serialize_option")]
    pub(super) threshold: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seconds: Option<f64>,
}

impl Target {
    pub(super) fn start(command: &[String]) -> Result<Self> {
        let name = command.join(" ");
        let child = Command::new(&command[0]).args(&command[1..]).stdin(Stdio::piped()).spawn();
        let child = child.map_err(|error| {
            let why = crate::error::plain(&error);
            Error::unavailable(format!("the alert command `{name}` cannot be started: {why}"))
                .with_help("check `command`")
        })?;
        Ok(Self::Command(child, name))
    }

    pub(super) fn send(&mut self, message: &Message<'_>) -> Result<()> {
        let mut line = serde_json::to_vec(message).map_err(|error| Error::internal(error.to_string()))?;
        line.push(b'\n');
        match self {
            Self::Log => {
                eprintln!("{}", visible(&sentence(message)));
                Ok(())
            }
            Self::File(file) => file.write_all(&line).map_err(|error| file.failed(&error)),
            Self::Command(child, name) => match child.stdin.as_mut().map(|stdin| stdin.write_all(&line)) {
                Some(Ok(())) => Ok(()),
                _ => Err(gone(name)),
            },
        }
    }

    /// Hands everything over; a command is told that there is no more, and waited for.
    pub(super) fn finish(&mut self) -> Result<()> {
        match self {
            Self::Log => Ok(()),
            Self::File(file) => file.finish(),
            Self::Command(child, name) => {
                drop(child.stdin.take());
                let status = child.wait().map_err(|error| Error::io("wait for", &*name, &error))?;
                if status.success() {
                    Ok(())
                } else {
                    Err(Error::unavailable(format!("the alert command `{name}` failed: {status}"))
                        .with_help("see what it says, and run again"))
                }
            }
        }
    }
}

fn gone(name: &str) -> Error {
    Error::unavailable(format!("the alert command `{name}` no longer takes alerts"))
        .with_help("see what it says, and run again")
}

fn sentence(message: &Message<'_>) -> String {
    let Message { rule, sensor, column, value, .. } = message;
    let side = if message.side == Side::Above { "above" } else { "below" };
    let at = message.time.as_ref().map_or_else(String::new, |time| format!(" at {time}"));
    let threshold = message.threshold.unwrap_or(f64::NAN);
    match message.seconds {
        _ if message.state == "raised" => {
            format!("alert {rule}: {column} of {sensor} is {value}{at}, {side} {threshold}")
        }
        Some(seconds) => {
            let lasted = format_duration(((seconds * 1e9) as i64).max(1));
            format!(
                "alert {rule}: {column} of {sensor} is {value}{at}, no longer {side} {threshold}, after {lasted}"
            )
        }
        None => format!("alert {rule}: {column} of {sensor} is {value}{at}, no longer {side} {threshold}"),
    }
}
