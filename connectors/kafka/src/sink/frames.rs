//! Messages as bytes, which are kept until their epoch is delivered.
//!
//! A message is: time in milliseconds (`i64`, [`NO_TIME`] for none), length of the topic (`u16`, 0 for that of the options), of the key (`u32`, [`NO_KEY`] for none) and of
//! the value (`u32`), all little-endian; then topic, key and value.

use tidemill_engine::error::{Error, Result};

const HEAD: usize = 8 + 2 + 4 + 4;
const NO_TIME: i64 = i64::MIN;
const NO_KEY: u32 = u32::MAX;

/// A message of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    /// Milliseconds since 1970; `None` for the time of delivery.
    pub(super) time: Option<i64>,
    /// Empty for the topic of the options.
    pub(super) topic: &'a [u8],
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: &'a [u8],
}

impl Frame<'_> {
    /// Appends the message to `out`.
    ///
    /// # Errors
    /// If it is longer than Kafka's protocol permits.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        let too_long = |_| Error::data("a message for Kafka is longer than 2 GiB");
        let topic = u16::try_from(self.topic.len()).map_err(too_long)?;
        let key = self.key.map_or(Ok(NO_KEY), |key| i32::try_from(key.len()).map(i32::cast_unsigned));
        let value = i32::try_from(self.value.len()).map_err(too_long)?;
        out.extend_from_slice(&self.time.unwrap_or(NO_TIME).to_le_bytes());
        out.extend_from_slice(&topic.to_le_bytes());
        out.extend_from_slice(&key.map_err(too_long)?.to_le_bytes());
        out.extend_from_slice(&value.to_le_bytes());
        out.extend_from_slice(self.topic);
        out.extend_from_slice(self.key.unwrap_or_default());
        out.extend_from_slice(self.value);
        Ok(())
    }
}

/// The messages in bytes that [`Frame::write`] has written.
pub(super) struct Frames<'a>(pub(super) &'a [u8]);

impl<'a> Frames<'a> {
    fn read(&mut self) -> Option<Frame<'a>> {
        let (head, rest) = self.0.split_first_chunk::<HEAD>()?;
        let [t0, t1, t2, t3, t4, t5, t6, t7, p0, p1, k0, k1, k2, k3, v0, v1, v2, v3] = *head;
        let time = i64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, t7]);
        let key = u32::from_le_bytes([k0, k1, k2, k3]);
        let (topic, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([p0, p1])))?;
        let (key, rest) = match key {
            NO_KEY => (None, rest),
            length => rest.split_at_checked(length as usize).map(|(key, rest)| (Some(key), rest))?,
        };
        let (value, rest) = rest.split_at_checked(u32::from_le_bytes([v0, v1, v2, v3]) as usize)?;
        self.0 = rest;
        Some(Frame { time: (time != NO_TIME).then_some(time), topic, key, value })
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let frame = self.read();
        if frame.is_none() {
            self.0 = &[];
        }
        Some(frame.ok_or_else(|| Error::data("a kept message cannot be read: its end is missing")))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn messages_are_read_as_they_were_written(
            messages in prop::collection::vec(
                (
                    prop::option::of(0_i64..=i64::MAX),
                    prop::collection::vec(any::<u8>(), 0..8),
                    prop::option::of(prop::collection::vec(any::<u8>(), 0..8)),
                    prop::collection::vec(any::<u8>(), 0..40),
                ),
                0..8,
            ),
        ) {
            let mut bytes = Vec::new();
            for (time, topic, key, value) in &messages {
                Frame { time: *time, topic, key: key.as_deref(), value }.write(&mut bytes).expect("short");
            }
            let read: Vec<_> = Frames(&bytes)
                .map(|read| read.expect("a frame"))
                .map(|read| (read.time, read.topic.to_vec(), read.key.map(<[u8]>::to_vec), read.value.to_vec()))
                .collect();
            prop_assert_eq!(read, messages);
        }

        #[test]
        fn any_bytes_end(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let read: Result<Vec<_>> = Frames(&bytes).collect();
            prop_assert!(bytes.is_empty() || read.is_err() || read.is_ok_and(|frames| frames.len() <= bytes.len() / HEAD));
        }
    }
}
