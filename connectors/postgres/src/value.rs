//! Single values in the binary format of `COPY`: an `i32` with the number of bytes, or -1 for null, then the bytes.

use crate::kind::{Kind, Own};
use crate::numeric;

/// 2000-01-01 in microseconds since 1970: PostgreSQL counts from there.
pub(crate) const EPOCH: i64 = 946_684_800_000_000;

/// A value of a record; null is none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    /// Nanoseconds since 1970.
    Time(i64),
    /// Any bytes.
    Text(&'a [u8]),
    F64(f64),
    I64(i64),
    U64(u64),
    Bool(bool),
}

/// What was changed so that values fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Losses {
    /// Times whose nanoseconds were cut off.
    pub(crate) nanoseconds: u64,
    /// Texts in which characters were replaced.
    pub(crate) texts: u64,
}

impl Losses {
    pub(crate) fn add(&mut self, more: Self) {
        self.nanoseconds += more.nanoseconds;
        self.texts += more.texts;
    }

    /// Remarks for the end of a run.
    pub(crate) fn remarks(self) -> Vec<String> {
        let Self { nanoseconds, texts } = self;
        let times = (nanoseconds > 0).then(|| {
            format!("{nanoseconds} times had nanoseconds, which were cut off: a column of type bigint takes them as nanoseconds since 1970")
        });
        let texts = (texts > 0).then(|| {
            format!("{texts} texts had characters that the database does not take (NUL, bytes that are not UTF-8): these were replaced by U+FFFD")
        });
        times.into_iter().chain(texts).collect()
    }
}

/// A value that a column cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unfit;

/// Appends null.
pub(crate) fn write_null(out: &mut Vec<u8>) {
    out.extend_from_slice(&(-1i32).to_be_bytes());
}

/// Appends `value` for a column of type `kind`.
///
/// # Errors
/// If the column cannot hold it.
pub(crate) fn write(
    value: Value<'_>,
    kind: Kind,
    losses: &mut Losses,
    out: &mut Vec<u8>,
) -> Result<(), Unfit> {
    match (kind, value) {
        (Kind::Timestamptz | Kind::Timestamp, Value::Time(nanos)) => {
            losses.nanoseconds += u64::from(nanos % 1000 != 0);
            put(out, &(nanos.div_euclid(1000) - EPOCH).to_be_bytes());
        }
        (Kind::Int8, Value::Time(nanos)) => put(out, &nanos.to_be_bytes()),
        (Kind::Text | Kind::Json | Kind::Jsonb, Value::Text(text)) => write_text(text, kind, losses, out),
        (Kind::Float8, Value::F64(number)) => put(out, &number.to_be_bytes()),
        (Kind::Float4, Value::F64(number)) => put(out, &(number as f32).to_be_bytes()),
        (Kind::Numeric, Value::F64(number)) => sized(out, |out| numeric::write_float(number, out)),
        (Kind::Bool, Value::Bool(is_true)) => put(out, &[u8::from(is_true)]),
        (kind, Value::I64(number)) => return write_integer(number.into(), kind, out),
        (kind, Value::U64(number)) => return write_integer(number.into(), kind, out),
        (kind, Value::Bool(is_true)) => return write_integer(is_true.into(), kind, out),
        _ => return Err(Unfit),
    }
    Ok(())
}

fn write_integer(number: i128, kind: Kind, out: &mut Vec<u8>) -> Result<(), Unfit> {
    match kind {
        Kind::Int2 => put(out, &i16::try_from(number).map_err(|_| Unfit)?.to_be_bytes()),
        Kind::Int4 => put(out, &i32::try_from(number).map_err(|_| Unfit)?.to_be_bytes()),
        Kind::Int8 => put(out, &i64::try_from(number).map_err(|_| Unfit)?.to_be_bytes()),
        Kind::Float8 => put(out, &(number as f64).to_be_bytes()),
        Kind::Float4 => put(out, &(number as f32).to_be_bytes()),
        Kind::Numeric => sized(out, |out| numeric::write_integer(number, out)),
        _ => return Err(Unfit),
    }
    Ok(())
}

/// Text must be UTF-8 without NUL: one record of a stranger must not stop a run, so what is not is replaced.
fn write_text(text: &[u8], kind: Kind, losses: &mut Losses, out: &mut Vec<u8>) {
    let is_good = std::str::from_utf8(text).is_ok() && !text.contains(&0);
    let mended = (!is_good).then(|| String::from_utf8_lossy(text).replace('\0', "\u{fffd}"));
    losses.texts += u64::from(!is_good);
    let text = mended.as_ref().map_or(text, |mended| mended.as_bytes());
    sized(out, |out| {
        // The version of the format.
        out.extend((kind == Kind::Jsonb).then_some(1));
        out.extend_from_slice(text);
    });
}

/// Appends `value` as it is, whatever the column: for rows that are made before the table is known.
pub(crate) fn write_own(value: Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Time(number) | Value::I64(number) => put(out, &number.to_be_bytes()),
        Value::Text(text) => put(out, text),
        Value::F64(number) => put(out, &number.to_be_bytes()),
        Value::U64(number) => put(out, &number.to_be_bytes()),
        Value::Bool(is_true) => put(out, &[u8::from(is_true)]),
    }
}

/// The value of type `own` that [`write_own`] has written.
pub(crate) fn read_own(own: Own, bytes: &[u8]) -> Option<Value<'_>> {
    let word = || bytes.try_into().ok();
    Some(match own {
        Own::Time => Value::Time(word().map(i64::from_be_bytes)?),
        Own::Text => Value::Text(bytes),
        Own::F64 => Value::F64(word().map(f64::from_be_bytes)?),
        Own::I64 => Value::I64(word().map(i64::from_be_bytes)?),
        Own::U64 => Value::U64(word().map(u64::from_be_bytes)?),
        Own::Bool => Value::Bool(matches!(bytes, [1])),
    })
}

/// The value of type `own` that [`write`] has written for a column of type `kind`; `None` if that does not say it any more.
pub(crate) fn read(own: Own, kind: Kind, bytes: &[u8]) -> Option<Value<'_>> {
    match own {
        Own::Time => match kind {
            Kind::Timestamptz | Kind::Timestamp => {
                let micros = i64::from_be_bytes(bytes.try_into().ok()?).checked_add(EPOCH)?;
                // The first microsecond begins before the first nanosecond.
                Some(Value::Time(micros.saturating_mul(1000)))
            }
            _ => read_own(own, bytes),
        },
        Own::Text if kind == Kind::Jsonb => bytes.get(1..).map(Value::Text),
        Own::Text => Some(Value::Text(bytes)),
        Own::F64 => float(kind, bytes).map(Value::F64),
        Own::Bool if kind == Kind::Bool => read_own(own, bytes),
        Own::Bool => integer(kind, bytes).map(|number| Value::Bool(number != 0)),
        Own::I64 => integer(kind, bytes).and_then(|number| number.try_into().ok()).map(Value::I64),
        Own::U64 => integer(kind, bytes).and_then(|number| number.try_into().ok()).map(Value::U64),
    }
}

/// A number of a column of type `kind`.
pub(crate) fn float(kind: Kind, bytes: &[u8]) -> Option<f64> {
    match kind {
        Kind::Float8 => bytes.try_into().ok().map(f64::from_be_bytes),
        Kind::Float4 => bytes.try_into().ok().map(f32::from_be_bytes).map(f64::from),
        Kind::Numeric => numeric::read_float(bytes),
        _ => None,
    }
}

/// An integer of a column of type `kind`, as far as that is exact.
pub(crate) fn integer(kind: Kind, bytes: &[u8]) -> Option<i128> {
    match kind {
        Kind::Int2 => bytes.try_into().ok().map(i16::from_be_bytes).map(i128::from),
        Kind::Int4 => bytes.try_into().ok().map(i32::from_be_bytes).map(i128::from),
        Kind::Int8 => bytes.try_into().ok().map(i64::from_be_bytes).map(i128::from),
        _ => {
            let number = float(kind, bytes)?;
            (number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0).then_some(number as i128)
        }
    }
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Appends what `write` appends, and before it the number of its bytes.
fn sized(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out);
    let length = (out.len() - start - 4) as i32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(value: Value<'_>, kind: Kind) -> Result<Vec<u8>, Unfit> {
        let mut out = Vec::new();
        write(value, kind, &mut Losses::default(), &mut out)?;
        let (length, bytes) = out.split_at(4);
        assert_eq!(length, (bytes.len() as i32).to_be_bytes());
        Ok(bytes.to_vec())
    }

    #[test]
    fn times_count_microseconds_from_2000_rounded_down() {
        let at = |nanos| written(Value::Time(nanos), Kind::Timestamptz).expect("fits");
        assert_eq!(at(EPOCH * 1000), 0i64.to_be_bytes());
        assert_eq!(at(EPOCH * 1000 - 1), (-1i64).to_be_bytes());
        assert_eq!(at(EPOCH * 1000 + 1999), 1i64.to_be_bytes());
        let mut losses = Losses::default();
        for nanos in [5000, 5001, i64::MIN] {
            write(Value::Time(nanos), Kind::Timestamp, &mut losses, &mut Vec::new()).expect("fits");
        }
        assert_eq!(losses, Losses { nanoseconds: 2, texts: 0 });
        assert_eq!(written(Value::Time(-1), Kind::Int8), Ok((-1i64).to_be_bytes().to_vec()));
    }

    #[test]
    fn what_no_text_may_have_is_replaced_and_counted() {
        let mut losses = Losses::default();
        let mut out = Vec::new();
        for text in [&b"a\0b"[..], b"\xff", b"ok"] {
            write(Value::Text(text), Kind::Text, &mut losses, &mut out).expect("fits");
        }
        assert_eq!(losses.texts, 2);
        assert_eq!(&out[4..9], "a\u{fffd}b".as_bytes());
        assert_eq!(written(Value::Text(b"{}"), Kind::Jsonb), Ok(b"\x01{}".to_vec()));
    }

    #[test]
    fn integers_beyond_a_type_do_not_fit() {
        assert_eq!(written(Value::I64(40_000), Kind::Int2), Err(Unfit));
        assert_eq!(written(Value::I64(-40_000), Kind::Int4), Ok((-40_000i32).to_be_bytes().to_vec()));
        assert_eq!(written(Value::U64(u64::MAX), Kind::Int8), Err(Unfit));
        assert!(written(Value::U64(u64::MAX), Kind::Numeric).is_ok());
        assert_eq!(written(Value::F64(1.0), Kind::Int8), Err(Unfit));
    }

    fn values() -> impl Strategy<Value = (Own, u64, Vec<u8>)> {
        let own = (0u8..6).prop_map(|code| Own::of_code(code).expect("a type"));
        (own, any::<u64>(), proptest::collection::vec(any::<u8>(), 0..20))
    }

    fn value(own: Own, bits: u64, text: &[u8]) -> Value<'_> {
        match own {
            Own::Time => Value::Time(bits.cast_signed()),
            Own::Text => Value::Text(text),
            Own::F64 => Value::F64(f64::from_bits(bits)),
            Own::I64 => Value::I64(bits.cast_signed()),
            Own::U64 => Value::U64(bits),
            Own::Bool => Value::Bool(bits & 1 == 1),
        }
    }

    /// Equal, where any NaN is one.
    fn is_same(one: Value<'_>, other: Value<'_>) -> bool {
        matches!((one, other), (Value::F64(a), Value::F64(b)) if a.is_nan() && b.is_nan()) || one == other
    }

    proptest! {
        #[test]
        fn values_of_unknown_columns_read_back((own, bits, text) in values()) {
            let value = value(own, bits, &text);
            let mut out = Vec::new();
            write_own(value, &mut out);
            prop_assert!(is_same(read_own(own, &out[4..]).expect("a value"), value));
        }

        #[test]
        fn values_of_their_natural_type_read_back((own, bits, text) in values()) {
            let text = String::from_utf8_lossy(&text).replace('\0', "");
            let bits = if own == Own::U64 { bits >> 1 } else { bits };
            let value = value(own, bits, text.as_bytes());
            let bytes = written(value, own.natural()).expect("fits");
            let back = read(own, own.natural(), &bytes).expect("a value");
            match (value, back) {
                (Value::Time(nanos), Value::Time(back)) => prop_assert_eq!(nanos.div_euclid(1000) * 1000, back),
                (value, back) => prop_assert!(is_same(value, back)),
            }
        }

        #[test]
        fn every_type_writes_every_value_that_it_takes_or_says_no((own, bits, text) in values()) {
            for kind in own.kinds() {
                let bytes = written(value(own, bits, &text), *kind);
                prop_assert!(bytes.is_ok() || own.as_str().starts_with("integers"), "{:?}", kind);
                if let Ok(bytes) = bytes {
                    let _back = read(own, *kind, &bytes);
                }
            }
        }

        #[test]
        fn any_bytes_are_a_value_or_none(own in 0u8..6, kind in 0u8..13, bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
            let (own, kind) = (Own::of_code(own).expect("one"), Kind::of_code(kind).expect("one"));
            let _either = (read(own, kind, &bytes), read_own(own, &bytes));
        }
    }
}
