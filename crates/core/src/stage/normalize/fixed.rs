//! Constants that are fixed before the run: fitted in a first pass, or loaded from a file.

use std::sync::Arc;

use super::apply::Apply;
use super::constants::FitFile;
use super::options::Normalize;
use crate::batch::Schema;
use crate::error::Result;
use crate::paths::FilePath;
use crate::stage::{Process, Reach, Stage};

/// The stage after its first pass, or with constants from a file.
pub(super) struct FixedNormalize {
    options: Normalize,
    file: Arc<FitFile>,
}

impl FixedNormalize {
    pub(super) fn new(options: &Normalize, file: FitFile) -> Self {
        Self { options: options.clone(), file: Arc::new(file) }
    }
}

impl Stage for FixedNormalize {
    fn name(&self) -> &str {
        "normalize"
    }

    fn parameters(&self) -> serde_json::Value {
        self.options.parameters()
    }

    fn reach(&self) -> Reach {
        Reach::Row
    }

    fn keeps_state(&self) -> bool {
        false
    }

    fn output(&self, input: &Schema) -> Result<Schema> {
        self.options.bind(input).map(|(schema, _)| schema)
    }

    fn start(&self, input: &Arc<Schema>) -> Result<Box<dyn Process>> {
        let file = Arc::clone(&self.file);
        let lookup = move |sensor: &str, column: &str| file.get(sensor, column);
        Ok(Box::new(Apply::new(&self.options, input, lookup)?))
    }

    fn loads(&self) -> Option<&FilePath> {
        self.options.load.as_ref()
    }

    fn load(&self, text: &str) -> Result<Arc<dyn Stage>> {
        self.options.load(text)
    }

    fn fitted(&self) -> Option<String> {
        self.options.fit.then(|| self.file.to_text().ok()).flatten()
    }

    fn memory(&self) -> String {
        self.options.memory()
    }
}
