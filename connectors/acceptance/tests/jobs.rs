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
