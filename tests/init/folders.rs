//! Folders and archives.

use super::command::{folder, run, text};
use super::packers;
use super::{init, records, understood};

#[test]
fn a_folder_is_read_whole_and_what_is_left_out_is_said() {
    let folder = folder();
    let day = |day: u8| format!("time,v\n2024-03-0{day}T00:00:00Z,{day}\n2024-03-0{day}T01:00:00Z,{day}.5\n");
    let files = [
        ("daily/2024-03-01.csv", day(1)),
        ("daily/2024-03-02.CSV", day(2)),
        ("daily/2024-03-03.csv", day(3)),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(name, content)| (*name, content.as_str())).collect();
    let (pipeline, said) = init(folder.path(), &files, "daily");
    assert!(pipeline.contains("path = \"daily\"") && said.contains("of 3 files"), "{pipeline}{said}");
    let all = records(folder.path(), &pipeline);
    assert_eq!(all.len(), 6);
    assert!(all.iter().all(|record| record.contains("\"sensor\":\"daily\"")), "{all:?}");
    // A note among them, which the folder would take for data.
    let (pipeline, said) =
        init(folder.path(), &[("daily/notes.txt", "all is well\n"), ("daily/x.xls", "-")], "daily");
    assert!(
        said.contains("left out: daily/notes.txt: ") && said.contains("left out: daily/x.xls: "),
        "{said}"
    );
    assert_eq!(records(folder.path(), &pipeline).len(), 6);
    let (pipeline, said) = init(folder.path(), &[("daily/bad.csv", "nothing\n")], "daily");
    assert!(said.contains("left out: daily/bad.csv: "), "{said}");
    assert_eq!(records(folder.path(), &pipeline).len(), 6);
}

#[test]
fn files_of_archives_are_named_by_globs() {
    let folder = folder();
    let day = |day: u8| format!("time,v\n2024-03-0{day}T00:00:00Z,{day}\n2024-03-0{day}T01:00:00Z,{day}.5\n");
    for (name, days) in [("a.zip", [1, 2]), ("b.zip", [3, 4])] {
        let members: Vec<_> = days.iter().map(|&at| (format!("logs/{at}.csv"), day(at))).collect();
        let members: Vec<_> = members.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
        std::fs::write(folder.path().join(name), packers::zip(&members)).expect("written");
    }
    for (input, count) in [
        ("*.zip", 8),
        ("a.zip", 4),
        ("a.zip/logs/*.csv", 4),
        ("*.zip/logs/*.csv", 8),
        ("b.zip/logs/3.csv", 2),
    ] {
        let (pipeline, said) = init(folder.path(), &[], input);
        assert!(
            pipeline.contains(&format!("path = \"{input}\"")) && said.contains("measurements: `v`"),
            "{pipeline}{said}"
        );
        assert_eq!(records(folder.path(), &pipeline).len(), count, "{input}");
    }
    let none = run(folder.path(), &["init", "a.zip/*.tsv"]);
    assert!(!none.status.success() && text(&none.stderr).contains("a.zip"), "{}", text(&none.stderr));
}

#[test]
fn data_that_are_there_twice_are_read_once_or_told_of() {
    let folder = folder();
    let content = "time,v\n2024-03-01T00:00:00Z,1\n2024-03-01T01:00:00Z,2.5\n";
    let (_, alone) = init(folder.path(), &[("data/a.csv", content)], "data/a.csv");
    std::fs::write(folder.path().join("data/a.csv.xz"), packers::xz(content.as_bytes())).expect("written");
    let (pipeline, said) = init(folder.path(), &[], "data");
    assert!(said.contains("left out: data/a.csv.xz: it has the same content as data/a.csv"), "{said}");
    assert!(pipeline.contains("path = \"data/*.csv\""), "{pipeline}");
    assert_eq!(understood(&said), understood(&alone));
    let output = run(folder.path(), &["init", "data/*"]);
    let said = text(&output.stderr);
    assert!(
        said.contains("check: data/a.csv.xz has the same content as data/a.csv, compressed differently"),
        "{said}"
    );
}

#[test]
fn what_lies_in_an_archive_beside_the_data_is_left_out() {
    let folder = folder();
    let day = |day: u8| format!("time,v\n2024-03-0{day}T00:00:00Z,{day}\n2024-03-0{day}T01:00:00Z,{day}.5\n");
    let (one, two) = (day(1), day(2));
    let readme = "This archive has the data of plant 7.\nSee the manual, page 3, for more.\n";
    let stations = "id,lat,lon\n1,48.1,11.2\n2,48.2,11.3\n3,47,11.5\n";
    let pack = |name: &str, members: &[(&str, &str)]| {
        let members: Vec<_> = members.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, packers::zip(&members)).expect("written");
    };
    pack("a.zip", &[("README.txt", readme), ("1.csv", &one), ("2.csv", &two)]);
    pack("b.zip", &[("README.txt", readme), ("logs/1.csv", &one), ("logs/2.csv", &two), ("x.pdf", "%PDF")]);
    pack("c.zip", &[("LICENSE", "as it is\n"), ("x/1.csv", &one), ("y/2.csv", &two)]);
    pack(
        "d.zip",
        &[("readme.txt", readme), ("data.txt", &one), ("stations.txt", stations), ("two.txt", &two)],
    );
    pack("m/1.zip", &[("README.txt", readme), ("1.csv", &one)]);
    pack("m/2.zip", &[("README.txt", readme), ("2.csv", &two)]);
    pack("f/1.csv.zip", &[("README.txt", readme), ("1.csv", &one)]);
    std::fs::write(folder.path().join("f/2.csv"), &two).expect("written");
    for (input, path, left_out) in [
        ("a.zip", "\"a.zip/*.csv\"", "a.zip/README.txt"),
        ("a.zip/*", "\"a.zip/*.csv\"", "a.zip/README.txt"),
        ("b.zip", "\"b.zip/logs/*.csv\"", "b.zip/x.pdf"),
        ("c.zip", "\"c.zip/**/*.csv\"", "c.zip/LICENSE"),
        ("d.zip", "[\"d.zip/data.txt\", \"d.zip/two.txt\"]", "d.zip/stations.txt"),
        ("m/*.zip", "\"m/*.zip/*.csv\"", "m/1.zip/README.txt"),
        ("f", "[\"f/1.csv.zip/*.csv\", \"f/2.csv\"]", "f/1.csv.zip/README.txt"),
    ] {
        let (pipeline, said) = init(folder.path(), &[], input);
        assert!(pipeline.contains(&format!("path = {path}\n")), "{input}: {pipeline}");
        assert!(said.contains(&format!("left out: {left_out}: ")), "{input}: {said}");
        assert_eq!(records(folder.path(), &pipeline).len(), 4, "{input}");
    }
    // Nothing but prose.
    pack("e.zip", &[("README.txt", readme), ("NOTES.txt", "all is well\n")]);
    let none = run(folder.path(), &["init", "e.zip"]);
    assert!(text(&none.stderr).contains("e.zip has no files with measurements"), "{}", text(&none.stderr));
}

#[test]
fn a_folder_of_files_that_are_called_otherwise_is_read() {
    for ending in ["json-seq", "log", "readings"] {
        let folder = folder();
        let day = |day: u8| -> String {
            (0..3)
                .map(|at| format!("\u{1e}{{\"time\":\"2024-03-0{day}T10:0{at}:00Z\",\"v\":{at}}}\n"))
                .collect()
        };
        let names = [1, 2].map(|day| format!("data/{day}.{ending}"));
        let (pipeline, said) = init(folder.path(), &[(&names[0], &day(1)), (&names[1], &day(2))], "data");
        assert!(pipeline.contains(&format!("path = \"data/*.{ending}\"")), "{pipeline}{said}");
        assert_eq!(records(folder.path(), &pipeline).len(), 6, "{pipeline}");
    }
    // A folder stands for those called `json-seq`, packed or not.
    let folder = folder();
    let row = |day: u8| format!("\u{1e}{{\"time\":\"2024-03-0{day}T10:00:00Z\",\"v\":1}}\n");
    let (first, second) = (row(1), row(2));
    std::fs::create_dir(folder.path().join("data")).expect("made");
    std::fs::write(folder.path().join("data/2.json-seq.xz"), packers::xz(second.as_bytes()))
        .expect("written");
    let (pipeline, _) = init(folder.path(), &[("data/1.json-seq", &first)], "data");
    assert!(pipeline.contains("path = \"data\""), "{pipeline}");
    assert_eq!(records(folder.path(), &pipeline).len(), 2);
}

#[test]
fn files_of_one_sort_are_those_with_the_same_names_whatever_they_have() {
    let folder = folder();
    let files = [
        ("data/1.csv", "time,v\n2024-03-01T00:00:00Z,1\n2024-03-01T01:00:00Z,2\n"),
        ("data/2.csv", "time,v\n2024-03-02T00:00:00Z,\n"),
        ("data/3.csv", "time,v\n"),
        ("data/sites.csv", "id,lat\n1,48.5\n2,47\n"),
    ];
    let (pipeline, said) = init(folder.path(), &files, "data");
    assert!(said.contains("left out: data/sites.csv: it has no time"), "{said}");
    assert!(pipeline.contains("path = [\"data/1.csv\", \"data/2.csv\", \"data/3.csv\"]"), "{pipeline}");
    assert_eq!(records(folder.path(), &pipeline).len(), 3);
}
