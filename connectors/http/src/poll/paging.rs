//! Where the next page is, and where the records are in a page.

use hyper::header::LINK;
use serde_json::Value;
use tidemill_engine::error::{Error, Result};

use tidemill_connect::http::{Answer, Endpoint};

/// The address of the page behind this one, which was at `here`; `None` if it is the last.
///
/// # Errors
/// A data error if it is on another server: the token would be sent there.
pub(super) fn next(
    answer: &Answer,
    page: Option<&Value>,
    pointer: Option<&str>,
    here: &Endpoint,
) -> Result<Option<Endpoint>> {
    let in_body = || pointer.and_then(|pointer| page?.pointer(pointer)?.as_str().map(str::to_owned));
    let Some(found) = in_body().or_else(|| linked(answer)).filter(|next| !next.is_empty()) else {
        return Ok(None);
    };
    let next = resolved(&found, here)?;
    match next.is_same_server(here) {
        true if next.path != here.path => Ok(Some(next)),
        true => Ok(None),
        false => {
            Err(Error::data(format!("{here}: the next page is on another server, {next}: it is not read")))
        }
    }
}

/// The address with `rel="next"` in the headers `Link`.
fn linked(answer: &Answer) -> Option<String> {
    let values = answer.headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    // A comma may stand in an address: a link begins with `<`.
    values.collect::<Vec<_>>().join(",").split('<').find_map(|link| {
        let (address, parameters) = link.split_once('>')?;
        let is_next = parameters.split(';').any(|parameter| {
            let (name, value) = parameter.trim().trim_end_matches(',').split_once('=').unwrap_or_default();
            let value = value.trim().trim_end_matches(',').trim().trim_matches('"');
            name.trim().eq_ignore_ascii_case("rel")
                && value.split(' ').any(|value| value.eq_ignore_ascii_case("next"))
        });
        is_next.then(|| address.trim().to_owned())
    })
}

/// An address that may be relative to `here`.
fn resolved(address: &str, here: &Endpoint) -> Result<Endpoint> {
    if address.contains("://") {
        let next = Endpoint::parse("next", address, &["http", "https"])?;
        return Ok(if here.is_secret() { next.into_secret() } else { next });
    }
    let (path, _) = here.path.split_once('?').unwrap_or((&here.path, ""));
    Ok(here.with_path(match address.chars().next() {
        Some('/') => address.to_owned(),
        Some('?') => format!("{path}{address}"),
        _ => format!("{}/{address}", path.rsplit_once('/').map_or("", |(folder, _)| folder)),
    }))
}

/// The records in a page: what `pointer` leads to. `null` stands for none, as some servers have it, unless the page tells an error.
pub(super) fn records(page: &Value, pointer: &str) -> Option<Vec<u8>> {
    let is_error = || ["error", "errors"].iter().any(|name| page.get(name).is_some_and(|why| !why.is_null()));
    match page.pointer(pointer)? {
        Value::Null if is_error() => None,
        Value::Null => Some(b"[]".to_vec()),
        found => Some(found.to_string().into_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::StatusCode;
    use hyper::header::HeaderMap;
    use proptest::prelude::*;

    fn answer(link: &str) -> Answer {
        let mut headers = HeaderMap::new();
        if let Ok(link) = link.parse() {
            headers.insert(LINK, link);
        }
        Answer { status: StatusCode::OK, headers, body: "".into() }
    }

    fn here() -> Endpoint {
        Endpoint::parse("urls", "http://a.example/v1/items?page=1", &["http"]).expect("an address")
    }

    #[test]
    fn the_next_page_is_in_a_header_or_in_the_page() {
        let link =
            |text: &str| next(&answer(text), None, None, &here()).expect("an address").map(|next| next.path);
        assert_eq!(link("</v1/items?page=2>; rel=\"next\"").as_deref(), Some("/v1/items?page=2"));
        assert_eq!(
            link("</x?a=1,2>; rel=prev, <?page=3>; rel=\"last next\"").as_deref(),
            Some("/v1/items?page=3")
        );
        assert_eq!(link("</v1/items?page=2>; rel=\"prev\""), None);
        assert_eq!(link("</v1/items?page=1>; rel=\"next\""), None, "the same page is no next one");
        let page = serde_json::json!({ "links": { "next": "items?page=4" }, "data": [{ "a": 1 }] });
        let found = next(&answer(""), Some(&page), Some("/links/next"), &here()).expect("an address");
        assert_eq!(found.map(|next| next.path).as_deref(), Some("/v1/items?page=4"));
        assert_eq!(records(&page, "/data").as_deref(), Some(&b"[{\"a\":1}]"[..]));
        assert_eq!(records(&page, "/none"), None);
    }

    #[test]
    fn a_page_without_records_is_told_from_one_that_has_none() {
        let found =
            |page: Value| records(&page, "/data").map(|found| String::from_utf8_lossy(&found).into_owned());
        assert_eq!(found(serde_json::json!({ "data": [] })).as_deref(), Some("[]"));
        assert_eq!(found(serde_json::json!({ "data": null, "error": null })).as_deref(), Some("[]"));
        assert_eq!(found(serde_json::json!({ "data": null, "error": "later" })), None);
        assert_eq!(found(serde_json::json!({ "error": "later" })), None);
    }

    #[test]
    fn a_token_is_not_carried_to_another_server() {
        let error =
            next(&answer("<http://evil.example/x>; rel=next"), None, None, &here()).expect_err("elsewhere");
        assert!(error.to_string().contains("another server"), "{error}");
    }

    proptest! {
        #[test]
        fn no_header_is_a_panic(link in ".*") {
            let _either = next(&answer(&link), None, None, &here());
        }
    }
}
