//! SenML in JSON (RFC 8428): packs of records, resolved to readings.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer as _, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Deserializer;
use serde_json::value::RawValue;
use tidemill_engine::batch::Number;
use tidemill_engine::time::Timestamp;

use crate::message::Reading;

/// Times below this many seconds are relative to the time of arrival (RFC 8428, section 4.5.3).
const ABSOLUTE: f64 = 268_435_456.0;

/// The version of SenML that is understood (section 4.4).
const VERSION: u64 = 10;

/// The longest name of a sensor, and of a unit, in bytes: base names and units hold for any number of records.
const LONGEST: usize = 1 << 10;

/// A record as written. Its base values hold for the records behind it too. Other fields are not read; those that must be understood are looked for by
/// [`not_understood`].
#[derive(Debug, Deserialize)]
struct Entry {
    bn: Option<String>,
    bt: Option<f64>,
    bu: Option<String>,
    bv: Option<f64>,
    bs: Option<f64>,
    bver: Option<u64>,
    n: Option<String>,
    u: Option<String>,
    t: Option<f64>,
    v: Option<f64>,
    vs: Option<String>,
    vb: Option<bool>,
    vd: Option<String>,
    s: Option<f64>,
}

/// The base values so far.
#[derive(Default)]
struct Base {
    name: String,
    time: f64,
    unit: Option<String>,
    value: Option<f64>,
    sum: Option<f64>,
}

/// Gives the readings of a pack that was `received` at this time to `emit`, one by one: names and times resolved, values with their base values, sums where there is
/// no value. So a pack takes no more memory than one of its records.
///
/// # Errors
/// What is wrong with the pack: it is rejected as a whole, with what was given already; the error of `emit`.
pub(crate) fn readings(
    pack: &[u8],
    received: Timestamp,
    emit: impl FnMut(&Reading<'_>) -> Result<(), String>,
) -> Result<(), String> {
    let mut reading = Pack { received, emit, base: Base::default(), at: 0, wrong: None };
    let mut reader = Deserializer::from_slice(pack);
    let read = reader.deserialize_seq(&mut reading).and_then(|()| reader.end());
    match (read, reading.wrong) {
        (Ok(()), _) => Ok(()),
        (Err(_), Some(wrong)) => Err(wrong),
        (Err(error), None) => Err(format!("not a SenML pack: {error}")),
    }
}

/// A pack that is being read.
struct Pack<E> {
    received: Timestamp,
    emit: E,
    base: Base,
    /// The records so far.
    at: usize,
    wrong: Option<String>,
}

impl<'de, E: FnMut(&Reading<'_>) -> Result<(), String>> Visitor<'de> for &mut Pack<E> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut records: A) -> Result<(), A::Error> {
        while let Some(record) = records.next_element::<&RawValue>()? {
            self.at += 1;
            if let Err(wrong) = self.record(record.get()) {
                self.wrong = Some(wrong);
                return Err(A::Error::custom("wrong"));
            }
        }
        Ok(())
    }
}

impl<E: FnMut(&Reading<'_>) -> Result<(), String>> Pack<E> {
    fn record(&mut self, text: &str) -> Result<(), String> {
        let at = self.at;
        let wrong = |why: &str| format!("record {at} of the SenML pack: {why}");
        let entry: Entry = serde_json::from_str(text)
            .map_err(|error| format!("not a SenML pack: record {at} is none: {error}"))?;
        if entry.bver.is_some_and(|version| version > VERSION) {
            return Err(wrong("its version is newer than 10"));
        }
        if let Some(unknown) = not_understood(text) {
            return Err(wrong(&format!("the field `{unknown}` must be understood, and is not known")));
        }
        let Base { name, time, unit, value, sum } = &mut self.base;
        *name = entry.bn.unwrap_or_else(|| std::mem::take(name));
        *time = entry.bt.unwrap_or(*time);
        *unit = entry.bu.or_else(|| unit.take());
        *value = entry.bv.or(*value);
        *sum = entry.bs.or(*sum);
        let sensor = format!("{name}{}", entry.n.as_deref().unwrap_or_default());
        let unit = entry.u.as_ref().or(unit.as_ref());
        if sensor.is_empty() {
            return Err(wrong("it has no name"));
        }
        if sensor.len() > LONGEST || unit.is_some_and(|unit| unit.len() > LONGEST) {
            return Err(wrong("its name or its unit is longer than 1 KiB"));
        }
        let number = match (entry.v, entry.vb) {
            (Some(own), _) => Some(Number::F64(value.unwrap_or(0.0) + own)),
            (None, Some(own)) => Some(Number::Bool(own)),
            (None, None) if entry.vs.is_none() && entry.vd.is_none() => {
                // A base value alone is the value of a record that says nothing else.
                entry.s.map(|own| sum.unwrap_or(0.0) + own).or(*value).map(Number::F64)
            }
            (None, None) => None,
        };
        let text = entry.vs.or(entry.vd);
        if number.is_none() && text.is_none() {
            // It only sets base values.
            return Ok(());
        }
        let time = resolved(*time, entry.t.unwrap_or(0.0), self.received)
            .ok_or_else(|| wrong("its time is out of range"))?;
        (self.emit)(&Reading {
            time: Some(time),
            sensor: &sensor,
            value: number,
            text: text.as_deref(),
            unit: unit.map(String::as_str),
            quality: None,
        })
    }
}

/// The beginning of the name of a field of a record that must be understood, which none of the known ones is: it ends with an underscore.
fn not_understood(record: &str) -> Option<String> {
    // An escape may be one too.
    if !record.contains("_\"") && !record.contains('\\') {
        return None;
    }
    let name = Deserializer::from_str(record).deserialize_map(Names).ok()??;
    Some(name.chars().take(100).collect())
}

/// Finds such a name among those of an object.
struct Names;

impl<'de> Visitor<'de> for Names {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = fields.next_key::<String>()? {
            fields.next_value::<IgnoredAny>()?;
            found = found.or_else(|| name.ends_with('_').then_some(name));
        }
        Ok(found)
    }
}

/// A base time and a time, both in seconds, as a time: absolute, or relative to the time of arrival.
fn resolved(base: f64, seconds: f64, received: Timestamp) -> Option<Timestamp> {
    let from = if base + seconds < ABSOLUTE { received.as_nanos() } else { 0 };
    Some(Timestamp::from_nanos(from.checked_add(nanos(base)?)?.checked_add(nanos(seconds)?)?))
}

/// Seconds in nanoseconds: those of the shortest decimal text of the number, which is how it was written.
fn nanos(seconds: f64) -> Option<i64> {
    if seconds.abs() >= 9.2e9 || seconds.is_nan() {
        return None;
    }
    // Without an exponent, whatever the number.
    let text = seconds.abs().to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let fraction: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let magnitude =
        whole.parse::<i64>().ok()?.checked_mul(1_000_000_000)?.checked_add(fraction.parse().ok()?)?;
    Some(if seconds < 0.0 { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reading that owns its text.
    #[derive(Debug, PartialEq)]
    struct Owned {
        time: Timestamp,
        sensor: String,
        value: Option<Number>,
        text: Option<String>,
        unit: Option<String>,
    }

    fn read(pack: &str) -> Result<Vec<Owned>, String> {
        let (received, mut all) = (Timestamp::from_nanos(1_700_000_000_000_000_000), Vec::new());
        readings(pack.as_bytes(), received, |reading| {
            let Reading { time, sensor, value, text, unit, .. } = *reading;
            all.push(Owned {
                time: time.expect("a time"),
                sensor: sensor.to_owned(),
                value,
                text: text.map(str::to_owned),
                unit: unit.map(str::to_owned),
            });
            Ok(())
        })?;
        Ok(all)
    }

    #[test]
    fn the_examples_of_the_specification_are_resolved() {
        // Section 5.1.2.
        let pack = r#"[{"bn":"urn:dev:ow:10e2073a0108006:","bt":1.276020076001e+09,"bu":"A","bver":5,"n":"voltage","u":"V","v":120.1},
            {"n":"current","t":-5,"v":1.2},{"n":"current","t":-4,"v":1.3}]"#;
        let all = read(pack).expect("a pack");
        assert_eq!(all[0].sensor, "urn:dev:ow:10e2073a0108006:voltage");
        assert_eq!((all[0].unit.as_deref(), all[1].unit.as_deref()), (Some("V"), Some("A")));
        assert_eq!(all[0].time.to_string(), "2010-06-08T18:01:16.001Z");
        assert_eq!(all[1].time.to_string(), "2010-06-08T18:01:11.001Z");
        assert_eq!(all[2].value, Some(Number::F64(1.3)));
        // Section 5.1.3: text, truth values, and times relative to now.
        let pack = r#"[{"bn":"urn:dev:ow:1:","n":"temp","u":"Cel","v":23.1},{"n":"label","vs":"Machine Room"},{"n":"open","vb":false},{"n":"nfc","vd":"aGkgCg"},{"n":"past","t":-2.5,"v":1}]"#;
        let all = read(pack).expect("a pack");
        assert_eq!(all[1].text.as_deref(), Some("Machine Room"));
        assert_eq!(all[2].value, Some(Number::Bool(false)));
        assert_eq!((all[3].text.as_deref(), all[3].value), (Some("aGkgCg"), None));
        assert_eq!(all[4].time.to_string(), "2023-11-14T22:13:17.500Z");
    }

    #[test]
    fn base_values_and_sums_are_added() {
        let all = read(r#"[{"bn":"a","bv":20,"v":0.5},{"n":"/x"},{"bs":100,"n":"/e","s":7},{"bu":"W"}]"#)
            .expect("a pack");
        let values: Vec<_> = all.iter().map(|reading| (reading.sensor.as_str(), reading.value)).collect();
        assert_eq!(
            values,
            [
                ("a", Some(Number::F64(20.5))),
                ("a/x", Some(Number::F64(20.0))),
                ("a/e", Some(Number::F64(107.0))),
                ("a", Some(Number::F64(20.0)))
            ]
        );
    }

    #[test]
    fn what_is_no_pack_is_refused_with_the_reason() {
        for (pack, why) in [
            ("{}", "not a SenML pack"),
            ("[{\"v\":1}]", "record 1 of the SenML pack: it has no name"),
            ("[{\"n\":\"a\",\"v\":1,\"x_\":2}]", "`x_` must be understood"),
            ("[{\"n\":\"a\",\"v\":1,\"x\\u005f\":2}]", "`x_` must be understood"),
            ("[{\"n\":\"a\",\"v\":1}, 7]", "record 2 is none"),
            ("[{\"n\":\"a\",\"v\":1}", "not a SenML pack"),
            ("[{\"n\":\"a\",\"v\":1}] x", "not a SenML pack"),
            ("[{\"n\":\"a\",\"bver\":11,\"v\":1}]", "newer than 10"),
            ("[{\"n\":\"a\",\"v\":\"1\"}]", "not a SenML pack"),
            ("[{\"n\":\"a\",\"v\":1,\"t\":1e300}]", "out of range"),
        ] {
            let error = read(pack).expect_err(pack);
            assert!(error.contains(why), "{pack}: {error}");
        }
    }

    #[test]
    fn what_holds_for_many_records_is_short() {
        let long = "x".repeat(1000);
        for (pack, is_fine) in [
            (format!("[{{\"bn\":\"{long}\",\"n\":\"a\",\"v\":1}}]"), true),
            (format!("[{{\"bn\":\"{long}\"}},{{\"n\":\"{long}\",\"v\":1}}]"), false),
            (format!("[{{\"bu\":\"{long}{long}\",\"n\":\"a\",\"v\":1}}]"), false),
            (format!("[{{\"n\":\"a\",\"vs\":\"{long}{long}\",\"note_s\":\"_\"}}]"), true),
        ] {
            assert_eq!(read(&pack).is_ok(), is_fine, "{:?}", read(&pack));
        }
    }
}
