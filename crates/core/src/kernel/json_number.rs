//! Numbers in JSON, which cannot represent non-finite ones: those are the strings "inf", "-inf" and "NaN", as in JSON Lines, where
//! `serde_json` would write null. For `#[serde(with = …)]`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The JSON representation of a number.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum JsonNumber {
    Finite(f64),
    Text(String),
}

/// Serialises a number, or the text for a non-finite one.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    let number =
        if value.is_finite() { JsonNumber::Finite(*value) } else { JsonNumber::Text(value.to_string()) };
    number.serialize(serializer)
}

/// Serialises an optional number; `None` is null.
///
/// # Errors
/// Those of the serializer.
pub fn serialize_option<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        None => serializer.serialize_none(),
        Some(value) => serialize(value, serializer),
    }
}

/// Deserialises the output of [`serialize`].
///
/// # Errors
/// Those of the deserializer, or a text that is not a number.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    match JsonNumber::deserialize(deserializer)? {
        JsonNumber::Finite(value) => Ok(value),
        JsonNumber::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct WithFloat(#[serde(with = "super")] f64);

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
            assert_eq!(serde_json::to_string(&WithFloat(value)).expect("written"), text);
            let WithFloat(read) = serde_json::from_str(text).expect("read");
            assert!(read.to_bits() == value.to_bits() || read.is_nan() && value.is_nan(), "{text}");
        }
        assert!(serde_json::from_str::<WithFloat>("\"much\"").is_err());
    }
}
