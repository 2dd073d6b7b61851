//! `tidemill health`: asks a run that listens whether it is ready, for the health check of a container.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::super::args::HealthArgs;
use super::super::failure::Outcome;
use super::super::output;
use super::access;
use tidemill_core::error::{Error, visible};

/// How long to wait for each step.
const PATIENCE: Duration = Duration::from_secs(5);

/// The most of an answer that is read.
const MOST: u64 = 64 << 10;

/// Prints what the run says of itself.
///
/// # Errors
/// If it is not ready, or does not answer.
pub(in super::super) fn health(args: &HealthArgs) -> Outcome {
    let away = |what: String| Error::unavailable(format!("{}: {what}", args.url));
    let (authority, path) = parts(&args.url).ok_or_else(|| {
        Error::usage(format!("{}: not an address", args.url)).with_help("such as http://127.0.0.1:9464/ready")
    })?;
    let token = access::token(args.listen_token.as_deref())?;
    let bearer =
        token.map_or_else(String::new, |token| format!("Authorization: Bearer {}\r\n", token.value()));
    let request = format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\n{bearer}Connection: close\r\n\r\n");
    let answer = ask(authority, &request).map_err(|error| away(error.to_string()))?;
    let (status, body) = parsed(&answer).ok_or_else(|| away("the answer is not HTTP".into()))?;
    match status {
        200 => output::data(&format!("{}\n", visible(body.trim()))),
        status => Err(away(format!("status {status}: {}", body.trim())).into()),
    }
}

/// Host with port, and path.
fn parts(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("http://")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    let path = if path.is_empty() { "/ready" } else { path };
    (!authority.is_empty() && is_plain(url)).then_some((authority, path))
}

fn ask(authority: &str, request: &str) -> std::io::Result<String> {
    let with_port = match authority.rsplit_once(':') {
        Some((_, port)) if port.parse::<u16>().is_ok() => authority.to_owned(),
        _ => format!("{authority}:80"),
    };
    let none = || std::io::Error::other("no such host");
    let address = with_port.to_socket_addrs()?.next().ok_or_else(none)?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(MOST).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The status and the body.
fn parsed(answer: &str) -> Option<(u16, &str)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some((status, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_path() {
        assert_eq!(parts("http://127.0.0.1:9464/live"), Some(("127.0.0.1:9464", "/live")));
        assert_eq!(parts("http://[::1]:9464"), Some(("[::1]:9464", "/ready")));
        for url in ["127.0.0.1:9464", "https://x/ready", "http://", "http://x/a b", "http://x/\r\nHost: y"] {
            assert_eq!(parts(url), None, "{url}");
        }
        assert_eq!(parsed("HTTP/1.1 503 Service Unavailable\r\na: b\r\n\r\nno"), Some((503, "no")));
        assert_eq!(parsed("SSH-2.0"), None);
    }
}
