//! The meaning of words in names and values.

/// Words for sensors, the most reliable first.
pub(super) const SENSOR_NAMES: [&str; 32] = [
    "sensor",
    "device",
    "entity",
    "station",
    "tag",
    "channel",
    "node",
    "meter",
    "machine",
    "asset",
    "signal",
    "point",
    "unit",
    "dev",
    "location",
    "site",
    "room",
    "raum",
    "host",
    "name",
    "id",
    "serial",
    "gerät",
    "geraet",
    "anlage",
    "standort",
    "messstelle",
    "zähler",
    "logger",
    "probe",
    "well",
    "label",
];
/// Those whose values may be whole numbers.
const NUMBERED: [&str; 14] = [
    "sensor", "device", "station", "channel", "node", "meter", "machine", "dev", "site", "room", "raum",
    "id", "serial", "tag",
];
/// Words for the quantity of a record.
pub(super) const QUANTITY_NAMES: [&str; 11] = [
    "quantity",
    "parameter",
    "variable",
    "measurand",
    "metric",
    "property",
    "field",
    "measurement",
    "phenomenon",
    "messgröße",
    "merkmal",
];
/// Words for properties of a record, not for its sensor.
const REMARK_NAMES: [&str; 46] = [
    "status",
    "state",
    "quality",
    "flag",
    "flags",
    "note",
    "notes",
    "comment",
    "comments",
    "remark",
    "remarks",
    "type",
    "mode",
    "alarm",
    "error",
    "unit",
    "units",
    "uom",
    "direction",
    "dir",
    "valid",
    "validity",
    "message",
    "reason",
    "event",
    "condition",
    "severity",
    "bemerkung",
    "kommentar",
    "hinweis",
    "anmerkung",
    "zustand",
    "qualität",
    "einheit",
    "richtung",
    "typ",
    "fehler",
    "opmerking",
    "toestand",
    "remarque",
    "commentaire",
    "estado",
    "observaciones",
    "stato",
    "calidad",
    "version",
];
/// Words for identifiers, which follow a word for a sensor in a column name.
const IDENTIFIERS: [&str; 12] =
    ["code", "key", "no", "nr", "number", "nummer", "num", "address", "addr", "eui", "mac", "label"];
/// Words for columns that distinguish measurements of one sensor, but mean nothing alone.
const KINDS: [&str; 8] = ["type", "typ", "kind", "unit", "units", "uom", "einheit", "mode"];
/// Words for parts of a time.
const CLOCK_NAMES: [&str; 12] = [
    "time",
    "date",
    "stamp",
    "timestamp",
    "zone",
    "timezone",
    "tz",
    "offset",
    "ampm",
    "utc",
    "weekday",
    "day",
];

/// Values of quality and status columns.
const REMARKS: [&str; 38] = [
    "ok",
    "good",
    "bad",
    "valid",
    "invalid",
    "error",
    "err",
    "fail",
    "failed",
    "fault",
    "alarm",
    "warning",
    "warn",
    "normal",
    "uncertain",
    "missing",
    "suspect",
    "estimated",
    "measured",
    "raw",
    "calibrated",
    "idle",
    "active",
    "inactive",
    "online",
    "offline",
    "high",
    "low",
    "none",
    "unknown",
    "info",
    "gut",
    "schlecht",
    "gültig",
    "ungültig",
    "fehler",
    "störung",
    "passed",
];
const DIRECTIONS: [&str; 27] = [
    "n",
    "nne",
    "ne",
    "ene",
    "e",
    "ese",
    "se",
    "sse",
    "s",
    "ssw",
    "sw",
    "wsw",
    "w",
    "wnw",
    "nw",
    "nnw",
    "north",
    "south",
    "east",
    "west",
    "northeast",
    "northwest",
    "southeast",
    "southwest",
    "calm",
    "vrb",
    "var",
];
const UNITS: [&str; 43] = [
    "°c", "°f", "degc", "deg c", "degf", "%", "%rh", "% rh", "pa", "hpa", "kpa", "mpa", "mbar", "bar", "psi",
    "kw", "mw", "wh", "kwh", "mwh", "mv", "ma", "hz", "rpm", "m/s", "km/h", "mph", "kn", "mm", "cm", "km",
    "l/s", "l/min", "m3", "m³", "m³/h", "m3/h", "ppm", "ppb", "µg/m³", "lx", "lux", "w/m²",
];
/// Units that are also ordinary letters.
const LETTERS: [&str; 7] = ["c", "k", "w", "v", "a", "m", "l"];
const HALVES: [&str; 4] = ["am", "pm", "a.m.", "p.m."];
const ZONES: [&str; 22] = [
    "utc", "gmt", "z", "cet", "cest", "mez", "mesz", "wet", "west", "eet", "eest", "bst", "ist", "est",
    "edt", "cst", "cdt", "mst", "mdt", "pst", "pdt", "jst",
];

/// The meaning of a column's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameMeaning {
    /// The sensor; the index of the word in [`SENSOR_NAMES`].
    Sensor(usize),
    Quantity,
    /// Something else.
    Remark,
    Clock,
}

/// The meaning of a name, by its last meaningful word: a `sensor_status` is a status.
pub(super) fn meaning(name: &str) -> Option<NameMeaning> {
    let words: Vec<String> = words(name).collect();
    let is_last = |from_end: usize| {
        words[words.len() - from_end..]
            .iter()
            .all(|word| IDENTIFIERS.contains(&word.as_str()) || is_number(word))
    };
    let found = words.iter().rev().enumerate().find_map(|(from_end, word)| {
        let is = |list: &[&str]| list.contains(&word.as_str());
        let ends_in = |list: &[&str]| list.iter().any(|end| end.len() > 4 && word.ends_with(end));
        let sensor = SENSOR_NAMES.iter().position(|name| name == word);
        let compound = || SENSOR_NAMES.iter().position(|name| name.len() > 3 && word.ends_with(name));
        // A "unit" may be a machine or a measure: the following word decides, or else its values.
        let meaning = match () {
            () if word == "unit" => sensor.map(NameMeaning::Sensor),
            () if is(&CLOCK_NAMES) => Some(NameMeaning::Clock),
            () if is(&QUANTITY_NAMES) => Some(NameMeaning::Quantity),
            () if is(&REMARK_NAMES) => Some(NameMeaning::Remark),
            () if sensor.is_some() => sensor.map(NameMeaning::Sensor),
            () if ends_in(&REMARK_NAMES) => Some(NameMeaning::Remark),
            () => compound().map(NameMeaning::Sensor),
        };
        Some((from_end, meaning?))
    });
    // The firmware of a device is not the device.
    let is_it = |(from_end, meaning): &(usize, NameMeaning)| {
        !matches!(meaning, NameMeaning::Sensor(_)) || is_last(*from_end)
    };
    found.filter(is_it).map(|(_, meaning)| meaning)
}

fn is_number(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a column of this name distinguishes measurements of one sensor.
pub(super) fn is_kind(name: &str) -> bool {
    words(name).last().is_some_and(|word| KINDS.contains(&word.as_str()))
}

/// Whether whole numbers in a column of this name can identify the sensor.
pub(super) fn is_numbered(name: &str) -> bool {
    words(name).last().is_some_and(|word| NUMBERED.contains(&word.as_str()))
}

/// Whether these values are properties of a record, not sensors.
pub(super) fn are_remarks(values: &[&str]) -> bool {
    all(values, |value| REMARKS.contains(&value))
        || all(values, |value| DIRECTIONS.contains(&value))
        || all(values, is_zone)
        || are_measures(values)
}

/// Whether these are units of measurement, numbers with one, AM/PM marks or offsets, which are not names of sensors.
pub(super) fn are_measures(values: &[&str]) -> bool {
    all(values, |value| UNITS.contains(&value))
        || all(values, has_unit)
        || all(values, is_half)
        || all(values, is_offset)
}

/// Whether these are units of measurement, letters among them, in a column that is called so.
pub(super) fn are_units_of(name: &str, values: &[&str]) -> bool {
    words(name).last().is_some_and(|word| word == "unit")
        && all(values, |value| UNITS.contains(&value) || LETTERS.contains(&value))
}

fn all(values: &[&str], is: impl Fn(&str) -> bool) -> bool {
    values.iter().all(|value| is(&value.to_lowercase()))
}

/// Whether a text is an AM/PM mark.
pub(super) fn is_half(value: &str) -> bool {
    HALVES.iter().any(|half| half.eq_ignore_ascii_case(value))
}

/// Whether a text names a zone, or an offset from UTC.
pub(super) fn is_zone(value: &str) -> bool {
    let is_place = || value.split_once('/').is_some_and(|(area, _)| AREAS.contains(&area));
    ZONES.contains(&value) || is_offset(value) || is_place()
}

const AREAS: [&str; 9] =
    ["europe", "america", "asia", "africa", "australia", "pacific", "atlantic", "indian", "etc"];

/// Whether a text is an offset such as `+01:00`.
pub(super) fn is_offset(value: &str) -> bool {
    let digits = match value.as_bytes() {
        b"Z" | b"z" => return true,
        [b'+' | b'-', h1, h2, b':', m1, m2] | [b'+' | b'-', h1, h2, m1, m2] => vec![*h1, *h2, *m1, *m2],
        [b'+' | b'-', h1, h2] => vec![*h1, *h2],
        _ => return false,
    };
    digits.iter().all(u8::is_ascii_digit)
}

/// Whether a text is a number followed by a unit.
fn has_unit(value: &str) -> bool {
    let unit = value.trim_start_matches(|letter: char| letter.is_ascii_digit() || "+-.,".contains(letter));
    unit.len() < value.len() && (UNITS.contains(&unit.trim()) || LETTERS.contains(&unit.trim()))
}

/// The words of a name: `sensor_id`, `sensorId` and `SENSOR ID` are `sensor` and `id`.
pub(super) fn words(name: &str) -> impl Iterator<Item = String> {
    let (mut spaced, mut last_is_small) = (String::new(), false);
    for letter in name.chars() {
        if letter.is_uppercase() && last_is_small {
            spaced.push(' ');
        }
        last_is_small = letter.is_lowercase();
        spaced.extend(letter.to_lowercase());
    }
    let words = spaced.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect::<Vec<_>>().into_iter()
}

/// Whether a name contains one of `words`.
pub(super) fn has_one(name: &str, words: &[&str]) -> bool {
    let name = name.to_lowercase();
    words.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_that_means_something_decides() {
        let sensor = |name: &str| matches!(meaning(name), Some(NameMeaning::Sensor(_)));
        for name in ["sensorId", "device_name", "Messstelle", "unit_id", "unit", "DEVICE", "Raum", "pump id"]
        {
            assert!(sensor(name), "{name}");
        }
        for name in
            ["sensor_status", "device_type", "Sensorstatus", "Bemerkung", "wind_dir", "device_time", "x"]
        {
            assert!(!sensor(name), "{name}");
        }
        assert!(is_numbered("station_id") && !is_numbered("dew_point"));
    }

    #[test]
    fn values_tell_what_is_no_sensor() {
        for values in
            [&["ok", "Bad"][..], &["N", "NNW"], &["°C"], &["+01:00"], &["AM", "PM"], &["20 °C", "1.5°C"]]
        {
            assert!(are_remarks(values), "{values:?}");
        }
        assert!(!are_remarks(&["T1", "T2"]));
    }
}
