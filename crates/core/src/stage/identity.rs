//! What tells whether a saved state is one of this stage.

use serde::{Deserialize, Serialize};

use super::Stage;
use crate::batch::{Field, Schema};
use crate::error::{Error, Result};
use crate::kernel::stable_hash::stable_hash;
use crate::options::differences;

/// What a state begins with: its stage, and the records that come to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) name: String,
    /// [`Stage::state_version`].
    version: u32,
    /// As JSON.
    options: String,
    /// The columns that come in: role, type and name.
    columns: Vec<String>,
    /// A hash of the constants that it has learnt.
    learnt: Option<u64>,
}

impl Identity {
    /// Of `stage` where `input` comes in.
    pub(crate) fn of(stage: &dyn Stage, input: &Schema) -> Self {
        Self::with_columns(stage, input.fields().iter())
    }

    /// The same where only some of the columns count.
    pub(crate) fn with_columns<'f>(stage: &dyn Stage, columns: impl Iterator<Item = &'f Field>) -> Self {
        let column = |field: &Field| format!("{:?} {:?} {}", field.role, field.ty, field.name);
        Self {
            name: stage.name().to_owned(),
            version: stage.state_version(),
            options: stage.parameters().to_string(),
            columns: columns.map(column).collect(),
            learnt: stage.fitted().map(|text| stable_hash(text.as_bytes())),
        }
    }

    /// Checks that a state which says that it is of `saved` is one of this stage.
    ///
    /// # Errors
    /// A data error that says what differs.
    pub(crate) fn check(&self, saved: &Self) -> Result<()> {
        let differs = |what: String| {
            let help = "use the same stages with the same columns as when it was saved, or start without the saved state";
            Err(Error::data(format!("the saved state does not fit: {what}")).with_help(help))
        };
        if self.name != saved.name {
            return differs(format!(
                "it was saved by `{}`, and this stage is `{}`",
                saved.name.escape_debug(),
                self.name
            ));
        }
        if self.version != saved.version {
            let what = format!("its version is {}, this release reads {}", saved.version, self.version);
            return Err(Error::data(format!("the saved state does not fit: {what}"))
                .with_help("use the release that saved it, or start without the saved state"));
        }
        let options = differences(&saved.options, &self.options);
        if !options.is_empty() {
            let option = options.iter().map(|it| format!("`{}` was {}, is {}", it.name, it.before, it.now));
            return differs(option.collect::<Vec<_>>().join(", "));
        }
        if self.columns != saved.columns {
            let (then, now) = (saved.columns.join(", "), self.columns.join(", "));
            return differs(format!("the columns were {then}, are {now}"));
        }
        if self.learnt != saved.learnt {
            return differs("the learnt constants differ".into());
        }
        Ok(())
    }
}
