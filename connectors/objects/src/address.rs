//! The parts of an address.

use std::io;
use std::path::{Path, PathBuf};

use object_store::path::Path as Key;

/// A kind of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    S3,
    Google,
    Azure,
    /// A web server.
    Web,
}

/// The parts of an address such as `s3://bucket/key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) kind: Kind,
    /// The scheme and what follows it up to the key: `s3://bucket`.
    pub(crate) root: String,
    /// The bucket or container; of a web server, its host and port.
    pub(crate) bucket: String,
    /// The key; empty for the bucket itself. Of a web server, the path without percent-encoding.
    pub(crate) key: Key,
}

impl Address {
    /// Parses `path`.
    ///
    /// # Errors
    /// `InvalidFilename`, with the reason.
    pub(crate) fn parse(path: &Path) -> io::Result<Self> {
        let text = path.to_str().ok_or_else(|| invalid("it is not UTF-8"))?;
        let (scheme, rest) = text.split_once("://").ok_or_else(|| invalid("it has no scheme"))?;
        let kind = match scheme {
            "s3" => Kind::S3,
            "gs" => Kind::Google,
            "az" => Kind::Azure,
            "http" | "https" => Kind::Web,
            _ => return Err(invalid("its scheme is unknown")),
        };
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(invalid("it has no bucket"));
        }
        let key = match kind {
            Kind::Web => Key::from_url_path(key),
            _ => Key::parse(key),
        };
        let key = key.map_err(|error| invalid(&format!("its key is not valid: {error}")))?;
        Ok(Self { kind, root: format!("{scheme}://{bucket}"), bucket: bucket.to_owned(), key })
    }

    /// The address of another object in the same bucket.
    pub(crate) fn of(&self, key: &Key) -> PathBuf {
        PathBuf::from(format!("{}/{key}", self.root))
    }
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidFilename, format!("the address cannot be used: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> io::Result<Address> {
        Address::parse(Path::new(text))
    }

    #[test]
    fn an_address_has_a_bucket_and_a_key() {
        for (text, kind, bucket, key) in [
            ("s3://b/a/x.csv", Kind::S3, "b", "a/x.csv"),
            ("s3://b", Kind::S3, "b", ""),
            ("s3://b/", Kind::S3, "b", ""),
            ("gs://b/year=2026/x%20y.csv", Kind::Google, "b", "year=2026/x%20y.csv"),
            ("az://c/ä b.csv", Kind::Azure, "c", "ä b.csv"),
            ("http://127.0.0.1:80/x%20y.csv", Kind::Web, "127.0.0.1:80", "x y.csv"),
        ] {
            let address = parse(text).expect(text);
            assert_eq!((address.kind, &*address.bucket, address.key.as_ref()), (kind, bucket, key), "{text}");
        }
        for text in ["s3://", "s3:///x", "ftp://h/x", "x.csv", "s3://b/a//x", "s3://b/../x", "s3://b/./x"] {
            assert_eq!(parse(text).expect_err(text).kind(), io::ErrorKind::InvalidFilename, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_a_store_lists_can_be_read(bucket in "[a-z0-9.-]{1,20}", key in "[^/\u{0}]{1,9}(/[^/\u{0}]{1,9}){0,3}") {
            if let Ok(address) = parse(&format!("s3://{bucket}/{key}")) {
                prop_assert_eq!(address.key.as_ref(), &key);
                let again = Address::parse(&address.of(&address.key)).expect("an address");
                prop_assert_eq!(again, address);
            }
        }
    }
}
