//! A secret that is planted in each option that can hold one stands in nothing that tidemill writes: not when the server repeats all that it is told, not when
//! it refuses the login and quotes it, not when it redirects to the address that it was asked for, not when nobody is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use tidemill_acceptance::{Answer, Echo, HttpSink, Job, Port, Request};

/// The value of the variable `PLANTED`. A valid seed of an nkey, so that it is used as one.
const PLANTED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";

/// How long a run may last: one that waits for its server does not end by itself.
const LONG: Duration = Duration::from_secs(3);

/// Sources and sinks, a line for each way to log in; `ADDRESS` is a server, and `SECRET` refers to the planted one, `SECRET_URL` to an
/// address that has it in its path and its query, `SECRET_WS` to one of a WebSocket.
const PARTS: [&str; 46] = [
    "source http listen = '127.0.0.1:0', payload = 'jsonl', measurements = ['m'], sensor = 's', token = SECRET",
    "source kafka brokers = 'ADDRESS', topic = 't', group = 'g', payload = 'json', measurements = ['m'], sensor = 's', sasl = { mechanism = 'plain', user = 'u', password = SECRET }",
    "source kafka brokers = 'ADDRESS', topic = 't', group = 'g', payload = 'avro', measurements = ['m'], sensor = 's', registry = { url = 'http://ADDRESS', user = 'u', password = SECRET }",
    "source kafka brokers = 'ADDRESS', topic = 't', group = 'g', payload = 'avro', measurements = ['m'], sensor = 's', registry = { url = 'http://ADDRESS', token = SECRET }",
    "source mqtt url = 'mqtt://ADDRESS', topic = 't', payload = 'number', user = 'u', password = SECRET",
    "source mqtt url = 'mqtt://ADDRESS', topic = 't', payload = 'number', user = 'u', version = '3.1.1', password = SECRET",
    "source nats url = 'nats://ADDRESS', subject = 't', payload = 'number', user = 'u', password = SECRET",
    "source nats url = 'nats://ADDRESS', subject = 't', payload = 'number', token = SECRET",
    "source nats url = 'nats://ADDRESS', subject = 't', payload = 'number', nkey = SECRET",
    "source opcua url = 'opc.tcp://ADDRESS', nodes = ['i=2258'], user = 'u', password = SECRET",
    "source poll urls = ['http://ADDRESS/x'], every = '1s', payload = 'jsonl', measurements = ['m'], sensor = 's', token = SECRET",
    "source poll urls = ['http://ADDRESS/x'], every = '1s', payload = 'jsonl', measurements = ['m'], sensor = 's', user = 'u', password = SECRET",
    "source poll urls = ['http://ADDRESS/x'], every = '1s', payload = 'jsonl', measurements = ['m'], sensor = 's', headers = { X-Key = SECRET }",
    "source poll urls = ['http://ADDRESS/x'], every = '1s', payload = 'jsonl', measurements = ['m'], sensor = 's', proxy = 'http://ADDRESS', proxy_user = 'u', proxy_password = SECRET",
    "source poll urls = [SECRET_URL, { url = SECRET_URL, every = '1s' }], every = '1s', payload = 'jsonl', measurements = ['m'], sensor = 's', fields = ['@url']",
    "source postgres url = 'postgres://u@ADDRESS/d', table = 't', password = SECRET",
    "source sse url = 'http://ADDRESS/x', payload = 'jsonl', measurements = ['m'], sensor = 's', token = SECRET",
    "source sse url = 'http://ADDRESS/x', payload = 'jsonl', measurements = ['m'], sensor = 's', user = 'u', password = SECRET",
    "source sse url = 'http://ADDRESS/x', payload = 'jsonl', measurements = ['m'], sensor = 's', headers = { X-Key = SECRET }",
    "source sse url = 'http://ADDRESS/x', payload = 'jsonl', measurements = ['m'], sensor = 's', proxy = 'http://ADDRESS', proxy_user = 'u', proxy_password = SECRET",
    "source sse url = SECRET_URL, payload = 'jsonl', measurements = ['m'], sensor = 's', fields = ['@url']",
    "source websocket url = SECRET_WS, payload = 'jsonl', measurements = ['m'], sensor = 's', fields = ['@url']",
    "source websocket url = 'ws://ADDRESS/x', payload = 'jsonl', measurements = ['m'], sensor = 's', send = [SECRET]",
    "source websocket url = 'ws://ADDRESS/x', payload = 'jsonl', measurements = ['m'], sensor = 's', token = SECRET",
    "source websocket url = 'ws://ADDRESS/x', payload = 'jsonl', measurements = ['m'], sensor = 's', user = 'u', password = SECRET",
    "source websocket url = 'ws://ADDRESS/x', payload = 'jsonl', measurements = ['m'], sensor = 's', headers = { X-Key = SECRET }",
    "source websocket url = 'ws://ADDRESS/x', payload = 'jsonl', measurements = ['m'], sensor = 's', proxy = 'http://ADDRESS', proxy_user = 'u', proxy_password = SECRET",
    "sink influxdb url = 'http://ADDRESS', org = 'o', bucket = 'b', token = SECRET",
    "sink influxdb url = 'http://ADDRESS', database = 'd', user = 'u', password = SECRET",
    "sink influxdb url = 'http://ADDRESS', database = 'd', headers = { X-Key = SECRET }",
    "sink influxdb url = 'http://ADDRESS', database = 'd', proxy = 'http://ADDRESS', proxy_user = 'u', proxy_password = SECRET",
    "sink kafka brokers = 'ADDRESS', topic = 't', sasl = { mechanism = 'plain', user = 'u', password = SECRET }",
    "sink mail server = 'ADDRESS', security = 'tls', user = 'u', sender = 'a@b.example', to = ['c@d.example'], password = SECRET",
    "sink mqtt url = 'mqtt://ADDRESS', topic = 't', payload = 'json', user = 'u', password = SECRET",
    "sink nats url = 'nats://ADDRESS', subject = 't', user = 'u', password = SECRET",
    "sink nats url = 'nats://ADDRESS', subject = 't', token = SECRET",
    "sink nats url = 'nats://ADDRESS', subject = 't', nkey = SECRET",
    "sink postgres url = 'postgres://u@ADDRESS/d', table = 't', password = SECRET",
    "sink webhook url = 'http://ADDRESS/x', token = SECRET",
    "sink webhook url = 'http://ADDRESS/x', user = 'u', password = SECRET",
    "sink webhook url = 'http://ADDRESS/x', signature = SECRET",
    "sink webhook url = 'http://ADDRESS/x', headers = { X-Key = SECRET }",
    "sink webhook url = 'http://ADDRESS/x', proxy = 'http://ADDRESS', proxy_user = 'u', proxy_password = SECRET",
    "sink webhook url = 'http://ADDRESS/x', format = 'pagerduty', text = 'x', severity = 'error', routing_key = SECRET",
    "sink webhook url = SECRET_URL",
    "sink alert column = 'value', above = -1000, command = ['false'], environment = { KEY = SECRET }",
];

/// Some sinks take alerts only.
const STAGE: &str = "[[stage]]\ntype = 'alerts'\ncolumn = 'value'\nabove = -1000\n";

/// A pipeline of this part, with a server at `address`.
fn pipeline(part: &str, address: &str) -> String {
    let mut words = part.splitn(3, ' ');
    let (kind, name, options) =
        (words.next().expect("a kind"), words.next().expect("a name"), words.next().expect("options"));
    let options = options.replace("ADDRESS", address).replace("SECRET_URL", "{ env = 'PLANTED_URL' }");
    let options = options.replace("SECRET_WS", "{ env = 'PLANTED_WS' }");
    let options = options.replace("SECRET", "{ env = 'PLANTED' }");
    let mut lines = format!("type = '{name}'\n");
    let mut depth = 0;
    for c in options.chars() {
        match c {
            '{' | '[' => depth += 1,
            '}' | ']' => depth -= 1,
            _ => {}
        }
        lines.push(if c == ',' && depth == 0 { '\n' } else { c });
    }
    match kind {
        "source" => format!("[source]\n{lines}\n[[sink]]\ntype = 'null'\n"),
        _ => format!("[source]\ntype = 'synthetic'\nrecords = 20\n{STAGE}[[sink]]\n{lines}\n"),
    }
}

/// All that tidemill says and leaves behind about this part, with a server at `address`, has no secret. `log` is the format of the log.
fn check(part: &str, address: &str, log: &str) {
    let job = Job::new(&pipeline(part, address));
    let [url, socket] = ["http", "ws"].map(|scheme| format!("{scheme}://{address}/{PLANTED}?key={PLANTED}"));
    let variables = [("PLANTED", PLANTED), ("PLANTED_URL", &url), ("PLANTED_WS", &socket)];
    for command in [&["validate"][..], &["explain"], &["doctor"], &["doctor", "--json"]] {
        let output = job.tidemill().args(command).arg("pipeline.toml").envs(variables).output();
        let output = output.expect("it runs");
        refuse(part, command[0], &output.stdout);
        refuse(part, command[0], &output.stderr);
        if command[0] == "validate" {
            let said = String::from_utf8_lossy(&output.stderr);
            // Some look at their server.
            assert!(matches!(output.status.code(), Some(0 | 69 | 74)), "{part}: {said}");
        }
    }
    let metrics = Port::claim();
    let listen = format!("127.0.0.1:{}", metrics.number());
    let options = ["--log", log, "--log-level", "trace", "--listen", &listen, "--report", "report.json"];
    let mut run = job.start_in(&variables, &options);
    let begun = Instant::now();
    while run.is_running() && begun.elapsed() < LONG {
        std::thread::sleep(Duration::from_millis(20));
    }
    let seen = Command::new("curl").args(["-s", "-m", "5", &format!("http://{listen}/metrics")]).output();
    refuse(part, "metrics", &seen.expect("curl runs").stdout);
    refuse(part, "log", run.stop().said.as_bytes());
    left(part, job.folder());
}

/// Looks at all files below `folder`.
fn left(part: &str, folder: &Path) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => left(part, &path),
            false => refuse(part, &path.display().to_string(), &fs::read(&path).expect("readable")),
        }
    }
}

fn refuse(part: &str, place: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    assert!(!text.contains(PLANTED), "{part}: the secret stands in {place}:\n{text}");
}

/// Checks all parts beside each other: nearly all of the time they wait.
fn check_all(address: &str, log: &str) {
    std::thread::scope(|scope| {
        for part in PARTS {
            scope.spawn(move || check(part, address, log));
        }
    });
}

#[test]
fn a_server_that_repeats_what_it_is_told_brings_no_secret_into_the_light() {
    check_all(&Echo::start().address(), "json");
}

#[test]
fn a_server_that_quotes_the_login_it_refuses_brings_no_secret_into_the_light() {
    let server = HttpSink::start();
    server.answer_by(|request| Answer::status(401).with_body(quoted(request)));
    check_all(&server.address(), "json");
}

/// A request as it was received.
fn quoted(Request { method, path, headers, body }: &Request) -> Vec<u8> {
    let lines = headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect::<String>();
    [format!("{method} {path}\n{lines}").as_bytes(), body].concat()
}

#[test]
fn a_server_that_redirects_to_the_address_it_was_asked_for_brings_no_secret_into_the_light() {
    let server = HttpSink::start();
    let address = server.address();
    server.answer_by(move |request| {
        let location = format!("http://{address}/moved{}", request.path);
        Answer::status(308).with_header("location", &location).with_body(quoted(request))
    });
    check_all(&server.address(), "text");
}

#[test]
fn a_server_that_is_not_there_brings_no_secret_into_the_light() {
    check_all(&format!("127.0.0.1:{}", Port::claim().number()), "text");
}

#[test]
fn every_option_that_holds_a_secret_is_checked() {
    let job = Job::new("");
    let output = job.tidemill().arg("schema").output().expect("it runs");
    let schema: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let mut found = BTreeSet::new();
    for (kind, components) in [
        ("source", &schema["properties"]["source"]["oneOf"]),
        ("sink", &schema["properties"]["sink"]["items"]["oneOf"]),
    ] {
        for component in components.as_array().expect("components") {
            let name = component["title"].as_str().expect("a name");
            let mut options = BTreeSet::new();
            secrets(&schema, component, "", &mut Vec::new(), &mut options);
            found.extend(options.iter().map(|option| format!("{kind} {name} {option}")));
        }
    }
    assert!(found.len() > 20, "{found:?}");
    for option in found {
        let (part, option) = option.rsplit_once(' ').expect("a part and its option");
        let is_checked =
            |line: &&str| line.starts_with(&format!("{part} ")) && line.contains(&format!(" {option} = "));
        assert!(PARTS.iter().any(is_checked), "{part}: `{option}` is in no line of this test");
    }
}

/// Finds the name of each option below `schema` that holds a secret; one of a table with any names has the name of the table. `within` are the definitions
/// that lead here, since some contain themselves.
fn secrets<'a>(
    root: &'a Value,
    schema: &'a Value,
    option: &str,
    within: &mut Vec<&'a str>,
    found: &mut BTreeSet<String>,
) {
    if schema["title"] == "secret" {
        found.insert(option.to_owned());
        return;
    }
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/"))
        && !within.contains(&name)
    {
        within.push(name);
        secrets(root, &root["$defs"][name], option, within, found);
        within.pop();
    }
    for several in ["anyOf", "oneOf", "allOf"] {
        for one in schema[several].as_array().into_iter().flatten() {
            secrets(root, one, option, within, found);
        }
    }
    for one in ["items", "additionalProperties"].iter().filter_map(|one| schema.get(one)) {
        secrets(root, one, option, within, found);
    }
    for (name, one) in schema["properties"].as_object().into_iter().flatten() {
        secrets(root, one, name, within, found);
    }
}
