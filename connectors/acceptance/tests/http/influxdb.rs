//! The sink `influxdb`, against InfluxDB and against answers that it gives seldom.

use std::io::Read;

use flate2::read::GzDecoder;
use tidemill_acceptance::{Answer, HttpSink, Influx, Job, Request};

use crate::common::{from_file, readings};

fn lines(request: &Request) -> String {
    let mut text = String::new();
    GzDecoder::new(&*request.body).read_to_string(&mut text).expect("gzip");
    text
}

fn job(url: &str, options: &str, input: &str) -> Job {
    let job = Job::new(&from_file(&format!("type = 'influxdb'\nurl = '{url}'\n{options}")));
    job.write("in.csv", input);
    job
}

#[test]
fn a_repeated_run_leaves_the_same_points() {
    let influx = Influx::start_with(Some(("me", "planted-4711")));
    let options = "database = 'plant'\nuser = 'me'\npassword = { file = 'password' }\nbatch_bytes = 20000";
    for _ in 0..2 {
        let job = job(&influx.url(), options, &readings(5000));
        job.write("password", "planted-4711\n");
        let said = job.start().wait().success();
        assert!(said.contains("exactly once") && !said.contains("planted-4711"), "{said}");
    }
    assert_eq!(influx.count("readings", "v"), 5000);
    let answer = influx.query("SELECT sum(v) FROM readings GROUP BY sensor");
    assert!(answer.contains("{\"sensor\":\"m0\"}") && answer.contains("{\"sensor\":\"m2\"}"), "{answer}");
    let wrong = job(&influx.url(), "database = 'plant'\nuser = 'me'\npassword = 'other'", &readings(1));
    let said = wrong.start().wait().failure();
    assert!(said.contains("401") && said.contains("check the token, or the user and the password"), "{said}");
    let none =
        job(&influx.url(), "database = 'nowhere'\nuser = 'me'\npassword = 'planted-4711'", &readings(1));
    assert!(none.start().wait().failure().contains("database not found"));
}

#[test]
fn names_texts_and_numbers_of_any_kind_arrive_as_they_are() {
    let influx = Influx::start();
    let job = Job::new(&format!(
        "[source]\ntype = 'csv'\npath = 'in.csv'\ntime = 'time'\nsensor = 'sensor'\nmeasurements = ['x y', 'n', 'ok']\n\
         types = {{ n = 'i64', ok = 'bool' }}\n[[sink]]\ntype = 'influxdb'\nurl = '{}'\ndatabase = 'plant'\nmeasurement = 'a, b=c'\ntags = ['site']\n",
        influx.url()
    ));
    job.write(
        "in.csv",
        "time,sensor,x y,n,ok,site,note\n2026-01-01T00:00:00.123456789Z,\"m, =1\",1.5,-7,true,a\\,\"say \"\"hi\"\" \\\"\n\
         2026-01-01T00:00:01Z,m2,NaN,,,,\n2026-01-01T00:00:02Z,m2,inf,8,false,b,x\n",
    );
    let said = job.start().wait().success();
    assert!(said.contains("2 values were left out") && said.contains("1 records were left out"), "{said}");
    let answer = influx.query("SELECT * FROM \"a, b=c\"");
    let json: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
    let series = &json["results"][0]["series"][0];
    let columns = series["columns"].as_array().expect("columns");
    let value = |row: usize, name: &str| {
        let at =
            columns.iter().position(|column| column == name).unwrap_or_else(|| panic!("{name} in {answer}"));
        series["values"][row][at].clone()
    };
    assert_eq!(value(0, "time"), "2026-01-01T00:00:00.123456789Z");
    assert_eq!(
        (value(0, "sensor"), value(0, "x y"), value(0, "n")),
        ("m, =1".into(), 1.5.into(), (-7).into())
    );
    assert_eq!(
        (value(0, "ok"), value(0, "site"), value(0, "note")),
        (true.into(), "a".into(), "say \"hi\" \\".into())
    );
    assert_eq!((value(1, "n"), value(1, "site")), (8.into(), "b".into()));
}

#[test]
fn a_field_of_another_type_is_refused_by_the_server_and_told() {
    let influx = Influx::start();
    let float = "time,sensor,v\n2026-01-01T00:00:00Z,m0,1\n";
    let job_of = |types: &str, input: &str, options: &str| {
        let job = Job::new(&format!(
            "[source]\ntype = 'csv'\npath = 'in.csv'\ntime = 'time'\nsensor = 'sensor'\nmeasurements = ['v']\n{types}\n\
             [[sink]]\ntype = 'influxdb'\nurl = '{}'\ndatabase = 'plant'\n{options}",
            influx.url()
        ));
        job.write("in.csv", input);
        job
    };
    job_of("", float, "").start().wait().success();
    let more = "time,sensor,v\n2026-01-01T00:00:01Z,m0,2\n2026-01-01T00:00:02Z,m0,3\n";
    let said = job_of("types = { v = 'i64' }", more, "").start().wait().failure();
    assert!(said.contains("partial write") && said.contains("refused = \"drop\""), "{said}");
    let said = job_of("types = { v = 'i64' }", more, "refused = 'drop'").start().wait().success();
    assert!(said.contains("2 points were refused by the server and dropped"), "{said}");
    assert_eq!(influx.count("readings", "v"), 1);
}

#[test]
fn version_2_is_written_to_with_a_token_and_a_request_that_is_too_large_is_halved() {
    let sink = HttpSink::start();
    sink.answer_by(|request| {
        let is_large = lines(request).lines().count() > 300;
        Answer::status(if is_large { 413 } else { 204 })
    });
    let options = "bucket = 'b c'\norg = 'o'\ntoken = 'planted-4711'\nmeasurement = 'm'";
    let said = job(&sink.url(), options, &readings(1000)).start().wait().success();
    assert!(!said.contains("planted-4711"), "{said}");
    let requests = sink.requests();
    for request in &requests {
        assert_eq!(request.path, "/api/v2/write?bucket=b%20c&org=o&precision=ns");
        assert_eq!(request.header("authorization"), Some("Token planted-4711"));
    }
    let stored: Vec<String> =
        requests.iter().map(lines).filter(|lines| lines.lines().count() <= 300).collect();
    let stored = stored.concat();
    assert_eq!(stored.lines().count(), 1000);
    for (at, line) in stored.lines().enumerate() {
        assert_eq!(
            line,
            format!("m,sensor=m{} v={at}u {}", at % 3, 1_767_225_600_000_000_000_u64 + at as u64)
        );
    }
}

#[test]
fn an_answer_of_200_with_an_error_in_its_body_is_an_error() {
    let sink = HttpSink::start();
    sink.answer(Answer::status(200).with_body("{\"error\":\"database not found: \\\"x\\\"\"}"));
    let said = job(&sink.url(), "database = 'x'", &readings(1)).start().wait().failure();
    assert!(said.contains("answered 200") && said.contains("database not found"), "{said}");
    let said = job(&sink.url(), "", &readings(1)).command(&["validate", "pipeline.toml"]).failure();
    assert!(said.contains("neither `bucket` nor `database`"), "{said}");
}
