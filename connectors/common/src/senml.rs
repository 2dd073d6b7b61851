//! SenML in JSON (RFC 8428): packs of records, resolved to readings.

use serde::Deserialize;
use tidemill_engine::batch::Number;
use tidemill_engine::time::Timestamp;

use crate::message::Reading;

/// Times below this many seconds are relative to the time of arrival (RFC 8428, section 4.5.3).
const ABSOLUTE: f64 = 268_435_456.0;

/// The version of SenML that is understood (section 4.4).
const VERSION: u64 = 10;

/// A record as written. Its base values hold for the records behind it too.
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
    /// Fields that must be understood have names that end with an underscore.
    #[serde(flatten)]
    rest: serde_json::Map<String, serde_json::Value>,
}

/// A reading that owns its text.
#[derive(Debug, PartialEq)]
pub(crate) struct OwnedReading {
    time: Timestamp,
    sensor: String,
    value: Option<Number>,
    text: Option<String>,
    unit: Option<String>,
}

impl OwnedReading {
    pub(crate) fn borrow(&self) -> Reading<'_> {
        Reading {
            time: Some(self.time),
            sensor: &self.sensor,
            value: self.value,
            text: self.text.as_deref(),
            unit: self.unit.as_deref(),
            quality: None,
        }
    }
}

/// The readings of a pack that was `received` at this time: names and times resolved, values with their base values, sums where there is no value.
///
/// # Errors
/// What is wrong with the pack: it is rejected as a whole.
pub(crate) fn readings(pack: &[u8], received: Timestamp) -> Result<Vec<OwnedReading>, String> {
    let entries: Vec<Entry> =
        serde_json::from_slice(pack).map_err(|error| format!("not a SenML pack: {error}"))?;
    let (mut name, mut time, mut unit) = (String::new(), 0.0, None);
    let (mut value, mut sum) = (None, None);
    let mut readings = Vec::new();
    for (at, entry) in entries.into_iter().enumerate() {
        let wrong = |why: &str| format!("record {} of the SenML pack: {why}", at + 1);
        if entry.bver.is_some_and(|version| version > VERSION) {
            return Err(wrong("its version is newer than 10"));
        }
        if let Some(unknown) = entry.rest.keys().find(|key| key.ends_with('_')) {
            return Err(wrong(&format!("the field `{unknown}` must be understood, and is not known")));
        }
        name = entry.bn.unwrap_or(name);
        time = entry.bt.unwrap_or(time);
        unit = entry.bu.or(unit);
        value = entry.bv.or(value);
        sum = entry.bs.or(sum);
        let sensor = format!("{name}{}", entry.n.as_deref().unwrap_or_default());
        if sensor.is_empty() {
            return Err(wrong("it has no name"));
        }
        let number = match (entry.v, entry.vb) {
            (Some(own), _) => Some(Number::F64(value.unwrap_or(0.0) + own)),
            (None, Some(own)) => Some(Number::Bool(own)),
            (None, None) if entry.vs.is_none() && entry.vd.is_none() => {
                // A base value alone is the value of a record that says nothing else.
                entry.s.map(|own| sum.unwrap_or(0.0) + own).or(value).map(Number::F64)
            }
            (None, None) => None,
        };
        let text = entry.vs.or(entry.vd);
        if number.is_none() && text.is_none() {
            // It only sets base values.
            continue;
        }
        let time = resolved(time, entry.t.unwrap_or(0.0), received)
            .ok_or_else(|| wrong("its time is out of range"))?;
        readings.push(OwnedReading {
            time,
            sensor,
            value: number,
            text,
            unit: entry.u.or_else(|| unit.clone()),
        });
    }
    Ok(readings)
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

    fn read(pack: &str) -> Result<Vec<OwnedReading>, String> {
        readings(pack.as_bytes(), Timestamp::from_nanos(1_700_000_000_000_000_000))
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
            ("[{\"n\":\"a\",\"bver\":11,\"v\":1}]", "newer than 10"),
            ("[{\"n\":\"a\",\"v\":\"1\"}]", "not a SenML pack"),
            ("[{\"n\":\"a\",\"v\":1,\"t\":1e300}]", "out of range"),
        ] {
            let error = read(pack).expect_err(pack);
            assert!(error.contains(why), "{pack}: {error}");
        }
    }
}
