//! Input that `init` refuses.

use super::STAMPS;
use super::command::{folder, run, text};

#[test]
fn what_no_options_read_is_refused() {
    let folder = folder();
    let refused = |files: &[(&str, &str)], input: &str, code: i32| {
        for (name, content) in files {
            std::fs::write(folder.path().join(name), content).expect("written");
        }
        let output = run(folder.path(), &["init", input]);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(code), 0));
        text(&output.stderr)
    };
    let twice = "time,v\n2024-03-01 10:00:00,1,5\n2024-03-01 10:01:00,1,75\n";
    assert!(
        refused(&[("in.csv", twice)], "in.csv", 65)
            .contains("its header has 2 names, and its records have 3 fields")
    );
    let decimals = |mark: &str| format!("time;v\n{};1{mark}5\n{};1{mark}75\n", STAMPS[0], STAMPS[1]);
    let said = refused(&[("a.txt", &decimals(",")), ("b.txt", &decimals("."))], "?.txt", 64);
    assert!(said.contains("one has decimal commas, the other decimal points"), "{said}");
}

#[test]
fn what_looks_like_data_and_is_none_is_refused() {
    let folder = folder();
    let refused = |content: &[u8]| {
        std::fs::write(folder.path().join("in.dat"), content).expect("written");
        let output = run(folder.path(), &["init", "in.dat"]);
        let said = text(&output.stderr);
        assert!(!output.status.success() && output.stdout.is_empty(), "{said}");
        said
    };
    let python = "{'time': '2024-03-01T10:00:00Z', 'v': 1}\n".repeat(5);
    assert!(refused(python.as_bytes()).contains("it begins like JSON, but has no readable object; line 1: "));
    assert!(refused(b"[[1700000000,1.5],[1700000060,2.5]]").contains("a record must be an object"));
    let cells = "<tr><td>2024-03-01 10:00:00</td><td>1</td></tr>\n".repeat(5);
    assert!(refused(format!("<table>{cells}</table>").as_bytes()).contains("HTML or XML"));
    // As a tar archive begins.
    let tar = [&b"in.csv\0\0\0\x000644\0\0\0time,v\n"[..], b"2024-03-01 10:00:00,1\n2024-03-01 10:01:00,2\n"]
        .concat();
    assert!(refused(&tar).contains("bytes that are not text"));
    assert!(refused(b"\n  \n\n").contains("has no records"));
}
