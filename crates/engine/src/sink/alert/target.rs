//! Targets of alerts: the log, a file, a command.

use std::process::ExitStatus;
use std::sync::Arc;

use indexmap::IndexMap;
use serde::{Serialize, Serializer};

use super::program::Program;
use crate::batch::Number;
use crate::error::{Error, Masks, Result, visible};
use crate::files::Base;
use crate::kernel::json_number;
use crate::kernel::shortest::with_shortest;
use crate::notes::courier::Courier;
use crate::notes::{Event, standard_error};
use crate::secret::Secret;
use crate::sink::SinkContext;
use crate::sink::text::Text;
use crate::stage::Side;
use crate::time::format_duration;

/// Capacity of the queue of alerts in bytes.
const ROOM: usize = 16 << 20;

/// The target of alerts.
pub(super) enum AlertTarget {
    /// Standard error. If it is not read, the run continues.
    Log(Courier, Arc<Masks>),
    /// A file or a stream.
    File(Text),
    Command(Courier, Program),
}

/// One alert, as JSON.
#[derive(Serialize)]
pub(super) struct AlertMessage<'a> {
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

impl AlertTarget {
    pub(super) fn log(context: &SinkContext) -> Result<Self> {
        let courier = Courier::start(standard_error(), &context.stop, ROOM)?;
        Ok(Self::Log(courier, Arc::clone(&context.masks)))
    }

    pub(super) fn start(
        command: &[String],
        environment: &IndexMap<String, Secret>,
        base: &Base,
        context: &SinkContext,
    ) -> Result<Self> {
        let (program, input) = Program::start(command, environment, base, context)?;
        Ok(Self::Command(Courier::start(Box::new(input), &context.stop, ROOM)?, program))
    }

    pub(super) fn send(&mut self, message: &AlertMessage<'_>) -> Result<()> {
        let line = || -> Result<Vec<u8>> {
            let mut line = serde_json::to_vec(message).map_err(|error| Error::internal(error.to_string()))?;
            line.push(b'\n');
            Ok(line)
        };
        match self {
            Self::Log(courier, masks) => {
                // Alerts that cannot be written are counted at the end.
                let _nobody_reads =
                    courier.send(format!("{}\n", visible(&sentence(message, masks))).as_bytes());
                Ok(())
            }
            Self::File(text) => text.write(None, &line()?),
            Self::Command(courier, program) => match courier.send(&line()?) {
                Ok(false) => Ok(()),
                Ok(true) => {
                    let name = &program.name;
                    let said = format!("the alert command {name} does not keep up: some alerts are dropped");
                    Event::warn("alerts_dropped").say(&Masks::default(), &said);
                    Ok(())
                }
                Err(_) => {
                    let status = program.wait(true, false)?;
                    Err(gone(&program.name, status))
                }
            },
        }
    }

    /// Delivers what is queued; closes the input of a command and waits for it, only briefly if the run `ends_early`. Returns remarks.
    pub(super) fn finish(&mut self, ends_early: bool) -> Result<Vec<String>> {
        match self {
            Self::Log(courier, _) => {
                let _nobody_reads = courier.finish(ends_early);
                Ok(dropped(courier, "the log").into_iter().collect())
            }
            Self::File(text) => text.flush().map(|()| Vec::new()),
            Self::Command(courier, program) => {
                let delivered = courier.finish(ends_early);
                // A recipient whose wait timed out is not waited for again.
                let is_stuck = matches!(delivered, Ok(false));
                let ended = program.wait(ends_early, is_stuck)?;
                let name = format!("the command {}", program.name);
                let mut remarks: Vec<_> = dropped(courier, &name).into_iter().collect();
                match ended {
                    None => remarks.push(format!("{name} did not end in time and was killed")),
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
    (dropped > 0).then(|| format!("{dropped} alerts were dropped because {by} did not read them"))
}

/// The error for a command that no longer reads alerts, with its exit status if it has ended.
fn gone(name: &str, status: Option<ExitStatus>) -> Error {
    let what = match status {
        None => "no longer reads alerts".to_owned(),
        Some(status) if status.success() => format!("ended before it had read all alerts: {status}"),
        Some(status) => format!("failed: {status}"),
    };
    Error::unavailable(format!("the alert command {name} {what}")).with_help("check its output and run again")
}

/// A number in JSON, integers with all their digits.
fn number<S: Serializer>(value: &Number, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    match *value {
        Number::I64(value) => serializer.serialize_i64(value),
        Number::U64(value) => serializer.serialize_u64(value),
        Number::Bool(value) => serializer.serialize_bool(value),
        other => json_number::serialize(&other.as_f64(), serializer),
    }
}

/// A number for people: the shortest exact text, but in exponent form where that has hundreds of digits.
fn shown(value: f64) -> String {
    let mut text = String::new();
    with_shortest(value, |bytes| text += &String::from_utf8_lossy(bytes));
    text
}

fn sentence(message: &AlertMessage<'_>, masks: &Masks) -> String {
    let AlertMessage { value, .. } = message;
    // A sensor name is data, but may contain the value of a secret.
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
