//! The client of each bucket. Credentials and endpoints are those of the environment.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::{BackoffConfig, ClientConfigKey, ObjectStore, RetryConfig};

use crate::address::{Address, Kind};
use crate::failure::Failures;

/// A bucket and its client.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    pub(crate) client: Arc<dyn ObjectStore>,
    pub(crate) failures: Failures,
    /// Set once it was asked for and is not missing.
    pub(crate) is_there: Arc<AtomicBool>,
}

/// The client of the bucket of `address`, which is made once.
///
/// # Errors
/// An I/O error if the environment has no valid configuration for it.
pub(crate) fn store(address: &Address) -> io::Result<Store> {
    static STORES: Mutex<Option<HashMap<String, Store>>> = Mutex::new(None);
    let mut stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
    let stores = stores.get_or_insert_default();
    if let Some(store) = stores.get(&address.root) {
        return Ok(store.clone());
    }
    let failures = Failures(address.kind);
    let client = build(address).map_err(|error| failures.of_configuration(&error))?;
    let store = Store { client, failures, is_there: Arc::default() };
    stores.insert(address.root.clone(), store.clone());
    Ok(store)
}

fn build(address: &Address) -> object_store::Result<Arc<dyn ObjectStore>> {
    // The TLS of the client asks for the one of the process; another connector may have set it.
    let _is_set = rustls::crypto::ring::default_provider().install_default();
    let bucket = &address.bucket;
    Ok(match address.kind {
        Kind::S3 => {
            Arc::new(AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retries()).build()?)
        }
        Kind::Google => Arc::new(
            GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket).with_retry(retries()).build()?,
        ),
        Kind::Azure => Arc::new(
            MicrosoftAzureBuilder::from_env().with_container_name(bucket).with_retry(retries()).build()?,
        ),
        Kind::Web => {
            let builder = HttpBuilder::new().with_url(&address.root).with_retry(retries());
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
    RetryConfig { backoff, max_retries: 10, retry_timeout: Duration::from_secs(180) }
}
