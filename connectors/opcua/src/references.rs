//! What nodes refer to: all of it, also where the server can continue only a few answers at the same time.

use std::collections::HashSet;

use opcua::client::Session;
use opcua::types::{
    BrowseDescription, BrowseDirection, BrowseResult, BrowseResultMaskFlags, ByteString, NodeId,
    ReferenceDescription, ReferenceTypeId, StatusCode, SubStatusCode,
};
use tidemill_engine::error::Result;

use crate::failure::{all_of, failed, of_status};

/// Nodes of a request: servers may refuse more.
pub(crate) const BATCH: usize = 100;

/// The services by which a server shows references.
pub(crate) trait Browse {
    /// The first references of each node.
    async fn first(&self, of: &[BrowseDescription]) -> Result<Vec<BrowseResult>, opcua::types::Error>;

    /// Those behind each of these points, which the server remembers.
    async fn more(&self, points: &[ByteString]) -> Result<Vec<BrowseResult>, opcua::types::Error>;
}

impl Browse for Session {
    async fn first(&self, of: &[BrowseDescription]) -> Result<Vec<BrowseResult>, opcua::types::Error> {
        self.browse(of, 0, None).await
    }

    async fn more(&self, points: &[ByteString]) -> Result<Vec<BrowseResult>, opcua::types::Error> {
        self.browse_next(false, points).await
    }
}

/// Looks for references at one server.
pub(crate) struct Browser<'s, S> {
    session: &'s S,
    pub(crate) url: &'s str,
    /// The nodes whose references it does not show, or not all of them.
    hidden: HashSet<NodeId>,
}

/// What the answer about one node means.
enum Outcome {
    /// Here are references.
    Shown,
    /// This client may not see them all, or the node is gone.
    Hidden,
    /// The server has no room to remember where it was: the node is asked for again.
    NoRoom,
    Failed,
}

fn outcome(status: StatusCode) -> Outcome {
    match status.sub_code() {
        SubStatusCode::BadNoContinuationPoints | SubStatusCode::BadContinuationPointInvalid => {
            Outcome::NoRoom
        }
        SubStatusCode::BadUserAccessDenied
        | SubStatusCode::BadNodeIdUnknown
        | SubStatusCode::BadNodeIdInvalid
        | SubStatusCode::UncertainNotAllNodesAvailable => Outcome::Hidden,
        _ if status.is_bad() => Outcome::Failed,
        _ => Outcome::Shown,
    }
}

impl<'s, S: Browse> Browser<'s, S> {
    pub(crate) fn new(session: &'s S, url: &'s str) -> Self {
        Self { session, url, hidden: HashSet::new() }
    }

    /// How many nodes have references that the server does not show.
    pub(crate) fn hidden(&self) -> u64 {
        self.hidden.len() as u64
    }

    /// What each of at most [`BATCH`] nodes refers to by references of this type, in this server. A node that this client may not see has nothing, and is counted.
    ///
    /// # Errors
    /// If the server does not answer, or not for each of them.
    pub(crate) async fn children(
        &mut self,
        parents: &[NodeId],
        reference: ReferenceTypeId,
    ) -> Result<Vec<Vec<ReferenceDescription>>> {
        let mut all = vec![Vec::new(); parents.len()];
        let mut left: Vec<usize> = (0..parents.len()).collect();
        let mut most = left.len();
        while !left.is_empty() {
            let later = left.split_off(most.min(left.len()));
            let again = self.batch(parents, reference, &left, &mut all).await?;
            if again == left && left.len() == 1 {
                let doing = format!("cannot browse {}", parents[left[0]]);
                return Err(of_status(self.url, &doing, StatusCode::BadNoContinuationPoints));
            }
            if !again.is_empty() {
                // As many as there was room for.
                most = (left.len() - again.len()).max(1);
            }
            left = [again, later].concat();
        }
        Ok(all)
    }

    /// Adds what the parents at these places refer to; returns the places of those that are to be asked for again.
    async fn batch(
        &mut self,
        parents: &[NodeId],
        reference: ReferenceTypeId,
        places: &[usize],
        all: &mut [Vec<ReferenceDescription>],
    ) -> Result<Vec<usize>> {
        let wanted: Vec<_> = places.iter().map(|&at| description(parents[at].clone(), reference)).collect();
        let mut results = self.session.first(&wanted).await;
        let (mut places, mut again) = (places.to_vec(), Vec::new());
        while !places.is_empty() {
            let answered = results.map_err(|error| failed(self.url, "cannot browse", &error))?;
            let answered = all_of(self.url, "cannot browse", answered, places.len())?;
            let mut points = Vec::new();
            for (at, result) in std::mem::take(&mut places).into_iter().zip(answered) {
                match outcome(result.status_code) {
                    Outcome::Shown => {}
                    Outcome::Hidden => {
                        self.hidden.insert(parents[at].clone());
                    }
                    Outcome::NoRoom => {
                        all[at].clear();
                        again.push(at);
                        continue;
                    }
                    Outcome::Failed => {
                        let doing = format!("cannot browse {}", parents[at]);
                        return Err(of_status(self.url, &doing, result.status_code));
                    }
                }
                let is_here = |reference: &ReferenceDescription| reference.node_id.server_index == 0;
                all[at].extend(result.references.into_iter().flatten().filter(is_here));
                if !result.continuation_point.is_null_or_empty() {
                    places.push(at);
                    points.push(result.continuation_point);
                }
            }
            if points.is_empty() {
                break;
            }
            results = self.session.more(&points).await;
        }
        Ok(again)
    }
}

fn description(node_id: NodeId, reference: ReferenceTypeId) -> BrowseDescription {
    BrowseDescription {
        node_id,
        browse_direction: BrowseDirection::Forward,
        reference_type_id: reference.into(),
        include_subtypes: true,
        node_class_mask: 0,
        result_mask: BrowseResultMaskFlags::all().bits(),
    }
}

#[cfg(test)]
#[path = "references_tests.rs"]
mod tests;
