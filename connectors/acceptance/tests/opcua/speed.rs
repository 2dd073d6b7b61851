//! How fast a history of a million values is read, beside the plain loop of the client library.

use std::time::Instant;

use tidemill_acceptance::server::OpcUaOptions;
use tidemill_acceptance::{Job, OpcUa};
use tidemill_opcua::opcua::client::{ClientBuilder, HistoryReadAction, IdentityToken, Session};
use tidemill_opcua::opcua::types::{
    DateTime, HistoryData, HistoryReadValueId, MessageSecurityMode, NodeId, ReadRawModifiedDetails,
    TimestampsToReturn, UserTokenPolicy,
};

use crate::common::pipeline;

/// Values of each of both nodes.
const VALUES: u32 = 500_000;
const PAGE: u32 = 10_000;

/// How many values of a node a loop reads that does nothing with them.
async fn read(session: &Session, node: &str) -> u32 {
    let (mut start, mut count) = (DateTime::ymd(2026, 1, 1), 0);
    loop {
        let details = ReadRawModifiedDetails {
            is_read_modified: false,
            start_time: start,
            end_time: DateTime::ymd(2027, 1, 1),
            num_values_per_node: PAGE,
            return_bounds: false,
        };
        let wanted = HistoryReadValueId { node_id: NodeId::new(2, node), ..HistoryReadValueId::default() };
        let action = HistoryReadAction::ReadRawModifiedDetails(details);
        let read = session.history_read(action, TimestampsToReturn::Source, false, &[wanted]).await;
        let result = read.expect("an answer").remove(0);
        let data = result.history_data.into_inner_as::<HistoryData>().expect("values");
        let values = data.data_values.unwrap_or_default();
        count += values.len() as u32;
        match values.last().and_then(|value| value.source_timestamp) {
            // Pages end with the second of two values of the same time. The server knows microseconds.
            Some(last) if values.len() == PAGE as usize => start = DateTime::from(last.ticks() + 10),
            _ => return count,
        }
    }
}

fn by_loop(server: &OpcUa) -> u32 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let folder = tempfile::tempdir().expect("a folder");
        let mut client = ClientBuilder::new()
            .application_name("loop")
            .application_uri("urn:loop")
            .pki_dir(folder.path())
            // A page is longer than by default an answer may be.
            .max_message_size(64 << 20)
            .max_chunk_count(8192)
            .max_array_length(PAGE as usize)
            .client()
            .expect("a client");
        let url = server.url();
        let endpoint = (url.as_str(), "None", MessageSecurityMode::None, UserTokenPolicy::anonymous());
        let connected = client.connect_to_matching_endpoint(endpoint, IdentityToken::Anonymous).await;
        let (session, events) = connected.expect("an endpoint");
        let running = events.spawn();
        assert!(session.wait_for_connection().await);
        let count = read(&session, "Line1.Temperature").await + read(&session, "Line2.Temperature").await;
        session.disconnect().await.expect("an end");
        drop(running.await);
        count
    })
}

#[test]
#[ignore = "figures, with a release build"]
fn a_history_of_a_million_values_beside_a_plain_loop() {
    let server = OpcUa::start_with(&OpcUaOptions { history: VALUES, ..OpcUaOptions::default() });
    let rate = |what: &str, begun: Instant| {
        let rate = f64::from(2 * VALUES) / begun.elapsed().as_secs_f64();
        println!("{what}: {rate:.0} values/s");
        rate
    };
    let begun = Instant::now();
    assert_eq!(by_loop(&server), 2 * VALUES);
    let plain = rate("a loop that reads", begun);
    let options = format!(
        "nodes = ['Objects/Plant/*/Temperature']\nhistory = {{ from = '2026-01-01', to = '2027-01-01', page = {PAGE} }}"
    );
    let job = Job::new(&pipeline(&server.url(), &options));
    let begun = Instant::now();
    job.start().wait().success();
    let own = rate("the source, to a file", begun);
    println!("ratio: {:.2}", own / plain);
    assert_eq!(job.report()["report"]["source"]["output"], 2 * VALUES);
    assert_eq!(job.read("out.jsonl").lines().count(), 2 * VALUES as usize);
}
