//! Files of one logger, one per day or month: they are named after their start times, and are one series.

use std::path::{Path, PathBuf};

use super::inputs::extension;

/// The name of the series that these files belong to: their names without the date, or else their folder's name.
pub(super) fn of_one_logger(files: &[PathBuf]) -> Option<String> {
    let first = files.first().filter(|_| files.len() > 1)?;
    let name = named(first)?;
    let is_of_it = |file: &PathBuf| file.parent() == first.parent() && named(file).as_ref() == Some(&name);
    if !files.iter().all(is_of_it) {
        return None;
    }
    let folder = || first.parent()?.file_name()?.to_str().map(str::to_owned);
    let own = name.trim_matches(|letter: char| !letter.is_alphanumeric());
    Some(if own.is_empty() { folder().unwrap_or_else(|| "series".to_owned()) } else { own.to_owned() })
}

/// A file's name without the date in it, and the digits behind that.
fn named(file: &Path) -> Option<String> {
    let name = file.file_name()?.to_str()?;
    let stem = name.strip_suffix(extension(file))?.trim_end_matches('.');
    let is_boundary = |at: usize| at == 0 || !stem.as_bytes()[at - 1].is_ascii_digit();
    let starts = stem.char_indices().map(|(at, _)| at).filter(|&at| is_boundary(at));
    let (start, length) = starts.filter_map(|at| Some((at, date(&stem.as_bytes()[at..])?))).next()?;
    let behind = stem[start + length..]
        .trim_start_matches(|letter: char| letter.is_ascii_digit() || "-_.T:hZ".contains(letter));
    Some(format!("{} {behind}", &stem[..start]))
}

/// The length of the date that a text begins with: year and month, with a day or without, with marks between or without.
fn date(text: &[u8]) -> Option<usize> {
    let number = |from: usize, length: usize| {
        let digits = std::str::from_utf8(text.get(from..from + length)?).ok()?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u32>().ok())?
    };
    let year = number(0, 4).filter(|year| (1970..2100).contains(year));
    year?;
    let mark = |at: usize| usize::from(text.get(at).is_some_and(|byte| b"-_.".contains(byte)));
    let month = 4 + mark(4);
    number(month, 2).filter(|month| (1..=12).contains(month))?;
    let day = month + 2 + mark(month + 2);
    match number(day, 2).filter(|day| (1..=31).contains(day)) {
        Some(_) => Some(day + 2),
        None => Some(month + 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(files: &[&str]) -> Option<String> {
        of_one_logger(&files.iter().map(PathBuf::from).collect::<Vec<_>>())
    }

    #[test]
    fn files_named_after_days_are_one_series() {
        assert_eq!(series(&["daily/2024-03-01.csv", "daily/2024-03-02.csv.gz"]).as_deref(), Some("daily"));
        assert_eq!(series(&["kiln_20240301.csv", "kiln_20240302.csv"]).as_deref(), Some("kiln"));
        assert_eq!(series(&["kiln_2024-03.csv", "kiln_2024-04.csv"]).as_deref(), Some("kiln"));
        assert_eq!(
            series(&["well 2024-03-01_1200.csv", "well 2024-03-01_1300.csv"]).as_deref(),
            Some("well")
        );
    }

    #[test]
    fn files_of_several_sensors_are_several() {
        assert_eq!(series(&["valve1.csv", "valve2.csv"]), None);
        assert_eq!(series(&["valve1_2024-03-01.csv", "valve2_2024-03-01.csv"]), None);
        assert_eq!(series(&["v1/2024-03-01.csv", "v2/2024-03-01.csv"]), None);
        assert_eq!(series(&["2024-03-01.csv"]), None);
        assert_eq!(series(&["123456.csv", "123457.csv"]), None);
    }
}
