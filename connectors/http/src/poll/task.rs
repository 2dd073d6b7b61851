//! One address: asked again and again.
//!
//! | answer | outcome |
//! |---|---|
//! | 200 | records, page by page |
//! | 304, 204 | nothing new |
//! | 429, 503 with `Retry-After` | asked again then |
//! | no answer, 429, 5xx | asked again after a delay that grows up to the pace of the address, or five minutes |
//! | no answer, 429, 5xx most of the time, from any address of the server | asked by single requests, by a circuit breaker |
//! | anything else, such as 401 or 404, a page without `records`, or a refused certificate | at the first time, the run ends with an error; later, asked again at intervals that double |
//!
//! A page that fails for a while is asked for again, behind those before it. `ETag` and the like count once the last page has been passed on: otherwise the server
//! would say that nothing is new, and the rest of the pages be lost.

use std::time::Duration;

use hyper::Method;
use hyper::header::{
    ACCEPT_ENCODING, ETAG, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidemill_engine::error::{Error, Result};
use tidemill_engine::meter::SourceMeter;
use tidemill_engine::resilience::{Backoff, Breaker, Permit};
use tidemill_engine::time::Clock;
use tokio::time::Instant;

use super::paging::{next, records};
use crate::inbox::{Message, Outlet};
use tidemill_connect::http::{Answer, Client, Endpoint, Route, request};

/// Bytes of a page at most.
const PAGE: usize = 16 << 20;

/// The longest delay after failures, unless the pace is slower.
const LONGEST: Duration = Duration::from_secs(300);

/// How often a page is asked for again before all pages are: its address may have expired.
const REPEATS: u32 = 10;

/// An address that is asked.
pub(super) struct Task {
    /// As records call it.
    pub(super) url: String,
    /// The name of its place in checkpoints.
    pub(super) place: String,
    /// What others see of it.
    pub(super) meter: SourceMeter,
    pub(super) endpoint: Endpoint,
    pub(super) every: Duration,
    pub(super) route: Route,
    /// Of the server, which other addresses may share.
    pub(super) breaker: Breaker,
    pub(super) timeout: Duration,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) records: Option<String>,
    pub(super) next: Option<String>,
    pub(super) pages: usize,
    /// The fields that messages have.
    pub(super) fields: Vec<String>,
    pub(super) clock: Clock,
}

/// By what the server tells whether there is something new.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Validators {
    etag: Option<String>,
    modified: Option<String>,
}

/// The pages of one answer: where to go on after a failure that passes.
struct Round {
    here: Endpoint,
    page: usize,
    /// Those of the first page.
    fresh: Validators,
    failures: u32,
}

impl Round {
    fn new(first: &Endpoint) -> Self {
        Self { here: first.clone(), page: 0, fresh: Validators::default(), failures: 0 }
    }

    /// Whether the next request goes on with it.
    fn goes_on(&mut self, asked: &Result<Asked>) -> bool {
        self.failures += 1;
        asked.as_ref().is_err_and(Error::is_transient) && self.failures <= REPEATS
    }

    /// The page that follows.
    fn step(&mut self, to: Endpoint) {
        (self.here, self.page, self.failures) = (to, self.page + 1, 0);
    }
}

impl Task {
    /// Asks until the run ends.
    pub(super) async fn run(self, outlet: Outlet, place: Option<String>) {
        let mut seen: Validators =
            place.and_then(|place| serde_json::from_str(&place).ok()).unwrap_or_default();
        let mut client = Client::new(self.endpoint.clone(), self.route.clone(), self.timeout);
        let (mut backoff, mut has_answered) = (Backoff::default(), false);
        let (mut due, mut delay) = (Instant::now(), self.every);
        let mut round = Round::new(&self.endpoint);
        loop {
            let permit = self.permit(&outlet).await;
            let asked = self.ask(&mut client, &mut seen, &mut round, &outlet).await;
            if !round.goes_on(&asked) {
                round = Round::new(&self.endpoint);
            }
            permit.answered(&asked, Instant::now().into_std());
            let wait = match asked {
                Ok(Asked::Ended) => return,
                Ok(Asked::Done) => {
                    self.meter.connected();
                    (has_answered, delay) = (true, self.every);
                    backoff.reset();
                    // On a grid, so that a slow answer does not shift it.
                    due += self.every;
                    due = due.max(Instant::now());
                    due
                }
                Err(error) if !error.is_transient() && !has_answered => return outlet.fail(error),
                Err(error) => {
                    self.meter.unanswered(&error);
                    outlet.counts.failed(&error);
                    delay = if error.is_transient() {
                        backoff.delay(None).min(self.every)
                    } else {
                        (delay * 2).min(self.every.max(LONGEST))
                    };
                    due = Instant::now() + delay.max(error.retry_after().unwrap_or_default());
                    due
                }
            };
            tokio::time::sleep_until(wait).await;
        }
    }

    /// Waits until the breaker lets a request through.
    async fn permit(&self, outlet: &Outlet) -> Permit {
        let mut is_held = false;
        loop {
            match self.breaker.ask(Instant::now().into_std()) {
                Ok(permit) => return permit,
                Err(wait) => {
                    if !std::mem::replace(&mut is_held, true) {
                        self.meter.count("held", 1);
                        outlet.counts.held();
                    }
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    /// Asks for the pages of `round` that are left, and passes them on.
    async fn ask(
        &self,
        client: &mut Client,
        seen: &mut Validators,
        round: &mut Round,
        outlet: &Outlet,
    ) -> Result<Asked> {
        loop {
            let is_first = round.page == 0;
            let answer = self.get(client, &round.here.path, is_first.then_some(&*seen)).await?;
            match answer.status.as_u16() {
                204 | 304 if is_first => return Ok(Asked::Done),
                204 | 304 => break,
                200 => {}
                _ => return Err(answer.refusal(&round.here, &self.clock)),
            }
            let parsed = self.parsed(&answer, &round.here)?;
            let behind = next(&answer, parsed.as_ref(), self.next.as_deref(), &round.here)?;
            let payload = self.payload(&answer, parsed.as_ref(), &round.here)?;
            if is_first {
                round.fresh = Validators::of(&answer);
            }
            // Not before the last page: otherwise the rest would be skipped after a restart.
            let is_last = behind.is_none() || round.page + 1 == self.pages;
            let place = is_last.then(|| (self.place.clone(), round.fresh.saved()));
            if outlet.send(self.message(&answer, payload, place)).await.is_none() {
                return Ok(Asked::Ended);
            }
            match behind {
                Some(behind) if !is_last => round.step(behind),
                Some(_) => {
                    let Self { endpoint, pages, .. } = self;
                    let why = format!("{endpoint}: more than {pages} pages (option `pages`)");
                    outlet.counts.failed(&Error::data(why));
                    break;
                }
                None => break,
            }
        }
        *seen = std::mem::take(&mut round.fresh);
        Ok(Asked::Done)
    }

    async fn get(&self, client: &mut Client, path: &str, seen: Option<&Validators>) -> Result<Answer> {
        let mut headers = self.headers.clone();
        headers.push((ACCEPT_ENCODING, HeaderValue::from_static("identity")));
        let Validators { etag, modified } = seen.cloned().unwrap_or_default();
        for (name, value) in [(IF_NONE_MATCH, etag), (IF_MODIFIED_SINCE, modified)] {
            headers.extend(value.and_then(|value| Some((name, HeaderValue::from_str(&value).ok()?))));
        }
        client.send(request(Method::GET, path, &headers, Vec::new())?, PAGE).await
    }

    /// The page as JSON, if something in it is looked for.
    fn parsed(&self, answer: &Answer, here: &Endpoint) -> Result<Option<Value>> {
        if self.records.is_none() && self.next.is_none() {
            return Ok(None);
        }
        let parsed = serde_json::from_slice(&answer.body);
        parsed
            .map(Some)
            .map_err(|error| Error::data(format!("{here}: the page is not JSON: {error}")).transient())
    }

    /// What a page contains: the records in it, if they are looked for.
    fn payload(&self, answer: &Answer, parsed: Option<&Value>, here: &Endpoint) -> Result<Vec<u8>> {
        let (Some(page), Some(pointer)) = (parsed, &self.records) else { return Ok(answer.body.to_vec()) };
        records(page, pointer).ok_or_else(|| {
            let said = answer.message(here);
            Error::data(format!("{here} answered 200, but has no records at {pointer}: {said}"))
                .with_help("check `records`, and what the server says")
        })
    }

    fn message(&self, answer: &Answer, payload: Vec<u8>, place: Option<(String, String)>) -> Message {
        let value = |name: &String| match name.split_once(':') {
            Some(("@header", header)) => answer.headers.get(header)?.to_str().ok().map(str::to_owned),
            _ => Some(self.url.clone()),
        };
        let values = self.fields.iter().map(value).collect();
        Message { payload, received: self.clock.read(), values, place }
    }
}

/// What became of it.
enum Asked {
    Done,
    /// The run has ended.
    Ended,
}

impl Validators {
    fn of(answer: &Answer) -> Self {
        let header = |name| answer.headers.get(name)?.to_str().ok().map(str::to_owned);
        Self { etag: header(ETAG), modified: header(LAST_MODIFIED) }
    }

    fn saved(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}
