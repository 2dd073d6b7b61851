//! Sparkplug B.

use tidemill_acceptance::{Job, Mosquitto};

use crate::broker::{echo, finish, keep, kept, publish_bytes};

/// A protocol buffer of Sparkplug B with one metric: a name or an alias, and a double.
fn sparkplug(seq: u8, name: Option<&str>, alias: u8, value: f64) -> Vec<u8> {
    let mut metric = Vec::new();
    if let Some(name) = name {
        metric.extend([0x0a, name.len() as u8]);
        metric.extend(name.as_bytes());
    }
    metric.extend([0x10, alias, 0x20, 10, 0x69]);
    metric.extend(value.to_le_bytes());
    let mut payload = vec![0x12, metric.len() as u8];
    payload.extend(metric);
    payload.extend([0x18, seq]);
    payload
}

#[test]
fn sparkplug_asks_for_births_and_names_numbered_metrics() {
    let mosquitto = Mosquitto::start();
    keep(&mosquitto, "in", "spBv1.0/#");
    keep(&mosquitto, "out", "out/#");
    keep(&mosquitto, "node", "spBv1.0/+/NCMD/#");
    publish_bytes(&mosquitto, "spBv1.0/g/NDATA/n", &sparkplug(7, None, 1, 1.0));
    let pipeline = echo(
        &mosquitto,
        "topic = 'spBv1.0/#'\npayload = 'sparkplug'",
        "topic = 'out/{sensor}'\nslashes = true\npayload = 'number'\ncolumn = 'value'",
    );
    let job = Job::new(&format!("{pipeline}[[sink]]\ntype = 'dead_letter'\npath = 'rejects.jsonl'\n"));
    let run = job.start();
    let asked = kept(&mosquitto, "node", "spBv1.0/+/NCMD/#", 1).concat();
    assert!(asked.contains("spBv1.0/g/NCMD/n") && asked.contains("Node Control/Rebirth"), "{asked}");
    publish_bytes(&mosquitto, "spBv1.0/g/NBIRTH/n", &sparkplug(0, Some("temp"), 1, 20.5));
    publish_bytes(&mosquitto, "spBv1.0/g/NDATA/n", &sparkplug(1, None, 1, 21.5));
    assert_eq!(kept(&mosquitto, "out", "out/#", 2), ["out/g/n/temp 20.5", "out/g/n/temp 21.5"]);
    let said = run.stop().success();
    assert!(said.contains("Sparkplug: 1 births"), "{said}");
    // What comes meanwhile is kept, and understood without another birth.
    publish_bytes(&mosquitto, "spBv1.0/g/NDATA/n", &sparkplug(2, None, 1, 22.5));
    let run = job.start();
    await_kept(&mosquitto, "out/g/n/temp 22.5");
    publish_bytes(&mosquitto, "spBv1.0/g/NDATA/n", &sparkplug(3, None, 1, 23.5));
    await_kept(&mosquitto, "out/g/n/temp 23.5");
    let said = run.stop().success();
    assert!(said.contains("Sparkplug: 0 births") && !said.contains("asked"), "{said}");
    finish(&job);
    assert!(job.read("rejects.jsonl").contains("alias 1"), "{}", job.read("rejects.jsonl"));
}

/// Waits until `line` has arrived. The broker may send the lines before it again.
fn await_kept(mosquitto: &Mosquitto, line: &str) {
    let lines: Vec<_> =
        (0..5).map(|_| kept(mosquitto, "out", "out/#", 1).concat()).take_while(|kept| kept != line).collect();
    assert!(lines.len() < 5, "{line}: {lines:?}");
}
