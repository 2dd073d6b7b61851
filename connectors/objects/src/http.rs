//! The HTTP clients of stores: those of the library, with two changes.
//!
//! | | the library | here |
//! |---|---|---|
//! | a certificate that is not accepted | it is tried again for minutes | an error at once |
//! | an upload in parts of a new object | replaces one that has appeared meanwhile | the request that completes it has the condition that there is none |

use std::io;

use async_trait::async_trait;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    ReqwestConnector,
};
use object_store::{ClientOptions, HeaderValue, Result};

/// Makes such clients.
#[derive(Debug, Default)]
pub(crate) struct Connector {
    inner: ReqwestConnector,
    /// Whether uploads in parts replace no object.
    creates: bool,
}

#[derive(Debug)]
struct Client {
    inner: HttpClient,
    creates: bool,
}

impl Connector {
    /// Makes clients of S3 whose uploads in parts replace no object.
    pub(crate) fn creating() -> Self {
        Self { creates: true, ..Self::default() }
    }
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> Result<HttpClient> {
        Ok(HttpClient::new(Client { inner: self.inner.connect(options)?, creates: self.creates }))
    }
}

#[async_trait]
impl HttpService for Client {
    async fn call(&self, mut request: HttpRequest) -> std::result::Result<HttpResponse, HttpError> {
        let query = request.uri().query().unwrap_or_default();
        if self.creates && completes(request.method().as_str(), query) {
            // The signature need not cover it.
            request.headers_mut().insert("if-none-match", HeaderValue::from_static("*"));
        }
        let answer = self.inner.execute(request).await;
        answer.map_err(|error| match is_of_certificate(&error) {
            true => HttpError::new(HttpErrorKind::Unknown, error),
            false => error,
        })
    }
}

/// Whether a request of S3 completes an upload in parts: another one begins it, with `uploads`.
fn completes(method: &str, query: &str) -> bool {
    method == "POST" && query.split('&').any(|pair| pair.starts_with("uploadId="))
}

/// Whether the certificate of the server was not accepted.
pub(crate) fn is_of_certificate(error: &(dyn std::error::Error + 'static)) -> bool {
    let is_it = |error: &(dyn std::error::Error + 'static)| {
        matches!(error.downcast_ref(), Some(rustls::Error::InvalidCertificate(_)))
    };
    // An I/O error does not tell what it was made of as its source.
    let made_of = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    is_it(error)
        || made_of.is_some_and(|error| is_of_certificate(error))
        || error.source().is_some_and(is_of_certificate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_request_of_an_upload_has_the_condition() {
        assert!(completes("POST", "uploadId=x"));
        for (method, query) in [
            ("POST", "uploads"),
            ("PUT", "partNumber=1&uploadId=x"),
            ("DELETE", "uploadId=x"),
            ("POST", "delete"),
        ] {
            assert!(!completes(method, query), "{method} {query}");
        }
    }

    #[test]
    fn a_certificate_is_found_wherever_it_is_in_an_error() {
        let refused = || rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let wrapped = io::Error::other(io::Error::other(refused()));
        assert!(is_of_certificate(&HttpError::new(HttpErrorKind::Connect, wrapped)));
        assert!(is_of_certificate(&refused()));
        assert!(!is_of_certificate(&io::Error::other("certificate")));
    }
}
