//! What `tidemill doctor` asks of a client.

use std::sync::Arc;

use crate::blocking::Blocking;
use crate::endpoint::reach;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use tidemill_engine::error::{Error, Result};
use tidemill_engine::probe::Probe;
use tidemill_engine::time::Clock;

use super::{Answer, Client, ClientOptions, Endpoint, Proxy, connect, request};

/// Bytes of an answer at most.
const ANSWER: usize = 1 << 20;

/// Resolves the name of the server, connects, and verifies its certificate; `None` if a step has failed.
pub fn probe_server(
    probe: &mut Probe,
    endpoint: Result<Endpoint>,
    options: &ClientOptions,
) -> Option<Endpoint> {
    let endpoint =
        probe.step("address", || endpoint.map(|endpoint| (endpoint.clone(), endpoint.to_string())))?;
    if options.proxy.is_some() {
        return by_proxy(probe, &endpoint, options).map(|()| endpoint);
    }
    let tls = endpoint.is_tls.then_some(&options.tls);
    reach(probe, &endpoint.host, endpoint.port, tls)?;
    Some(endpoint)
}

/// Connects to the proxy, and by it to the server if the connection is a tunnel.
fn by_proxy(probe: &mut Probe, endpoint: &Endpoint, options: &ClientOptions) -> Option<()> {
    let route =
        probe.step("proxy", || options.route().map(|route| (route, "named in `proxy`".to_owned())))?;
    let proxy = &route.proxy.as_ref()?.endpoint;
    reach(probe, &proxy.host, proxy.port, None)?;
    if Proxy::forwards(endpoint) {
        return Some(());
    }
    probe.step("tunnel", || {
        let runtime = Blocking::new(Arc::default())?;
        runtime.wait(connect(endpoint, &route)).map(|_| ((), format!("the proxy leads to {endpoint}")))
    })
}

/// Sends one request with an empty body.
///
/// # Errors
/// As [`Client::send`]; if the answer is an error other than `accepted`.
pub fn ask(
    endpoint: &Endpoint,
    method: Method,
    headers: &[(HeaderName, HeaderValue)],
    options: &ClientOptions,
    accepted: &[u16],
) -> Result<Answer> {
    let runtime = Blocking::new(Arc::default())?;
    let mut client = Client::new(endpoint.clone(), options.route()?, options.timeout()?);
    let answer = runtime.wait(client.send(request(method, &endpoint.path, headers, Vec::new())?, ANSWER))?;
    match answer.status.is_success() || accepted.contains(&answer.status.as_u16()) {
        true => Ok(answer),
        false => Err(answer.refusal(endpoint, &Clock::default())),
    }
}

/// Asks for `endpoint` as a source does, and reads no more than the status: what follows may never end.
///
/// # Errors
/// As [`Client::send`]; if the answer is an error.
pub fn greet(
    endpoint: &Endpoint,
    headers: &[(HeaderName, HeaderValue)],
    options: &ClientOptions,
) -> Result<((), String)> {
    let runtime = Blocking::new(Arc::default())?;
    let limit = options.timeout()?;
    let mut client = Client::new(endpoint.clone(), options.route()?, limit);
    let request = request(Method::GET, &endpoint.path, headers, Vec::new())?;
    let greeted = async {
        let response = client.open(request).await?;
        let status = response.status();
        if status.is_success()
            || status == StatusCode::SWITCHING_PROTOCOLS
            || status == StatusCode::NOT_MODIFIED
        {
            return Ok(status);
        }
        Err(client.read(response, ANSWER).await?.refusal(endpoint, &Clock::default()))
    };
    let slow = || Error::unavailable(format!("{endpoint}: no answer within {} s", limit.as_secs_f64()));
    let status =
        runtime.wait(async { tokio::time::timeout(limit, greeted).await.unwrap_or_else(|_| Err(slow())) })?;
    Ok(((), format!("the server answers {status}")))
}
