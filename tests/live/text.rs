//! Text in every layout and encoding, as it comes over pipes and sockets.

use std::io::Write;

use super::command::{folder, run};
use super::ongoing::{Run, connect, dead, port, write};

/// Columns that every connection names in a header of its own.
const NAMED: &str = "names = ['t', 'sensor', 'v']\nmeasurements = ['v']\ntime = 't'\nsensor = 'sensor'";

/// Sends `bytes` in two pieces that are cut at `cut`.
fn send(port: u16, bytes: &[u8], cut: usize) {
    let mut stream = connect(port);
    for piece in [&bytes[..cut], &bytes[cut..]] {
        stream.write_all(piece).expect("taken");
        stream.flush().expect("taken");
    }
}

fn utf_16(text: &str) -> Vec<u8> {
    text.encode_utf16().fold(vec![0xff, 0xfe], |out, unit| [out, unit.to_le_bytes().to_vec()].concat())
}

#[test]
fn every_connection_has_the_columns_that_its_header_says_on_the_day_and_played_again() {
    let folder = folder();
    let port = port();
    write(folder.path(), &format!("path = 'tcp-listen://127.0.0.1:{port}'\n{NAMED}"));
    let mut run_of_the_day = Run::start(folder.path(), &["--record", "day.rec"]);
    assert_eq!(run_of_the_day.line(), "t,sensor,v,v_avg");
    send(port, b"t,sensor,v\n2026-01-01T00:00:00Z,a,1\n", 3);
    assert_eq!(run_of_the_day.line(), "2026-01-01T00:00:00Z,a,1,1");
    send(port, b"v,t,sensor\n3,2026-01-01T00:00:01Z,a\n", 7);
    assert_eq!(run_of_the_day.line(), "2026-01-01T00:00:01Z,a,3,2");
    send(port, &utf_16("sensor,v,t\nb,5,2026-01-01T00:00:02Z\n"), 1);
    assert_eq!(run_of_the_day.line(), "2026-01-01T00:00:02Z,b,5,5");
    // This one has no header: its first record is not thrown away, it is closed.
    send(port, b"2026-01-01T00:00:03Z,a,7\n2026-01-01T00:00:04Z,a,9\n", 5);
    send(port, b"t,sensor,v\n2026-01-01T00:00:05Z,a,5\n", 0);
    assert_eq!(run_of_the_day.line(), "2026-01-01T00:00:05Z,a,5,4");
    let (rest, said) = run_of_the_day.stop();
    assert!(rest.is_empty() && said.contains("1 closed because of a header with other columns"), "{said}");
    assert_eq!(dead(folder.path()).len(), 1);
    let played = run(folder.path(), &["replay", "p.toml", "--from", "day.rec"]);
    let expected = "t,sensor,v,v_avg\n2026-01-01T00:00:00Z,a,1,1\n2026-01-01T00:00:01Z,a,3,2\n2026-01-01T00:00:02Z,b,5,5\n2026-01-01T00:00:05Z,a,5,4\n";
    assert_eq!(String::from_utf8_lossy(&played.stdout), expected);
}

#[test]
fn the_layout_of_a_file_is_that_of_a_pipe_in_pieces() {
    let cases = [
        ("sep=;\nt;sensor;v\n2026-01-01T00:00:00Z;a;1\n".as_bytes().to_vec(), NAMED),
        (utf_16("t,sensor,v\n2026-01-01T00:00:00Z,a,1\n"), NAMED),
        (
            b"made by x\nt sensor  v\n\n2026-01-01T00:00:00Z   a\t1 \n".to_vec(),
            "header_row = 2\ndelimiter = 'blanks'\nmeasurements = ['v']\ntime = 't'\nsensor = 'sensor'",
        ),
        (
            b"\xef\xbb\xbf2026-01-01T00:00:00Z,a,1\n".to_vec(),
            "header = false\nnames = ['t', 'sensor', 'v']\nmeasurements = ['v']\ntime = 't'\nsensor = 'sensor'",
        ),
        (
            b"t,s\xe9nsor,v\n2026-01-01T00:00:00Z,a,1\n".to_vec(),
            "encoding = 'latin1'\nmeasurements = ['v']\ntime = 't'\nsensor = 's\u{e9}nsor'",
        ),
    ];
    for (text, options) in cases {
        for cut in [1, 2, 3, 5, text.len() - 2] {
            let folder = folder();
            write(folder.path(), &format!("path = '-'\n{options}"));
            let mut live = Run::start(folder.path(), &["--threads", "3"]);
            let mut input = live.child.stdin.take().expect("piped");
            input.write_all(&text[..cut]).expect("taken");
            input.flush().expect("taken");
            input.write_all(&text[cut..]).expect("taken");
            drop(input);
            let lines = live.lines(2);
            assert_eq!(lines[1], "2026-01-01T00:00:00Z,a,1,1", "{options} cut at {cut}");
            assert!(live.child.wait().expect("an end").success());
        }
    }
}
