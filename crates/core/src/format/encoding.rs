//! Text in encodings other than UTF-8 (clause 5), for any text format. Chunks keep the bytes of the file, so that offsets, maps and
//! restarts do not depend on the encoding: the text is converted to UTF-8 for the decoder, and its positions are mapped back to the file.

use std::sync::Arc;

use encoding_rs::{DecoderResult, Encoding, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::columns::Columns;
use super::{BoundFormat, Decode, Format, Head, LineFormat};
use crate::batch::{Bytes, Schema};
use crate::error::{Error, Result, nearest};
use crate::format::{Chunk, Decoded};
use crate::sensor::SensorLookup;

/// The character encoding of the input.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EncodingOptions {
    /// The encoding of the text, a name or label of the WHATWG list, such as "windows-1252", "latin1" or "utf-16le"; UTF-8 if not given. A
    /// byte order mark of UTF-8 or UTF-16 at the beginning of a file takes precedence.
    pub encoding: Option<String>,
}

/// Names suggested for a misspelt one.
const NAMES: [&str; 22] = [
    "utf-8",
    "utf-16le",
    "utf-16be",
    "windows-1250",
    "windows-1251",
    "windows-1252",
    "windows-1253",
    "windows-1254",
    "windows-1257",
    "iso-8859-1",
    "iso-8859-2",
    "iso-8859-5",
    "iso-8859-15",
    "latin1",
    "koi8-r",
    "macintosh",
    "ibm866",
    "shift_jis",
    "euc-jp",
    "gbk",
    "big5",
    "euc-kr",
];

const UTF_8_MARK: &[u8] = b"\xef\xbb\xbf";
const UTF_16LE_MARK: &[u8] = b"\xff\xfe";
const UTF_16BE_MARK: &[u8] = b"\xfe\xff";

/// Replaces bytes that are invalid in their encoding: invalid UTF-8 too, so that they are rejected in carried text.
const NOTHING: &[u8] = b"\xff";

impl EncodingOptions {
    /// The encoding, where one is given.
    fn get(&self) -> Result<Option<&'static Encoding>> {
        let Some(label) = &self.encoding else { return Ok(None) };
        let Some(found) = Encoding::for_label(label.as_bytes()) else {
            let help = match nearest(&label.to_lowercase(), NAMES) {
                Some(known) => format!("did you mean \"{known}\"?"),
                None => "such as \"windows-1252\", \"latin1\" or \"utf-16le\"".into(),
            };
            return Err(Error::config(format!("unknown `encoding` {label:?}")).with_help(help));
        };
        if found == REPLACEMENT || !found.is_ascii_compatible() && found != UTF_16LE && found != UTF_16BE {
            let message = format!("`encoding`: {} cannot be read from the middle of a file", found.name());
            return Err(Error::config(message).with_help("convert the files, such as with `iconv -t UTF-8`"));
        }
        Ok(Some(found))
    }
}

/// Guesses the encoding of text that begins with `bytes`, as a label for [`EncodingOptions::encoding`]: by its byte order mark, by its
/// NULs, or because it is valid UTF-8. Anything else is assumed to be Windows-1252, a superset of Latin-1.
pub fn sniff(bytes: &[u8]) -> &'static str {
    if let Some((encoding, _)) = marked(bytes) {
        return encoding.name();
    }
    let nuls = |from: usize| bytes.iter().skip(from).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd, units) = (nuls(0), nuls(1), bytes.len() / 2);
    match std::str::from_utf8(bytes) {
        _ if odd * 4 > units * 3 && even * 16 <= units && units > 0 => UTF_16LE.name(),
        _ if even * 4 > units * 3 && odd * 16 <= units && units > 0 => UTF_16BE.name(),
        Ok(_) => UTF_8.name(),
        // The last character may be incomplete.
        Err(error) if error.error_len().is_none() => UTF_8.name(),
        Err(_) => WINDOWS_1252.name(),
    }
}

/// Converts the beginning of a text to UTF-8, to guess its content. `label` comes from [`sniff`].
pub fn to_utf8(bytes: &[u8], label: &str) -> Vec<u8> {
    let own = Encoding::for_label(label.as_bytes()).unwrap_or(UTF_8);
    let (encoding, mark) = marked(bytes).unwrap_or((own, 0));
    if encoding == UTF_8 { bytes.to_vec() } else { utf8(encoding, &bytes[mark..], false) }
}

/// The encoding that a byte order mark declares, and the length of the mark.
fn marked(bytes: &[u8]) -> Option<(&'static Encoding, usize)> {
    let marks = [(UTF_8, UTF_8_MARK), (UTF_16LE, UTF_16LE_MARK), (UTF_16BE, UTF_16BE_MARK)];
    let (encoding, mark) = marks.into_iter().find(|(_, mark)| bytes.starts_with(mark))?;
    Some((encoding, mark.len()))
}

/// A text format in any encoding.
#[derive(Clone, Debug)]
pub struct Encoded<F> {
    format: F,
    /// The encoding of files without a byte order mark; UTF-8 if not given.
    own: Option<&'static Encoding>,
}

/// The detected encoding of a file.
enum Detected {
    /// A byte order mark may still be incomplete.
    Unknown,
    Utf8,
    /// The encoding, and the length of its byte order mark.
    Other(&'static Encoding, usize),
}

impl<F: Format> Encoded<F> {
    /// Validates the options.
    ///
    /// # Errors
    /// A configuration error for an unknown encoding, or one that cannot be split into lines.
    pub fn new(format: F, options: &EncodingOptions) -> Result<Self> {
        Ok(Self { format, own: options.get()?.filter(|own| *own != UTF_8) })
    }

    fn found(&self, Head { bytes, is_whole, .. }: Head<'_>) -> Detected {
        let is_start_of =
            |mark: &[u8]| bytes.len() < mark.len() && mark.starts_with(bytes) && !bytes.is_empty();
        let may_be_marked = [UTF_8_MARK, UTF_16LE_MARK, UTF_16BE_MARK].iter().any(|mark| is_start_of(mark));
        let marked = marked(bytes);
        if marked.is_none() && may_be_marked && !is_whole {
            return Detected::Unknown;
        }
        let (encoding, mark) = marked.unwrap_or((self.own.unwrap_or(UTF_8), 0));
        if encoding == UTF_8 { Detected::Utf8 } else { Detected::Other(encoding, mark) }
    }

    /// Calls `ask` with the head in UTF-8; `None` while the encoding is unknown.
    fn ask<T>(&self, head: Head<'_>, ask: impl FnOnce(Head<'_>) -> T) -> Option<T> {
        match self.found(head) {
            Detected::Unknown => None,
            Detected::Utf8 => Some(ask(head)),
            Detected::Other(encoding, mark) => {
                let text = utf8(encoding, &head.bytes[mark..], head.is_whole);
                Some(ask(Head { bytes: &text, ..head }))
            }
        }
    }
}

impl<F: Format> Format for Encoded<F> {
    fn knows_columns(&self, head: Head<'_>, records: usize) -> bool {
        self.ask(head, |head| self.format.knows_columns(head, records)).unwrap_or(false)
    }

    fn declared(&self, name: &str) -> Result<Option<Schema>> {
        self.format.declared(name)
    }

    fn can_bind(&self, head: Head<'_>) -> bool {
        self.ask(head, |head| self.format.can_bind(head)).unwrap_or(false)
    }

    fn records_name_fields(&self) -> bool {
        self.format.records_name_fields()
    }

    fn naming_options(&self) -> &'static str {
        self.format.naming_options()
    }

    fn line_format(&self, head: Head<'_>) -> LineFormat {
        match self.found(Head { is_whole: true, ..head }) {
            Detected::Other(encoding, _) => self.format.line_format(head).in_encoding(encoding),
            Detected::Utf8 | Detected::Unknown => self.format.line_format(head),
        }
    }

    fn schema(&self, head: Head<'_>) -> Result<Schema> {
        check_known(head)?;
        self.ask(head, |head| self.format.schema(head)).unwrap_or_else(|| Err(unknown(head)))
    }

    fn bind(&self, head: Head<'_>, schema: &Arc<Schema>) -> Result<BoundFormat> {
        check_known(head)?;
        let Detected::Other(encoding, mark) = self.found(head) else {
            return self.format.bind(head, schema);
        };
        let raw = &head.bytes[mark..];
        let text = utf8(encoding, raw, head.is_whole);
        let bound = self.format.bind(Head { bytes: &text, ..head }, schema)?;
        let skip_bytes = mark + Transcoder::new(encoding, raw).place_of(bound.skip_bytes);
        let beginning = match bound.decoder.beginning() {
            // Not bytes of the file, but a text from which the columns derived from its records can be bound again.
            shown if bound.skip_bytes == 0 && !shown.is_empty() => {
                [&head.bytes[..mark], &in_encoding(encoding, shown)].concat().into()
            }
            _ => head.bytes[..skip_bytes].into(),
        };
        let decoder = Arc::new(EncodedDecoder { encoding, decoder: bound.decoder, beginning });
        Ok(BoundFormat { decoder, skip_bytes, skip_lines: bound.skip_lines })
    }

    fn names_sensors_after_files(&self) -> bool {
        self.format.names_sensors_after_files()
    }

    fn columns(&self) -> &Columns {
        self.format.columns()
    }
}

/// Encodes ASCII text.
fn in_encoding(encoding: &'static Encoding, text: &[u8]) -> Vec<u8> {
    let unit = |byte: &u8| match encoding == UTF_16BE {
        true => [0, *byte],
        false => [*byte, 0],
    };
    if encoding.is_ascii_compatible() { text.to_vec() } else { text.iter().flat_map(unit).collect() }
}

/// Rejects UTF-32, whose byte order mark begins with that of UTF-16, and which is not in the list.
fn check_known(head: Head<'_>) -> Result<()> {
    if head.bytes.starts_with(b"\xff\xfe\0\0") || head.bytes.starts_with(b"\0\0\xfe\xff") {
        let error = Error::data(format!("`{}` is UTF-32, which is not supported", head.name));
        return Err(error.with_help("convert it, such as with `iconv -f UTF-32 -t UTF-8`"));
    }
    Ok(())
}

fn unknown(head: Head<'_>) -> Error {
    Error::data(format!("`{}` ends in its byte order mark", head.name)).with_help("check the file")
}

/// Decodes chunks that are not UTF-8.
struct EncodedDecoder {
    encoding: &'static Encoding,
    decoder: Arc<dyn Decode>,
    /// The bytes before the first record, including the byte order mark.
    beginning: Arc<[u8]>,
}

impl Decode for EncodedDecoder {
    fn complete(&self, bytes: &[u8], at_end: bool) -> usize {
        if at_end {
            return bytes.len();
        }
        // Only ASCII matters, and each byte is a character.
        if self.encoding.is_single_byte() {
            return self.decoder.complete(bytes, false);
        }
        let length = self.decoder.complete(&utf8(self.encoding, bytes, false), false);
        Transcoder::new(self.encoding, bytes).place_of(length)
    }

    fn line_format(&self) -> LineFormat {
        self.decoder.line_format().in_encoding(self.encoding)
    }

    fn other_header(&self, bytes: &[u8]) -> Option<(usize, String)> {
        let (at, why) = self.decoder.other_header(&utf8(self.encoding, bytes, true))?;
        Some((Transcoder::new(self.encoding, bytes).place_of(at), why))
    }

    fn lines(&self, bytes: &[u8]) -> u64 {
        self.decoder.lines(&utf8(self.encoding, bytes, true))
    }

    fn decode(&self, chunk: &Chunk, sensors: &mut dyn SensorLookup) -> Result<Decoded> {
        let text = self.text(chunk);
        self.places(chunk, self.decoder.decode(&text, sensors)?)
    }

    fn decode_by_reference(&self, chunk: &Chunk, sensors: &mut dyn SensorLookup) -> Result<Decoded> {
        let text = self.text(chunk);
        self.places(chunk, self.decoder.decode_by_reference(&text, sensors)?)
    }

    fn beginning(&self) -> &[u8] {
        &self.beginning
    }
}

impl EncodedDecoder {
    /// The chunk converted to UTF-8.
    fn text(&self, chunk: &Chunk) -> Chunk {
        let text = utf8(self.encoding, chunk.bytes.as_slice(), true);
        Chunk { bytes: Bytes::new(text), decoder: Arc::clone(&self.decoder), ..chunk.clone() }
    }

    /// Maps the ascending positions of records and rejections back to the bytes of the file.
    fn places(&self, chunk: &Chunk, mut decoded: Decoded) -> Result<Decoded> {
        let start = chunk.offset.at;
        let transcoder = || Transcoder::new(self.encoding, chunk.bytes.as_slice());
        let place = |transcoder: &mut Transcoder<'_>, offset: u64| {
            start + transcoder.place_of(offset.saturating_sub(start) as usize) as u64
        };
        let mut of_rejections = transcoder();
        for rejection in &mut decoded.rejections {
            rejection.position.offset = place(&mut of_rejections, rejection.position.offset);
        }
        if let Some(origins) = &mut decoded.batch.origins {
            let mut of_records = transcoder();
            origins.move_offsets(|offset| place(&mut of_records, offset));
        }
        Ok(decoded)
    }
}

/// The text in UTF-8, for messages: invalid bytes are kept.
pub(super) fn to_text(encoding: &'static Encoding, bytes: &[u8]) -> Vec<u8> {
    if encoding == UTF_8 { bytes.to_vec() } else { utf8(encoding, bytes, true) }
}

/// The text after its byte order mark; the name of the mark's encoding if that is not `encoding`.
pub(super) fn without_mark<'b>(
    encoding: &'static Encoding,
    bytes: &'b [u8],
) -> Result<&'b [u8], &'static str> {
    match marked(bytes) {
        Some((marked, mark)) if marked == encoding => Ok(&bytes[mark..]),
        Some((marked, _)) => Err(marked.name()),
        None => Ok(bytes),
    }
}

/// Converts a text to UTF-8. If it continues, an incomplete character at its end is left out.
fn utf8(encoding: &'static Encoding, raw: &[u8], is_whole: bool) -> Vec<u8> {
    let mut text = Vec::with_capacity(raw.len() + raw.len() / 8);
    Transcoder::new(encoding, raw).feed(raw.len(), is_whole, |bytes| text.extend_from_slice(bytes));
    text
}

/// Converts text to UTF-8 incrementally.
struct Transcoder<'r> {
    decoder: encoding_rs::Decoder,
    raw: &'r [u8],
    /// The number of bytes read.
    at: usize,
    /// The number of bytes written.
    made: usize,
    /// The output of a step before it is consumed. Positions are searched in steps of one byte, so it is not cleared.
    scratch: [u8; SCRATCH],
}

/// The maximum output of a step, in bytes.
const SCRATCH: usize = 4 << 10;

impl<'r> Transcoder<'r> {
    fn new(encoding: &'static Encoding, raw: &'r [u8]) -> Self {
        let decoder = encoding.new_decoder_without_bom_handling();
        Self { decoder, raw, at: 0, made: 0, scratch: [0; SCRATCH] }
    }

    /// Converts up to byte `end`; calls `take` with the output.
    fn feed(&mut self, end: usize, is_whole: bool, mut take: impl FnMut(&[u8])) {
        let Self { decoder, raw, at, made, scratch } = self;
        loop {
            let source = &raw[*at..end];
            let (result, read, written) =
                decoder.decode_to_utf8_without_replacement(source, scratch, is_whole);
            take(&scratch[..written]);
            *at += read;
            *made += written;
            match result {
                DecoderResult::InputEmpty => return,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => {
                    take(NOTHING);
                    *made += NOTHING.len();
                }
            }
        }
    }

    /// The position in the original text of byte `made` of the UTF-8 text. It begins a line and is not before the previous query.
    fn place_of(&mut self, made: usize) -> usize {
        /// The maximum output of one byte plus the start of an incomplete character.
        const MOST: usize = 3;
        const PENDING: usize = 16;
        while self.made < made {
            if self.at == self.raw.len() {
                // An incomplete character, which only the end shows to be invalid.
                return self.at;
            }
            // A long stretch at once, as long as it cannot go too far; the rest byte by byte.
            let safe = (made - self.made).saturating_sub(PENDING) / MOST;
            let end = self.raw.len().min(self.at + safe.max(1));
            self.feed(end, false, |_| {});
        }
        self.at
    }
}
