//! Whether a text is line protocol, and what its first records have: for whoever wants to guess what is in a file.

use super::line::parse;
use super::reference::{is_no_record, line_at};

/// What the first records have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FirstRecords {
    /// How many records there are.
    pub records: usize,
    /// The names of the fields that are numbers wherever they stand.
    pub numbers: Vec<String>,
    /// The names of the tags and of all other fields.
    pub texts: Vec<String>,
    /// The largest of the times, as it is written; `None` where none has one.
    pub latest: Option<u64>,
    /// How many records have no time.
    pub timeless: usize,
}

/// The first records of `text`, whose last line may be cut off; `None` where it has lines that are no line protocol.
pub fn first_records(text: &[u8], is_whole: bool) -> Option<FirstRecords> {
    let (mut sample, mut at) = (FirstRecords::default(), 0);
    while at < text.len() {
        let (end, next) = line_at(text, at);
        let line = &text[at..end];
        let is_cut = next == text.len() && !is_whole && !text.ends_with(b"\n");
        at = next;
        if is_cut || is_no_record(line) {
            continue;
        }
        sample.add(line)?;
    }
    sample.numbers.retain(|name| !sample.texts.contains(name));
    (sample.records > 0).then_some(sample)
}

impl FirstRecords {
    fn add(&mut self, line: &[u8]) -> Option<()> {
        let parsed = parse(line).ok()?;
        let name = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
        let add = |names: &mut Vec<String>, name: String| {
            if !names.contains(&name) {
                names.push(name);
            }
        };
        parsed.tags.iter().for_each(|(key, _)| add(&mut self.texts, name(&key.content)));
        for (key, value) in &parsed.fields {
            let names = if value.number.is_some() { &mut self.numbers } else { &mut self.texts };
            add(names, name(&key.content));
        }
        match parsed.time {
            Some(time) => {
                let time = std::str::from_utf8(&line[time]).ok()?.parse::<i64>().ok()?.unsigned_abs();
                self.latest = self.latest.max(Some(time));
            }
            None => self.timeless += 1,
        }
        self.records += 1;
        Some(())
    }
}
