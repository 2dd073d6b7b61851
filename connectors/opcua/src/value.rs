//! Values with their status and time.

use std::borrow::Cow;

use opcua::types::{DataValue, DateTime, StatusCode, StatusCodeSeverity, Variant};
use tidemill_engine::batch::Number;
use tidemill_engine::time::Timestamp;

/// 1970 in ticks of 100 ns since 1601, which is how the protocol counts.
const EPOCH: i64 = 116_444_736_000_000_000;

/// What a value is, as far as a record can have it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    Nothing,
    Number(Number),
    Text(String),
}

/// What is kept of a value: it may wait for long.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Measured {
    pub(crate) status: StatusCode,
    /// When it was measured, or else when the server has received it.
    pub(crate) time: Option<Timestamp>,
    /// What it is, or why it cannot stand in a record.
    pub(crate) content: Result<Content, &'static str>,
}

impl From<&DataValue> for Measured {
    fn from(value: &DataValue) -> Self {
        Self {
            status: value.status.unwrap_or(StatusCode::Good),
            time: time(value),
            content: value.value.as_ref().map_or(Ok(Content::Nothing), content),
        }
    }
}

impl Measured {
    /// The bytes of its text.
    pub(crate) fn text_len(&self) -> usize {
        match &self.content {
            Ok(Content::Text(text)) => text.len(),
            _ => 0,
        }
    }
}

fn content(variant: &Variant) -> Result<Content, &'static str> {
    let integer = |value: i64| Ok(Content::Number(Number::I64(value)));
    let natural = |value: u64| Ok(Content::Number(Number::U64(value)));
    let text = |text: &dyn ToString| Ok(Content::Text(text.to_string()));
    match variant {
        Variant::Empty => Ok(Content::Nothing),
        Variant::Boolean(value) => Ok(Content::Number(Number::Bool(*value))),
        Variant::SByte(value) => integer(i64::from(*value)),
        Variant::Int16(value) => integer(i64::from(*value)),
        Variant::Int32(value) => integer(i64::from(*value)),
        Variant::Int64(value) => integer(*value),
        Variant::Byte(value) => natural(u64::from(*value)),
        Variant::UInt16(value) => natural(u64::from(*value)),
        Variant::UInt32(value) => natural(u64::from(*value)),
        Variant::UInt64(value) => natural(*value),
        Variant::Float(value) => Ok(Content::Number(Number::F64(f64::from(*value)))),
        Variant::Double(value) => Ok(Content::Number(Number::F64(*value))),
        Variant::String(value) => value.value().as_ref().map_or(Ok(Content::Nothing), |own| text(own)),
        Variant::LocalizedText(value) => text(&value.text.value().as_deref().unwrap_or_default()),
        Variant::QualifiedName(value) => text(&value.name.value().as_deref().unwrap_or_default()),
        Variant::DateTime(value) => time_of(value, 0).map_or(Ok(Content::Nothing), |time| text(&time)),
        Variant::Guid(value) => text(value),
        Variant::StatusCode(value) => text(&value.sub_code().name()),
        Variant::NodeId(value) => text(value),
        Variant::Variant(inner) => content(inner),
        Variant::Array(_) => Err("an array is not a single value"),
        Variant::ByteString(_) => Err("bytes are neither a number nor text"),
        _ => Err("a structure is not a single value"),
    }
}

/// When a value was measured, or else when the server has received it; `None` if the server does not say.
fn time(value: &DataValue) -> Option<Timestamp> {
    let source =
        value.source_timestamp.as_ref().and_then(|time| time_of(time, value.source_picoseconds.unwrap_or(0)));
    let server = || {
        value.server_timestamp.as_ref().and_then(|time| time_of(time, value.server_picoseconds.unwrap_or(0)))
    };
    source.or_else(server)
}

/// A time; `None` if there is none, or it is out of range. `fraction` counts 10 ps.
fn time_of(time: &DateTime, fraction: u16) -> Option<Timestamp> {
    if time.is_null() {
        return None;
    }
    let nanos = (time.ticks() - EPOCH).checked_mul(100)?;
    Some(Timestamp::from_nanos(nanos.checked_add(i64::from(fraction.min(9_999) / 100))?))
}

/// The last tick that is not behind `time`.
pub(crate) fn tick_before(time: Timestamp) -> DateTime {
    DateTime::from(time.as_nanos().div_euclid(100) + EPOCH)
}

/// The first tick that is not before `time`.
pub(crate) fn tick_after(time: Timestamp) -> DateTime {
    DateTime::from(-((-i128::from(time.as_nanos())).div_euclid(100)) as i64 + EPOCH)
}

/// Good, Uncertain or Bad.
pub(crate) fn severity(status: StatusCode) -> &'static str {
    match status.severity() {
        StatusCodeSeverity::Good => "Good",
        StatusCodeSeverity::Uncertain => "Uncertain",
        StatusCodeSeverity::Bad => "Bad",
    }
}

/// The name of the code, such as `UncertainSensorNotAccurate`; its number if it has none.
pub(crate) fn code(status: StatusCode) -> Cow<'static, str> {
    match status.sub_code().name() {
        "Invalid" => format!("0x{:08X}", status.bits()).into(),
        name => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use opcua::types::{Array, ByteString, LocalizedText, UAString, VariantScalarTypeId};
    use proptest::prelude::*;

    use super::*;

    fn of(variant: impl Into<Variant>) -> DataValue {
        DataValue::value_only(variant.into())
    }

    fn content(value: &DataValue) -> Result<Content, &'static str> {
        Measured::from(value).content
    }

    #[test]
    fn numbers_truth_and_texts_stand_in_records_and_arrays_do_not() {
        let number = |number| Ok(Content::Number(number));
        assert_eq!(content(&of(true)), number(Number::Bool(true)));
        assert_eq!(content(&of(-3_i8)), number(Number::I64(-3)));
        assert_eq!(content(&of(u64::MAX)), number(Number::U64(u64::MAX)));
        assert_eq!(content(&of(0.1_f32)), number(Number::F64(f64::from(0.1_f32))));
        assert_eq!(content(&of("warm")), Ok(Content::Text("warm".into())));
        assert_eq!(content(&of(LocalizedText::new("en", "warm"))), Ok(Content::Text("warm".into())));
        assert_eq!(content(&of(Variant::String(UAString::null()))), Ok(Content::Nothing));
        assert_eq!(content(&DataValue::null()), Ok(Content::Nothing));
        assert_eq!(content(&of(DateTime::ymd(2026, 1, 1))), Ok(Content::Text("2026-01-01T00:00:00Z".into())));
        let array = Array::new(VariantScalarTypeId::Double, vec![Variant::Double(1.0)]).expect("an array");
        assert!(content(&of(Variant::Array(Box::new(array)))).expect_err("an array").contains("array"));
        assert!(content(&of(ByteString::from(vec![1]))).is_err());
    }

    #[test]
    fn the_time_is_that_of_the_source_or_else_of_the_server() {
        let time_at = |year| Some(DateTime::ymd(year, 1, 1));
        let both = DataValue { source_timestamp: time_at(2026), server_timestamp: time_at(2027), ..of(1.0) };
        assert_eq!(time(&both).expect("a time").to_string(), "2026-01-01T00:00:00Z");
        let fine = DataValue { source_picoseconds: Some(1_234), ..both.clone() };
        assert_eq!(time(&fine).expect("a time").to_string(), "2026-01-01T00:00:00.000000012Z");
        let server = DataValue { source_timestamp: Some(DateTime::null()), ..both };
        assert_eq!(time(&server).expect("a time").to_string(), "2027-01-01T00:00:00Z");
        // Out of the range of times.
        let late = DataValue { source_timestamp: time_at(9000), server_timestamp: None, ..of(1.0) };
        assert_eq!(time(&late), None);
    }

    #[test]
    fn codes_have_names_or_numbers() {
        let status = StatusCode::UncertainSensorNotAccurate.set_overflow(true);
        assert_eq!((severity(status), &*code(status)), ("Uncertain", "UncertainSensorNotAccurate"));
        assert_eq!(&*code(StatusCode::from(0x80FF_0000)), "0x80FF0000");
        assert_eq!(severity(StatusCode::from(0x80FF_0000)), "Bad");
    }

    proptest! {
        #[test]
        fn ticks_surround_a_time(nanos in any::<i64>()) {
            let at = |tick: &DateTime| i128::from(tick.ticks() - EPOCH) * 100;
            let time = Timestamp::from_nanos(nanos);
            let (before, after) = (at(&tick_before(time)), at(&tick_after(time)));
            prop_assert!(before <= i128::from(nanos) && i128::from(nanos) <= after && after - before <= 100);
        }
    }
}
