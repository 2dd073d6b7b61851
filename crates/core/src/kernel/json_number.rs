//! Numbers in JSON, which has none for what is not finite: those are the strings "inf", "-inf" and "NaN", as in JSON Lines, where `serde_json`
//! would write null. For `#[serde(with = …)]`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number as JSON has it.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Number {
    Finite(f64),
    Text(String),
}

/// Writes a number, or the text that stands for it.
///
/// # Errors
/// The serializer's.
pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    let number = if value.is_finite() { Number::Finite(*value) } else { Number::Text(value.to_string()) };
    number.serialize(serializer)
}

/// Writes a number that may be missing: then as null.
///
/// # Errors
/// The serializer's.
pub fn serialize_option<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        None => serializer.serialize_none(),
        Some(value) => serialize(value, serializer),
    }
}

/// Reads what [`serialize`] has written.
///
/// # Errors
/// The deserializer's, or a text that is no number.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    match Number::deserialize(deserializer)? {
        Number::Finite(value) => Ok(value),
        Number::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Value(#[serde(with = "super")] f64);

    #[test]
    fn every_number_is_written_and_read_back() {
        let texts = [
            (1.5, "1.5"),
            (-0.0, "-0.0"),
            (f64::INFINITY, "\"inf\""),
            (f64::NEG_INFINITY, "\"-inf\""),
            (f64::NAN, "\"NaN\""),
        ];
        for (value, text) in texts {
            assert_eq!(serde_json::to_string(&Value(value)).expect("written"), text);
            let Value(read) = serde_json::from_str(text).expect("read");
            assert!(read.to_bits() == value.to_bits() || read.is_nan() && value.is_nan(), "{text}");
        }
        assert!(serde_json::from_str::<Value>("\"much\"").is_err());
    }
}
