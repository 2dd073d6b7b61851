//! Parses one line of line protocol byte by byte: `table,tag=value field=value time`.
//!
//! The syntax is that of the published reference of line protocol (versions 2 and 3); where the reference is silent, a line is rejected
//! rather than guessed at.

use std::borrow::Cow;
use std::ops::Range;

use crate::batch::Number;
use crate::format::columns::shown;
use crate::format::refusal::Refusal;
use crate::format::{MAX_FIELD, MAX_FIELDS};
use crate::kernel::number::parse_f64;

/// The words for true and false; longer ones before their prefixes.
const WORDS: [&[u8]; 10] = [b"true", b"True", b"TRUE", b"t", b"T", b"false", b"False", b"FALSE", b"f", b"F"];

/// The parts of a line.
pub(super) struct Line<'t> {
    /// The range of the table and the tags.
    pub(super) series: Range<usize>,
    pub(super) table: Token<'t>,
    /// Keys and values.
    pub(super) tags: Vec<(Token<'t>, Token<'t>)>,
    /// Keys and values.
    pub(super) fields: Vec<(Token<'t>, FieldValue<'t>)>,
    /// The range of the timestamp, if there is one.
    pub(super) time: Option<Range<usize>>,
}

/// A name or a text: its range in the line, including quotes, and its content.
pub(super) struct Token<'t> {
    pub(super) place: Range<usize>,
    pub(super) content: Cow<'t, [u8]>,
}

/// The value of a field.
pub(super) struct FieldValue<'t> {
    /// Its range and its content as text: a string without quotes and escapes, everything else as written.
    pub(super) text: Token<'t>,
    /// The number, if it is one.
    pub(super) number: Option<Number>,
}

impl FieldValue<'_> {
    /// The boolean, if it is one: a bare word, not a string.
    pub(super) fn boolean(&self) -> Option<Number> {
        let is_string = self.text.place.len() > self.text.content.len();
        let at = WORDS.iter().position(|word| **word == *self.text.content).filter(|_| !is_string)?;
        Some(Number::Bool(at < WORDS.len() / 2))
    }
}

/// The bytes that end a name, those that it must not contain, and those that a backslash escapes.
struct Syntax {
    what: &'static str,
    ends: &'static [u8],
    never: &'static [u8],
    escapes: &'static [u8],
}

const TABLE: Syntax = Syntax { what: "table name", ends: b", ", never: b"\t\0", escapes: b", \\" };
const TAG_KEY: Syntax = Syntax { what: "tag key", ends: b"=", never: b", \t", escapes: b",= \\" };
const TAG_VALUE: Syntax = Syntax { what: "tag value", ends: b", ", never: b"=\t", escapes: b",= \\" };
const FIELD_KEY: Syntax = Syntax { what: "field key", ends: b"=", never: b", \t", escapes: b",= \\" };

/// Parses a line that is neither blank nor a comment.
pub(super) fn parse(line: &[u8]) -> Result<Line<'_>, Refusal> {
    let mut rest = LineCursor { line, at: blanks(line) };
    let start = rest.at;
    let table = rest.name(&TABLE)?;
    let mut tags = Vec::new();
    while rest.eat(b',') {
        let key = rest.name(&TAG_KEY)?;
        rest.equals(&key)?;
        tags.push((key, rest.name(&TAG_VALUE)?));
    }
    let series = start..rest.at;
    if rest.spaces() == 0 {
        return Err(Refusal::record("no fields"));
    }
    let mut fields = Vec::new();
    while fields.is_empty() || rest.eat(b',') {
        let key = rest.name(&FIELD_KEY)?;
        rest.equals(&key)?;
        let value = rest.value(&key)?;
        fields.push((key, value));
    }
    if tags.len() + fields.len() > MAX_FIELDS {
        return Err(Refusal::record(format!("more than {MAX_FIELDS} fields")));
    }
    let time = rest.time()?;
    Ok(Line { series, table, tags, fields, time })
}

/// The number of spaces and tabs at the start of a line.
pub(super) fn blanks(line: &[u8]) -> usize {
    line.iter().take_while(|&&byte| matches!(byte, b' ' | b'\t')).count()
}

/// The position after the boolean that begins at `at`.
pub(super) fn word(text: &[u8], at: usize) -> Option<usize> {
    let rest = text.get(at..)?;
    WORDS.iter().find(|word| rest.starts_with(word)).map(|word| at + word.len())
}

struct LineCursor<'t> {
    line: &'t [u8],
    at: usize,
}

impl<'t> LineCursor<'t> {
    fn peek(&self) -> Option<u8> {
        self.line.get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let is_here = self.peek() == Some(byte);
        self.at += usize::from(is_here);
        is_here
    }

    fn spaces(&mut self) -> usize {
        let start = self.at;
        while self.eat(b' ') {}
        self.at - start
    }

    /// Skips digits; returns whether there was at least one.
    fn digits(&mut self) -> bool {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        self.at > start
    }

    fn equals(&mut self, key: &Token<'_>) -> Result<(), Refusal> {
        if self.eat(b'=') {
            return Ok(());
        }
        Err(Refusal::record(format!("no `=` after {}", shown(&key.content))))
    }

    fn name(&mut self, syntax: &Syntax) -> Result<Token<'t>, Refusal> {
        let start = self.at;
        let mut made: Option<Vec<u8>> = None;
        while let Some(byte) = self.peek().filter(|byte| !syntax.ends.contains(byte)) {
            if syntax.never.contains(&byte) {
                let (what, byte) = (syntax.what, shown(&[byte]));
                return Err(Refusal::record(format!("{byte} in a {what}, not escaped with a backslash")));
            }
            if byte == b'\\' {
                self.escaped(syntax, made.get_or_insert_with(|| self.line[start..self.at].to_vec()));
                continue;
            }
            made.iter_mut().for_each(|made| made.push(byte));
            self.at += 1;
        }
        let place = start..self.at;
        let content = made.map_or(Cow::Borrowed(&self.line[place.clone()]), Cow::Owned);
        check_length(&place)?;
        match content.last() {
            None => Err(Refusal::record(format!("empty {}", syntax.what))),
            Some(b'\\') => Err(Refusal::record(format!("{} ends with a backslash", syntax.what))),
            Some(_) => Ok(Token { place, content }),
        }
    }

    /// A backslash escapes some bytes; before any other byte it is a literal backslash.
    fn escaped(&mut self, syntax: &Syntax, made: &mut Vec<u8>) {
        let next = self.line.get(self.at + 1);
        if !next.is_some_and(|next| syntax.escapes.contains(next)) {
            made.push(b'\\');
        }
        made.extend(next);
        self.at += 1 + usize::from(next.is_some());
    }

    fn value(&mut self, key: &Token<'_>) -> Result<FieldValue<'t>, Refusal> {
        let start = self.at;
        let what = |what: &str| Refusal::record(format!("field {}: {what}", shown(&key.content)));
        if self.eat(b'"') {
            let content = self.string().ok_or_else(|| what("unclosed string"))?;
            check_length(&(start..self.at))?;
            return Ok(FieldValue { text: Token { place: start..self.at, content }, number: None });
        }
        let number = match word(self.line, start) {
            Some(end) => {
                self.at = end;
                None
            }
            None => Some(self.number().ok_or_else(|| what("not a number, boolean or quoted string"))?),
        };
        if !matches!(self.peek(), None | Some(b',' | b' ')) {
            return Err(what("not a number, boolean or quoted string"));
        }
        let place = start..self.at;
        check_length(&place)?;
        Ok(FieldValue { text: Token { content: Cow::Borrowed(&self.line[place.clone()]), place }, number })
    }

    /// The content up to the closing quote. A backslash escapes a quote or a backslash, and is literal elsewhere.
    fn string(&mut self) -> Option<Cow<'t, [u8]>> {
        let start = self.at;
        let mut made: Option<Vec<u8>> = None;
        loop {
            let byte = self.peek()?;
            let next = self.line.get(self.at + 1).copied();
            match (byte, next) {
                (b'"', _) => break,
                (b'\\', Some(next @ (b'"' | b'\\'))) => {
                    made.get_or_insert_with(|| self.line[start..self.at].to_vec()).push(next);
                    self.at += 2;
                }
                _ => {
                    made.iter_mut().for_each(|made| made.push(byte));
                    self.at += 1;
                }
            }
        }
        let end = self.at;
        self.at += 1;
        Some(made.map_or(Cow::Borrowed(&self.line[start..end]), Cow::Owned))
    }

    /// `-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?`, or `-?[0-9]+i`, or `[0-9]+u`; integers of 64 bits.
    fn number(&mut self) -> Option<Number> {
        let start = self.at;
        self.eat(b'-');
        if !self.digits() {
            return None;
        }
        let text = std::str::from_utf8(&self.line[start..self.at]).ok()?;
        if self.eat(b'i') {
            return text.parse().ok().map(Number::I64);
        }
        if self.eat(b'u') {
            // `parse` would accept `-0`.
            let value = text.parse().ok().filter(|_| !text.starts_with('-'));
            return value.map(Number::U64);
        }
        if self.eat(b'.') && !self.digits() {
            return None;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _ = self.eat(b'+') || self.eat(b'-');
            if !self.digits() {
                return None;
            }
        }
        parse_f64(&self.line[start..self.at]).map(Number::F64)
    }

    /// The rest of the line: spaces, a timestamp, spaces; or only spaces.
    fn time(&mut self) -> Result<Option<Range<usize>>, Refusal> {
        let is_apart = self.spaces() > 0;
        if self.peek().is_none() {
            return Ok(None);
        }
        let start = self.at;
        self.eat(b'-');
        let is_number = self.digits();
        let end = self.at;
        self.spaces();
        if is_apart && is_number && self.peek().is_none() {
            return Ok(Some(start..end));
        }
        Err(Refusal::record(format!("{} after the fields is not a timestamp", shown(&self.line[start..]))))
    }
}

fn check_length(place: &Range<usize>) -> Result<(), Refusal> {
    if place.len() <= MAX_FIELD {
        return Ok(());
    }
    Err(Refusal::record(format!("field of {} bytes; {MAX_FIELD} are allowed", place.len())))
}
