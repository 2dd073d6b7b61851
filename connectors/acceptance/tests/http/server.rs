//! The source `http`: what it accepts, from whom, and when it answers.

use std::io::Write;
use std::process::{Command, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use tidemill_acceptance::{Authority, Job, Telegraf};

use crate::common::{free_port, from_file, post, readings, rows, send, start, to_file, until};

#[test]
fn records_are_answered_once_they_survive_a_kill() {
    let port = free_port();
    let job = Job::new(&to_file(port, "payload = 'jsonl'\ntime = 't'\nsensor = 's'\nmeasurements = ['v']"));
    let run = start(&job, port);
    let body = "{\"t\":\"2026-01-01T00:00:00Z\",\"s\":\"a\",\"v\":1}\n{\"t\":\"2026-01-01T00:00:01Z\",\"s\":\"b\",\"v\":2.5}\n";
    let answered = post(port, "/ingest", body);
    assert_eq!((answered.status, &*answered.body), (200, r#"{"accepted":2,"rejected":0,"reasons":[]}"#));
    run.kill();
    let run = start(&job, port);
    assert_eq!(post(port, "/ingest", "{\"t\":\"2026-01-01T00:00:02Z\",\"s\":\"a\",\"v\":3}").status, 200);
    let said = run.stop().success();
    assert!(said.contains("at least once"), "{said}");
    let run = job.start_with(&["--state", "state", "--finish"]);
    run.wait().success();
    let values: Vec<String> = rows(&job, "out.csv");
    assert_eq!(
        values,
        ["2026-01-01T00:00:00Z,a,1", "2026-01-01T00:00:01Z,b,2.5", "2026-01-01T00:00:02Z,a,3"]
    );
}

#[test]
fn lines_that_cannot_be_read_are_told_and_the_others_accepted() {
    let port = free_port();
    let options = "payload = 'csv'\nnames = ['t', 's', 'v']\ntime = 't'\nsensor = 's'\nmeasurements = ['v']";
    let job =
        Job::new(&(to_file(port, options) + "[[sink]]\ntype = 'dead_letter'\npath = 'rejects.jsonl'\n"));
    let run = start(&job, port);
    let answered = post(
        port,
        "/ingest",
        "2026-01-01T00:00:00Z,a,1\n2026-01-01T00:00:01Z,a,x\nsoon,a,2\n2026-01-01T00:00:03Z,a,3\n",
    );
    assert_eq!(answered.status, 200, "{answered:?}");
    let told: serde_json::Value = serde_json::from_str(&answered.body).expect("JSON");
    assert_eq!((&told["accepted"], &told["rejected"]), (&2.into(), &2.into()));
    assert_eq!((&told["reasons"][0]["line"], &told["reasons"][1]["line"]), (&2.into(), &3.into()));
    assert!(told["reasons"][0]["reason"].as_str().expect("text").contains('v'), "{told}");
    let answered = post(port, "/ingest", "nothing of it\n");
    assert_eq!(answered.status, 400, "{answered:?}");
    run.stop().success();
    job.start_with(&["--state", "state", "--finish"]).wait().success();
    assert_eq!(rows(&job, "out.csv").len(), 2);
    assert_eq!(job.read("rejects.jsonl").lines().count(), 3);
}

#[test]
fn paths_headers_and_queries_are_fields() {
    let port = free_port();
    let options = "path = '/in/{line}/{sensor}'\npayload = 'number'\nfields = ['@query:unit', '@header:x-batch', '@client']";
    let job = Job::new(&to_file(port, options));
    let run = start(&job, port);
    let answered =
        send(port, "POST", "/in/l1/press?unit=bar", &[("x-batch", "7")], b" 20.5\n").expect("an answer");
    assert_eq!(answered.status, 200, "{answered:?}");
    assert_eq!(post(port, "/in/l1", "1").status, 404);
    run.stop().success();
    job.start_with(&["--state", "state", "--finish"]).wait().success();
    let text = job.read("out.csv");
    let (header, row) = text.split_once('\n').expect("two lines");
    let pairs: Vec<_> = header.split(',').zip(row.trim().split(',')).collect();
    for pair in [
        ("line", "l1"),
        ("sensor", "press"),
        ("value", "20.5"),
        ("@query:unit", "bar"),
        ("@header:x-batch", "7"),
        ("@client", "127.0.0.1"),
    ] {
        assert!(pairs.contains(&pair), "{pair:?} in {pairs:?}");
    }
}

#[test]
fn clients_of_influxdb_write_unchanged() {
    let port = free_port();
    let options = "payload = 'influx'\nmeasurements = ['v']\ncolumns = ['host']\nsensor = 'host'";
    let job = Job::new(&to_file(port, options));
    let run = start(&job, port);
    assert_eq!(send(port, "GET", "/ping", &[], b"").expect("an answer").status, 204);
    assert_eq!(post(port, "/query?q=CREATE+DATABASE+x", "").status, 200);
    assert_eq!(post(port, "/query?q=SELECT+1", "").status, 404);
    assert_eq!(post(port, "/write?db=x&precision=s", "m,host=a v=1 1767225600\n").status, 204);
    assert_eq!(
        post(port, "/api/v2/write?org=o&bucket=b&precision=ms", "m,host=a v=2 1767225601000").status,
        204
    );
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(b"m,host=b v=3i 1767225602000000000\n").expect("written");
    let packed = packed.finish().expect("packed");
    assert_eq!(
        send(port, "POST", "/write?db=x", &[("content-encoding", "gzip")], &packed)
            .expect("an answer")
            .status,
        204
    );
    let packed = zstd::encode_all(&b"m,host=b v=4 1767225603000000000\n"[..], 0).expect("packed");
    assert_eq!(
        send(port, "POST", "/write", &[("content-encoding", "zstd")], &packed).expect("an answer").status,
        204
    );
    let answered = post(port, "/write?db=x", "m,host=c v=5 1767225604000000000\nm,host=c v= 1\n");
    assert_eq!(answered.status, 400);
    assert!(
        answered.body.contains("partial write: line 2") && answered.body.contains("dropped=1"),
        "{answered:?}"
    );
    run.stop().success();
    job.start_with(&["--state", "state", "--finish"]).wait().success();
    let expected: Vec<String> = (0..5)
        .map(|at| format!("176722560{at}000000000,{},{}", ["a", "a", "b", "b", "c"][at], at + 1))
        .collect();
    assert_eq!(rows(&job, "out.csv"), expected);
}

#[test]
fn telegraf_writes_by_both_versions() {
    let port = free_port();
    let options = "payload = 'influx'\nmeasurements = ['used_percent']\ncolumns = ['via']\nsensor = 'via'\nfields = ['@path']\ntoken = 's3cret'";
    let job = Job::new(&to_file(port, options));
    let run = start(&job, port);
    let url = format!("http://127.0.0.1:{port}");
    job.write("telegraf.in", "mem,via=telegraf used_percent=12.5\n");
    let telegraf = Telegraf::start(&format!(
        "[[inputs.file]]\nfiles = [\"{input}\"]\ndata_format = \"influx\"\n\
         [[outputs.influxdb_v2]]\nurls = [\"{url}\"]\ntoken = \"s3cret\"\norganization = \"o\"\nbucket = \"b\"\n\
         [[outputs.influxdb]]\nurls = [\"{url}\"]\ndatabase = \"x\"\nusername = \"me\"\npassword = \"s3cret\"\n",
        input = job.path("telegraf.in").display()
    ));
    until("both outputs have written", || {
        let text = written(&job);
        text.contains(",/write") && text.contains(",/api/v2/write")
    });
    drop(telegraf);
    let said = run.stop().success();
    job.start_with(&["--state", "state", "--finish"]).wait().success();
    let text = job.read("out.csv");
    assert!(text.contains("telegraf") && text.contains("12.5"), "{text}\n{said}");
    assert!(!said.contains("s3cret"), "{said}");
    assert!(!said.contains("requests were refused"), "also its database is created: {said}");
}

#[test]
fn prometheus_writes_its_own_metrics() {
    let (port, own) = (free_port(), free_port());
    let job = Job::new(&to_file(port, "payload = 'prometheus'\nfields = ['@label:job', '@label:__name__']"));
    let run = start(&job, port);
    job.write(
        "prometheus.yml",
        &format!(
            "global: {{ scrape_interval: 1s }}\nscrape_configs:\n- job_name: self\n  static_configs: [{{ targets: ['127.0.0.1:{own}'] }}]\n\
             remote_write:\n- url: http://127.0.0.1:{port}/api/v1/write\n"
        ),
    );
    let mut prometheus = Command::new("prometheus");
    prometheus.current_dir(job.folder()).args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"]);
    prometheus
        .arg(format!("--web.listen-address=127.0.0.1:{own}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut prometheus = prometheus.spawn().expect("prometheus: run `cargo xtask servers`");
    until("Prometheus has written", || written(&job).contains("up{"));
    prometheus.kill().expect("killed");
    prometheus.wait().expect("an end");
    run.stop().success();
    job.start_with(&["--state", "state", "--finish"]).wait().success();
    let text = job.read("out.csv");
    assert!(text.contains("self,up,") && text.contains("instance="), "{}", &text[..text.len().min(2000)]);
}

/// What the run has written to its part file so far.
fn written(job: &Job) -> String {
    let entries = std::fs::read_dir(job.folder()).into_iter().flatten().flatten();
    let parts = entries.filter(|entry| entry.file_name().to_string_lossy().contains(".part-"));
    parts.filter_map(|entry| std::fs::read_to_string(entry.path()).ok()).collect()
}

#[test]
fn one_tidemill_writes_to_another_over_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(folder.path());
    let (port, server) = (free_port(), authority.server());
    let options = format!(
        "payload = 'json'\ntime = 'time'\nsensor = 'sensor'\nmeasurements = ['v']\ntoken = 's3cret'\ncertificate = '{}'\nkey = '{}'",
        server.certificate.display(),
        server.key.display()
    );
    let job = Job::new(&to_file(port, &options));
    let run = start(&job, port);
    let sink = |ca: &std::path::Path| {
        format!(
            "type = 'webhook'\nurl = 'https://localhost:{port}/ingest'\ntoken = 's3cret'\nbatch = 100\ntls = {{ ca = '{}' }}",
            ca.display()
        )
    };
    let sender = Job::new(&from_file(&sink(&authority.certificate())));
    sender.write("in.csv", &readings(1000));
    sender.start().wait().success();
    // A certificate that nobody has signed for this authority.
    let stranger = tempfile::tempdir().expect("a folder");
    let distrusted = Job::new(&from_file(&sink(&Authority::new(stranger.path()).certificate())));
    distrusted.write("in.csv", &readings(1));
    let said = distrusted.start().wait().failure();
    assert!(said.contains("the server's certificate was refused") && !said.contains("s3cret"), "{said}");
    run.stop().success();
    job.start_with(&["--state", "state", "--finish"]).wait().success();
    let values: Vec<usize> = rows(&job, "out.csv")
        .iter()
        .map(|row| row.rsplit(',').next().expect("a value").parse().expect("a number"))
        .collect();
    assert!(values.into_iter().eq(0..1000), "each record once, in order");
}
