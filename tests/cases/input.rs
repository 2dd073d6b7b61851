//! Random readings as text: a few sensors in no strict turn, jitter, nulls, numbers of all kinds, some records that are none.

use std::fmt::Write as _;

use super::random::Random;

/// What a case reads.
pub(crate) struct Input {
    /// The type of its source.
    pub(crate) kind: &'static str,
    pub(crate) text: Vec<u8>,
}

/// One reading.
struct Reading {
    /// Milliseconds since 2026-01-01T00:00:00Z.
    time: i64,
    sensor: u64,
    v: String,
    w: String,
    tag: &'static str,
}

impl Input {
    pub(crate) fn new(case: u64) -> Self {
        let mut random = crate::numbers(case, 0);
        let kind = random.of(&["csv", "csv", "tsv", "jsonl", "influx"]);
        let readings = 200 + random.below(1_800);
        let sensors = 1 + random.below(9);
        let step = random.of(&[1, 40, 1_000, 7_000]);
        let mut text = match kind {
            "csv" => "t,s,v,w,tag\n".to_owned(),
            "tsv" => "t\ts\tv\tw\ttag\n".to_owned(),
            _ => String::new(),
        };
        let mut time = 0;
        for _ in 0..readings {
            time += random.below(2 * step) as i64;
            let reading = Reading::new(&mut random, time, sensors);
            reading.write(kind, random.once_in(300), &mut text);
        }
        Self { kind, text: text.into_bytes() }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self.kind {
            "csv" => "in.csv",
            "tsv" => "in.tsv",
            "jsonl" => "in.jsonl",
            _ => "in.lp",
        }
    }
}

impl Reading {
    fn new(random: &mut Random, time: i64, sensors: u64) -> Self {
        let back = if random.once_in(50) { random.below(5_000) as i64 } else { 0 };
        let sensor = random.below(sensors);
        let (v, w) = (number(random), number(random));
        Self { time: (time - back).max(0), sensor, v, w, tag: random.of(&["a", "b", "über", "x y"]) }
    }

    /// Adds it as a line; one that `is_bad` has a number that is none.
    fn write(&self, kind: &str, is_bad: bool, text: &mut String) {
        let Self { sensor, w, tag, .. } = self;
        let v = if is_bad { "1.2.3" } else { &self.v };
        let time = self.time();
        let _ = match kind {
            "csv" => writeln!(text, "{time},s{sensor},{v},{w},{tag}"),
            "tsv" => writeln!(text, "{time}\ts{sensor}\t{v}\t{w}\t{tag}"),
            "jsonl" => {
                let or_null =
                    |number: &str| if number.is_empty() { "null".to_owned() } else { number.to_owned() };
                let (v, w) = (or_null(v), or_null(w));
                writeln!(
                    text,
                    "{{\"t\":\"{time}\",\"s\":\"s{sensor}\",\"v\":{v},\"w\":{w},\"tag\":\"{tag}\"}}"
                )
            }
            _ => {
                let field = |name: &str, number: &str| match number {
                    "" => String::new(),
                    number => format!(",{name}={number}"),
                };
                let fields = field("v", v) + &field("w", w);
                let (tag, nanoseconds) =
                    (tag.replace(' ', "\\ "), 1_767_225_600_000_000_000 + self.time * 1_000_000);
                writeln!(text, "m,s=s{sensor},tag={tag} k=1i{fields} {nanoseconds}")
            }
        };
    }

    /// Its time in RFC 3339.
    fn time(&self) -> String {
        let (seconds, milliseconds) = (self.time / 1_000, self.time % 1_000);
        let (days, of_day) = (seconds / 86_400, seconds % 86_400);
        let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
        format!("2026-01-{:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z", days + 1)
    }
}

/// A number as it may be written, or none.
fn number(random: &mut Random) -> String {
    let small = random.below(200_000) as i64 - 80_000;
    match random.below(40) {
        0 => String::new(),
        1 => "-0".to_owned(),
        2 => format!("{small}e-7"),
        3 => format!("{}", random.next()),
        4 => format!("0.{}", random.next()),
        5 => "1e308".to_owned(),
        6 => "4.9e-324".to_owned(),
        7..10 => small.to_string(),
        _ => format!("{}.{:03}", small / 1_000, small.unsigned_abs() % 1_000),
    }
}
