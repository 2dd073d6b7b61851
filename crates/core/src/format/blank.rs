//! Counts runs of blank lines: a file may have millions of them, and none is a record.

/// The number of blank lines at the start of `text`, and their length in bytes. All of them end the same way: with LF, or with CR LF.
pub(super) fn blank_lines(text: &[u8]) -> (usize, usize) {
    if text.starts_with(b"\r\n") {
        let lines = text.as_chunks::<2>().0.iter().take_while(|pair| *pair == b"\r\n").count();
        return (lines, 2 * lines);
    }
    let lines = text.iter().take_while(|&&byte| byte == b'\n').count();
    (lines, lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_lines_end_at_the_first_other_byte() {
        assert_eq!(blank_lines(b""), (0, 0));
        assert_eq!(blank_lines(b"1\n\n"), (0, 0));
        assert_eq!(blank_lines(b"\n\n\n1\n"), (3, 3));
        assert_eq!(blank_lines(b"\r\n\r\n1\r\n"), (2, 4));
        assert_eq!(blank_lines(b"\r\n\n\r"), (1, 2));
        assert_eq!(blank_lines(b"\r\r"), (0, 0));
        assert_eq!(blank_lines(b"\n\r\n"), (1, 1));
    }
}
