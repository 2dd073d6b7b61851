//! The servers themselves: they start, keep what they have acknowledged through a kill, and end.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tidemill_acceptance::mail::Encryption;
use tidemill_acceptance::server::{KafkaOptions, MosquittoOptions, NatsClient, NatsOptions, PostgresOptions};
use tidemill_acceptance::{
    Answer, Authority, HttpSink, Influx, Kafka, MailSink, Mosquitto, Nats, Postgres, Telegraf, http, promtool,
};

/// A longer wait will not succeed.
const LIMIT: Duration = Duration::from_secs(60);

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

/// What curl prints.
fn curl(arguments: &[&str]) -> String {
    let output = Command::new("curl").args(["-s", "-m", "20"]).args(arguments).output().expect("it runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_http_sink_answers_as_told() {
    let mut sink = HttpSink::start();
    let url = sink.url() + "/a?b=1";
    let status = ["-o", "/dev/null", "-w", "%{http_code} %header{retry-after}", "-d", "one"];
    assert_eq!(curl(&[&status[..], &[&url]].concat()), "200 ");
    sink.answer(Answer::status(500));
    sink.answer_next(Answer::status(429).with_header("Retry-After", "7"));
    sink.answer_next(Answer::close());
    for expected in ["429 7", "000 ", "500 "] {
        assert_eq!(curl(&[&status[..], &[&url]].concat()), expected);
    }
    sink.answer_by(|request| Answer::status(200).with_body(request.text() + "!"));
    assert_eq!(curl(&["-d", "two", &url, "-d", "three", &url]), "two&three!two&three!");
    assert_eq!(curl(&["-H", "Transfer-Encoding: chunked", "-d", "four", &url]), "four!");
    let requests = sink.wait_for(7);
    assert_eq!((requests.len(), sink.connections()), (7, 6));
    assert_eq!((requests[0].method.as_str(), requests[0].path.as_str()), ("POST", "/a?b=1"));
    sink.answer(Answer::hang());
    assert_eq!(curl(&["-m", "0.2", &url]), "");
    sink.kill();
    assert_eq!(curl(&[&status[..], &[&url]].concat()), "000 ");
    sink.answer(Answer::status(204));
    sink.restart();
    assert_eq!(curl(&[&status[..], &[&url]].concat()), "204 ");
}

#[test]
fn the_http_sink_has_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(folder.path());
    let ca = authority.certificate();
    let ca = ca.to_str().expect("UTF-8");
    let sink = HttpSink::start_tls(&authority.server());
    sink.answer(Answer::status(200).with_body("ok"));
    assert_eq!(curl(&["--cacert", ca, "-d", "x", &sink.url()]), "ok");
    for wrong in [authority.expired_server(), authority.other_server()] {
        let sink = HttpSink::start_tls(&wrong);
        assert_eq!(curl(&["--cacert", ca, &sink.url()]), "");
        assert_eq!(sink.count(), 0);
    }
}

#[test]
fn nats_keeps_what_a_stream_has_acknowledged_through_a_kill() {
    let mut nats = Nats::start();
    nats.client().create_stream("readings", "plant.>").expect("a stream");
    let texts: Vec<String> = (0..1000).map(|at| at.to_string()).collect();
    let messages = || texts.iter().map(|text| ("plant.a", text.as_str()));
    nats.client().publish_all(messages()).expect("acknowledged");
    nats.restart();
    let state = nats.client().request("$JS.API.STREAM.INFO.readings", "").expect("an answer");
    assert!(state.contains(r#""messages":1000"#), "{state}");
    assert!(nats.client().publish_all([("nowhere", "x")]).is_err());
}

#[test]
fn nats_refuses_clients_without_password_and_has_tls() {
    let user = Some(("plant".into(), "secret".into()));
    let nats = Nats::start_with(&NatsOptions { user, ..NatsOptions::default() });
    assert!(NatsClient::connect(nats.port()).is_err());
    let nats = Nats::start_with(&NatsOptions { tls: true, ..NatsOptions::default() });
    assert!(NatsClient::connect(nats.port()).is_err());
    assert!(nats.url().starts_with("tls://"));
}

/// What kcat prints when it is given `input`.
fn kcat(mut command: Command, arguments: &[&str], input: &str) -> String {
    let mut child =
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it runs");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("an end");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn kafka_keeps_what_it_has_acknowledged_through_a_kill() {
    let mut kafka = Kafka::start();
    kafka.create_topic("readings", 4);
    let lines: String = (0..1000).map(|at| format!("{at}\n")).collect();
    kcat(kafka.kcat(), &["-P", "-t", "readings", "-X", "acks=all"], &lines);
    kafka.restart();
    let got = kcat(kafka.kcat(), &["-C", "-q", "-t", "readings", "-o", "beginning", "-e"], "");
    assert_eq!(got.lines().count(), 1000);
}

#[test]
fn kafka_has_tls_and_passwords_and_creates_no_topic_by_itself() {
    let user = Some(("plant".into(), "secret".into()));
    let kafka = Kafka::start_with(&KafkaOptions { user, tls: true, ..KafkaOptions::default() });
    kafka.create_topic("a", 1);
    let ca = format!("ssl.ca.location={}", kafka.authority().certificate().display());
    let tls = ["-b", &kafka.tls_address(), "-X", "security.protocol=ssl", "-X", &ca];
    let sasl = ["-b", &kafka.sasl_address(), "-X", "security.protocol=sasl_plaintext", "-X"];
    let login = ["sasl.mechanism=PLAIN", "-X", "sasl.username=plant", "-X", "sasl.password=secret"];
    for options in [&tls[..], &[&sasl[..], &login].concat()] {
        // With the library of the system: cargo lets it find the one that was built here, which knows no TLS.
        let plain = || {
            let mut command = Command::new("kcat");
            command.env_remove("LD_LIBRARY_PATH");
            command
        };
        let lists = || plain().args(options).args(["-L", "-t", "a"]).output().expect("it runs");
        // A listener may be ready later than the one that the start has waited for.
        let begun = Instant::now();
        while !lists().status.success() {
            assert!(begun.elapsed() < LIMIT, "{:?}", lists());
        }
        kcat(plain(), &[options, &["-P", "-t", "a"]].concat(), "1\n");
    }
    let topics = kcat(kafka.kcat(), &["-L", "-t", "b"], "");
    assert!(topics.contains("Unknown topic"), "{topics}");
}

#[test]
fn influx_keeps_what_it_has_acknowledged_through_a_kill() {
    let mut influx = Influx::start();
    let lines: String = (0..1000).map(|at| format!("m,sensor=s{} v={at} {}\n", at % 10, at + 1)).collect();
    let write = |port| http::ask(port, "POST", "/write?db=plant", &[], lines.as_bytes());
    assert_eq!(write(influx.port()).expect("an answer").0, 204);
    influx.restart();
    assert_eq!(influx.count("m", "v"), 1000);
    let influx = Influx::start_with(Some(("plant", "secret")));
    assert_eq!(write(influx.port()).expect("an answer").0, 401);
}

#[test]
fn the_mail_sink_keeps_mails_and_answers_as_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(folder.path());
    let ca = authority.certificate();
    let encryption = ["--cacert", ca.to_str().expect("UTF-8"), "--ssl-reqd"];
    std::fs::write(folder.path().join("mail"), "Subject: a\r\n\r\n.b\r\n").expect("written");
    let file = folder.path().join("mail").display().to_string();
    let send = |sink: &MailSink, scheme: &str, more: &[&str]| {
        let url = format!("{scheme}://localhost:{}", sink.port());
        let to = ["--url", &url, "--mail-from", "a@plant", "--mail-rcpt", "b@plant", "-T", &file];
        Command::new("curl").args(["-s", "-m", "20"]).args(to).args(more).output().expect("it runs")
    };
    let plain = MailSink::start();
    assert!(send(&plain, "smtp", &["-u", "me:secret"]).status.success());
    let mails = plain.wait_for(1);
    assert_eq!((mails[0].from.as_str(), mails[0].to.as_slice()), ("a@plant", &["b@plant".to_owned()][..]));
    assert_eq!(mails[0].text, "Subject: a\n\n.b\n");
    assert!(mails[0].login.is_some() && !mails[0].is_encrypted);
    for (command, answer) in [("RCPT", "450 later"), (".", "554 never")] {
        plain.answer(command, answer);
        assert!(!send(&plain, "smtp", &[]).status.success());
        plain.answer(command, "");
    }
    assert_eq!(plain.mails().len(), 1);
    for (scheme, how) in [("smtp", Encryption::StartTls), ("smtps", Encryption::Implicit)] {
        let sink = MailSink::start_tls(&authority.server(), how);
        assert!(send(&sink, scheme, &encryption).status.success());
        assert!(sink.wait_for(1)[0].is_encrypted);
    }
}

#[test]
fn prometheus_judges_metrics() {
    let fine = "# HELP a_total A.\n# TYPE a_total counter\na_total 3\n";
    promtool::check_metrics(fine).expect("fine");
    let said = promtool::check_metrics("# TYPE bad counter\nbad 1\n").expect_err("bad");
    assert!(said.contains("bad"), "{said}");
}

#[test]
fn telegraf_writes_what_it_gathers() {
    let sink = HttpSink::start();
    sink.answer(Answer::status(204));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("in");
    std::fs::write(&file, "m,sensor=a v=1 1000\n").expect("written");
    let plugins = format!(
        "[[inputs.file]]\nfiles = ['{}']\ndata_format = 'influx'\n\
         [[outputs.influxdb_v2]]\nurls = ['{}']\ntoken = 't'\norganization = 'o'\nbucket = 'b'\n",
        file.display(),
        sink.url()
    );
    let _telegraf = Telegraf::start(&plugins);
    let request = sink.wait_for(1).remove(0);
    assert!(request.path.starts_with("/api/v2/write?"), "{}", request.path);
}
