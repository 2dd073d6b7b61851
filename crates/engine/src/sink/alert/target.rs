//! Where alerts go: the log, a file, a command.

use std::io::Write;
use std::process::ExitStatus;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::incident::Side;
use super::program::Program;
use crate::atomic::{AtomicFile, Outset};
use crate::batch::Number;
use crate::error::{Error, Masks, Result, visible};
use crate::files::Base;
use crate::kernel::json_number;
use crate::kernel::shortest::with_shortest;
use crate::notes::courier::Courier;
use crate::notes::{say, standard_error};
use crate::time::format_duration;

/// Bytes of alerts that may wait.
const ROOM: usize = 16 << 20;

/// Where alerts go.
pub(super) enum Target {
    /// Standard error. That nobody reads it ends no run.
    Log(Courier, Arc<Masks>),
    File(AtomicFile),
    Command(Courier, Program),
}

/// One alert, as JSON.
#[derive(Serialize)]
pub(super) struct Message<'a> {
    pub(super) state: &'static str,
    pub(super) rule: &'a str,
    pub(super) sensor: &'a str,
    pub(super) column: &'a str,
    pub(super) time: Option<String>,
    #[serde(serialize_with = "number")]
    pub(super) value: Number,
    pub(super) side: Side,
    #[serde(serialize_with = "json_number::serialize_option")]
    pub(super) threshold: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seconds: Option<f64>,
}

impl Target {
    pub(super) fn log(outset: &Outset) -> Result<Self> {
        let courier = Courier::start(standard_error(), &outset.stop, ROOM)?;
        Ok(Self::Log(courier, Arc::clone(&outset.masks)))
    }

    pub(super) fn start(command: &[String], base: &Base, outset: &Outset) -> Result<Self> {
        let (program, input) = Program::start(command, base, outset)?;
        Ok(Self::Command(Courier::start(Box::new(input), &outset.stop, ROOM)?, program))
    }

    pub(super) fn send(&mut self, message: &Message<'_>) -> Result<()> {
        let line = || -> Result<Vec<u8>> {
            let mut line = serde_json::to_vec(message).map_err(|error| Error::internal(error.to_string()))?;
            line.push(b'\n');
            Ok(line)
        };
        match self {
            Self::Log(courier, masks) => {
                // Those that cannot be written are counted at the end.
                let _nobody_reads =
                    courier.send(format!("{}\n", visible(&sentence(message, masks))).as_bytes());
                Ok(())
            }
            Self::File(file) => file.write_all(&line()?).map_err(|error| file.failed(&error)),
            Self::Command(courier, program) => match courier.send(&line()?) {
                Ok(false) => Ok(()),
                Ok(true) => {
                    let name = &program.name;
                    say(&format!(
                        "the alert command {name} does not take alerts as they come: some are dropped"
                    ));
                    Ok(())
                }
                Err(_) => {
                    let status = program.wait(true, false)?;
                    Err(gone(&program.name, status))
                }
            },
        }
    }

    /// Hands everything over; a command is told that there is no more, and waited for; not for long where the
    /// run `ends_early`. Gives what is worth knowing.
    pub(super) fn finish(&mut self, ends_early: bool) -> Result<Vec<String>> {
        match self {
            Self::Log(courier, _) => {
                let _nobody_reads = courier.finish(ends_early);
                Ok(dropped(courier, "the log").into_iter().collect())
            }
            Self::File(file) => file.finish().map(|()| Vec::new()),
            Self::Command(courier, program) => {
                let delivered = courier.finish(ends_early);
                // Whoever was waited for in vain is not waited for once more.
                let is_stuck = matches!(delivered, Ok(false));
                let ended = program.wait(ends_early, is_stuck)?;
                let name = format!("the command {}", program.name);
                let mut remarks: Vec<_> = dropped(courier, &name).into_iter().collect();
                match ended {
                    None => remarks.push(format!("{name} did not end when it should have: it was ended")),
                    Some(status) if delivered.is_err() || !status.success() => {
                        return Err(gone(&program.name, Some(status)));
                    }
                    Some(_) => {}
                }
                Ok(remarks)
            }
        }
    }
}

fn dropped(courier: &Courier, by: &str) -> Option<String> {
    let dropped = courier.dropped();
    (dropped > 0).then(|| format!("{dropped} alerts were dropped: {by} did not take them"))
}

/// A command that takes no more alerts, and ended so, if it did by itself.
fn gone(name: &str, status: Option<ExitStatus>) -> Error {
    let what = match status {
        None => "no longer takes alerts".to_owned(),
        Some(status) if status.success() => format!("ended before it had read all alerts: {status}"),
        Some(status) => format!("failed: {status}"),
    };
    Error::unavailable(format!("the alert command {name} {what}"))
        .with_help("see what it says, and run again")
}

/// A value as JSON has it, integers with all their digits.
fn number<S: Serializer>(value: &Number, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    match *value {
        Number::I64(value) => serializer.serialize_i64(value),
        Number::U64(value) => serializer.serialize_u64(value),
        Number::Bool(value) => serializer.serialize_bool(value),
        other => json_number::serialize(&other.as_f64(), serializer),
    }
}

/// A number for people: as short as it is in files, and not with hundreds of digits.
fn shown(value: f64) -> String {
    let mut text = String::new();
    with_shortest(value, |bytes| text += &String::from_utf8_lossy(bytes));
    text
}

fn sentence(message: &Message<'_>, masks: &Masks) -> String {
    let Message { value, .. } = message;
    // The name of a sensor is data, which an option may have given all the same.
    let sensor = masks.hide_long(message.sensor);
    let [rule, column] = [message.rule, message.column].map(|option| masks.hide_value(option));
    let side = if message.side == Side::Above { "above" } else { "below" };
    let at = message.time.as_ref().map_or_else(String::new, |time| format!(" at {time}"));
    let threshold = shown(message.threshold.unwrap_or(f64::NAN));
    let value = match value {
        Number::F64(value) => shown(*value),
        other => other.to_string(),
    };
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
