//! Options for a target that fails: how often a sink that delivers by epochs tries again, when it stops calling, how much waits meanwhile.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{OnFailure, SinkEntry};
use crate::error::{Error, Result};
use crate::resilience::BreakerOptions;
use crate::sink::parse_size;
use crate::time::parse_duration;

/// What may wait on disk by default.
const ON_DISK: u64 = 8 << 30;

/// What may wait in memory by default, and at all.
const IN_MEMORY: (u64, u64) = (8 << 20, 64 << 20);

/// When a delivery that has failed is tried again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetryTable {
    /// The longest delay after the first failure: "100ms" by default. Each delay is drawn between nothing and a limit, which doubles with every failure.
    pub base: String,
    /// The longest delay at all: "30s" by default.
    pub cap: String,
    /// How many deliveries may be retries: this share of those that succeed, 0.1 by default, and 10 a second in any case.
    pub budget: f64,
}

/// When a sink stops calling a target that is down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BreakerTable {
    /// The share of deliveries that must fail: 0.5 by default.
    pub failures: f64,
    /// How many deliveries there must be at least: 5 by default, since a sink has one at a time.
    pub calls: u32,
    /// The time within which they are counted: "10s" by default.
    pub within: String,
    /// After how long a probe finds out whether the target is back: "5s" by default. Twice as long each time that it fails, up to 5 minutes.
    pub open: String,
    /// How many probes must succeed before everything is delivered again: 1 by default, 3 at most.
    pub probes: u32,
}

impl Default for RetryTable {
    fn default() -> Self {
        Self { base: "100ms".into(), cap: "30s".into(), budget: 0.1 }
    }
}

impl Default for BreakerTable {
    fn default() -> Self {
        Self { failures: 0.5, calls: 5, within: "10s".into(), open: "5s".into(), probes: 1 }
    }
}

/// The options of a sink for a target that fails, as written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outage {
    /// When a failed delivery is tried again.
    pub retry: Option<RetryTable>,
    /// When the target is not called.
    pub breaker: Option<BreakerTable>,
    /// How many bytes may wait.
    pub outbox: Option<String>,
}

/// The same, as a run goes by them.
#[derive(Clone, Debug)]
pub(crate) struct OutageRules {
    pub(crate) base: Duration,
    pub(crate) cap: Duration,
    pub(crate) budget: f64,
    pub(crate) breaker: BreakerOptions,
    outbox: Option<u64>,
}

impl OutageRules {
    /// How many bytes may wait: on disk in a run that has a state folder, else in memory.
    pub(crate) fn room(&self, has_state: bool) -> u64 {
        let (usual, most) = IN_MEMORY;
        match has_state {
            true => self.outbox.unwrap_or(ON_DISK),
            false => self.outbox.unwrap_or(usual).min(most),
        }
    }
}

impl Outage {
    /// Parses the options.
    ///
    /// # Errors
    /// A configuration error that names the option.
    pub(crate) fn rules(&self) -> Result<OutageRules> {
        let retry = self.retry.clone().unwrap_or_default();
        let breaker = self.breaker.clone().unwrap_or_default();
        let outbox = self.outbox.as_deref().map(parse_size).transpose();
        let rules = OutageRules {
            base: duration("retry.base", &retry.base)?,
            cap: duration("retry.cap", &retry.cap)?,
            budget: share("retry.budget", retry.budget)?,
            breaker: BreakerOptions {
                failures: share("breaker.failures", breaker.failures)?,
                calls: breaker.calls,
                within: duration("breaker.within", &breaker.within)?,
                open: duration("breaker.open", &breaker.open)?,
                probes: breaker.probes,
                ..BreakerOptions::default()
            },
            outbox: outbox.map_err(|why| Error::config(format!("`outbox`: {why}")))?,
        };
        match breaker.probes {
            1..=3 => Ok(rules),
            probes => Err(Error::config(format!("`breaker.probes` is {probes}"))
                .with_help("write 1, 2 or 3: a target that is down is called no more than that")),
        }
    }

    /// The name of an option that is given.
    fn given(&self) -> Option<&'static str> {
        let given = [
            ("retry", self.retry.is_some()),
            ("breaker", self.breaker.is_some()),
            ("outbox", self.outbox.is_some()),
        ];
        given.into_iter().find(|(_, is_given)| *is_given).map(|(name, _)| name)
    }
}

fn duration(name: &str, text: &str) -> Result<Duration> {
    let wrong = |why: &str| Error::config(format!("`{name}`: {why}"));
    match parse_duration(text).map_err(|why| wrong(&why))? {
        nanos if nanos > 0 => Ok(Duration::from_nanos(nanos.unsigned_abs())),
        _ => Err(wrong("it must be longer than nothing").with_help("such as \"100ms\", \"5s\" or \"1m\"")),
    }
}

fn share(name: &str, share: f64) -> Result<f64> {
    match (0.0..=1.0).contains(&share) {
        true => Ok(share),
        false => {
            Err(Error::config(format!("`{name}` is {share}"))
                .with_help("write a share from 0 to 1, such as 0.5"))
        }
    }
}

/// Checks the options of a sink; one that does not deliver by epochs has nothing to call.
///
/// # Errors
/// A configuration error that names the option.
pub(super) fn check(sink: &SinkEntry) -> Result<()> {
    sink.outage.rules()?;
    if sink.spec.delivers() {
        return Ok(());
    }
    let drops = (sink.on_failure == Some(OnFailure::Drop)).then_some("on_failure = \"drop\"");
    match drops.or_else(|| sink.outage.given()) {
        None => Ok(()),
        Some(option) => Err(Error::config(format!(
            "`{option}` has no effect here: this sink writes by itself, it delivers to nobody who could be away"
        ))
        .with_help("leave it out; it is for sinks such as databases and brokers")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(toml: &str) -> Result<OutageRules, String> {
        #[derive(Deserialize)]
        #[serde(default)]
        #[derive(Default)]
        struct Options {
            retry: Option<RetryTable>,
            breaker: Option<BreakerTable>,
            outbox: Option<String>,
        }
        let Options { retry, breaker, outbox } = toml::from_str(toml).map_err(|error| error.to_string())?;
        Outage { retry, breaker, outbox }.rules().map_err(|error| error.to_string())
    }

    #[test]
    fn options_are_read_and_wrong_ones_named() {
        let usual = rules("").expect("the defaults");
        assert_eq!((usual.base, usual.cap), (Duration::from_millis(100), Duration::from_secs(30)));
        assert_eq!((usual.room(true), usual.room(false)), (8 << 30, 8 << 20));
        let other = rules(
            "retry = { base = '1s', cap = '1m', budget = 0.5 }\nbreaker = { failures = 0.9, calls = 3, within = '1m', open = '1s', probes = 3 }\noutbox = '1GiB'",
        );
        let other = other.expect("all options");
        assert_eq!(
            (other.base, other.cap, other.budget),
            (Duration::from_secs(1), Duration::from_secs(60), 0.5)
        );
        let expected = BreakerOptions {
            failures: 0.9,
            calls: 3,
            within: Duration::from_secs(60),
            open: Duration::from_secs(1),
            probes: 3,
            ..BreakerOptions::default()
        };
        assert_eq!(other.breaker, expected);
        assert_eq!(
            (other.room(true), other.room(false)),
            (1 << 30, 64 << 20),
            "memory has a limit of its own"
        );
        for (wrong, named) in [
            ("retry = { base = '0s' }", "`retry.base`"),
            ("retry = { cap = 'soon' }", "`retry.cap`"),
            ("retry = { budget = 2.0 }", "`retry.budget`"),
            ("breaker = { failures = -1.0 }", "`breaker.failures`"),
            ("breaker = { probes = 4 }", "`breaker.probes`"),
            ("breaker = { probes = 0 }", "`breaker.probes`"),
            ("breaker = { within = '' }", "`breaker.within`"),
            ("breaker = { open = '-1s' }", "`breaker.open`"),
            ("outbox = '8'", "`outbox`"),
            ("retry = { tries = 3 }", "tries"),
        ] {
            let error = rules(wrong).expect_err(wrong);
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn a_sink_that_delivers_to_nobody_has_none_of_them() {
        for option in
            ["retry = { base = '1s' }", "breaker = { calls = 3 }", "outbox = '1GiB'", "on_failure = 'drop'"]
        {
            let toml = format!("[source]\ntype = 'synthetic'\n[[sink]]\ntype = 'null'\n{option}");
            let pipeline = crate::Pipeline::from_toml(&toml).expect("a pipeline");
            let error = pipeline.run().expect_err("it has no effect").to_string();
            assert!(error.contains("has no effect here"), "{error}");
        }
    }
}
