//! Preprocesses texts for directives of a `strptime` pattern that the calendar library does not parse as needed.

use std::borrow::Cow;
use std::ops::Range;

use super::TimeError;
use super::zones::Zones;

/// The preprocessing of a text before the library parses it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Directives {
    /// `%z`, `%Z`, `%Q` or `%s`: the text includes its offset from UTC.
    pub(super) has_offset: bool,
    /// `%Z`.
    pub(super) has_zone_name: bool,
    /// The notation of offsets for `%z`: with colons or without.
    offset: Option<Colons>,
    /// `%.f`, and the pattern contains no comma.
    has_fraction: bool,
    /// Numeric directives without a separator between them.
    adjacent: Vec<Adjacent>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Colons {
    None,
    One,
    /// More, or with seconds: as the library parses it.
    Other,
}

/// Several directives in one run of digits.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Adjacent {
    /// The number of digit runs before it.
    run: usize,
    /// The number of its digits.
    width: usize,
    /// Whether leading zeros may be missing: an hour comes first.
    pads: bool,
}

/// A run of digits while the pattern is scanned.
#[derive(Default)]
struct DigitRun {
    parts: usize,
    /// `None` if it is unknown.
    width: Option<usize>,
    pads: bool,
}

/// Scans a pattern; also returns the pattern for the library.
pub(super) fn scan(pattern: &str) -> (String, Directives) {
    let mut compiled = String::with_capacity(pattern.len());
    let mut scan = PatternScan { directives: Directives::default(), run: None, runs: Some(0) };
    let mut has_comma = false;
    let mut rest = pattern.chars().peekable();
    while let Some(letter) = rest.next() {
        if letter != '%' {
            compiled.push(letter);
            has_comma |= letter == ',';
            scan.literal(letter);
            continue;
        }
        let mut extension = String::new();
        while let Some(part) = rest.next_if(|c| !c.is_ascii_alphabetic() && *c != '%') {
            extension.push(part);
        }
        let Some(directive) = rest.next() else {
            compiled.push('%');
            compiled += &extension;
            break;
        };
        match directive {
            'Z' if extension.is_empty() => compiled += "%:z",
            _ => {
                compiled.push('%');
                compiled += &extension;
                compiled.push(directive);
            }
        }
        scan.directive(&extension, directive);
    }
    scan.close();
    scan.directives.has_fraction &= !has_comma;
    (compiled, scan.directives)
}

struct PatternScan {
    directives: Directives,
    /// The current run of digits.
    run: Option<DigitRun>,
    /// The number of completed runs, while it is known.
    runs: Option<usize>,
}

impl PatternScan {
    fn literal(&mut self, letter: char) {
        match letter.is_ascii_digit() {
            true => self.digits(None, false),
            false => self.close(),
        }
    }

    fn directive(&mut self, extension: &str, directive: char) {
        let width = |width| if extension.is_empty() { Some(width) } else { None };
        match directive {
            'Y' | 'G' => self.digits(width(4), false),
            'j' => self.digits(width(3), false),
            'H' | 'I' => self.digits(width(2), true),
            'y' | 'C' | 'm' | 'd' | 'M' | 'S' | 'g' | 'V' | 'U' | 'W' => self.digits(width(2), false),
            'u' | 'w' => self.digits(width(1), false),
            'e' | 'k' | 'l' => self.digits(None, false),
            'F' => self.several("Y-m-d"),
            'T' => self.several("H:M:S"),
            'R' => self.several("H:M"),
            'D' => self.several("m/d/y"),
            'f' | 'N' if extension.starts_with('.') => {
                self.directives.has_fraction = true;
                self.unknown();
            }
            'f' | 'N' => {
                self.digits(None, false);
                self.unknown();
            }
            'z' | 'Z' | 'Q' | 's' => {
                let directives = &mut self.directives;
                directives.has_offset = true;
                directives.has_zone_name |= directive == 'Z';
                if directive == 'z' {
                    directives.offset = Some(match extension {
                        "" => Colons::None,
                        ":" => Colons::One,
                        _ => Colons::Other,
                    });
                }
                self.unknown();
            }
            _ => self.close(),
        }
    }

    /// Directives that abbreviate several others.
    fn several(&mut self, letters: &str) {
        for letter in letters.chars() {
            match letter.is_ascii_alphabetic() {
                true => self.directive("", letter),
                false => self.literal(letter),
            }
        }
    }

    fn digits(&mut self, width: Option<usize>, is_hour: bool) {
        match &mut self.run {
            None => self.run = Some(DigitRun { parts: 1, width, pads: is_hour }),
            Some(run) => {
                run.parts += 1;
                run.width = run.width.zip(width).map(|(before, width)| before + width);
            }
        }
    }

    fn close(&mut self) {
        let Some(run) = self.run.take() else { return };
        let Some(runs) = &mut self.runs else { return };
        if let Some(width) = run.width.filter(|_| run.parts > 1) {
            self.directives.adjacent.push(Adjacent { run: *runs, width, pads: run.pads });
        }
        *runs += 1;
    }

    /// From here on, the number of digit runs is unknown.
    fn unknown(&mut self) {
        self.close();
        self.runs = None;
    }
}

impl Directives {
    /// The text in the form that the library parses.
    pub(super) fn adapt<'t>(&self, text: &'t [u8], zones: &Zones) -> Result<Cow<'t, [u8]>, TimeError> {
        let mut text = Cow::Borrowed(text);
        for adjacent in &self.adjacent {
            let Some(run) = digits(&text, adjacent.run) else { continue };
            match run.len() {
                length if length == adjacent.width => {}
                length if length < adjacent.width && adjacent.pads => {
                    let zeros = std::iter::repeat_n(b'0', adjacent.width - length);
                    text.to_mut().splice(run.start..run.start, zeros);
                }
                _ => return Err(TimeError::NotThePattern),
            }
        }
        if self.has_fraction
            && let Some(at) = decimal_comma(&text)
        {
            text.to_mut()[at] = b'.';
        }
        if self.has_zone_name {
            let (name, offset) = zone_name(&text, zones).ok_or(TimeError::Zone)?;
            text.to_mut().splice(name, written(offset).into_bytes());
        }
        Ok(text)
    }

    /// The text with its offset in the form of `%z`, if it has one in another form.
    pub(super) fn with_whole_offset<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        let colon: &[u8] = match self.offset {
            Some(Colons::None) => b"",
            Some(Colons::One) => b":",
            _ => return Cow::Borrowed(text),
        };
        let Some((place, [h1, h2, m1, m2], sign)) = last_offset(text) else { return Cow::Borrowed(text) };
        let whole = [&[sign, h1, h2], colon, &[m1, m2]].concat();
        let mut text = text.to_vec();
        text.splice(place, whole);
        Cow::Owned(text)
    }
}

/// The run of digits after `before` others.
fn digits(text: &[u8], before: usize) -> Option<Range<usize>> {
    let mut end = 0;
    for _ in 0..before {
        end = run(text, end)?.end;
    }
    run(text, end)
}

/// The first run of digits from `from` on.
fn run(text: &[u8], from: usize) -> Option<Range<usize>> {
    let rest = text.get(from..)?;
    let start = from + rest.iter().position(u8::is_ascii_digit)?;
    let length = text[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    Some(start..start + length)
}

/// The last comma between digits.
fn decimal_comma(text: &[u8]) -> Option<usize> {
    let is_comma = |three: &[u8]| three[0].is_ascii_digit() && three[1] == b',' && three[2].is_ascii_digit();
    text.windows(3).rposition(is_comma).map(|at| at + 1)
}

/// The last word that is a time zone abbreviation, and its offset.
fn zone_name(text: &[u8], zones: &Zones) -> Option<(Range<usize>, i32)> {
    let mut end = text.len();
    loop {
        end = text[..end].iter().rposition(u8::is_ascii_alphabetic)? + 1;
        let start = text[..end].iter().rposition(|byte| !byte.is_ascii_alphabetic()).map_or(0, |at| at + 1);
        if let Some(offset) = zones.offset(&text[start..end]) {
            return Some((start..end, offset));
        }
        end = start;
    }
}

/// An offset in seconds in the form of `%:z`.
fn written(offset: i32) -> String {
    let minutes = offset.unsigned_abs() / 60;
    format!("{}{:02}:{:02}", if offset < 0 { '-' } else { '+' }, minutes / 60, minutes % 60)
}

/// The last text that may be an offset: its range, digits and sign.
fn last_offset(text: &[u8]) -> Option<(Range<usize>, [u8; 4], u8)> {
    let is_letter = |at: usize| text.get(at).is_some_and(u8::is_ascii_alphabetic);
    for name in ["UTC", "GMT"] {
        if let Some(at) = memchr::memmem::rfind(text, name.as_bytes())
            && !is_letter(at + name.len())
            && !at.checked_sub(1).is_some_and(is_letter)
        {
            return Some((at..at + name.len(), *b"0000", b'+'));
        }
    }
    if let Some(at) = text.iter().rposition(|byte| matches!(byte, b'Z' | b'z'))
        && !text.iter().enumerate().any(|(other, byte)| other.abs_diff(at) == 1 && byte.is_ascii_alphabetic())
    {
        return Some((at..at + 1, *b"0000", b'+'));
    }
    let at = text.iter().rposition(|byte| matches!(byte, b'+' | b'-'))?;
    let end = text[at + 1..].iter().position(|byte| !byte.is_ascii_digit() && *byte != b':');
    let end = end.map_or(text.len(), |end| at + 1 + end);
    let digits = match text[at + 1..end] {
        [h1, h2] => [h1, h2, b'0', b'0'],
        [h1, h2, m1, m2] | [h1, h2, b':', m1, m2] => [h1, h2, m1, m2],
        _ => return None,
    };
    Some((at..end, digits, text[at]))
}
