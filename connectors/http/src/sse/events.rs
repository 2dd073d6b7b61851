//! Bytes as server-sent events, as the HTML standard has it: lines end with a line feed, a carriage return, or both; an empty line ends an event.

use std::time::Duration;

/// Bytes of an event at most.
const LARGEST: usize = 16 << 20;

/// The longest time that a server may ask to wait.
const LONGEST_RETRY: Duration = Duration::from_secs(300);

/// An event.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Event {
    /// Its type.
    pub(super) name: String,
    /// Its lines.
    pub(super) data: Vec<u8>,
    /// Its identifier, if it has one; empty if the last one is to be forgotten.
    pub(super) id: Option<String>,
}

/// Reads events from pieces of any size.
#[derive(Debug, Default)]
pub(super) struct Events {
    line: Vec<u8>,
    /// Whether the last piece ended with a carriage return, which a line feed may follow.
    is_after_return: bool,
    has_begun: bool,
    name: String,
    data: Vec<u8>,
    id: Option<String>,
    retry: Option<Duration>,
    count: u64,
}

impl Events {
    /// The events that are complete with these bytes.
    ///
    /// # Errors
    /// If an event is too large.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Event>, &'static str> {
        let mut events = Vec::new();
        for &byte in bytes {
            let is_second = std::mem::replace(&mut self.is_after_return, byte == b'\r') && byte == b'\n';
            match byte {
                _ if is_second => {}
                b'\n' | b'\r' => events.extend(self.end_line()),
                byte => self.line.push(byte),
            }
            if self.line.len() + self.data.len() > LARGEST {
                return Err("an event is larger than 16 MiB");
            }
        }
        Ok(events)
    }

    /// How long to wait before another connection, if the server has said so.
    pub(super) fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// The number of events so far.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    fn end_line(&mut self) -> Option<Event> {
        let line = std::mem::take(&mut self.line);
        let line = match std::mem::replace(&mut self.has_begun, true) {
            false => line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line),
            true => &line,
        };
        if line.is_empty() {
            return self.end_event();
        }
        let colon = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        let text = || String::from_utf8_lossy(value).into_owned();
        match &line[..colon] {
            b"data" => {
                self.data.extend_from_slice(value);
                self.data.push(b'\n');
            }
            b"event" => self.name = text(),
            b"id" if !value.contains(&0) => self.id = Some(text()),
            b"retry" => {
                let asked = text().parse().ok().map(Duration::from_millis);
                self.retry = asked.map(|asked| asked.min(LONGEST_RETRY)).or(self.retry);
            }
            // A comment, or a field of the future.
            _ => {}
        }
        None
    }

    fn end_event(&mut self) -> Option<Event> {
        let name = std::mem::take(&mut self.name);
        let mut data = std::mem::take(&mut self.data);
        let id = self.id.take();
        // The last line end is not part of it; without data there is no event, but the identifier counts.
        if data.pop().is_none() && id.is_none() {
            return None;
        }
        self.count += 1;
        let name = if name.is_empty() { "message".to_owned() } else { name };
        Some(Event { name, data, id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(bytes: &[u8], cuts: &[usize]) -> Vec<Event> {
        let (mut events, mut found, mut from) = (Events::default(), Vec::new(), 0);
        for &cut in cuts.iter().chain([&bytes.len()]) {
            let cut = cut.clamp(from, bytes.len());
            found.extend(events.push(&bytes[from..cut]).expect("small"));
            from = cut;
        }
        found
    }

    #[test]
    fn the_examples_of_the_standard_are_read() {
        let text = "\u{feff}: test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\ndata: unfinished";
        let event = |data: &str, id: Option<&str>| Event {
            name: "message".into(),
            data: data.into(),
            id: id.map(str::to_owned),
        };
        let expected =
            [event("first event", Some("1")), event("second event", Some("")), event(" third event", None)];
        assert_eq!(all(text.as_bytes(), &[]), expected);
        let stocks = "event: add\r\ndata: YHOO\r\ndata: +2\r\n\r\nretry: 2500\r\n\r\n";
        let add = Event { name: "add".into(), data: b"YHOO\n+2".to_vec(), id: None };
        assert_eq!(all(stocks.as_bytes(), &[]), [add]);
        let mut events = Events::default();
        events.push(stocks.as_bytes()).expect("small");
        assert_eq!(events.retry(), Some(Duration::from_millis(2500)));
    }

    #[test]
    fn a_server_cannot_ask_to_be_left_alone_for_ever() {
        let retry = |text: &str| {
            let mut events = Events::default();
            events.push(format!("retry: 100\n\nretry: {text}\n\n").as_bytes()).expect("small");
            events.retry().expect("a time").as_millis()
        };
        assert_eq!(
            (retry("18446744073709551615"), retry("300001"), retry("299999")),
            (300_000, 300_000, 299_999)
        );
        assert_eq!((retry("99999999999999999999999"), retry("soon"), retry("-1")), (100, 100, 100));
    }

    #[test]
    fn an_event_without_end_takes_no_more_memory_than_is_allowed() {
        let mut events = Events::default();
        let piece = vec![b'x'; 1 << 20];
        assert!((0..20).any(|_| events.push(&piece).is_err()));
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(text in "((data|id|event|retry|x)?(: ?)?[a-c1]{0,3}(\r\n|\n|\r)){0,30}", cuts in proptest::collection::vec(0..200_usize, 0..6)) {
            let mut cuts = cuts;
            cuts.sort_unstable();
            prop_assert_eq!(all(text.as_bytes(), &cuts), all(text.as_bytes(), &[]));
        }

        #[test]
        fn strangers_send_anything(bytes in any::<Vec<u8>>()) {
            all(&bytes, &[]);
        }
    }
}
