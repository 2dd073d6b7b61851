//! Shared by the tests of several kinds of stream.

use std::sync::Arc;

use serde_json::json;

use super::StreamLayout;
use crate::format::csv::Csv;
use crate::format::encoding::{Encoded, EncodingOptions};
use crate::format::{Format, Head};

/// Streams of records with the columns t, s and v, laid out as `dialect` says.
pub(in crate::source) fn layout(dialect: serde_json::Value) -> StreamLayout {
    layout_in("utf-8", dialect)
}

/// The same in another encoding.
pub(in crate::source) fn layout_in(encoding: &str, dialect: serde_json::Value) -> StreamLayout {
    let columns = json!({ "time": "t", "sensor": "s", "measurements": ["v"] });
    let columns = serde_json::from_value(columns).expect("columns");
    let format = Csv::new(&serde_json::from_value(dialect).expect("a dialect"), &columns).expect("a format");
    let options = EncodingOptions { encoding: Some(encoding.into()) };
    let format = format.with_origins(true);
    let head = Head { name: "x", stem: "x", bytes: b"t,s,v\n", is_whole: true };
    let schema = Arc::new(format.schema(head).expect("columns"));
    let format = Encoded::new(format, &options).expect("an encoding");
    StreamLayout { format: Arc::new(format), schema, chunk_size: 1 << 20 }
}

/// The same without a header.
pub(in crate::source) fn plain() -> StreamLayout {
    layout(json!({ "header": false, "names": ["t", "s", "v"] }))
}
