//! Requests, and what the answers mean.
//!
//! | answer | outcome |
//! |---|---|
//! | 2xx, with `success` in its body if that is given | delivered |
//! | 2xx without `success` in its body | an error that shows the answer |
//! | 408, 425, 429, 5xx, no answer | retried, not before the time in `Retry-After` |
//! | any other, also a redirect | an error |
//!
//! An epoch that is delivered again begins with its first request that has not succeeded; after a restart, with its first one. Each request has the same
//! `Idempotency-Key` every time.

use std::sync::Arc;

use hyper::header::{HeaderName, HeaderValue};
use ring::hmac;
use tidemill_engine::error::{Error, Result};
use tidemill_engine::sink::{Prepare, Sink, SinkContext};
use tidemill_engine::time::Clock;

use super::body::{Encoder, body};
use super::{Method, Webhook, WebhookOptions};
use crate::frames;
use crate::hash::hexadecimal;
use crate::progress::Progress;
use tidemill_connect::http::{Answer, Blocking, Client, header_value, request};

/// Bytes of an answer at most.
const ANSWER: usize = 1 << 20;

/// The sink in use.
pub(super) struct Delivering {
    options: WebhookOptions,
    encoder: Arc<Encoder>,
    runtime: Blocking,
    client: Client,
    headers: Vec<(HeaderName, HeaderValue)>,
    signature: Option<(HeaderName, hmac::Key)>,
    clock: Clock,
    writer: Arc<str>,
    progress: Progress,
}

impl Delivering {
    pub(super) fn new(spec: &Webhook, encoder: Arc<Encoder>, context: &SinkContext) -> Result<Self> {
        let Webhook { options, client } = spec;
        let (route, timeout) = (client.route()?, client.timeout()?);
        let header = options.signature_header()?;
        let key = |secret: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, secret);
        let signature = options.signature.as_ref().map(|secret| (header, key(secret.reveal().as_bytes())));
        Ok(Self {
            encoder,
            runtime: Blocking::new(Arc::clone(&context.stop))?,
            client: Client::new(options.endpoint()?, route, timeout),
            headers: spec.headers()?,
            signature,
            clock: context.clock.clone(),
            writer: context.writer.clone().unwrap_or_default(),
            options: options.clone(),
            progress: Progress::default(),
        })
    }

    /// Sends one request.
    fn send(&mut self, epoch: u64, ordinal: usize, items: &[Vec<u8>]) -> Result<()> {
        let body = body(&self.options, items);
        let mut headers = self.headers.clone();
        let key = format!("{}-{epoch}-{ordinal}", self.writer);
        headers.push((HeaderName::from_static("idempotency-key"), header_value("writer", &key)?));
        if let Some((name, key)) = &self.signature {
            headers.push((name.clone(), header_value("signature", &signature(key, &body))?));
        }
        let method = match self.options.method {
            Method::Post => hyper::Method::POST,
            Method::Put => hyper::Method::PUT,
        };
        let request = request(method, &self.client.endpoint().path, &headers, body)?;
        let Self { runtime, client, .. } = self;
        let answer = runtime.wait(client.send(request, ANSWER))?;
        self.judge(&answer)
    }

    fn judge(&self, answer: &Answer) -> Result<()> {
        let endpoint = self.client.endpoint();
        if !answer.status.is_success() {
            return Err(answer.refusal(endpoint, &self.clock));
        }
        match &self.options.success {
            Some(text) if !contains(&answer.body, text) => {
                let (status, said) = (answer.status, answer.excerpt(endpoint));
                Err(Error::unavailable(format!(
                    "{endpoint} answered {status}, but without `success`: {said}"
                )))
            }
            _ => Ok(()),
        }
    }
}

/// Whether `body` contains `text`, white space aside.
fn contains(body: &[u8], text: &str) -> bool {
    let squeezed = |text: &str| text.split_whitespace().collect::<String>();
    squeezed(&String::from_utf8_lossy(body)).contains(&squeezed(text))
}

/// The signature of a body, as the header has it.
fn signature(key: &hmac::Key, body: &[u8]) -> String {
    format!("sha256={}", hexadecimal(hmac::sign(key, body).as_ref()))
}

impl Sink for Delivering {
    fn preparer(&self) -> Option<Arc<dyn Prepare>> {
        Some(Arc::clone(&self.encoder) as Arc<dyn Prepare>)
    }

    fn deliver(&mut self, epoch: u64, rows: &mut dyn Iterator<Item = Result<Vec<u8>>>) -> Result<()> {
        let sent = self.progress.begin(epoch);
        let batch = self.options.batch;
        let mut items = frames::items(rows);
        for ordinal in 0.. {
            let group: Vec<Vec<u8>> = items.by_ref().take(batch).collect::<Result<_>>()?;
            if group.is_empty() {
                break;
            }
            if ordinal >= sent {
                self.send(epoch, ordinal, &group)?;
                self.progress.step();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_published_example() {
        // GitHub's documentation of its webhooks.
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"It's a Secret to Everybody");
        let signed = signature(&key, b"Hello, World!");
        assert_eq!(signed, "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17");
    }

    #[test]
    fn white_space_in_an_answer_does_not_matter() {
        assert!(contains(b"{ \"ok\" : true }", "\"ok\":true"));
        assert!(!contains(b"{\"ok\":false,\"error\":\"x\"}", "\"ok\": true"));
    }
}
