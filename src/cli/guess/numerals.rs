//! Guesses how numbers are written: the decimal mark, thousands separators, units after the numbers. Only unambiguous cases.

use std::collections::BTreeSet;

use super::values::is_null;
use tidemill_core::kernel::number::{parse_decimal_comma, parse_f64};

/// How the numbers of a file are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NumberStyle {
    /// A comma is the decimal mark, not a point.
    pub(super) comma: bool,
    /// The separator of groups of three digits.
    pub(super) thousands: Option<char>,
}

/// Separators and units that were removed from the numbers of a table.
#[derive(Debug, Default)]
pub(super) struct Stripped {
    /// The number style, if some have thousands separators.
    pub(super) numerals: Option<NumberStyle>,
    /// The columns with numbers in groups.
    pub(super) grouped: BTreeSet<usize>,
    /// The units after the numbers of columns.
    pub(super) units: Vec<(usize, &'static str)>,
}

/// Removes units and thousands separators from the numbers of `rows`, all of which have `columns` fields.
pub(super) fn take_out(rows: &mut [Vec<String>], columns: usize) -> Stripped {
    let all = || rows.iter().flatten().map(|field| field.trim()).filter(|field| !field.is_empty());
    let mut taken = Stripped { numerals: NumberStyle::in_groups(all()), ..Stripped::default() };
    for at in 0..columns {
        let Some(unit) = unit(rows.iter().map(|row| row[at].trim()), taken.numerals) else { continue };
        taken.units.push((at, unit));
        for row in &mut *rows {
            let bare = without_unit(row[at].trim()).map(|(number, _)| number.to_owned());
            row[at] = bare.unwrap_or_else(|| row[at].clone());
        }
    }
    if let Some((numerals, mark)) = taken.numerals.and_then(|numerals| Some((numerals, numerals.thousands?)))
    {
        for (at, field) in rows.iter_mut().flat_map(|row| row.iter_mut().enumerate()) {
            if field.contains(mark) && numerals.number(field).is_some() {
                taken.grouped.insert(at);
                *field = field.replace(mark, "");
            }
        }
    }
    taken
}

/// The unit after at least half of the numbers of a column that has only numbers and nulls.
fn unit<'f>(fields: impl Iterator<Item = &'f str>, numerals: Option<NumberStyle>) -> Option<&'static str> {
    let is_number = |text: &str| match numerals {
        Some(numerals) => numerals.number(text).is_some(),
        None => [false, true]
            .into_iter()
            .any(|comma| NumberStyle { comma, thousands: None }.number(text).is_some()),
    };
    let (mut units, mut others) = (Vec::new(), 0);
    for field in fields.filter(|field| !field.is_empty() && !is_null(field)) {
        match without_unit(field) {
            // 12A and 13A are names.
            Some((number, unit))
                if is_number(number) && (unit.len() > 1 || unit == "%" || field.contains(' ')) =>
            {
                units.push(unit);
            }
            _ if is_number(field) => others += 1,
            _ => return None,
        }
    }
    let first = *units.first()?;
    (units.iter().all(|unit| *unit == first) && units.len() >= others).then_some(first)
}

/// Units that may follow numbers.
const UNITS: [&str; 60] = [
    "°C", "°F", "℃", "K", "C", "F", "%", "%RH", "% RH", "°", "V", "mV", "kV", "A", "mA", "µA", "W", "mW",
    "kW", "MW", "Wh", "kWh", "MWh", "VA", "kVA", "var", "kvar", "Ω", "kΩ", "Hz", "kHz", "rpm", "Pa", "hPa",
    "kPa", "MPa", "bar", "mbar", "psi", "m", "mm", "cm", "km", "m/s", "km/h", "mph", "kn", "l", "l/s",
    "l/min", "l/h", "m³", "m³/h", "g", "kg", "ppm", "ppb", "lx", "dB", "dBm",
];

/// Possible thousands separators, besides point and comma.
const BLANKS: [char; 6] = [' ', '\u{a0}', '\u{202f}', '\u{2009}', '\'', '’'];

/// What a number with a possible separator shows.
enum Grouping {
    /// Groups, without doubt.
    Sure,
    /// One group of three digits after the mark: perhaps decimals.
    Doubtful,
    /// The mark does not separate groups.
    Other,
}

impl NumberStyle {
    /// The number that a field is.
    pub(super) fn number(self, field: &str) -> Option<f64> {
        let field = field.trim();
        let read = |text: &str| {
            if self.comma { parse_decimal_comma(text.as_bytes()) } else { parse_f64(text.as_bytes()) }
        };
        let grouped = |mark: char| match grouping(field, mark, self.decimal()) {
            Some(Grouping::Sure | Grouping::Doubtful) => read(&field.replace(mark, "")),
            Some(Grouping::Other) | None => None,
        };
        match self.thousands {
            Some(mark) if field.contains(mark) => grouped(mark),
            _ => read(field),
        }
    }

    fn decimal(self) -> char {
        if self.comma { ',' } else { '.' }
    }

    /// How `fields` are written, if some of them are in groups and all others agree.
    pub(super) fn in_groups<'f>(fields: impl Iterator<Item = &'f str> + Clone) -> Option<Self> {
        let of = |comma: bool, thousands: char| Self { comma, thousands: Some(thousands) };
        let marks = [of(false, ','), of(true, '.')];
        let blanks = BLANKS.into_iter().flat_map(|mark| [of(false, mark), of(true, mark)]);
        let fitting = marks.into_iter().chain(blanks).filter(|numerals| numerals.is_sure(fields.clone()));
        let fitting: Vec<Self> = fitting.collect();
        // Without decimals, either mark could be theirs: the one that reads more of the others.
        let unread = |numerals: &Self| {
            let bare = |field: &'f str| without_unit(field.trim()).map_or(field, |(number, _)| number);
            fields.clone().filter(|field| numerals.number(bare(field)).is_none()).count()
        };
        let best = *fitting.iter().min_by_key(|numerals| unread(numerals))?;
        let is_other = |other: &Self| other.thousands != best.thousands;
        if fitting.iter().any(is_other) { None } else { Some(best) }
    }

    /// Whether some of `fields` certainly have these groups, and none has the mark elsewhere in a number.
    fn is_sure<'f>(self, fields: impl Iterator<Item = &'f str>) -> bool {
        let Some(mark) = self.thousands else { return false };
        let mut sure = 0;
        for field in fields {
            let field = without_unit(field.trim()).map_or(field.trim(), |(number, _)| number);
            match grouping(field, mark, self.decimal()) {
                Some(Grouping::Sure) => sure += 1,
                Some(Grouping::Other) => return false,
                Some(Grouping::Doubtful) | None => {}
            }
        }
        // One of blanks could be two numbers.
        sure > usize::from(BLANKS.contains(&mark))
    }
}

/// How `mark` is used in a number with this decimal mark; `None` if it is not used, or the field is not a number.
fn grouping(field: &str, mark: char, decimal: char) -> Option<Grouping> {
    let digits = field.strip_prefix(['-', '+']).unwrap_or(field);
    let is_of_number = |c: char| c.is_ascii_digit() || c == mark || c == decimal || c == '.' || c == ',';
    if !digits.contains(mark)
        || !digits.chars().all(is_of_number)
        || !digits.starts_with(|c: char| c.is_ascii_digit())
    {
        return None;
    }
    let (whole, decimals) =
        digits.split_once(decimal).map_or((digits, None), |(whole, rest)| (whole, Some(rest)));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let groups: Vec<&str> = whole.split(mark).collect();
    let is_first = |group: &str| (1..=3).contains(&group.len()) && !group.starts_with('0');
    let are_groups = groups.len() > 1
        && is_first(groups[0])
        && groups.iter().all(|group| are_digits(group))
        && groups[1..].iter().all(|group| group.len() == 3)
        && decimals.is_none_or(are_digits);
    Some(match are_groups {
        false => Grouping::Other,
        true if groups.len() > 2 || decimals.is_some() || BLANKS.contains(&mark) => Grouping::Sure,
        true => Grouping::Doubtful,
    })
}

/// A number and the unit after it, if that is a known one.
pub(super) fn without_unit(field: &str) -> Option<(&str, &'static str)> {
    let of = |unit: &&'static str| {
        let number = field.strip_suffix(*unit)?.trim_end_matches([' ', '\u{a0}', '\u{202f}']);
        number.ends_with(|c: char| c.is_ascii_digit()).then_some((number, *unit))
    };
    UNITS.iter().find_map(of)
}

/// Whether a field is a number in groups or with a unit.
pub(super) fn is_quantity(field: &str) -> bool {
    let field = field.trim();
    let number = without_unit(field).map_or(field, |(number, _)| number);
    let read = |comma| NumberStyle { comma, thousands: None }.number(number).is_some();
    let is_grouped = |(mark, decimal)| matches!(grouping(number, mark, decimal), Some(Grouping::Sure));
    read(false) || read(true) || [(',', '.'), ('.', ',')].into_iter().any(is_grouped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(fields: &[&str]) -> Option<(bool, char)> {
        let numerals = NumberStyle::in_groups(fields.iter().copied())?;
        Some((numerals.comma, numerals.thousands?))
    }

    #[test]
    fn groups_are_found_where_they_leave_no_doubt() {
        assert_eq!(of(&["1,234.5", "12", "x"]), Some((false, ',')));
        assert_eq!(of(&["1.234,5", "12,25"]), Some((true, '.')));
        assert_eq!(of(&["1,234,567"]), Some((false, ',')));
        assert_eq!(of(&["1 234", "22 345.5"]), Some((false, ' ')));
        assert_eq!(of(&["1\u{a0}234,5", "22\u{a0}345"]), Some((true, '\u{a0}')));
        assert_eq!(of(&["1 234", "22 345", "1,5"]), Some((true, ' ')));
        assert_eq!(of(&["1'234.5", "22'345.5 kW"]), Some((false, '\'')));
    }

    #[test]
    fn groups_that_could_be_something_else_are_none() {
        for fields in [
            &["1,234", "2,345"][..],
            &["1.234", "2.345"],
            &["1,234.5", "1.234,5"],
            &["1,234,567", "0,123"],
            &["1,234.5", "1,2"],
            &["10.0.0.1", "192.168.1.1"],
            &["044 123 456", "1 234"],
            &["2024 01", "2024 02"],
            &["a 234", "b 345"],
            &["1 234"],
            &[],
        ] {
            assert_eq!(of(fields), None, "{fields:?}");
        }
    }

    #[test]
    fn a_number_is_read_in_groups_and_no_other() {
        let numerals = NumberStyle { comma: false, thousands: Some(',') };
        assert_eq!(numerals.number("-1,234.5"), Some(-1234.5));
        assert_eq!(
            (numerals.number("1,23"), numerals.number("0,123"), numerals.number("12")),
            (None, None, Some(12.0))
        );
        assert_eq!(without_unit("19.5 °C"), Some(("19.5", "°C")));
        assert_eq!((without_unit("room A"), without_unit("5x")), (None, None));
        assert!(is_quantity("1,234.5 kW") && is_quantity("70%") && !is_quantity("10.0.0.1"));
    }
}
