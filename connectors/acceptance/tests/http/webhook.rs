//! The sink `webhook`.

use serde_json::Value;
use tidemill_acceptance::{Answer, HttpSink, Job, Request};

use crate::common::{from_file, readings};

fn job(sink: &HttpSink, options: &str, records: usize) -> Job {
    let job = Job::new(&from_file(&format!(
        "type = 'webhook'\nurl = '{}/hook?key=planted-4711'\n{options}",
        sink.url()
    )));
    job.write("in.csv", &readings(records));
    job
}

fn json(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap_or_else(|error| panic!("{}: {error}", request.text()))
}

#[test]
fn each_record_is_a_request_with_a_key_of_its_own_and_a_signature() {
    let sink = HttpSink::start();
    let options = "body = '{\"device\": \"{sensor}\", \"reading\": {v}, \"all\": {*}}'\nsignature = 'key'\nheaders = { X-Plant = 'seven' }\nmethod = 'PUT'";
    job(&sink, options, 3).start().wait().success();
    let requests = sink.wait_for(3);
    assert_eq!(requests.len(), 3);
    for (at, request) in requests.iter().enumerate() {
        let body = json(request);
        assert_eq!((&*request.method, &*request.path), ("PUT", "/hook?key=planted-4711"));
        assert_eq!(
            (&body["device"], &body["reading"]),
            (&Value::from(format!("m{}", at % 3)), &Value::from(at))
        );
        assert_eq!(body["all"]["v"], Value::from(at));
        assert_eq!(request.header("x-plant"), Some("seven"));
        assert_eq!(request.header("content-type"), Some("application/json"));
        let signature = request.header("x-signature-256").expect("a signature");
        assert!(signature.starts_with("sha256=") && signature.len() == 7 + 64, "{signature}");
    }
    let keys: Vec<_> =
        requests.iter().map(|request| request.header("idempotency-key").expect("a key")).collect();
    assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2], "{keys:?}");
    assert_eq!(sink.connections(), 1, "the connection is kept");
}

#[test]
fn records_are_gathered_and_what_has_arrived_is_not_sent_again() {
    let sink = HttpSink::start();
    // The second request fails twice.
    sink.answer_next(Answer::status(200));
    sink.answer_next(Answer::status(429).with_header("retry-after", "0"));
    sink.answer_next(Answer::close());
    let said = job(&sink, "batch = 40", 100).start().wait().success();
    let requests = sink.requests();
    let sizes: Vec<usize> =
        requests.iter().map(|request| json(request).as_array().expect("an array").len()).collect();
    assert_eq!(sizes, [40, 40, 40, 40, 20]);
    let key = |at: usize| requests[at].header("idempotency-key");
    assert!(key(1) == key(2) && key(2) == key(3) && key(0) != key(1), "the same request has the same key");
    assert!(!said.contains("planted-4711"), "{said}");
}

#[test]
fn what_does_not_pass_ends_the_run_and_says_why() {
    for (answer, why) in [
        (
            Answer::status(404).with_body("{\"error\": \"no such hook\"}"),
            "answered 404 Not Found: no such hook",
        ),
        (Answer::status(302).with_header("location", "http://evil.example/"), "redirects are not followed"),
        (Answer::status(401), "check the token"),
        (
            Answer::status(200).with_body("{\"ok\":false,\"error\":\"invalid_auth\"}"),
            "but without `success`: {\"ok\":false",
        ),
    ] {
        let sink = HttpSink::start();
        sink.answer(answer);
        let ended = job(&sink, "success = '\"ok\": true'", 5).start().wait();
        let said = ended.failure();
        assert!(said.contains(why) && !said.contains("planted-4711"), "{said}");
        assert_eq!(sink.count(), 1, "it is not tried again");
    }
}

#[test]
fn alerts_are_messages_of_slack_and_teams_and_incidents_of_pagerduty() {
    let (slack, teams, pager) = (HttpSink::start(), HttpSink::start(), HttpSink::start());
    let alerts = "time,sensor,state,rule,column,value,side,threshold\n\
        2026-01-01T00:00:00Z,m<1>,raised,hot,temp,91.5,above,80\n\
        2026-01-01T00:01:00Z,m<1>,cleared,hot,temp,70,above,80\n";
    let (a, b, c) = (slack.url(), teams.url(), pager.url());
    let job = Job::new(&format!(
        "[source]\ntype = 'csv'\npath = 'in.csv'\ntime = 'time'\nsensor = 'sensor'\nmeasurements = ['value', 'threshold']\n\
         [[sink]]\ntype = 'webhook'\nurl = '{a}'\nformat = 'slack'\nbatch = 10\n\
         [[sink]]\ntype = 'webhook'\nurl = '{b}'\nformat = 'teams'\ntext = '{{rule}} [{{state}}]'\n\
         [[sink]]\ntype = 'webhook'\nurl = '{c}'\nformat = 'pagerduty'\nrouting_key = {{ file = 'key' }}\nseverity = 'critical'\n"
    ));
    job.write("in.csv", alerts);
    job.write("key", "routing-4711");
    job.start().wait().success();
    let text = json(&slack.wait_for(1)[0])["text"].as_str().expect("text").to_owned();
    assert_eq!(
        text,
        "hot: temp of m&lt;1&gt; is 91.5 at 2026-01-01T00:00:00Z, above 80\n\
         hot: temp of m&lt;1&gt; is 70 at 2026-01-01T00:01:00Z, no longer above 80"
    );
    let card = json(&teams.wait_for(2)[0]);
    assert_eq!(card["attachments"][0]["content"]["body"][0]["text"], "hot \\[raised\\]");
    let events: Vec<Value> = pager.wait_for(2).iter().map(json).collect();
    assert_eq!(
        (&events[0]["event_action"], &events[1]["event_action"]),
        (&"trigger".into(), &"resolve".into())
    );
    assert_eq!(events[0]["dedup_key"], events[1]["dedup_key"]);
    assert_eq!(
        (&events[0]["routing_key"], &events[0]["payload"]["severity"]),
        (&"routing-4711".into(), &"critical".into())
    );
    assert_eq!(events[0]["payload"]["custom_details"]["value"], Value::from(91.5));
}

#[test]
fn an_incident_is_told_when_it_begins_and_when_it_is_over() {
    let sink = HttpSink::start();
    let job = Job::new(&format!(
        "[source]\ntype = 'csv'\npath = 'in.csv'\ntime = 'time'\nsensor = 'sensor'\ntypes = {{ v = 'u64' }}\n\
         [[stage]]\nname = 'late'\ntype = 'alerts'\ncolumn = 'v'\nrule = 'too late'\nabove = 500\nclear_above = 100\n\
         [[sink]]\nfrom = 'late'\ntype = 'webhook'\nurl = '{}'\nformat = 'slack'\n[[sink]]\nfrom = 'late'\ntype = 'csv'\npath = 'out.csv'\n",
        sink.url()
    ));
    job.write("in.csv", &(readings(502) + "2026-01-01T00:00:01Z,m0,99\n"));
    job.start().wait().success();
    let told: Vec<Value> = sink.wait_for(2).iter().map(|request| json(request)["text"].clone()).collect();
    assert_eq!(
        told,
        [
            "too late: v of m0 is 501 at 2026-01-01T00:00:00.000000501Z, above 500",
            "too late: v of m0 is 99 at 2026-01-01T00:00:01Z, no longer above 500"
        ]
    );
    assert_eq!(
        job.read("out.csv").lines().nth(1),
        Some("2026-01-01T00:00:00.000000501Z,m0,raised,too late,v,501,above,500,")
    );
}

#[test]
fn mistakes_are_found_before_the_run() {
    let sink = HttpSink::start();
    for (options, why) in [
        ("body = '{sensr}'", "there is no column `sensr`"),
        ("format = 'slack'\nbody = 'x'", "`body` cannot be used"),
        ("format = 'pagerduty'", "`routing_key` belongs to"),
        ("format = 'pagerduty'\nrouting_key = 'x'", "they are made of alerts"),
        ("batch = 0", "`batch` is not from 1"),
        ("headers = { 'a b' = 'x' }", "is not the name of a header"),
        ("user = 'me'", "belong together"),
        ("tls = { ca = 'none.pem' }", "none.pem"),
        ("timeout = 'soon'", "`timeout`"),
    ] {
        let said = job(&sink, options, 1).command(&["validate", "pipeline.toml"]).failure();
        assert!(said.contains(why) && !said.contains("planted-4711"), "{options}: {said}");
    }
    assert_eq!(sink.count(), 0);
}
