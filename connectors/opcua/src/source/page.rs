//! A page of the history of a node.

use std::sync::Arc;

use opcua::client::HistoryReadAction;
use opcua::types::{
    ByteString, HistoryData, HistoryReadResult, HistoryReadValueId, ReadRawModifiedDetails, SubStatusCode,
    TimestampsToReturn,
};
use tidemill_engine::error::{Error, Result};

use crate::failure::{all_of, failed, of_status};
use crate::nodes::Node;
use crate::session::Connected;
use crate::value::Measured;

/// What follows the page.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Next {
    /// What is behind the position.
    Position,
    /// What is behind this point, which the server remembers.
    Point(ByteString),
    /// The next node.
    Node,
}

/// A page of the history of a node, and what follows it.
pub(super) async fn page_of(
    connected: &mut Connected,
    url: &str,
    node: &Node,
    details: ReadRawModifiedDetails,
    continuation_point: ByteString,
) -> Result<(Vec<Measured>, Next)> {
    let (doing, most) = (format!("cannot read the history of {}", node.path), details.num_values_per_node);
    let session = Arc::clone(&connected.session);
    let wanted =
        HistoryReadValueId { node_id: node.id.clone(), continuation_point, ..HistoryReadValueId::default() };
    let answer = connected.during(async {
        let action = HistoryReadAction::ReadRawModifiedDetails(details);
        let read = session.history_read(action, TimestampsToReturn::Source, false, &[wanted]).await;
        read.map_err(|error| failed(url, &doing, &error))
    });
    let result = all_of(url, &doing, answer.await?, 1)?.remove(0);
    let HistoryReadResult { status_code: status, continuation_point, history_data } = result;
    if status.is_bad() && status.sub_code() != SubStatusCode::BadNoData {
        return Err(of_status(url, &doing, status));
    }
    // Without a body, there are no values.
    let (is_empty, data) = (history_data.is_null(), history_data.into_inner_as::<HistoryData>());
    if data.is_none() && !is_empty {
        return Err(Error::unavailable(format!("{url}: {doing}: the answer is no history of values")));
    }
    let values: Vec<_> =
        data.and_then(|data| data.data_values).unwrap_or_default().iter().map(Measured::from).collect();
    let next = match continuation_point.is_null_or_empty() {
        false => Next::Point(continuation_point),
        // Some servers do not remember where they were.
        true if values.len() >= most as usize => Next::Position,
        true => Next::Node,
    };
    Ok((values, next))
}

/// A page has nothing but what was read before, and the server does not say where it goes on.
pub(super) fn stuck(url: &str, node: &Node, most: u32) -> Error {
    Error::unavailable(format!(
        "{url}: a page of {most} values has nothing new of the history of {}, and the server does not say where it goes on",
        node.path
    ))
    .with_help("raise `page` in `history` above the number of values of the same time")
}
