//! Tables in odd shapes.

use super::command::folder;
use super::{init, records};

#[test]
fn tables_in_odd_shapes_are_read_or_what_they_lack_is_said() {
    let row = |at: usize| format!("2024-03-01 10:{at:02}:00");
    let table = |header: &str, delimiter: char| -> String {
        let rows = (0..12).map(|at| format!("{}{delimiter}{at}.5{delimiter}{}\n", row(at), 40 + at));
        format!("{header}\n{}", rows.collect::<String>())
    };
    let plain = table("time,a,b", ',');
    let again = plain.replacen("2024-03-01 10:06", "time,a,b\n2024-03-01 10:06", 1);
    let in_quotes: String =
        (0..12).map(|at| format!("{},\"{at},5\",\"{},25\"\n", row(at), 40 + at)).collect();
    let twice: String =
        (0..12).map(|at| format!("{},{},{at}\n", 1_700_000_005 + at * 60, 1_700_000_000 + at * 60)).collect();
    let cases: [(&str, String, usize, &[&str]); 11] = [
        ("a tilde", table("time~a~b", '~'), 12, &["delimited by '~'", "measurements: `a`, `b`"]),
        ("a number sign", table("time#a#b", '#'), 12, &["delimited by '#'", "measurements: `a`, `b`"]),
        (
            "commas for two purposes, in quotes",
            format!("time,a,b\n{in_quotes}"),
            12,
            &["decimal comma", "measurements: `a`, `b`"],
        ),
        (
            "names that stand again",
            again,
            12,
            &["the header is repeated in 1 line, first in line 8: rejected"],
        ),
        (
            "a line of a log",
            plain.replacen("2024-03-01 10:06", "logger restarted\n2024-03-01 10:06", 1),
            12,
            &["1 of 13 records with more or fewer fields than there are columns, first in line 8"],
        ),
        (
            "a line of a log below the names",
            plain.replacen('\n', "\nlogger, restarted\n", 1),
            12,
            &["1 of 13 records with more or fewer fields"],
        ),
        (
            "a total at the end",
            format!("{plain}Total,78,546\n"),
            12,
            &["measurements: `a`, `b`", "such as \"Total\": rejected"],
        ),
        (
            "two epochs",
            format!("recv_ts,meas_ts,v\n{twice}"),
            12,
            &["time: `meas_ts`, written as s", "`recv_ts` has times too"],
        ),
        (
            "months",
            "month,v\n2024-01,1\n2024-02,2\n2024-03,3\n".into(),
            3,
            &["`month` has dates without a day"],
        ),
        (
            "an unclear zone",
            plain.replace(":00,", ":00 EST,"),
            12,
            &["in the zone EST, which several places use"],
        ),
        ("nothing but names", "time,a,b\n".into(), 0, &["there are no records yet"]),
    ];
    for (name, content, count, said_of) in cases {
        let folder = folder();
        let (pipeline, said) = init(folder.path(), &[("in.csv", &content)], "in.csv");
        for part in said_of {
            assert!(said.contains(part), "{name}: {part}: {said}");
        }
        assert!(!said.contains("units in line"), "{name}: {said}");
        assert_eq!(records(folder.path(), &pipeline).len(), count, "{name}: {pipeline}");
    }
    // Few records: one odd time among them does not hide the others, and one odd value is told of.
    let folder = folder();
    let few = "time,a,b\n2024-03-01 10:00:00,1,2\nno time,2,3\n2024-03-01 10:02:00,oops,4\n2024-03-01 10:03:00,4,5\n";
    let (pipeline, said) = init(folder.path(), &[("in.csv", few)], "in.csv");
    assert!(
        said.contains("time: `time`")
            && said.contains("`a` has numbers and \"oops\", and is carried as text"),
        "{said}"
    );
    assert_eq!(records(folder.path(), &pipeline).len(), 3, "{pipeline}");
}
