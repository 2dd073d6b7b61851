//! Files in object stores for **tidemill**: `s3://`, `gs://`, `az://`, and `http://` and `https://` for reading. A program that links this crate can use such addresses wherever a
//! pipeline has the path of a file.
//!
//! | module | what |
//! |---|---|
//! | `address` | the parts of an address: scheme, bucket, key |
//! | `stores` | the client of each bucket, with credentials from the environment |
//! | `files` | a [`FileSystem`](tidemill_engine::files::FileSystem) of objects |
//! | `object` | an object that is read in ranges, as long as it does not change |
//! | `upload` | a file that becomes an object: in parts, if it is large |
//! | `http` | the HTTP clients of stores |
//! | `failure` | what a store answers, as errors of the operating system, without secrets |
//! | `runtime` | where requests run |
//!
//! The engine does the rest: it reads ahead, stages what is written until it is complete, and resumes.

mod address;
mod failure;
mod files;
mod http;
mod object;
mod runtime;
mod stores;
mod upload;

use tidemill_engine::files::FileScheme;

use files::OBJECTS;

inventory::submit! { FileScheme { name: "s3", is_writable: true, files: || &OBJECTS } }
inventory::submit! { FileScheme { name: "gs", is_writable: true, files: || &OBJECTS } }
inventory::submit! { FileScheme { name: "az", is_writable: true, files: || &OBJECTS } }
inventory::submit! { FileScheme { name: "http", is_writable: false, files: || &OBJECTS } }
inventory::submit! { FileScheme { name: "https", is_writable: false, files: || &OBJECTS } }
