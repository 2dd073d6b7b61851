//! What is answered to a request. Without the server, so that all of it can be tested.

#![cfg_attr(
    not(any(feature = "observe", test)),
    expect(dead_code, reason = "without a server, nothing is asked")
)]

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use super::super::{interrupt, masked};
use super::access::Access;
use tidemill_core::time::{Clock, Timestamp};
use tidemill_engine::notes;
use tidemill_engine::runtime::Meters;

/// The text format of Prometheus.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// By outcome: reloads of this process.
static RELOADS: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];

/// What became of a request to reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Reloaded {
    /// Other options hold.
    Done,
    /// No option has changed.
    Unchanged,
    /// Something is wrong, or cannot change: the previous options hold. All of it is checked before any of it changes, so nothing is ever rolled back.
    Refused,
}

impl Reloaded {
    const ALL: [(Self, &'static str); 3] =
        [(Self::Done, "done"), (Self::Unchanged, "unchanged"), (Self::Refused, "refused")];

    /// Counts it.
    pub(in super::super) fn count(self) {
        RELOADS[self as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// A request, as far as it matters.
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) host: Option<&'a str>,
    pub(super) authorization: Option<&'a str>,
}

/// An answer.
#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) kind: &'static str,
    pub(super) body: String,
}

impl Answer {
    fn text(status: u16, body: &str) -> Self {
        Self { status, kind: TEXT, body: format!("{body}\n") }
    }

    fn json(is_good: bool, body: &serde_json::Value) -> Self {
        let body = masked::data(&body.to_string());
        Self { status: if is_good { 200 } else { 503 }, kind: JSON, body: format!("{body}\n") }
    }
}

/// A run, and who may see it.
pub(super) struct View {
    meters: Meters,
    access: Access,
    begun: Timestamp,
}

impl View {
    pub(super) fn new(meters: Meters, access: Access) -> Self {
        Self { meters, access, begun: Clock::default().read() }
    }

    pub(super) fn access(&self) -> &Access {
        &self.access
    }

    pub(super) fn answer(&self, request: &Request<'_>) -> Answer {
        if !self.access.knows_host(request.host) {
            return Answer::text(421, "this name is not one of this server's: see --listen-host");
        }
        if !self.access.is_authorized(request.authorization) {
            return Answer::text(401, "a token is needed: Authorization: Bearer …");
        }
        if !matches!(request.method, "GET" | "HEAD") {
            return Answer::text(405, "only GET");
        }
        match request.path {
            "/metrics" => Answer { status: 200, kind: METRICS, body: self.metrics() },
            "/ready" => self.ready(),
            "/live" => {
                let is_live = is_live(&self.meters);
                Answer::json(is_live, &json!({ "live": is_live }))
            }
            _ => Answer::text(404, "there are /metrics, /ready and /live"),
        }
    }

    fn ready(&self) -> Answer {
        let obstacles = self.meters.obstacles();
        match obstacles.is_empty() {
            true => Answer::json(true, &json!({ "ready": true })),
            false => Answer::json(false, &json!({ "ready": false, "reasons": obstacles })),
        }
    }

    fn metrics(&self) -> String {
        let mut page = self.meters.prometheus();
        let mut add = |name: &str, kind: &str, help: &str, samples: &[(String, f64)]| {
            // Writing to a string cannot fail.
            let _ = write!(page, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
            for (labels, value) in samples {
                let _ = writeln!(page, "{name}{labels} {value}");
            }
        };
        let one = |value: f64| [(String::new(), value)];
        let reloads = Reloaded::ALL.map(|(outcome, name)| {
            (format!("{{outcome=\"{name}\"}}"), RELOADS[outcome as usize].load(Ordering::Relaxed) as f64)
        });
        add(
            "tidemill_reloads_total",
            "counter",
            "Requests to reload the pipeline file, by outcome.",
            &reloads,
        );
        let help = "Lines for standard error that nobody has read.";
        add("tidemill_log_unread_lines", "gauge", help, &one(notes::unread() as f64));
        let version = (format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1.0);
        add("tidemill_build_info", "gauge", "The version of tidemill, as a label.", &[version]);
        let begun = self.begun.as_nanos() as f64 / 1e9;
        let help = "When the run was started, in seconds since 1970.";
        add("process_start_time_seconds", "gauge", help, &one(begun));
        if let Some(bytes) = resident_bytes() {
            let help = "Memory of the process that is in RAM.";
            add("process_resident_memory_bytes", "gauge", help, &one(bytes as f64));
        }
        masked::data(&page)
    }
}

/// Whether the run moves, or has no reason to.
pub(super) fn is_live(meters: &Meters) -> bool {
    meters.is_live() || interrupt::is_committing()
}

/// Where the system tells it.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::super::super::args::ListenArgs;
    use super::*;

    fn view() -> View {
        let args = ListenArgs {
            listen: Some("127.0.0.1:0".into()),
            listen_token: None,
            listen_host: Vec::new(),
            insecure: false,
        };
        View::new(Meters::default(), Access::of(&args).expect("right").expect("an address"))
    }

    fn asked(method: &str, path: &str, host: &str) -> Answer {
        view().answer(&Request { method, path, host: Some(host), authorization: None })
    }

    #[test]
    fn a_request_is_answered_by_its_path() {
        let of = |path: &str| asked("GET", path, "localhost:1").status;
        assert_eq!(["/metrics", "/ready", "/live", "/", "/metrics/"].map(of), [200, 503, 200, 404, 404]);
        assert_eq!(asked("POST", "/metrics", "localhost").status, 405);
        assert_eq!(asked("GET", "/metrics", "evil.example").status, 421);
        let Answer { body, .. } = asked("GET", "/ready", "127.0.0.1");
        assert_eq!(body, "{\"ready\":false,\"reasons\":[\"the run has not begun\"]}\n");
        let Answer { body, .. } = asked("GET", "/metrics", "127.0.0.1");
        assert!(
            body.contains("\ntidemill_build_info{version=\"")
                && body.contains("# TYPE tidemill_reloads_total counter")
        );
    }
}
