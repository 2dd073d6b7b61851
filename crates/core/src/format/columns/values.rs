//! Parses the text of a field: missing, a number, or text (clauses 2 and 3).

use std::borrow::Cow;
use std::str::FromStr;

use super::{ColumnOptions, Columns, Decimal};
use crate::batch::{FieldType, Number};
use crate::error::{Error, Result};
use crate::kernel::number::{parse_decimal_comma, parse_f64};

/// The options about values, compiled.
#[derive(Clone, Debug)]
pub(super) struct ValueRules {
    decimal: Decimal,
    nulls: Vec<Box<[u8]>>,
    /// The null values that are numbers.
    null_numbers: Vec<f64>,
    /// The accepted separators between groups of three digits.
    separators: Vec<Box<[u8]>>,
    /// The words read as 1 and as 0.
    words: [Vec<String>; 2],
    /// Whether the options define the words.
    has_own_words: bool,
}

impl ValueRules {
    /// Validates the options.
    pub(super) fn new(options: &ColumnOptions) -> Result<Self> {
        let words = |words: &Option<Vec<String>>, default: &str| {
            words.clone().unwrap_or_else(|| vec![default.to_owned()])
        };
        let mut values = Self {
            decimal: options.decimal,
            nulls: options.null_values.iter().map(|null| null.as_bytes().into()).collect(),
            null_numbers: Vec::new(),
            separators: separators(options)?,
            words: [words(&options.true_words, "true"), words(&options.false_words, "false")],
            has_own_words: options.true_words.is_some() || options.false_words.is_some(),
        };
        if values.has_own_words {
            values.check_words(options)?;
        }
        values.null_numbers = values.nulls.iter().filter_map(|null| values.numeral(null)).collect();
        Ok(values)
    }

    /// Null values that look like numbers but are not with this decimal mark: they match only their exact text.
    pub(super) fn odd_nulls<'o>(&self, options: &'o ColumnOptions) -> impl Iterator<Item = &'o String> {
        let with_other_mark = |text: &[u8]| match self.decimal {
            Decimal::Point => parse_decimal_comma(text),
            Decimal::Comma => parse_f64(text),
        };
        let is_odd = move |null: &&String| {
            let text = null.as_bytes();
            self.numeral(text).is_none() && with_other_mark(text).is_some()
        };
        options.null_values.iter().filter(is_odd)
    }

    fn check_words(&self, options: &ColumnOptions) -> Result<()> {
        let all = || self.words.iter().flatten();
        let wrong = |word: &String| {
            let twice = all().filter(|other| other.eq_ignore_ascii_case(word)).count() > 1;
            if self.numeral(word.as_bytes()).is_some() {
                Some(format!("{word:?} is a number, not a word"))
            } else if word.is_empty() || options.null_values.contains(word) {
                Some(format!("{word:?} is a null value"))
            } else {
                twice.then(|| format!("{word:?} is listed twice"))
            }
        };
        match all().find_map(wrong) {
            None => Ok(()),
            Some(why) => Err(Error::config(format!("`true_words` and `false_words`: {why}")).with_help(
                "give each word one meaning, such as true_words = [\"on\"], false_words = [\"off\"]",
            )),
        }
    }

    /// Parses a number in any supported notation.
    fn number(&self, text: &[u8]) -> Option<f64> {
        self.numeral(text).or_else(|| self.word(text))
    }

    fn numeral(&self, text: &[u8]) -> Option<f64> {
        self.plain(text).or_else(|| self.with_fortran_exponent(text)).or_else(|| self.grouped(text))
    }

    fn plain(&self, text: &[u8]) -> Option<f64> {
        match self.decimal {
            Decimal::Point => parse_f64(text),
            Decimal::Comma => parse_decimal_comma(text),
        }
    }

    fn mark(&self) -> u8 {
        match self.decimal {
            Decimal::Point => b'.',
            Decimal::Comma => b',',
        }
    }

    /// Parses a Fortran double, `1.0D+01`. It needs a decimal mark or a sign, since `2D4` may be a name.
    #[cold]
    fn with_fortran_exponent(&self, text: &[u8]) -> Option<f64> {
        let at = text.iter().position(|byte| matches!(byte, b'd' | b'D'))?;
        let has_sign = matches!(text.get(at + 1), Some(b'+' | b'-'));
        if !has_sign && !text[..at].contains(&self.mark()) {
            return None;
        }
        let mut usual = text.to_vec();
        usual[at] = b'e';
        self.plain(&usual)
    }

    /// Parses a number with groups of three digits before the decimal mark, `1,234,567.5`.
    #[cold]
    fn grouped(&self, text: &[u8]) -> Option<f64> {
        self.plain(&self.ungrouped(text)?)
    }

    /// The number without its separators; `None` for any other grouping.
    fn ungrouped(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut separators = self.separators.iter();
        let separator = separators.find(|separator| memchr::memmem::find(text, separator).is_some())?;
        let digits = usize::from(matches!(text.first(), Some(b'-' | b'+')));
        let is_end = |&byte: &u8| byte == self.mark() || matches!(byte, b'e' | b'E');
        let end = text.iter().position(is_end).unwrap_or(text.len()).max(digits);
        let (mut plain, mut from, mut groups) = (text[..digits].to_vec(), digits, 0);
        loop {
            let next = memchr::memmem::find(&text[from..end], separator);
            let group = &text[from..next.map_or(end, |at| from + at)];
            let is_good = if groups == 0 { matches!(group.len(), 1..=3) } else { group.len() == 3 };
            if !is_good || !group.iter().all(u8::is_ascii_digit) {
                return None;
            }
            plain.extend_from_slice(group);
            groups += 1;
            match next {
                Some(_) => from += group.len() + separator.len(),
                None => break,
            }
        }
        plain.extend_from_slice(&text[end..]);
        Some(plain)
    }

    /// Parses an integer: digits with an optional sign, and only zeros after the decimal mark.
    fn whole<T: FromStr>(&self, text: &[u8]) -> Option<T> {
        let text = match self.ungrouped(text) {
            Some(plain) => Cow::Owned(plain),
            None => Cow::Borrowed(text),
        };
        let end = text.iter().position(|&byte| byte == self.mark()).unwrap_or(text.len());
        let is_zero = text[end..].iter().skip(1).all(|&byte| byte == b'0');
        let digits = std::str::from_utf8(&text[..end]).ok().filter(|_| is_zero)?;
        // `parse` does not accept a sign for unsigned types.
        digits
            .parse()
            .ok()
            .or_else(|| digits.strip_prefix('-').filter(|digits| is_zeros(digits))?.parse().ok())
    }

    /// Whether the text is an integer of any size: digits, possibly grouped, and only zeros after the decimal mark.
    fn is_whole(&self, text: &[u8]) -> bool {
        let digits = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
        let mut parts = digits.splitn(2, |&byte| byte == self.mark());
        let is_digits =
            |part: &[u8]| part.iter().all(|byte| byte.is_ascii_digit() || !byte.is_ascii_alphabetic());
        parts.next().is_some_and(is_digits)
            && parts.next().is_none_or(|part| part.iter().all(|&byte| byte == b'0'))
    }

    /// Parses a value of type `ty`.
    fn typed(&self, ty: FieldType, text: &[u8]) -> Option<Number> {
        match ty {
            FieldType::I64 => self.whole(text).map(Number::I64),
            FieldType::U64 => self.whole(text).map(Number::U64),
            FieldType::Bool => match self.word(text) {
                Some(value) => Some(Number::Bool(value > 0.0)),
                None => self.whole(text).map(Number::U64)?.to_type(FieldType::Bool),
            },
            FieldType::F64 | FieldType::Text => self.number(text).map(Number::F64),
        }
    }

    /// 1 or 0 for a word that means it.
    fn word(&self, text: &[u8]) -> Option<f64> {
        let is_one_of =
            |words: &[String]| words.iter().any(|word| word.as_bytes().eq_ignore_ascii_case(text));
        let [yes, no] = &self.words;
        is_one_of(yes).then_some(1.0).or_else(|| is_one_of(no).then_some(0.0))
    }
}

fn is_zeros(digits: &str) -> bool {
    !digits.is_empty() && digits.bytes().all(|digit| digit == b'0')
}

/// The separators that `thousands` allows.
fn separators(options: &ColumnOptions) -> Result<Vec<Box<[u8]>>> {
    let Some(thousands) = &options.thousands else { return Ok(Vec::new()) };
    let mark = match options.decimal {
        Decimal::Point => '.',
        Decimal::Comma => ',',
    };
    let mut characters = thousands.chars();
    let why = match (characters.next(), characters.next()) {
        (Some(separator), None) if separator == mark => "is the decimal mark".to_owned(),
        (Some(separator), None) if separator.is_alphanumeric() || "+-".contains(separator) => {
            "may be part of a number".to_owned()
        }
        (Some(' '), None) => {
            return Ok([" ", "\u{a0}", "\u{202f}", "\u{2009}"].map(|blank| blank.as_bytes().into()).to_vec());
        }
        (Some(_), None) => return Ok(vec![thousands.as_bytes().into()]),
        _ => "is not one character".to_owned(),
    };
    Err(Error::config(format!("`thousands` {thousands:?} {why}"))
        .with_help("such as thousands = \",\" with decimal = \".\", or the other way round"))
}

impl Columns {
    /// The field without surrounding spaces.
    pub fn trim(field: &[u8]) -> &[u8] {
        let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
        if let [first, .., last] = field
            && !is_space(first)
            && !is_space(last)
        {
            return field;
        }
        let Some(first) = field.iter().position(|byte| !is_space(byte)) else { return &[] };
        let last = field.iter().rposition(|byte| !is_space(byte)).unwrap_or(first);
        &field[first..=last]
    }

    /// Whether the text of a trimmed field means a missing value.
    pub fn is_null(&self, field: &[u8]) -> bool {
        field.is_empty() || self.values.nulls.iter().any(|null| **null == *field)
    }

    /// Whether any text other than the empty one means a missing value.
    pub fn has_null_values(&self) -> bool {
        !self.values.nulls.is_empty()
    }

    /// Whether some null values are not numbers, so that comparing numbers is not enough.
    pub fn has_null_texts(&self) -> bool {
        self.values.nulls.len() > self.values.null_numbers.len()
    }

    /// The numbers that mean a missing value.
    pub fn null_numbers(&self) -> &[f64] {
        &self.values.null_numbers
    }

    /// Whether a number means a missing value.
    #[inline]
    pub fn is_null_number(&self, number: f64) -> bool {
        let is_same = |null: &f64| *null == number || null.is_nan() && number.is_nan();
        self.values.null_numbers.iter().any(is_same)
    }

    /// The decimal mark of numbers.
    pub fn decimal_mark(&self) -> u8 {
        self.values.mark()
    }

    /// Parses a trimmed measurement field: a number, or `Some(None)` for a missing value; `None` if it is neither.
    #[inline]
    pub fn measurement(&self, field: &[u8]) -> Option<Option<f64>> {
        if self.is_null(field) {
            return Some(None);
        }
        let number = self.values.number(field)?;
        Some(Some(number).filter(|&number| !self.is_null_number(number)))
    }

    /// Parses a trimmed measurement field of type `ty`, as [`Columns::measurement`].
    pub fn value(&self, ty: FieldType, field: &[u8]) -> Option<Option<Number>> {
        if self.is_null(field) {
            return Some(None);
        }
        let value = self.values.typed(ty, field)?;
        Some(Some(value).filter(|&value| !self.is_null_value(value)))
    }

    /// Whether a value means a missing one.
    pub fn is_null_value(&self, value: Number) -> bool {
        match value.as_integer() {
            // Different integers may round to the same float.
            Some(integer) => {
                self.values.null_numbers.iter().any(|&null| null as i128 == integer && null.fract() == 0.0)
            }
            None => self.is_null_number(value.as_f64()),
        }
    }

    /// Whether `value`, parsed from a trimmed field, differs from the integer written there.
    pub fn is_rounded(&self, field: &[u8], value: f64) -> bool {
        may_be_rounded(value)
            && self.values.is_whole(field)
            && self.values.whole::<i128>(field) != Some(value as i128)
    }

    /// 1 or 0 for a word that the options define.
    pub fn own_word(&self, text: &[u8]) -> Option<f64> {
        self.values.word(text).filter(|_| self.values.has_own_words)
    }

    /// Whether a text that is not a number still shows that its column is numeric; `None` if it is missing.
    pub fn word_shows_number(&self, text: &[u8]) -> Option<bool> {
        (!self.is_null(text)).then(|| self.own_word(text).is_some())
    }

    /// Whether a trimmed field that is not null shows that its column is numeric. A word does so only if the options define it.
    pub(super) fn shows_number(&self, field: &[u8]) -> bool {
        self.values.numeral(field).is_some() || self.own_word(field).is_some()
    }
}

/// Whether a float may be the rounded value of an integer that f64 cannot represent.
#[inline]
pub fn may_be_rounded(value: f64) -> bool {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    value.abs() >= EXACT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(options: &ColumnOptions, fields: &[&str]) -> Vec<Option<Option<f64>>> {
        let columns = Columns::new(options).expect("good options");
        fields.iter().map(|field| columns.measurement(field.as_bytes())).collect()
    }

    fn error(options: &ColumnOptions) -> String {
        Columns::new(options).expect_err("bad options").to_string()
    }

    #[test]
    fn clause_3_groups_of_three_digits() {
        let options = ColumnOptions { thousands: Some(",".into()), ..ColumnOptions::default() };
        let good = ["1,234", "-1,234,567.5", "999", "+12,345e2", "1234567.5", "1,234e-2"];
        let numbers = [1234.0, -1_234_567.5, 999.0, 1_234_500.0, 1_234_567.5, 12.34];
        assert_eq!(read(&options, &good), numbers.map(|number| Some(Some(number))));
        let bad = [
            "1,23",
            "12,34,567",
            "1234,567",
            ",123",
            "1,,234",
            "1,234,",
            "1,2a4",
            "1.234,5",
            ",",
            "-,",
            "1,234.5,6",
        ];
        assert_eq!(read(&options, &bad), [None; 11]);
        let options = ColumnOptions { thousands: Some(".".into()), decimal: Decimal::Comma, ..options };
        assert_eq!(
            read(&options, &["1.234,5", "1.234", "1,5", "1.5"]),
            [Some(Some(1234.5)), Some(Some(1234.0)), Some(Some(1.5)), None]
        );
        let options = ColumnOptions { thousands: Some(" ".into()), ..options };
        let blanks = ["1 234,5", "1\u{a0}234,5", "1\u{202f}234,5"];
        assert_eq!(read(&options, &blanks), [Some(Some(1234.5)); 3]);
    }

    #[test]
    fn clause_3_doubles_of_fortran() {
        let good = ["1.0D+01", "1D+01", "-2.5d-1", "1.0D1"];
        let numbers = [10.0, 10.0, -0.25, 10.0].map(|number| Some(Some(number)));
        assert_eq!(read(&ColumnOptions::default(), &good), numbers);
        assert_eq!(read(&ColumnOptions::default(), &["2D4", "D+1", "1.0D", "1.0D+1D"]), [None; 4]);
    }

    #[test]
    fn clause_2_null_values_that_are_numbers_are_compared_as_numbers() {
        let nulls = ["-999", "n/a", "nan"].map(str::to_owned).to_vec();
        let options = ColumnOptions { null_values: nulls, ..ColumnOptions::default() };
        let null = ["-999", "-999.0", "-999.00", "-9.99e2", "n/a", "NaN", ""];
        assert_eq!(read(&options, &null), [Some(None); 7]);
        assert_eq!(read(&options, &["-998", "N/A"]), [Some(Some(-998.0)), None]);
        let options = ColumnOptions { null_values: vec!["-9,9".into()], decimal: Decimal::Comma, ..options };
        assert_eq!(read(&options, &["-9,90", "-9,9"]), [Some(None); 2]);
    }

    #[test]
    fn clause_2_null_values_with_the_other_decimal_mark_are_told() {
        let told = |decimal, null: &str| {
            let options =
                ColumnOptions { null_values: vec![null.into()], decimal, ..ColumnOptions::default() };
            Columns::new(&options).expect("good options").remarks()
        };
        let why = "is not a number with decimal = \",\", so it matches only that exact text";
        assert_eq!(told(Decimal::Comma, "-999.0"), [format!("\"-999.0\" in `null_values` {why}")]);
        assert_eq!(told(Decimal::Point, "-999,0").len(), 1);
        for null in ["-999", "-999,0", "n/a", "-1.#IND", "nan"] {
            assert_eq!(told(Decimal::Comma, null), [""; 0], "{null}");
        }
    }

    #[test]
    fn clause_3_words_are_1_and_0() {
        assert_eq!(
            read(&ColumnOptions::default(), &["true", "FALSE", "on"]),
            [Some(Some(1.0)), Some(Some(0.0)), None]
        );
        let words = |word: &str| Some(vec![word.to_owned()]);
        let own =
            ColumnOptions { true_words: words("on"), false_words: words("off"), ..ColumnOptions::default() };
        assert_eq!(
            read(&own, &["On", "off", "true", "1"]),
            [Some(Some(1.0)), Some(Some(0.0)), None, Some(Some(1.0))]
        );
        let twice = ColumnOptions { false_words: words("ON"), ..own.clone() };
        assert!(error(&twice).contains("\"on\" is listed twice"), "{}", error(&twice));
        let number = ColumnOptions { true_words: words("1"), ..own.clone() };
        assert!(error(&number).contains("\"1\" is a number"), "{}", error(&number));
        let null = ColumnOptions { null_values: vec!["off".into()], ..own };
        assert!(error(&null).contains("is a null value"), "{}", error(&null));
    }

    #[test]
    fn a_separator_that_may_be_part_of_a_number_is_refused() {
        for thousands in [".", "", "::", "1", "e", "-"] {
            let options = ColumnOptions { thousands: Some(thousands.into()), ..ColumnOptions::default() };
            assert!(error(&options).contains("`thousands`"), "{thousands:?}");
        }
    }
}
