//! Remote write of Prometheus, version 1: time series with labels and samples, as a message of Protocol Buffers.

use tidemill_engine::time::Timestamp;

use super::protobuf::{Damaged, Fields, Value};

/// The label with the name of the metric.
const NAME: &str = "__name__";

/// The NaN by which Prometheus says that a series has ended.
const STALE: u64 = 0x7ff0_0000_0000_0002;

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

/// The series in a request.
pub(super) fn series(body: &[u8]) -> Result<Vec<Series>, Damaged> {
    let mut all = Vec::new();
    for field in Fields(body) {
        if let (1, Value::Bytes(bytes)) = field? {
            all.push(one(bytes)?);
        }
    }
    Ok(all)
}

fn one(bytes: &[u8]) -> Result<Series, Damaged> {
    let mut series = Series::default();
    for field in Fields(bytes) {
        match field? {
            (1, Value::Bytes(bytes)) => series.labels.push(label(bytes)?),
            (2, Value::Bytes(bytes)) => series.samples.push(sample(bytes)?),
            _ => {}
        }
    }
    let (names, labels): (Vec<_>, Vec<_>) = series.labels.iter().partition(|(name, _)| name == NAME);
    let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    let metric = names.first().map_or("", |(_, metric)| metric);
    series.name =
        if labels.is_empty() { metric.to_owned() } else { format!("{metric}{{{}}}", labels.join(",")) };
    Ok(series)
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

    #[test]
    fn series_have_names_labels_and_samples() {
        let labels = vec![(NAME, "temp"), ("line", "3"), ("site", "a\"b")];
        let body = request(&[
            (labels, vec![(1_700_000_000_123, 1.5_f64.to_bits()), (-1, STALE)]),
            (vec![(NAME, "up")], vec![]),
        ]);
        let all = series(&body).expect("series");
        assert_eq!(all[0].name, r#"temp{line="3",site="a\"b"}"#);
        let time = Timestamp::from_nanos(1_700_000_000_123_000_000);
        assert_eq!(all[0].samples, [(time, Some(1.5)), (Timestamp::from_nanos(-1_000_000), None)]);
        assert_eq!((&*all[1].name, all[1].samples.len(), all.len()), ("up", 0, 2));
    }

    #[test]
    fn what_is_cut_off_is_damaged_or_shorter_and_no_panic() {
        let body = request(&[(vec![(NAME, "temp"), ("a", "b")], vec![(1, 2), (3, 4)])]);
        for end in 0..body.len() {
            let _either = series(&body[..end]);
        }
    }

    proptest! {
        #[test]
        fn strangers_send_anything(body in any::<Vec<u8>>()) {
            let _either = series(&body);
        }
    }
}
