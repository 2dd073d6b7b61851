//! The pipelines in `examples/pipelines`, as they stand there, between real systems.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tidemill_acceptance::lake::Reader;
use tidemill_acceptance::server::Written;
use tidemill_acceptance::{HttpSink, Influx, Job, Kafka, Mosquitto, OpcUa, Port, Postgres, Telegraf};

/// A longer wait will not succeed.
const LIMIT: Duration = Duration::from_secs(120);

fn example(name: &str) -> Job {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/pipelines");
    let text = std::fs::read_to_string(folder.join(name)).expect("an example");
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    assert!(lines.count() <= 30, "{name} is to be short");
    Job::new(&text)
}

/// Asks until the answer is as wanted.
fn until<T: std::fmt::Debug>(mut ask: impl FnMut() -> T, is_wanted: impl Fn(&T) -> bool) -> T {
    let begun = Instant::now();
    loop {
        let answer = ask();
        if is_wanted(&answer) {
            return answer;
        }
        assert!(begun.elapsed() < LIMIT, "{answer:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn from_mqtt_to_postgres_with_alerts_to_slack() {
    let (mosquitto, postgres, slack) = (Mosquitto::start(), Postgres::start(), HttpSink::start());
    let job = example("mqtt-to-postgres.toml");
    let (mqtt, database, hook) = (mosquitto.url(), postgres.url(), slack.url());
    let variables = [("MQTT_URL", &*mqtt), ("POSTGRES_URL", &*database), ("SLACK_WEBHOOK", &*hook)];
    let run = job.start_in(&variables, &[]);
    run.wait_for("at least once");
    for (topic, value) in [
        ("plant/l1/press/temperature", "20.5"),
        ("plant/l1/broken/temperature", "999"),
        ("plant/l2/oven/temperature", "91.5"),
    ] {
        // Kept by the broker until the run has subscribed.
        let port = mosquitto.port().to_string();
        let sent = Command::new("mosquitto_pub")
            .args(["-p", &port, "-r", "-q", "1", "-t", topic, "-m", value])
            .status();
        assert!(sent.expect("mosquitto_pub runs").success());
    }
    let rows = || postgres.sql("SELECT line, sensor, value FROM temperatures ORDER BY value");
    let rows = until(
        || std::panic::catch_unwind(std::panic::AssertUnwindSafe(rows)).unwrap_or_default(),
        |rows| rows.lines().count() == 2,
    );
    assert_eq!(rows, "l1|press|20.5\nl2|oven|91.5\n");
    let alert = slack.wait_for(1).remove(0);
    assert!(alert.text().contains("oven") && alert.text().contains("91.5"), "{}", alert.text());
    run.stop().success();
}

#[test]
fn from_telegraf_to_kafka() {
    let kafka = Kafka::start();
    kafka.create_topic("cpu", 2);
    let port = Port::claim();
    let job = example("telegraf-to-kafka.toml");
    let listen = format!("127.0.0.1:{}", port.number());
    // A second instead of a minute.
    let run = job.start_in(
        &[("KAFKA_BROKERS", &kafka.address()), ("LISTEN", &listen)],
        &["--set", "stage.0.every=1s"],
    );
    run.wait_for("at least once");
    job.write("cpu.lp", "cpu,host=a,cpu=cpu0 usage_user=1.5,usage_system=0.5\ncpu,host=b,cpu=cpu0 usage_user=2.5,usage_system=1\n");
    let _telegraf = Telegraf::start(&format!(
        "[[inputs.file]]\nfiles = [\"{}\"]\ndata_format = \"influx\"\n[[outputs.influxdb_v2]]\nurls = [\"http://{listen}\"]\ntoken = \"any\"\norganization = \"any\"\nbucket = \"any\"\n",
        job.path("cpu.lp").display(),
    ));
    let read = || {
        let output = kafka
            .kcat()
            .args(["-C", "-q", "-e", "-t", "cpu", "-o", "beginning"])
            .output()
            .expect("kcat runs");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let found = until(read, |text| ["\"a\"", "\"b\""].iter().all(|host| text.contains(host)));
    assert!(found.contains("\"usage_user_mean\":1.5") && found.contains("\"usage_system_max\":1"), "{found}");
    run.stop().success();
}

#[test]
fn from_opcua_to_influxdb() {
    let (server, influx) = (OpcUa::start(), Influx::start());
    let job = example("opcua-to-influxdb.toml");
    let run = job.start_in(&[("OPCUA_URL", &*server.url()), ("INFLUX_URL", &*influx.url())], &[]);
    let count = || influx.count("temperatures", "value");
    // The server sends what there is first.
    until(count, |&count| count == 2);
    let values = [(21.5, "Good"), (999.0, "Good"), (22.5, "BadSensorFailure"), (23.5, "Good")];
    server.write((0_i64..).zip(values).map(|(at, (value, status))| Written {
        node: "Line2.Temperature",
        value: value.into(),
        status,
        micros: 1_767_225_600_000_000 + at,
    }));
    until(count, |&count| count == 4);
    let answer = influx.query("SELECT max(value) FROM temperatures GROUP BY line");
    assert!(answer.contains("23.5") && answer.contains("Line1") && !answer.contains("999"), "{answer}");
    run.stop().success();
}

#[test]
fn from_kafka_to_delta_lake() {
    let kafka = Kafka::start();
    kafka.create_topic("readings", 2);
    let job = example("kafka-to-delta.toml");
    let lake = job.path("lake").display().to_string();
    let run = job.start_in(&[("KAFKA_BROKERS", &kafka.address()), ("LAKE", &lake)], &[]);
    run.wait_for("exactly once");
    let messages = "press={\"t\": \"2026-01-01T23:59:59Z\", \"temperature\": 20.5, \"pressure\": 1.2}\n\
        press={\"t\": \"2026-01-02T00:00:00Z\", \"temperature\": 999, \"pressure\": 1.3}\n\
        oven={\"t\": \"2026-01-02T00:00:01Z\", \"temperature\": 91.5, \"pressure\": 0.9}\n";
    job.write("messages", messages);
    let sent =
        kafka.kcat().args(["-P", "-t", "readings", "-K", "=", "-l"]).arg(job.path("messages")).status();
    assert!(sent.expect("kcat runs").success());
    let columns = ["time", "sensor", "temperature", "pressure", "day"];
    let read = || {
        let is_there = job.path("lake/readings/_delta_log/00000000000000000001.json").exists();
        if is_there { Reader::DeltaRs.rows(&format!("{lake}/readings"), &columns) } else { Vec::new() }
    };
    let rows = until(read, |rows| rows.len() == 2);
    assert_eq!(
        rows,
        [
            r#"["2026-01-01T23:59:59+00:00", "press", 20.5, 1.2, "2026-01-01"]"#,
            r#"["2026-01-02T00:00:01+00:00", "oven", 91.5, 0.9, "2026-01-02"]"#,
        ]
    );
    run.stop().success();
}
