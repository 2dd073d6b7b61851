//! Fixed partitions, as the option writes them: "0-3,7".

use std::collections::BTreeSet;

use tidemill_engine::error::{Error, Result};

/// More partitions are a mistake.
const MOST: usize = 100_000;

/// The partitions in `written`.
///
/// # Errors
/// A configuration error that says what is wrong.
pub(super) fn parse(written: &str) -> Result<Vec<i32>> {
    let mut all = BTreeSet::new();
    for part in written.split(',') {
        let (first, last) = range(part.trim()).ok_or_else(|| wrong(written))?;
        if last < first || (last - first) as usize >= MOST {
            return Err(wrong(written));
        }
        all.extend(first..=last);
    }
    Ok(all.into_iter().collect())
}

fn range(part: &str) -> Option<(i32, i32)> {
    let number = |text: &str| text.parse::<u32>().ok().and_then(|number| i32::try_from(number).ok());
    match part.split_once('-') {
        None => number(part).map(|one| (one, one)),
        Some((first, last)) => Some((number(first.trim_end())?, number(last.trim_start())?)),
    }
}

fn wrong(written: &str) -> Error {
    Error::config(format!("`partitions` {written:?} are not partitions"))
        .with_help("write \"0-3\" or \"0,2,5-7\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ranges() {
        assert_eq!(parse("0-3").expect("a range"), [0, 1, 2, 3]);
        assert_eq!(parse("7, 1-2,2").expect("a list"), [1, 2, 7]);
        for text in ["", "-1", "3-1", "a", "1-", "0-99999999", "1,,2"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
