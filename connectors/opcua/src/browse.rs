//! The nodes that browse paths match: level by level from the root, only where a path leads.

use std::collections::HashSet;

use opcua::client::Session;
use opcua::types::{
    BrowseDescription, BrowseDirection, BrowseResult, BrowseResultMaskFlags, ByteString, NodeClass, NodeId,
    ObjectId, ReferenceDescription, ReferenceTypeId,
};
use tidemill_engine::error::{Error, Result};

use crate::failure::failed;
use crate::pattern::{Pattern, State, Step};

/// Nodes of a request: servers may refuse more.
pub(crate) const BATCH: usize = 100;

/// The most nodes that a path may lead over.
const MOST: usize = 1_000_000;

/// A variable that a pattern matches.
pub(crate) struct Found {
    pub(crate) id: NodeId,
    pub(crate) path: Vec<Step>,
}

/// The way to a node that may lead on.
struct Way {
    id: NodeId,
    path: Vec<Step>,
    state: State,
}

/// The variables that `pattern` matches, by their paths.
///
/// # Errors
/// If the server does not answer, or the pattern leads over too many nodes.
pub(crate) async fn matched(session: &Session, url: &str, pattern: &Pattern) -> Result<Vec<Found>> {
    let mut ways = vec![Way { id: ObjectId::RootFolder.into(), path: Vec::new(), state: pattern.start() }];
    let (mut seen, mut found) = (HashSet::new(), Vec::new());
    while !ways.is_empty() {
        let mut next = Vec::new();
        for batch in ways.chunks(BATCH) {
            let parents: Vec<_> = batch.iter().map(|way| way.id.clone()).collect();
            let children = children(session, url, &parents, ReferenceTypeId::HierarchicalReferences).await?;
            for (way, children) in batch.iter().zip(children) {
                for child in children {
                    let (id, class) = (child.node_id.node_id.clone(), child.node_class);
                    let step = step_of(&child);
                    let state = pattern.step(&way.state, &step);
                    // Nodes may lead back to others.
                    if state.is_empty() || !seen.insert((id.clone(), state.clone())) {
                        continue;
                    }
                    let path = [way.path.as_slice(), &[step]].concat();
                    if pattern.is_match(&state) && class == NodeClass::Variable {
                        found.push(Found { id: id.clone(), path: path.clone() });
                    }
                    if pattern.is_open(&state) {
                        next.push(Way { id, path, state });
                    }
                }
            }
            if seen.len() > MOST {
                return Err(Error::config(format!(
                    "`nodes` {:?} leads over more than {MOST} nodes of the server",
                    pattern.written
                ))
                .with_help("write more of the path"));
            }
        }
        ways = next;
    }
    found.sort_by_cached_key(|found| found.path.iter().map(|step| step.name.clone()).collect::<Vec<_>>());
    Ok(found)
}

fn step_of(child: &ReferenceDescription) -> Step {
    let is_property = child.reference_type_id == ReferenceTypeId::HasProperty;
    let is_server = child.node_id.node_id == ObjectId::Server;
    Step {
        namespace: child.browse_name.namespace_index,
        name: child.browse_name.name.as_ref().to_owned(),
        is_aside: is_property || is_server,
    }
}

/// What each of at most [`BATCH`] nodes refers to by references of this type, in this server. A node that cannot be browsed has nothing.
///
/// # Errors
/// If the server does not answer.
pub(crate) async fn children(
    session: &Session,
    url: &str,
    parents: &[NodeId],
    reference: ReferenceTypeId,
) -> Result<Vec<Vec<ReferenceDescription>>> {
    let of = |error: opcua::types::Error| failed(url, "cannot browse", &error);
    let descriptions: Vec<_> = parents.iter().map(|parent| description(parent.clone(), reference)).collect();
    let results = session.browse(&descriptions, 0, None).await.map_err(of)?;
    let mut all = vec![Vec::new(); parents.len()];
    let mut rest = taken(&mut all, (0..parents.len()).zip(results));
    while !rest.is_empty() {
        let points: Vec<_> = rest.iter().map(|(_, point)| point.clone()).collect();
        let results = session.browse_next(false, &points).await.map_err(of)?;
        let places: Vec<_> = rest.into_iter().map(|(at, _)| at).collect();
        rest = taken(&mut all, places.into_iter().zip(results));
    }
    Ok(all)
}

/// Adds the references to those of their parents; returns where there are more.
fn taken(
    all: &mut [Vec<ReferenceDescription>],
    results: impl Iterator<Item = (usize, BrowseResult)>,
) -> Vec<(usize, ByteString)> {
    let mut rest = Vec::new();
    for (at, result) in results {
        let is_here = |reference: &ReferenceDescription| reference.node_id.server_index == 0;
        all[at].extend(result.references.into_iter().flatten().filter(is_here));
        if !result.continuation_point.is_null_or_empty() {
            rest.push((at, result.continuation_point));
        }
    }
    rest
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
