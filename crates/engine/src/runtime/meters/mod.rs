//! A run in progress, seen from outside: counts and states that its threads store in atomics, so that whoever reads them delays none of them.
//!
//! | module | what it has |
//! |---|---|
//! | `cells` | the atomics of each part of the run, and what its threads store in them |
//! | `board` | all of them, with the names of the parts; whether the run moves, and what stands still |
//! | `text` | all of them in the text format of Prometheus |

mod board;
mod cells;
mod text;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

pub(crate) use board::Board;
pub(crate) use cells::{CheckpointMeters, CrewMeters, SinkMeters};

/// Shows a run in progress to other threads: its counts, whether it is ready, and whether it moves. For one run at a time; clones show the same run. Given to a run by
/// [`RunOptions::meters`](super::RunOptions::meters).
#[derive(Clone, Default)]
pub struct Meters(Arc<RwLock<Option<Arc<Board>>>>);

impl Meters {
    /// All metrics of the run, in the text format of Prometheus; empty before the run has begun.
    pub fn prometheus(&self) -> String {
        self.board().map_or_else(String::new, |board| text::page(&board))
    }

    /// Whether the run has begun: its sources have, and its sinks are open.
    pub fn has_begun(&self) -> bool {
        self.board().is_some()
    }

    /// What keeps the run from being ready: that it has not begun; sources that have had no connection for 10 seconds; sinks that have accepted nothing, or delivered
    /// nothing, for so long. Empty when it is ready.
    pub fn obstacles(&self) -> Vec<String> {
        self.board().map_or_else(|| vec!["the run has not begun".to_owned()], |board| board.obstacles())
    }

    /// Whether the run moves, has nothing to do, or waits for a source or a sink: false if its workers have had something to do for a minute and have done nothing.
    pub fn is_live(&self) -> bool {
        self.board().is_none_or(|board| board.is_live())
    }

    /// The run begins.
    pub(crate) fn begin(&self, board: Board) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(board));
    }

    /// Locked only while a run begins.
    pub(crate) fn board(&self) -> Option<Arc<Board>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Meters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meters")
    }
}
