//! Memory has a ceiling.

use std::io::Write as _;
use std::process::{Child, Stdio};

use tidemill_acceptance::{Job, Mosquitto};

use crate::broker::client;

/// A client of a broker that ends with this test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// 200 MiB of large messages.
#[test]
fn a_flood_does_not_grow_memory() {
    let mosquitto = Mosquitto::start();
    let source = format!(
        "[source]\ntype = 'mqtt'\nurl = '{}'\nqos = 0\ntopic = 'plant/{{sensor}}'\npayload = 'json'\nmeasurements = ['v']\n",
        mosquitto.url()
    );
    let job = Job::new(&format!("{source}[[sink]]\ntype = 'null'\n"));
    let run = job.start_with(&["--report", "report.json"]);
    let line = format!("{{\"v\":1,\"filler\":\"{}\"}}\n", "x".repeat(200 << 10));
    let mut command = client("mosquitto_pub", &mosquitto, &["-q", "0", "-t", "plant/t1", "-l"]);
    let mut child = Ends(command.stdin(Stdio::piped()).spawn().expect("it runs"));
    let mut stdin = child.0.stdin.take().expect("a pipe");
    let mut most = 0;
    for _ in 0..1000 {
        stdin.write_all(line.as_bytes()).expect("written");
        most = most.max(run.memory());
    }
    drop(stdin);
    assert!(child.0.wait().expect("an end").success());
    run.stop().success();
    println!("{} MiB", most >> 20);
    assert!(most < 160 << 20, "{most}");
}
