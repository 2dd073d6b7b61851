//! The client of each bucket. Credentials and endpoints are those of the environment: once it has changed, as it may in a Python, new clients are made.

use std::collections::HashMap;
use std::ffi::OsString;
use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::{BackoffConfig, ClientConfigKey, ObjectStore, RetryConfig};

use crate::address::{Address, Kind};
use crate::failure::Failures;
use crate::http::Connector;
use crate::runtime::{Stop, until, wait};

/// How long a request is repeated.
pub(crate) const RETRIED: Duration = Duration::from_secs(180);

/// The pause before a request is repeated that the library does not repeat.
pub(crate) const PAUSE: Duration = Duration::from_secs(1);

/// How long a request may still take once the run is to stop.
const GRACE: Duration = Duration::from_secs(3);

/// A bucket and its client.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    pub(crate) client: Arc<dyn ObjectStore>,
    /// A client whose uploads in parts create objects and replace none; none if the store cannot do that.
    pub(crate) creating: Option<Arc<dyn ObjectStore>>,
    pub(crate) failures: Failures,
    /// Set once it was asked for and is not missing.
    pub(crate) is_there: Arc<AtomicBool>,
    pub(crate) stop: Stop,
}

impl Store {
    /// Waits for `work`: for a short while only, if the run is to stop.
    ///
    /// # Errors
    /// That of `work`; `TimedOut` if the run is to stop.
    pub(crate) fn wait<T>(&self, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        wait(until(&self.stop, GRACE, work))
    }
}

/// Those that were made: by address and environment.
static STORES: Mutex<Option<HashMap<(String, u64), Store>>> = Mutex::new(None);

/// The client of the bucket of `address`, which is made once for an environment.
///
/// # Errors
/// An I/O error if the environment has no valid configuration for it.
pub(crate) fn store(address: &Address) -> io::Result<Store> {
    let key = (address.root.clone(), configuration(std::env::vars_os()));
    let mut stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
    let stores = stores.get_or_insert_default();
    if let Some(store) = stores.get(&key) {
        return Ok(store.clone());
    }
    let failures = Failures(address.kind);
    let built = build(address).and_then(|client| Ok((client, build_creating(address)?)));
    let (client, creating) = built.map_err(|error| failures.of_configuration(&error))?;
    let store = Store { client, creating, failures, is_there: Arc::default(), stop: None };
    // Handles of runs that go on have their own.
    stores.retain(|(root, _), _| *root != address.root);
    stores.insert(key, store.clone());
    Ok(store)
}

/// Stands for the values of those variables of the environment that the library may read; it keeps no secret.
fn configuration(variables: impl Iterator<Item = (OsString, OsString)>) -> u64 {
    let is_read = |name: &str| ["AWS_", "GOOGLE_", "AZURE_"].iter().any(|prefix| name.starts_with(prefix));
    let mut all: Vec<_> = variables.filter(|(name, _)| name.to_str().is_some_and(is_read)).collect();
    all.sort_unstable();
    let mut hasher = DefaultHasher::new();
    all.hash(&mut hasher);
    hasher.finish()
}

/// A client of S3 whose uploads in parts create objects and replace none.
fn build_creating(address: &Address) -> object_store::Result<Option<Arc<dyn ObjectStore>>> {
    match address.kind {
        Kind::S3 => Ok(Some(Arc::new(s3(address, Connector::creating())?))),
        Kind::Google | Kind::Azure | Kind::Web => Ok(None),
    }
}

fn s3(address: &Address, connector: Connector) -> object_store::Result<AmazonS3> {
    let builder = AmazonS3Builder::from_env().with_bucket_name(&address.bucket).with_retry(retries());
    builder.with_http_connector(connector).build()
}

fn build(address: &Address) -> object_store::Result<Arc<dyn ObjectStore>> {
    // The TLS of the client asks for the one of the process; another connector may have set it.
    let _is_set = rustls::crypto::ring::default_provider().install_default();
    let bucket = &address.bucket;
    Ok(match address.kind {
        Kind::S3 => Arc::new(s3(address, Connector::default())?),
        Kind::Google => {
            let builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket);
            Arc::new(builder.with_retry(retries()).with_http_connector(Connector::default()).build()?)
        }
        Kind::Azure => {
            let builder = MicrosoftAzureBuilder::from_env().with_container_name(bucket);
            Arc::new(builder.with_retry(retries()).with_http_connector(Connector::default()).build()?)
        }
        Kind::Web => {
            let builder = HttpBuilder::new().with_url(&address.root).with_retry(retries());
            let builder = builder.with_http_connector(Connector::default());
            // Whoever writes `http://` means it.
            let is_plain = address.root.starts_with("http:").to_string();
            Arc::new(builder.with_config(ClientConfigKey::AllowHttp, is_plain).build()?)
        }
    })
}

/// How requests are repeated: with random delays, for three minutes at most.
fn retries() -> RetryConfig {
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_secs(30),
        base: 2.0,
    };
    RetryConfig { backoff, max_retries: 10, retry_timeout: RETRIED }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_environment_is_another_configuration() {
        let of = |variables: &[(&str, &str)]| {
            configuration(variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))))
        };
        let (key, region) = (("AWS_ACCESS_KEY_ID", "a"), ("AWS_REGION", "r"));
        assert_eq!(of(&[key, region, ("PATH", "/bin")]), of(&[region, key]));
        for other in [&[key][..], &[("AWS_ACCESS_KEY_ID", "b"), region], &[key, region, ("AZURE_X", "")]] {
            assert_ne!(of(&[key, region]), of(other), "{other:?}");
        }
    }
}
