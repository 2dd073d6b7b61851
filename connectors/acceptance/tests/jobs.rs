//! The command with all connectors runs pipelines, as [`Job`]s.

use tidemill_acceptance::Job;

const PIPELINE: &str = "[source]\ntype = 'csv'\npath = 'in.csv'\ntime = 't'\nsensor = 's'\n\
     [[sink]]\ntype = 'csv'\npath = 'out.csv'\n";

#[test]
fn a_job_runs_to_its_end_and_reports() {
    let job = Job::new(PIPELINE);
    job.write("in.csv", "t,s,v\n2026-01-01T00:00:00Z,a,1.5\n");
    let said = job.start().wait().success();
    assert!(said.contains("exactly once"), "{said}");
    assert_eq!(job.report()["report"]["source"]["input"], 1, "{}", job.report());
    assert_eq!(job.read("out.csv").lines().count(), 2);
}

#[test]
fn a_job_that_follows_a_file_is_stopped_and_killed() {
    let job = Job::new(&PIPELINE.replace("[[sink]]", "follow = true\n[[sink]]"));
    job.write("in.csv", "t,s,v\n2026-01-01T00:00:00Z,a,1.5\n");
    let run = job.start();
    run.wait_for("exactly once");
    assert!(run.memory() > 0);
    assert_eq!(run.kill().status.code(), None);
    let run = job.start();
    // From then on it is not killed by the signal.
    run.wait_for("exactly once");
    run.stop().success();
}

#[test]
fn a_wrong_job_says_why() {
    let job = Job::new(&PIPELINE.replace("'csv'", "'cvs'"));
    let said = job.start().wait().failure();
    assert!(said.contains("cvs"), "{said}");
    assert!(job.command(&["validate", "pipeline.toml"]).failure().contains("cvs"));
}

#[test]
fn the_command_has_every_connector() {
    let job = Job::new("");
    let mut command = job.tidemill();
    let output = command.args(["schema", "--markdown"]).output().expect("it runs");
    let reference = String::from_utf8(output.stdout).expect("UTF-8");
    let all = [
        ("influxdb", cfg!(feature = "http")),
        ("kafka", cfg!(feature = "kafka")),
        ("mail", cfg!(feature = "mail")),
        ("modbus", cfg!(feature = "modbus")),
        ("mqtt", cfg!(feature = "mqtt")),
        ("nats", cfg!(feature = "nats")),
        ("postgres", cfg!(feature = "postgres")),
        ("sqlite", cfg!(feature = "sqlite")),
    ];
    for (name, _) in all.into_iter().filter(|(_, is_linked)| *is_linked) {
        assert!(reference.contains(&format!("`{name}`")), "{name} is not linked");
    }
}

#[cfg(feature = "mqtt")]
#[test]
fn repaired_dead_letters_of_messages_pass_without_a_broker() {
    let source = "[source]\ntype = 'mqtt'\nurl = 'mqtt://127.0.0.1:9'\ntopic = '{line}/{sensor}'\npayload = 'json'\nmeasurements = ['v']\n";
    let job = Job::new(&format!("{source}[[sink]]\ntype = 'csv'\npath = 'out.csv'\n"));
    let letter = |v: &str| {
        let raw = format!(
            r#"{{\"@arrival\":\"2026-01-01T00:00:00Z\",\"line\":\"l1\",\"sensor\":\"s1\",\"v\": {v}}}"#
        );
        format!(r#"{{"file":"mqtt://127.0.0.1:9","raw":"{raw}"}}"#)
    };
    job.write("rejects.jsonl", &[letter("20.5"), letter("warm"), letter("21")].join("\n"));
    let said = job.command(&["retry", "rejects.jsonl", "pipeline.toml"]).success();
    assert!(said.contains("2 of 3 dead letters passed"), "{said}");
    let written = job.read("out.csv");
    assert!(written.contains("20.5") && written.contains("21") && written.contains("s1"), "{written}");
    assert!(job.read("rejects.rest.jsonl").contains("warm"));
}
