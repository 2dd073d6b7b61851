//! What the source reads.

use serde_json::Value;
use tidemill_acceptance::{Job, Kafka};

use crate::broker::{read, send, shared, topic, wait_until};

/// A pipeline from a topic into a file, stopped when the file is to have `count` records.
fn records(source: &str, count: u64, during: impl FnOnce(&Job)) -> (Vec<String>, String, Value) {
    let brokers = shared().address();
    let job = Job::new(&format!(
        "[source]\ntype = 'kafka'\nbrokers = '{brokers}'\n{source}\n[[sink]]\ntype = 'csv'\npath = 'out.csv'\n\
         [[sink]]\ntype = 'dead_letter'\npath = 'rejects.jsonl'\n[[sink]]\ntype = 'jsonl'\npath = '{{epoch}}.jsonl'\nroll = {{ every = '1s' }}\n"
    ));
    let run = job.start();
    during(&job);
    wait_until("the records arrive", || {
        let files = std::fs::read_dir(job.folder()).expect("a folder").flatten();
        let rolled = files.filter(|file| {
            let name = file.file_name().into_string().expect("UTF-8");
            name.as_bytes()[0].is_ascii_digit() && name.ends_with(".jsonl")
        });
        let lines: usize =
            rolled.map(|file| std::fs::read_to_string(file.path()).expect("a file").lines().count()).sum();
        lines as u64 >= count
    });
    let said = run.stop().success();
    let mut command = job.tidemill();
    command.args(["run", "pipeline.toml", "--state", "state", "--finish", "--report", "report.json"]);
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (job.read("out.csv").lines().map(str::to_owned).collect(), said, job.report())
}

#[test]
fn json_with_key_headers_and_place_becomes_records_and_tombstones_are_skipped() {
    let broker = shared();
    let topic = topic(broker, "json", 1);
    send(
        broker,
        &topic,
        "a|{\"t\":\"2026-01-01T00:00:00Z\",\"v\":1.5}\n",
        &["-H", "site=north", "-H", "site=south"],
    );
    send(
        broker,
        &topic,
        "b|[{\"t\":\"2026-01-01T00:00:01Z\",\"v\":2},{\"t\":\"2026-01-01T00:00:02Z\",\"v\":3}]\n",
        &[],
    );
    // An empty value is none.
    send(broker, &topic, "a|\n", &["-Z"]);
    send(broker, &topic, "a|no number\n", &[]);
    send(broker, &topic, "c|{\"t\":\"2026-01-01T00:00:03Z\",\"v\":4}\n", &[]);
    let source = format!(
        "topic = '{topic}'\ngroup = '{topic}'\npayload = 'json'\ntime = 't'\nmeasurements = ['v']\n\
         fields = ['@partition', '@offset', '@topic', '@header:site']"
    );
    let (lines, said, report) = records(&source, 4, |_| {});
    let expected = [
        "t,v,sensor,@partition,@offset,@topic,@header:site".to_owned(),
        format!("2026-01-01T00:00:00Z,1.5,a,0,0,{topic},south"),
    ];
    let columns =
        |line: &String| line.split(',').map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(columns(&lines[0]), columns(&expected[0]), "{lines:?}");
    assert_eq!(columns(&lines[1]), columns(&expected[1]), "{lines:?}");
    assert_eq!(lines.len(), 5, "{lines:?}");
    assert!(said.contains("1 messages without a payload were skipped"), "{said}");
    assert_eq!(report["report"]["rejects"]["malformed"], 1, "{report}");
}

#[test]
fn a_run_starts_where_it_is_told_and_the_group_goes_on() {
    let broker = shared();
    let topic = topic(broker, "start", 2);
    for n in 0..3 {
        send(broker, &topic, &format!("a|{n}\n"), &[]);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let times: Vec<i64> = read(broker, &topic).iter().map(|message| message.time).collect();
    let number = |group: &str, start: &str| {
        format!("topic = '{topic}'\ngroup = '{topic}-{group}'\npayload = 'number'\noffset = {start}")
    };
    let values = |lines: &[String]| -> Vec<String> {
        let header: Vec<&str> = lines[0].split(',').collect();
        let at = header.iter().position(|name| *name == "value").expect("the value");
        lines[1..].iter().map(|line| line.split(',').nth(at).expect("a value").to_owned()).collect()
    };
    let run = |group: &str, start: &str, count| values(&records(&number(group, start), count, |_| {}).0);
    assert_eq!(run("earliest", "'earliest'", 3), ["0", "1", "2"]);
    assert_eq!(run("offset", "2", 1), ["2"]);
    let second = times[1];
    let since = format!("'{}'", rfc3339(second));
    assert_eq!(run("time", &since, 2), ["1", "2"]);
    // Another state, but the group has committed: it goes on from there.
    send(broker, &topic, "a|3\n", &[]);
    assert_eq!(run("earliest", "'earliest'", 1), ["3"]);
}

/// Milliseconds since 1970, of which the day does not matter here.
fn rfc3339(millis: i64) -> String {
    let output = std::process::Command::new("date")
        .args(["-u", "+%Y-%m-%dT%H:%M:%S", "-d"])
        .arg(format!("@{}", millis / 1000))
        .output();
    let text = String::from_utf8(output.expect("date runs").stdout).expect("UTF-8");
    format!("{}.{:03}Z", text.trim(), millis % 1000)
}

#[test]
fn a_topic_or_a_partition_that_is_not_there_is_named_before_the_run() {
    let broker = shared();
    let there = topic(broker, "there", 2);
    for (more, what) in [
        ("topic = 'no-such-topic'".to_owned(), "the topic `no-such-topic` does not exist"),
        (format!("topic = '{there}'\npartitions = '1-2'"), "has no partition 2: it has 2"),
    ] {
        let brokers = broker.address();
        let job = Job::new(&format!(
            "[source]\ntype = 'kafka'\nbrokers = '{brokers}'\n{more}\ngroup = 'g'\npayload = 'number'\n[[sink]]\ntype = 'csv'\npath = 'out.csv'\n"
        ));
        let said = job.start().wait().failure();
        assert!(said.contains(what), "{said}");
    }
}

#[test]
fn brokers_that_are_not_there_are_an_error_with_the_reason() {
    let job = Job::new(
        "[source]\ntype = 'kafka'\nbrokers = '127.0.0.1:9'\ntopic = 't'\ngroup = 'g'\npayload = 'number'\n[[sink]]\ntype = 'csv'\npath = 'out.csv'\n",
    );
    let said = job.start().wait().failure();
    assert!(said.contains("127.0.0.1:9") && said.contains("Connection refused"), "{said}");
}

#[test]
fn messages_of_aborted_and_open_transactions_are_not_read() {
    let broker = shared();
    let topic = topic(broker, "aborted", 1);
    crate::sink::transactions(broker, &topic);
    let number = |group: &str, isolation: &str| {
        format!("topic = '{topic}'\ngroup = '{topic}-{group}'\npayload = 'number'\nisolation = '{isolation}'")
    };
    let (lines, ..) = records(&number("committed", "read_committed"), 2, |_| {});
    assert_eq!(lines.len(), 3, "{lines:?}");
    let (lines, ..) = records(&number("all", "read_uncommitted"), 3, |_| {});
    assert_eq!(lines.len(), 4, "{lines:?}");
}

#[test]
fn messages_that_were_deleted_before_they_were_read_end_the_run_unless_that_is_accepted() {
    let broker = shared();
    let topic = topic(broker, "deleted", 1);
    let numbers = |from: u32, to: u32| (from..to).map(|n| format!("a|{n}\n")).collect::<String>();
    send(broker, &topic, &numbers(0, 3), &[]);
    let source = format!("topic = '{topic}'\ngroup = '{topic}'\npayload = 'number'");
    records(&source, 3, |_| {});
    send(broker, &topic, &numbers(3, 9), &[]);
    let file = tempfile::NamedTempFile::new().expect("a file");
    let text = format!(r#"{{"partitions":[{{"topic":"{topic}","partition":0,"offset":6}}],"version":1}}"#);
    std::fs::write(file.path(), text).expect("written");
    let mut command = Kafka::tool("org.apache.kafka.tools.DeleteRecordsCommand");
    command.args(["--bootstrap-server", &broker.address(), "--offset-json-file"]).arg(file.path());
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let brokers = broker.address();
    let job = Job::new(&format!(
        "[source]\ntype = 'kafka'\nbrokers = '{brokers}'\n{source}\n[[sink]]\ntype = 'csv'\npath = 'out.csv'\n"
    ));
    let said = job.start().wait().failure();
    assert!(said.contains("deleted") && said.contains("gaps"), "{said}");
    let (lines, ..) = records(&format!("{source}\ngaps = 'accept'"), 3, |_| {});
    assert!(lines.len() == 4 && lines[1].contains('6'), "{lines:?}");
}

#[test]
fn doctor_looks_at_the_broker_the_login_and_the_topics() {
    let broker = shared();
    let there = topic(broker, "there", 3);
    let brokers = broker.address();
    let pipeline = |to: &str| {
        format!(
            "[source]\ntype = 'kafka'\nbrokers = '{brokers}'\ntopic = '{there}'\ngroup = 'g'\npayload = 'number'\n\
             [[sink]]\ntype = 'kafka'\nbrokers = '{brokers}'\ntopic = '{to}'\n"
        )
    };
    let job = Job::new(&pipeline(&there));
    let mut command = job.tidemill();
    let output = command.args(["doctor", "pipeline.toml"]).output().expect("it runs");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.matches("3 partitions").count() == 2, "{said}");
    let job = Job::new(&pipeline("no-such-topic"));
    let mut command = job.tidemill();
    let output = command.args(["doctor", "pipeline.toml"]).output().expect("it runs");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("`no-such-topic` does not exist"), "{said}");
}
