//! The nodes that browse paths match: level by level from the root, only where a path leads.

use std::collections::HashSet;

use opcua::types::{NodeClass, NodeId, ObjectId, ReferenceDescription, ReferenceTypeId};
use tidemill_engine::error::{Error, Result};

use crate::pattern::{Pattern, State, Step};
use crate::references::{BATCH, Browse, Browser};

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
pub(crate) async fn matched(browser: &mut Browser<'_, impl Browse>, pattern: &Pattern) -> Result<Vec<Found>> {
    let mut ways = vec![Way { id: ObjectId::RootFolder.into(), path: Vec::new(), state: pattern.start() }];
    let (mut seen, mut found) = (HashSet::new(), Vec::new());
    while !ways.is_empty() {
        let mut next = Vec::new();
        for batch in ways.chunks(BATCH) {
            let parents: Vec<_> = batch.iter().map(|way| way.id.clone()).collect();
            let children = browser.children(&parents, ReferenceTypeId::HierarchicalReferences).await?;
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
