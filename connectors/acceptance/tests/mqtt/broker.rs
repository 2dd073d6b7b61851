//! Clients of the broker, and pipelines from it to it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use tidemill_acceptance::{Job, Mosquitto, Run};

/// A longer wait will not succeed.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// `mosquitto_pub` or `mosquitto_sub` for the plain listener.
pub(crate) fn client(program: &str, mosquitto: &Mosquitto, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(["-h", "127.0.0.1", "-p", &mosquitto.port().to_string()]).args(arguments);
    command
}

pub(crate) fn succeeds(mut command: Command) -> String {
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Lets the broker keep messages of `topic` for the client `id` from now on.
pub(crate) fn keep(mosquitto: &Mosquitto, id: &str, topic: &str) {
    succeeds(client(
        "mosquitto_sub",
        mosquitto,
        &["-V", "5", "-x", "3600", "-i", id, "-c", "-q", "1", "-t", topic, "-E"],
    ));
}

/// The next `count` messages that are kept for the client `id`: topic and payload of each.
pub(crate) fn kept(mosquitto: &Mosquitto, id: &str, topic: &str, count: usize) -> Vec<String> {
    let count = count.to_string();
    let arguments =
        ["-V", "5", "-x", "3600", "-i", id, "-c", "-q", "1", "-t", topic, "-v", "-C", &count, "-W", "60"];
    succeeds(client("mosquitto_sub", mosquitto, &arguments)).lines().map(str::to_owned).collect()
}

pub(crate) fn publish(mosquitto: &Mosquitto, topic: &str, payload: &str) {
    succeeds(client("mosquitto_pub", mosquitto, &["-q", "1", "-t", topic, "-m", payload]));
}

/// Publishes each line as a message.
pub(crate) fn publish_lines(mosquitto: &Mosquitto, qos: u8, topic: &str, lines: &str) {
    let mut command = client("mosquitto_pub", mosquitto, &["-q", &qos.to_string(), "-t", topic, "-l"]);
    let mut child = command.stdin(Stdio::piped()).spawn().expect("it runs");
    child.stdin.take().expect("a pipe").write_all(lines.as_bytes()).expect("written");
    assert!(child.wait().expect("an end").success());
}

/// What `tidemill doctor` says.
pub(crate) fn doctor(job: &Job) -> String {
    let output = job.tidemill().args(["doctor", "pipeline.toml"]).output().expect("it runs");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// Ends a run that was stopped, which publishes its files.
pub(crate) fn finish(job: &Job) {
    job.start_with(&["--state", "state", "--finish"]).wait().success();
}

/// A pipeline from `plant/…` to `out/…`.
pub(crate) fn echo(mosquitto: &Mosquitto, source: &str, sink: &str) -> String {
    let url = mosquitto.url();
    format!(
        "[source]\ntype = 'mqtt'\nurl = '{url}'\nclient_id = 'in'\n{source}\n\
         [[sink]]\ntype = 'mqtt'\nurl = '{url}'\n{sink}\n"
    )
}

pub(crate) fn publish_bytes(mosquitto: &Mosquitto, topic: &str, payload: &[u8]) {
    let mut command = client("mosquitto_pub", mosquitto, &["-q", "1", "-t", topic, "-s"]);
    let mut child = command.stdin(Stdio::piped()).spawn().expect("it runs");
    child.stdin.take().expect("a pipe").write_all(payload).expect("written");
    assert!(child.wait().expect("an end").success());
}

/// Stops a run in an orderly way. One that was still connecting says so, and has read nothing.
pub(crate) fn stop(run: Run) {
    // Before that, a signal kills it.
    run.wait_for("at least once");
    let ended = run.stop();
    assert!(ended.status.success() || ended.said.contains("stopped while connecting"), "{}", ended.said);
}

/// A pipeline from the numbers in `plant/…` to files of about `size`.
pub(crate) fn to_files(mosquitto: &Mosquitto, source: &str, size: &str) -> Job {
    let url = mosquitto.url();
    Job::new(&format!(
        "[source]\ntype = 'mqtt'\nurl = '{url}'\nclient_id = 'in'\ntopic = 'plant/{{sensor}}'\npayload = 'number'\n{source}\n\
         [[sink]]\ntype = 'csv'\npath = 'out/{{epoch}}.csv'\nroll = {{ size = '{size}' }}\n"
    ))
}

/// The numbers in the files of such a pipeline, and how often each is there; also those of the last file, which is hidden until it is full.
pub(crate) fn numbers(job: &Job) -> BTreeMap<usize, u64> {
    let mut numbers = BTreeMap::new();
    for file in std::fs::read_dir(job.path("out")).into_iter().flatten().flatten() {
        // It may have another name by now.
        let text = std::fs::read_to_string(file.path()).unwrap_or_default();
        // The last line may be unfinished.
        let (lines, _) = text.rsplit_once('\n').unwrap_or_default();
        for line in lines.lines().skip(1) {
            let number: f64 = line.rsplit(',').find_map(|field| field.parse().ok()).expect("a number");
            *numbers.entry(number as usize).or_default() += 1;
        }
    }
    numbers
}
