use std::cell::{Cell, RefCell};

use opcua::types::ExpandedNodeId;
use tokio::runtime::Builder;

use super::*;

/// A server whose node `n` refers to `n` others, a few in each answer, and which remembers few points.
struct Server {
    /// References in an answer.
    page: u32,
    /// Points that it remembers at the same time.
    room: usize,
    /// By point: the node, and what was shown.
    points: RefCell<Vec<Option<(u32, u32)>>>,
    requests: Cell<usize>,
    /// Which nodes have a status instead of references.
    wrong: fn(u32) -> StatusCode,
    /// Results that are missing in each answer.
    missing: usize,
}

impl Server {
    fn new(page: u32, room: usize) -> Self {
        Self {
            page,
            room,
            points: RefCell::default(),
            requests: Cell::new(0),
            wrong: |_| StatusCode::Good,
            missing: 0,
        }
    }

    fn result(&self, node: u32, from: u32) -> BrowseResult {
        let status = (self.wrong)(node);
        let end = node.min(from + self.page);
        if status.is_bad() {
            return BrowseResult { status_code: status, ..BrowseResult::default() };
        }
        let mut points = self.points.borrow_mut();
        let is_full = points.iter().flatten().count() >= self.room;
        if end < node && is_full {
            return BrowseResult {
                status_code: StatusCode::BadNoContinuationPoints,
                ..BrowseResult::default()
            };
        }
        let continuation_point = match end < node {
            false => ByteString::null(),
            true => {
                points.push(Some((node, end)));
                (points.len() as u32).to_be_bytes().to_vec().into()
            }
        };
        let reference = |at: u32| ReferenceDescription {
            node_id: ExpandedNodeId::new(NodeId::new(1, at)),
            ..ReferenceDescription::default()
        };
        let references = Some((from..end).map(reference).collect());
        BrowseResult { status_code: status, continuation_point, references }
    }

    fn answer(&self, mut results: Vec<BrowseResult>) -> Vec<BrowseResult> {
        self.requests.set(self.requests.get() + 1);
        results.truncate(results.len() - self.missing);
        results
    }
}

impl Browse for Server {
    async fn first(&self, of: &[BrowseDescription]) -> Result<Vec<BrowseResult>, opcua::types::Error> {
        let number = |of: &BrowseDescription| of.node_id.as_u32().expect("a number");
        Ok(self.answer(of.iter().map(|of| self.result(number(of), 0)).collect()))
    }

    async fn more(&self, points: &[ByteString]) -> Result<Vec<BrowseResult>, opcua::types::Error> {
        let next = |point: &ByteString| {
            let bytes = point.as_ref().try_into().expect("a point");
            let (node, from) =
                self.points.borrow_mut()[u32::from_be_bytes(bytes) as usize - 1].take().expect("known");
            self.result(node, from)
        };
        Ok(self.answer(points.iter().map(next).collect()))
    }
}

/// How many children each node has, and how many nodes are hidden.
fn children(server: &Server, nodes: &[u32]) -> Result<(Vec<usize>, u64)> {
    let mut browser = Browser::new(server, "opc.tcp://plant");
    let nodes: Vec<_> = nodes.iter().map(|&node| NodeId::new(1, node)).collect();
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    let all = runtime.block_on(browser.children(&nodes, ReferenceTypeId::HierarchicalReferences))?;
    Ok((all.iter().map(Vec::len).collect(), browser.hidden()))
}

#[test]
fn all_references_are_found_however_few_points_the_server_remembers() {
    let nodes: Vec<u32> = (0..100).collect();
    let expected: Vec<usize> = (0..100).collect();
    for room in [1, 2, 7, 99, 1000] {
        for page in [1, 10, 1000] {
            let found = children(&Server::new(page, room), &nodes).expect("found");
            assert_eq!(found, (expected.clone(), 0), "room {room}, page {page}");
        }
    }
    // Whoever has no room at all is not asked for ever.
    let error = children(&Server::new(10, 0), &nodes).expect_err("no room").to_string();
    assert!(
        error.contains("cannot browse ns=1;i=11") && error.contains("BadNoContinuationPoints"),
        "{error}"
    );
}

#[test]
fn few_points_cost_few_requests() {
    let server = Server::new(10, 5);
    children(&server, &[20; 100]).expect("found");
    // One for all, then two for each five of them.
    assert!(server.requests.get() <= 2 + 2 * 20, "{}", server.requests.get());
}

#[test]
fn nodes_that_may_not_be_seen_are_counted_and_other_failures_are_errors() {
    let denied = Server {
        wrong: |node| if node % 2 == 1 { StatusCode::BadUserAccessDenied } else { StatusCode::Good },
        ..Server::new(1000, 1)
    };
    assert_eq!(children(&denied, &[1, 2, 3, 4, 3]).expect("found"), (vec![0, 2, 0, 4, 0], 2));
    let failing = Server {
        wrong: |node| if node == 3 { StatusCode::BadOutOfMemory } else { StatusCode::Good },
        ..Server::new(1000, 1)
    };
    let error = children(&failing, &[1, 2, 3, 4]).expect_err("failed");
    assert!(error.is_transient() && error.to_string().contains("cannot browse ns=1;i=3"), "{error}");
}

#[test]
fn an_answer_that_is_too_short_is_an_error() {
    let short = Server { missing: 1, ..Server::new(1000, 1) };
    let error = children(&short, &[1, 2, 3]).expect_err("short").to_string();
    assert!(error.contains("answered 2 of 3 requests"), "{error}");
}
