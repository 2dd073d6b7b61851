//! The servers themselves: they start, keep what they have acknowledged through a kill, and end.

use std::process::Command;

use tidemill_acceptance::server::{MosquittoOptions, PostgresOptions};
use tidemill_acceptance::{Mosquitto, Postgres};

fn succeeds(program: &str, port: u16, arguments: &[&str]) -> String {
    let output = Command::new(program).arg("-p").arg(port.to_string()).args(arguments).output();
    let output = output.expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn mosquitto_keeps_queued_messages_through_a_kill() {
    let mut mosquitto = Mosquitto::start();
    let session = ["-V", "5", "-x", "3600", "-i", "d", "-c", "-q", "1", "-t", "#"];
    succeeds("mosquitto_sub", mosquitto.port(), &[&session[..], &["-E"]].concat());
    for at in 0..20 {
        succeeds("mosquitto_pub", mosquitto.port(), &["-q", "1", "-t", "a", "-m", &at.to_string()]);
    }
    mosquitto.restart();
    let got =
        succeeds("mosquitto_sub", mosquitto.port(), &[&session[..], &["-C", "20", "-W", "20"]].concat());
    assert!(got.lines().eq((0..20).map(|at| at.to_string())), "{got}");
}

#[test]
fn mosquitto_refuses_wrong_passwords_and_clients_without_certificate() {
    let options = MosquittoOptions {
        user: Some(("plant".into(), "secret".into())),
        client_certificate: true,
        ..MosquittoOptions::default()
    };
    let mosquitto = Mosquitto::start_with(&options);
    let publish = ["-q", "1", "-t", "a", "-m", "1", "-u", "plant", "-P"];
    succeeds("mosquitto_pub", mosquitto.port(), &[&publish[..], &["secret"]].concat());
    let client = mosquitto.authority().client("c");
    let ca = mosquitto.authority().certificate();
    let tls = ["-h", "localhost", "--cafile", ca.to_str().expect("UTF-8")];
    let identity =
        ["--cert", client.certificate.to_str().expect("UTF-8"), "--key", client.key.to_str().expect("UTF-8")];
    succeeds("mosquitto_pub", mosquitto.tls_port(), &[&publish[..], &["secret"], &tls, &identity].concat());
    for wrong in [
        [&["-p", &mosquitto.port().to_string()], &publish[..], &["other"]].concat(),
        [&["-p", &mosquitto.tls_port().to_string()], &publish[..], &["secret"], &tls].concat(),
    ] {
        let output = Command::new("mosquitto_pub").args(wrong).output().expect("it runs");
        assert!(!output.status.success());
    }
}

#[test]
fn postgres_keeps_what_was_committed_through_a_kill() {
    let mut postgres = Postgres::start();
    postgres.sql("create table r as select generate_series(1, 1000) x");
    for _ in 0..2 {
        postgres.restart();
        assert_eq!(postgres.sql("select count(*) from r"), "1000\n");
    }
}

#[test]
fn postgres_has_tls_and_passwords() {
    let options = PostgresOptions { password: Some("it's".into()), tls: true, ..PostgresOptions::default() };
    let postgres = Postgres::start_with(&options);
    let ca = postgres.authority().certificate();
    let verified = || {
        let mut command = postgres.psql();
        command.env("PGSSLMODE", "verify-full").env("PGSSLROOTCERT", &ca);
        command.args(["-c", "select ssl from pg_stat_ssl where pid = pg_backend_pid()"]);
        command
    };
    assert_eq!(verified().output().expect("it runs").stdout, b"t\n");
    let refused = verified().env("PGPASSWORD", "other").output().expect("it runs");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("password"), "{refused:?}");
}
