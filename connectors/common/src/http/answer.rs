//! An answer, and what it says in words.

use std::time::Duration;

use bytes::Bytes;
use hyper::header::{HeaderMap, LOCATION, RETRY_AFTER};
use hyper::http::uri::Parts;
use hyper::{StatusCode, Uri};
use tidemill_engine::error::Error;
use tidemill_engine::time::Clock;

use super::Endpoint;

/// Letters of an answer that messages show.
const SHOWN: usize = 300;

/// The answer to a request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    /// The body as text, shortened for messages; without the address of `endpoint` if that is a secret.
    #[must_use]
    pub fn excerpt(&self, endpoint: &Endpoint) -> String {
        shortened(&String::from_utf8_lossy(&self.body), endpoint)
    }

    /// The message in the body: that of a JSON object, or the body; as [`Answer::excerpt`].
    #[must_use]
    pub fn message(&self, endpoint: &Endpoint) -> String {
        let object: Option<serde_json::Value> = serde_json::from_slice(&self.body).ok();
        let found = object.as_ref().and_then(|object| {
            ["message", "error", "detail"].iter().find_map(|name| object.get(name)?.as_str())
        });
        found.map_or_else(|| self.excerpt(endpoint), |text| shortened(text, endpoint))
    }

    /// How long the server asks to wait.
    #[must_use]
    pub fn retry_after(&self, clock: &Clock) -> Option<Duration> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(text.parse().map_or(Duration::MAX, Duration::from_secs));
        }
        let date = httpdate::parse_http_date(text).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
        let now = Duration::from_nanos(u64::try_from(clock.read().as_nanos()).ok()?);
        Some(date.saturating_sub(now))
    }

    /// The error for an answer that is no success: transient for what may pass by itself, not before the time that the server asks for.
    #[must_use]
    pub fn refusal(&self, endpoint: &Endpoint, clock: &Clock) -> Error {
        let status = self.status;
        let said = match self.message(endpoint) {
            message if message.is_empty() => String::new(),
            message => format!(": {message}"),
        };
        let error = Error::unavailable(format!("{endpoint} answered {status}{said}"));
        match status.as_u16() {
            300..=399 => error.with_help(format!(
                "redirects are not followed: name the address itself (it redirects to {})",
                self.target()
            )),
            401 => error.with_help("check the token, or the user and the password"),
            403 => error.with_help("check what the token or the user may do"),
            407 => error.with_help("check `proxy_user` and `proxy_password`"),
            404 => error.with_help("check the path of the address, and the names in it"),
            408 | 425 | 429 | 500 | 502..=504 | 506..=599 => match self.retry_after(clock) {
                Some(wait) => {
                    let asks = format!("it asks to wait for {} s", wait.as_secs());
                    error.transient().with_retry_after(wait).with_help(asks)
                }
                None => error.transient(),
            },
            _ => error,
        }
    }

    /// Where it redirects to: the server alone, since the path may repeat a secret.
    fn target(&self) -> String {
        let written = self.headers.get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or_default();
        match written.parse::<Uri>().map(Uri::into_parts) {
            Ok(Parts { scheme: Some(scheme), authority: Some(authority), .. }) => {
                // Without a user and a password.
                let server = authority.as_str().rsplit('@').next().unwrap_or_default();
                format!("{scheme}://{server}")
            }
            Ok(_) if written.starts_with('/') => "another path of this server".to_owned(),
            _ => "another address".to_owned(),
        }
    }
}

/// Text on one line, without the address of `endpoint` if that is a secret. It is cut between words: a part of a secret would not be recognised as one.
fn shortened(text: &str, endpoint: &Endpoint) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = endpoint.hide(&text);
    let Some((end, _)) = text.char_indices().nth(SHOWN) else { return text };
    let is_between = |letter: char| letter.is_whitespace() || "\"',;<>{}[]()".contains(letter);
    let end =
        if text[end..].starts_with(is_between) { end } else { text[..end].rfind(is_between).unwrap_or(0) };
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_engine::time::Timestamp;

    fn answer(status: u16, headers: &[(&'static str, &str)], body: &'static str) -> Answer {
        let headers = headers.iter().map(|(name, value)| {
            (hyper::header::HeaderName::from_static(name), value.parse().expect("a value"))
        });
        let status = StatusCode::from_u16(status).expect("a status");
        Answer { status, headers: headers.collect(), body: Bytes::from_static(body.as_bytes()) }
    }

    fn endpoint() -> Endpoint {
        Endpoint::parse("url", "http://a.example/p?token=secret", &["http"]).expect("an address")
    }

    #[test]
    fn what_may_pass_is_told_from_what_will_not() {
        for status in [408, 425, 429, 500, 502, 503, 504, 520] {
            assert!(
                answer(status, &[], "").refusal(&endpoint(), &Clock::default()).is_transient(),
                "{status}"
            );
        }
        for status in [301, 400, 401, 403, 404, 409, 410, 413, 422, 501, 505] {
            let error = answer(status, &[], "").refusal(&endpoint(), &Clock::default());
            assert!(!error.is_transient() && !error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn the_wait_that_a_server_asks_for_is_seconds_or_a_date() {
        let clock = Clock::simulated(Timestamp::from_nanos(1_445_412_400_000_000_000));
        let wait = |text: &str| answer(429, &[("retry-after", text)], "").retry_after(&clock);
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::from_secs(80)));
        assert_eq!(wait("Wed, 21 Oct 2015 07:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!((wait("soon"), wait("-1"), wait("")), (None, None, None));
        assert_eq!(wait(&"9".repeat(30)), Some(Duration::MAX));
    }

    #[test]
    fn an_error_carries_the_wait_that_the_server_asks_for() {
        for (status, headers, expected) in [
            (429, &[("retry-after", "2")][..], Some(2)),
            (503, &[("retry-after", "18446744073709551615")], Some(3600)),
            (503, &[], None),
            // Nothing passes by itself: nothing is waited for.
            (404, &[("retry-after", "2")], None),
        ] {
            let error = answer(status, headers, "").refusal(&endpoint(), &Clock::default());
            assert_eq!(error.retry_after(), expected.map(Duration::from_secs), "{status}");
        }
    }

    #[test]
    fn the_message_of_an_answer_is_short_and_on_one_line() {
        let message = |answer: Answer| answer.message(&endpoint());
        assert_eq!(message(answer(400, &[], "{\"code\":\"invalid\",\"message\":\"a\\nb\"}")), "a b");
        assert_eq!(message(answer(400, &[], "  x\r\n y ")), "x y");
        let long = |body: String| message(Answer { body: body.into(), ..answer(400, &[], "") });
        assert_eq!(long("é ".repeat(5000)).chars().count(), SHOWN);
        // What the cut goes through is left out.
        assert_eq!(
            long("x ".repeat(SHOWN / 2 - 3) + "token-4711"),
            "x ".repeat(SHOWN / 2 - 3).trim_end().to_owned() + "…"
        );
        assert_eq!(long("x".repeat(5000)), "…");
    }

    #[test]
    fn a_secret_address_stands_in_no_error_though_the_server_repeats_it() {
        let secret = "https://hooks.example/services/T0123456/B%2D89/abcdefghijkl?sig=pq4711&x=1";
        let secret = Endpoint::parse("url", secret, &["https"]).expect("an address").into_secret();
        let bodies = [
            "no hook at /services/T0123456/B%2D89/abcdefghijkl?sig=pq4711&x=1",
            "{\"error\":\"\\/services\\/T0123456\\/abcdefghijkl\",\"sig\":\"pq4711\"}",
            "x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x abcdefghijkl abcdefghijkl",
        ];
        let told = |answer: Answer| {
            let error = answer.refusal(&secret, &Clock::default());
            format!("{error} {}", error.help().unwrap_or_default())
        };
        for body in bodies {
            let told = told(answer(404, &[], body));
            assert!(!["T0123456", "abcdefg", "pq4711"].iter().any(|part| told.contains(part)), "{told}");
            assert!(told.contains("https://hooks.example:443"), "{told}");
        }
        for (location, expected) in [
            (
                "https://u:p@other.example/services/T0123456/abcdefghijkl",
                "redirects to https://other.example)",
            ),
            ("/services/T0123456/abcdefghijkl", "redirects to another path of this server)"),
            ("services/abcdefghijkl", "redirects to another address)"),
        ] {
            let told = told(answer(302, &[("location", location)], ""));
            assert!(told.contains(expected) && !told.contains("abcdefg"), "{told}");
        }
    }
}
