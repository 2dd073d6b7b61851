//! The shapes of `benches/shapes/shapes.py` at small size: files as loggers and exports write them, made from a seed.

use std::fmt::Write;

use tidemill::format::Chunk;
use tidemill_core::format::columns::ColumnOptions;
use tidemill_core::format::csv::{Csv, Dialect};

use crate::readings::{SplitMix, chunk};

const SENSORS: u64 = 1000;

/// One row in so many is not written like the others.
const ODD_EVERY: u64 = 1000;

/// Measurements of the wide shape.
const VALUES_PER_ROW: u64 = 64;

/// The milliseconds since 1970 of 2026-01-01T00:00:00Z.
const START: u64 = 1_767_225_600_000;

/// About `readings` readings in the shape of this name, header left out.
pub(crate) fn shape(name: &str, readings: u64) -> Chunk {
    let (rows, values) = match name {
        "wide-digits" => (readings / VALUES_PER_ROW, VALUES_PER_ROW),
        _ => (readings, 1),
    };
    let mut file = Rows { shape: name, values, random: SplitMix::new(1), millisecond: 0 };
    let mut text = file.header();
    (0..rows).for_each(|row| file.push(row, &mut text));
    chunk(&Csv::new(&Dialect::default(), &columns(name)).expect("a format"), text.into_bytes())
}

fn columns(shape: &str) -> ColumnOptions {
    let time_format = if shape == "epochs" { "ms" } else { "rfc3339" };
    ColumnOptions {
        time: Some("time".into()),
        time_format: time_format.to_owned(),
        sensor: Some("sensor".to_owned()),
        ..ColumnOptions::default()
    }
}

/// Writes rows of one shape.
struct Rows<'a> {
    shape: &'a str,
    values: u64,
    random: SplitMix,
    /// The last row's time, in milliseconds since the start.
    millisecond: u64,
}

impl Rows<'_> {
    fn header(&self) -> String {
        let names: Vec<String> = match self.values {
            1 => vec!["value".to_owned()],
            values => (0..values).map(|at| format!("v{at}")).collect(),
        };
        format!("time,sensor,{}{}", names.join(","), self.line_end())
    }

    fn push(&mut self, row: u64, text: &mut String) {
        let time = self.time(row);
        let sensor = self.sensor(row);
        let values: Vec<String> = (0..self.values).map(|_| self.value(row)).collect();
        let values = values.join(",");
        let line = match self.shape {
            "quoted" => format!("\"{time}\",\"{sensor}\",\"{values}\""),
            _ => format!("{time},{sensor},{values}"),
        };
        text.push_str(&line);
        text.push_str(self.line_end());
    }

    fn line_end(&self) -> &'static str {
        if self.shape == "crlf" { "\r\n" } else { "\n" }
    }

    /// One in a thousand rows, or one of its own: about one a millisecond, with jitter.
    fn time(&mut self, row: u64) -> String {
        self.millisecond = match self.shape {
            "steady" => 1000 * (row / SENSORS),
            _ => self.millisecond + [0, 1, 1, 1, 2][self.below(5) as usize],
        };
        let (second, millisecond) = (self.millisecond / 1000, self.millisecond % 1000);
        match self.shape {
            "epochs" => (START + self.millisecond).to_string(),
            _ => format!("2026-01-01T00:{:02}:{:02}.{millisecond:03}Z", second / 60, second % 60),
        }
    }

    fn sensor(&mut self, row: u64) -> String {
        match self.shape {
            "plant" => format!("temp-{:05}", (row + self.below(3)) % SENSORS),
            "names" => format!("temp-{:05}", self.below(SENSORS)),
            "long-names" => {
                format!("plant-7/line-3/furnace-12/zone-{:04}/temperature", self.below(SENSORS))
            }
            _ => format!("temp-{:05}", row % SENSORS),
        }
    }

    fn value(&mut self, row: u64) -> String {
        let value = self.below(120_000) as f64 / 1000.0;
        match self.shape {
            "plant" if row % ODD_EVERY == ODD_EVERY - 1 => exponent(value, 3),
            "exponents" => exponent(value, 6),
            // 17 significant digits, as `%.17g` writes them.
            "digits" | "wide-digits" => format!("{:.15}", 10.0 + value / 1.4),
            "integers" => (self.below(120_000) as i64 - 20_000).to_string(),
            "nulls" => match self.below(10) {
                0 => String::new(),
                _ => format!("{value:.3}"),
            },
            _ => format!("{value:.3}"),
        }
    }

    /// A number below `limit`.
    fn below(&mut self, limit: u64) -> u64 {
        (self.random.next() >> 20) % limit
    }
}

/// The value with so many decimals and an exponent of two digits, as C and Python write it.
fn exponent(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$e}");
    let (digits, exponent) = text.split_once('e').expect("an exponent");
    let exponent: i32 = exponent.parse().expect("a number");
    let sign = if exponent < 0 { '-' } else { '+' };
    let mut text = digits.to_owned();
    write!(text, "e{sign}{:02}", exponent.abs()).expect("room");
    text
}
