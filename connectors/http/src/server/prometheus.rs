//! Remote write of Prometheus, version 1: time series with labels and samples, as a message of Protocol Buffers.

use hyper::StatusCode;
use tidemill_engine::time::Timestamp;

use super::access::Refusal;
use super::body::too_large;
use super::protobuf::{Damaged, Fields, Value};

/// The label with the name of the metric.
const NAME: &str = "__name__";

/// The NaN by which Prometheus says that a series has ended.
const STALE: u64 = 0x7ff0_0000_0000_0002;

/// Bytes of a name, or of a value in it, beyond which it is cut: its records are rejected, since names of sensors are shorter.
const LONGEST: usize = 2 << 10;

/// Bytes of a record besides what it repeats: its time, its value, separators.
const RECORD: usize = 64;

/// A time series.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Series {
    /// Names and values, with that of the metric.
    pub(super) labels: Vec<(String, String)>,
    /// The metric with its labels, such as `temperature{line="3"}`.
    pub(super) name: String,
    /// Times, and values unless the series has ended there.
    pub(super) samples: Vec<(Timestamp, Option<f64>)>,
}

impl Series {
    /// The bytes that it takes, roughly.
    pub(super) fn size(&self) -> usize {
        let labels: usize = self.labels.iter().map(|(name, value)| name.len() + value.len()).sum();
        size_of::<Self>()
            + labels
            + self.name.len()
            + self.samples.len() * size_of::<(Timestamp, Option<f64>)>()
    }
}

/// Bytes that may still be taken.
struct Budget(usize);

impl Budget {
    fn spend(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.0 = self.0.checked_sub(bytes).ok_or_else(too_large)?;
        Ok(())
    }
}

impl From<Damaged> for Refusal {
    fn from(Damaged: Damaged) -> Self {
        Self(StatusCode::BAD_REQUEST, "the body is not a request of remote write 1")
    }
}

/// The series in a request. They, and the records that they become, take at most `most` bytes: that is looked at before they do.
pub(super) fn series(body: &[u8], most: usize) -> Result<Vec<Series>, Refusal> {
    let (mut all, mut budget) = (Vec::new(), Budget(most));
    for field in Fields(body) {
        if let (1, Value::Bytes(bytes)) = field? {
            let series = one(bytes, &mut budget)?;
            budget.spend(series.samples.len().saturating_mul(series.name.len() + RECORD))?;
            all.push(series);
        }
    }
    Ok(all)
}

fn one(bytes: &[u8], budget: &mut Budget) -> Result<Series, Refusal> {
    let mut series = Series::default();
    budget.spend(size_of::<Series>())?;
    for field in Fields(bytes) {
        match field? {
            (1, Value::Bytes(bytes)) => {
                let label = label(bytes)?;
                budget.spend(size_of_val(&label) + label.0.len() + label.1.len())?;
                series.labels.push(label);
            }
            (2, Value::Bytes(bytes)) => {
                let sample = sample(bytes)?;
                budget.spend(size_of_val(&sample))?;
                series.samples.push(sample);
            }
            _ => {}
        }
    }
    series.name = name(&series.labels);
    budget.spend(series.name.len())?;
    Ok(series)
}

/// The metric with its labels.
fn name(labels: &[(String, String)]) -> String {
    let (names, labels): (Vec<_>, Vec<_>) = labels.iter().partition(|(name, _)| name == NAME);
    let mut text = names.first().map_or_else(String::new, |(_, metric)| short(metric).to_owned());
    for (at, (name, value)) in labels.iter().enumerate() {
        if text.len() > LONGEST {
            break;
        }
        text.push(if at == 0 { '{' } else { ',' });
        text += &format!("{}={:?}", short(name), short(value));
    }
    if !labels.is_empty() {
        text.push('}');
    }
    text
}

fn short(text: &str) -> &str {
    text.char_indices().nth(LONGEST).map_or(text, |(end, _)| &text[..end])
}

fn label(bytes: &[u8]) -> Result<(String, String), Damaged> {
    let (mut name, mut value) = (String::new(), String::new());
    for field in Fields(bytes) {
        match field? {
            (1, Value::Bytes(text)) => name = String::from_utf8_lossy(text).into_owned(),
            (2, Value::Bytes(text)) => value = String::from_utf8_lossy(text).into_owned(),
            _ => {}
        }
    }
    Ok((name, value))
}

fn sample(bytes: &[u8]) -> Result<(Timestamp, Option<f64>), Damaged> {
    let (mut millis, mut bits) = (0_i64, 0);
    for field in Fields(bytes) {
        match field? {
            (1, Value::Fixed64(value)) => bits = value,
            (2, Value::Varint(value)) => millis = value as i64,
            _ => {}
        }
    }
    let time = Timestamp::from_nanos(millis.checked_mul(1_000_000).ok_or(Damaged)?);
    Ok((time, (bits != STALE).then(|| f64::from_bits(bits))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn varint(mut value: u64, out: &mut Vec<u8>) {
        while value >= 0x80 {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
    }

    fn bytes(field: u64, content: &[u8], out: &mut Vec<u8>) {
        varint(field << 3 | 2, out);
        varint(content.len() as u64, out);
        out.extend_from_slice(content);
    }

    /// Labels, and samples as milliseconds and bits.
    type Written<'a> = (Vec<(&'a str, &'a str)>, Vec<(i64, u64)>);

    /// A request, as Prometheus makes it.
    fn request(series: &[Written<'_>]) -> Vec<u8> {
        let mut all = Vec::new();
        for (labels, samples) in series {
            let mut one = Vec::new();
            for (name, value) in labels {
                let mut label = Vec::new();
                bytes(1, name.as_bytes(), &mut label);
                bytes(2, value.as_bytes(), &mut label);
                bytes(1, &label, &mut one);
            }
            for (millis, bits) in samples {
                let mut sample = Vec::new();
                varint(1 << 3 | 1, &mut sample);
                sample.extend_from_slice(&bits.to_le_bytes());
                varint(2 << 3, &mut sample);
                varint(*millis as u64, &mut sample);
                bytes(2, &sample, &mut one);
            }
            bytes(1, &one, &mut all);
        }
        // Metadata, which is not read.
        bytes(3, b"\x08\x01", &mut all);
        all
    }

    fn read(body: &[u8]) -> Result<Vec<Series>, Refusal> {
        series(body, 1 << 20)
    }

    /// The bytes that series, and the records that they become, take at least.
    fn taken(all: &[Series]) -> usize {
        all.iter().map(|series| series.size() + series.samples.len() * series.name.len()).sum()
    }

    #[test]
    fn a_small_request_takes_no_more_memory_than_is_allowed() {
        let most = 1 << 20;
        let status = |body: &[u8]| series(body, most).map_or_else(|refusal| refusal.0.as_u16(), |_| 200);
        // Series without anything, and one whose name each of its empty samples would repeat.
        assert_eq!(status(&[0x0a, 0].repeat(100)), 200);
        assert_eq!(status(&[0x0a, 0].repeat(100_000)), 413);
        let long = "x".repeat(2000);
        let of = |samples: usize| request(&[(vec![(NAME, &*long)], vec![(0, 0); samples])]);
        assert_eq!((status(&of(100)), status(&of(1000))), (200, 413));
    }

    #[test]
    fn a_name_that_is_too_long_is_cut() {
        let long = "\u{1}".repeat(10 * LONGEST);
        let all = read(&request(&[(vec![(NAME, &*long), ("a", &*long), ("b", &*long)], vec![(1, 2)])]));
        let all = all.expect("series");
        let name = &all[0].name;
        assert!((LONGEST..20 * LONGEST).contains(&name.len()), "{}", name.len());
    }

    #[test]
    fn series_have_names_labels_and_samples() {
        let labels = vec![(NAME, "temp"), ("line", "3"), ("site", "a\"b")];
        let body = request(&[
            (labels, vec![(1_700_000_000_123, 1.5_f64.to_bits()), (-1, STALE)]),
            (vec![(NAME, "up")], vec![]),
        ]);
        let all = read(&body).expect("series");
        assert_eq!(all[0].name, r#"temp{line="3",site="a\"b"}"#);
        let time = Timestamp::from_nanos(1_700_000_000_123_000_000);
        assert_eq!(all[0].samples, [(time, Some(1.5)), (Timestamp::from_nanos(-1_000_000), None)]);
        assert_eq!((&*all[1].name, all[1].samples.len(), all.len()), ("up", 0, 2));
    }

    #[test]
    fn what_is_cut_off_is_damaged_or_shorter_and_no_panic() {
        let body = request(&[(vec![(NAME, "temp"), ("a", "b")], vec![(1, 2), (3, 4)])]);
        for end in 0..body.len() {
            let _either = read(&body[..end]);
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_within_the_budget(
            shape in proptest::collection::vec((0..2000_usize, 0..400_usize, 0..3_usize), 0..20),
        ) {
            let texts: Vec<String> = shape.iter().map(|(length, ..)| "\u{1}x".repeat(length / 2)).collect();
            let written: Vec<Written<'_>> = shape.iter().zip(&texts).map(|((_, samples, labels), text)| {
                (vec![("a", text.as_str()); *labels], vec![(1, 2); *samples])
            }).collect();
            let most = 1 << 20;
            match series(&request(&written), most) {
                Ok(all) => prop_assert!(taken(&all) <= most),
                Err(refusal) => prop_assert_eq!(refusal.0.as_u16(), 413),
            }
        }

        #[test]
        fn strangers_send_anything(body in any::<Vec<u8>>()) {
            let most = 1 << 14;
            prop_assert!(series(&body, most).map_or(0, |all| taken(&all)) <= most);
        }
    }
}
