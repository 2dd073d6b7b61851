//! A run seen from outside: its events, its metrics and health over HTTP, and what a service manager hears.

#[path = "common/command.rs"]
mod command;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use command::{folder, run, text, tidemill};

/// What may be seen nowhere.
const TOKEN: &str = "n1ghtjar-token-42";
const HIDDEN: &str = "h1dden-place-7";

/// A live run: a growing file, a stage, a file.
const PIPELINE: &str = "[source]\ntype = 'csv'\npath = 'in.csv'\nsensor = 's'\nmeasurements = ['n', 'v']\nfollow = true\n\
     [[stage]]\ntype = 'threshold'\ncolumns = ['v']\nmax = 90.0\n\
     [[sink]]\ntype = 'csv'\npath = 'out-${HIDDEN}.csv'\n";

fn bench() -> tempfile::TempDir {
    let folder = folder();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
    write("plant.toml", PIPELINE);
    write("in.csv", "n,s,v\n1,a,5\n2,b,95\nbroken\n3,a,6\n");
    write("token", &format!("{TOKEN}\n"));
    folder
}

/// A run that is ended with the test, and what it says.
struct Live {
    child: Child,
    said: BufReader<std::process::ChildStderr>,
    all: String,
}

impl Live {
    fn start(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = tidemill(folder);
        command.args(["run", "plant.toml"]).args(arguments).env("HIDDEN", HIDDEN);
        command.envs(environment.iter().copied()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the command runs");
        let said = BufReader::new(child.stderr.take().expect("piped"));
        Self { child, said, all: String::new() }
    }

    /// Reads on to a line that has `what` in it.
    fn wait_for(&mut self, what: &str) -> String {
        loop {
            let start = self.all.len();
            let read = self.said.read_line(&mut self.all).expect("text");
            assert!(read > 0, "no {what:?} in: {}", self.all);
            if self.all[start..].contains(what) {
                return self.all[start..].to_owned();
            }
        }
    }

    /// The address at which it listens.
    fn address(&mut self) -> String {
        let line = self.wait_for("metrics at http://");
        let (_, rest) = line.split_once("http://").expect("an address");
        rest.split('/').next().expect("an address").to_owned()
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(sent.expect("sent").success());
    }

    /// Stops it; all that it has said.
    fn stop(mut self) -> String {
        self.signal("-INT");
        self.said.read_to_string(&mut self.all).expect("text");
        let _ended = self.child.wait();
        std::mem::take(&mut self.all)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _ended_already = self.child.wait();
    }
}

/// The status and the body of an answer.
fn ask(address: &str, head: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("connected");
    stream.write_all(format!("{head}\r\nConnection: close\r\n\r\n").as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    assert!(!head.to_ascii_lowercase().contains("access-control"), "{head}");
    (head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status"), body.to_owned())
}

fn get(address: &str, path: &str) -> (u16, String) {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}"))
}

/// Asks until it is answered as wanted.
fn until(what: &str, mut ask: impl FnMut() -> Option<String>) -> String {
    for _ in 0..2_000 {
        if let Some(found) = ask() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("never {what}");
}

fn events(said: &str) -> Vec<Value> {
    let parsed = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    said.lines().map(parsed).collect()
}

fn of_kind<'e>(events: &'e [Value], kind: &str) -> &'e Value {
    events.iter().find(|event| event["event"] == kind).unwrap_or_else(|| panic!("no {kind}: {events:#?}"))
}

fn check_no_secret(said: &str) {
    assert!(!said.contains(TOKEN) && !said.contains(HIDDEN), "{said}");
}

/// Promtool accepts it, where there is one.
fn check_by_promtool(metrics: &str) {
    let tool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut tool) = tool else { return };
    tool.stdin.take().expect("piped").write_all(metrics.as_bytes()).expect("written");
    let output = tool.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

#[test]
fn metrics_and_health_are_those_of_the_run() {
    let folder = bench();
    let arguments = ["--listen", "127.0.0.1:0", "--state", "state", "--checkpoint-every", "10ms"];
    let mut live = Live::start(folder.path(), &arguments, &[]);
    let address = live.address();
    let read = "tidemill_records_in_total{part=\"sink\",index=\"0\",type=\"csv\"} 3";
    let metrics = until("all records", || {
        let (status, body) = get(&address, "/metrics");
        assert_eq!(status, 200);
        (body.contains("tidemill_checkpoint_bytes") && body.contains("tidemill_sensors 2")).then_some(body)
    });
    check_no_secret(&metrics);
    check_by_promtool(&metrics);
    for line in [
        "tidemill_records_in_total{part=\"source\",index=\"0\",type=\"csv\"} 4",
        "tidemill_records_rejected_total{part=\"source\",index=\"0\",type=\"csv\"} 1",
        "tidemill_records_filtered_total{part=\"stage\",index=\"0\",type=\"threshold\"} 1",
        "tidemill_queue_bytes{part=\"sink\",index=\"0\",type=\"csv\"} 0",
        "tidemill_reloads_total{outcome=\"done\"} 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}:\n{metrics}");
    }
    assert!(!metrics.contains(read), "one of three was filtered");
    let documented = fs::read_to_string("docs/operations.md").expect("the docs");
    for name in metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()) {
        assert!(documented.contains(&format!("`{name}`")), "docs/operations.md has {name}");
    }
    assert_eq!(get(&address, "/ready"), (200, "{\"ready\":true}\n".to_owned()));
    assert_eq!(get(&address, "/live"), (200, "{\"live\":true}\n".to_owned()));
    let health = run(folder.path(), &["health", &format!("http://{address}/ready")]);
    assert_eq!((health.status.code(), &*text(&health.stdout)), (Some(0), "{\"ready\":true}\n"));
    live.stop();
    let health = run(folder.path(), &["health", &format!("http://{address}/ready")]);
    assert_eq!(health.status.code(), Some(69));
}

#[test]
fn a_source_that_loses_its_connection_is_seen_while_the_run_goes_on() {
    let folder = bench();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let feed = listener.local_addr().expect("bound");
    let options = "sensor = 's'\nmeasurements = ['v']\nheader = false\nnames = ['s', 'v']\n";
    let pipeline = format!(
        "[source]\ntype = 'csv'\npath = 'tcp://{feed}'\n{options}[[sink]]\ntype = 'csv'\npath = 'out.csv'\n"
    );
    fs::write(folder.path().join("plant.toml"), pipeline).expect("written");
    let mut live = Live::start(folder.path(), &["--listen", "127.0.0.1:0"], &[]);
    let address = live.address();
    let source = "{part=\"source\",index=\"0\",type=\"csv\"}";
    let shows = |what: &str, count: u64| {
        let line = format!("tidemill_source_{what}{source} {count}");
        until(&line, || {
            let (_, body) = get(&address, "/metrics");
            body.lines().any(|found| found == line).then_some(body)
        })
    };
    let (mut sender, _) = listener.accept().expect("connected to");
    sender.write_all(b"a,1\n").expect("sent");
    shows("connected", 1);
    assert_eq!(get(&address, "/ready").0, 200);
    // The port is closed too, so that attempts fail.
    drop((sender, listener));
    let said = live.wait_for("has lost its connection");
    assert!(said.contains("source (csv)") && said.contains("has closed it"), "{said}");
    shows("connected", 0);
    shows("connections_lost_total", 1);
    until("a failed attempt", || {
        let (_, body) = get(&address, "/metrics");
        (!body.contains(&format!("tidemill_source_attempts_failed_total{source} 0"))).then_some(body)
    });
    check_by_promtool(&get(&address, "/metrics").1);
    let ready = until("a reason", || {
        Some(get(&address, "/ready")).filter(|ready| ready.0 == 503).map(|ready| ready.1)
    });
    assert!(ready.contains("source (csv) has had no connection for"), "{ready}");
    assert_eq!(get(&address, "/live").0, 200, "it connects again by itself");
    let listener = TcpListener::bind(feed).expect("the same port");
    let (mut sender, _) = listener.accept().expect("connected to again");
    sender.write_all(b"a,2\n").expect("sent");
    live.wait_for("source (csv) is connected again, after");
    shows("connected", 1);
    assert_eq!(get(&address, "/ready").0, 200);
    let said = live.stop();
    assert_eq!(said.matches("has lost its connection").count(), 1, "once per outage: {said}");
}

#[test]
fn who_may_not_ask_is_refused_and_others_are_served() {
    let folder = bench();
    let mut live = Live::start(folder.path(), &["--listen", "127.0.0.1:0", "--listen-token", "token"], &[]);
    let address = live.address();
    // Connections whose headers never end.
    let slow: Vec<_> = (0..20)
        .map(|_| {
            let mut slow = TcpStream::connect(&address).expect("connected");
            slow.write_all(b"GET /metrics HTTP/1.1\r\nHost: ").expect("sent");
            slow
        })
        .collect();
    let bearer = format!("Authorization: Bearer {TOKEN}");
    let of = |method: &str, path: &str, host: &str, more: &str| {
        let (status, body) = ask(&address, &format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{more}"));
        check_no_secret(&body);
        status
    };
    assert_eq!(of("GET", "/metrics", "localhost", &bearer), 200);
    assert_eq!(of("GET", "/metrics", "localhost", "X: y"), 401);
    assert_eq!(of("GET", "/live", "localhost", "Authorization: Bearer n1ghtjar"), 401);
    assert_eq!(of("GET", "/metrics", "evil.example", &bearer), 421);
    assert_eq!(of("POST", "/metrics", "localhost", &bearer), 405);
    assert_eq!(of("GET", "/etc/passwd", "localhost", &bearer), 404);
    // Headers that are too large are refused, and the run goes on.
    let mut large = TcpStream::connect(&address).expect("connected");
    let _refused = large.write_all(format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(1 << 20)).as_bytes());
    assert_eq!(of("GET", "/live", "localhost", &bearer), 200);
    drop(slow);
    let said = live.stop();
    check_no_secret(&said);
    let output = tidemill(folder.path())
        .args(["run", "plant.toml", "--listen", "0.0.0.0:0"])
        .env("HIDDEN", HIDDEN)
        .output()
        .expect("the command runs");
    let said = text(&output.stderr);
    assert!(output.status.code() == Some(64) && said.contains("--insecure"), "{said}");
}

#[test]
fn events_are_objects_with_what_they_are_about() {
    let folder = bench();
    let arguments = [
        "--log",
        "json",
        "--log-level",
        "debug",
        "--state",
        "state",
        "--checkpoint-every",
        "10ms",
        "--progress",
        "always",
    ];
    let mut live = Live::start(folder.path(), &arguments, &[]);
    live.wait_for("\"event\":\"checkpoint\"");
    let file = folder.path().join("plant.toml");
    fs::write(&file, PIPELINE.replace("max = 90.0", "max = 70.0")).expect("written");
    live.signal("-HUP");
    live.wait_for("\"event\":\"reloaded\"");
    fs::write(&file, PIPELINE.replace("max = 90.0", "maximum = 70.0")).expect("written");
    live.signal("-HUP");
    live.wait_for("\"event\":\"reload_refused\"");
    let said = live.stop();
    check_no_secret(&said);
    let events = events(&said);
    for event in &events {
        assert!(event["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{event}");
        assert!(event["level"].is_string() && event["message"].is_string(), "{event}");
    }
    assert_eq!(of_kind(&events, "started")["pipeline"], "plant");
    let guarantee = of_kind(&events, "guarantee");
    assert_eq!((&guarantee["source"], &guarantee["sink"]), (&"csv".into(), &"0 (csv)".into()), "{guarantee}");
    let checkpoint = of_kind(&events, "checkpoint");
    assert!(checkpoint["epoch"].is_u64() && checkpoint["bytes"].as_u64() > Some(0), "{checkpoint}");
    assert_eq!(of_kind(&events, "stopping")["level"], "info");
    assert_eq!(of_kind(&events, "ended")["records"], 4);
    assert_eq!(of_kind(&events, "reload_refused")["level"], "warn");
    // A pipeline that does not begin.
    let output = run(folder.path(), &["run", "plant.toml", "--log", "json"]);
    let said = text(&output.stderr);
    let failed = self::events(&said);
    assert_eq!(of_kind(&failed, "error")["level"], "error");
    assert!(said.contains("HIDDEN") && output.status.code() == Some(78), "{said}");
}

#[test]
fn sentences_are_as_many_as_are_wanted() {
    let folder = bench();
    let said = |level: &str| {
        let arguments = ["--log-level", level, "--state", level, "--checkpoint-every", "10ms", "--quiet"];
        let mut live = Live::start(folder.path(), &arguments, &[]);
        let made = folder.path().join(level);
        until("a checkpoint", || {
            let names = fs::read_dir(&made).ok()?.flatten().map(|entry| entry.file_name());
            let names: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
            names
                .iter()
                .any(|name| name.contains("checkpoint") || name.ends_with(".ckpt"))
                .then(|| names.join(" "))
        });
        if level == "debug" {
            live.wait_for("is durable");
        }
        live.stop()
    };
    assert_eq!(said("error"), "");
    assert_eq!(said("info"), "stopping; press Ctrl-C again to stop at once\n");
    let all = said("debug");
    assert!(
        all.contains("the run begins, with checkpoints in debug\n") && all.contains("the run is paused"),
        "{all}"
    );
}

#[test]
fn a_service_manager_hears_of_the_run() {
    let folder = bench();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("bound");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
    let hear = |what: &str| loop {
        let mut bytes = [0; 1000];
        let length = socket.recv(&mut bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
        let message = text(&bytes[..length]);
        check_no_secret(&message);
        if message.starts_with(what) {
            return message;
        }
    };
    let environment = [("NOTIFY_SOCKET", path.to_str().expect("text")), ("WATCHDOG_USEC", "100000")];
    let live = Live::start(folder.path(), &[], &environment);
    hear("READY=1");
    hear("WATCHDOG=1");
    hear("WATCHDOG=1");
    live.signal("-HUP");
    assert!(hear("RELOADING=1").contains("\nMONOTONIC_USEC="));
    hear("READY=1");
    live.signal("-INT");
    hear("STOPPING=1");
    live.stop();
}

#[test]
fn the_unit_file_is_one_that_systemd_accepts() {
    let unit = fs::read_to_string("packaging/tidemill@.service").expect("the unit");
    for line in [
        "Type=notify",
        "Restart=on-failure",
        "WatchdogSec=60",
        "StateDirectory=tidemill/%i",
        "NoNewPrivileges=yes",
    ] {
        assert!(unit.lines().any(|found| found == line), "{line}");
    }
    // The command of the unit is one that there is.
    let command = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("a command");
    let help = text(&run(Path::new("."), &["run", "--help"]).stdout);
    for option in command.split_whitespace().filter(|word| word.starts_with("--")) {
        assert!(help.contains(option), "{option}");
    }
    let folder = folder();
    let copy = folder.path().join("tidemill@plant.service");
    fs::write(&copy, unit.replace("/usr/bin/tidemill", env!("CARGO_BIN_EXE_tidemill"))).expect("written");
    let Ok(output) = Command::new("systemd-analyze").arg("verify").arg(&copy).output() else { return };
    let said = text(&output.stderr);
    // Where systemd does not run, it may have nothing to say of this unit.
    let about_it: Vec<_> = said.lines().filter(|line| line.contains("tidemill@plant.service")).collect();
    assert!(about_it.is_empty(), "{said}");
}
