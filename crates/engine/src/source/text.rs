//! What the sources of text have in common: a format and the files, pipes or sockets that it is read from.

use std::path::PathBuf;
use std::sync::Arc;

use super::file::FileOptions;
use super::{OpenOptions, Source, SourceSpec, Traits};
use crate::atomic::Outputs;
use crate::error::Result;
use crate::files::Base;
use crate::format::{Format, unpivoted};
use crate::options::{merged, parameters_of};
use crate::time::TimeParser;

/// A source of text: its options, and the format that they make. The rest of [`SourceSpec`] follows.
pub(super) trait TextSource: Clone + Send + Sync + 'static {
    /// The name under which it is registered.
    const NAME: &'static str;

    /// The extensions of files read in a folder.
    const EXTENSIONS: &'static [&'static str];

    /// The files to read.
    fn file_options(&self) -> &FileOptions;

    /// The same source of other files.
    fn with_files(&self, files: FileOptions) -> Self;

    /// All options but those of its files, including defaults.
    fn format_parameters(&self) -> serde_json::Value;

    /// As [`SourceSpec::times`].
    ///
    /// # Errors
    /// A configuration error if the options that describe the time format contradict one another.
    fn time_parser(&self) -> Result<Option<TimeParser>>;

    /// The format that the options describe.
    ///
    /// # Errors
    /// A configuration error that names the option.
    fn format(&self, options: &OpenOptions) -> Result<Arc<dyn Format>>;
}

impl<T: TextSource> SourceSpec for T {
    fn name(&self) -> &str {
        T::NAME
    }

    fn parameters(&self) -> serde_json::Value {
        merged([parameters_of(self.file_options()), self.format_parameters()])
    }

    fn traits(&self) -> Traits {
        self.file_options().traits()
    }

    fn ticks(&self) -> bool {
        self.file_options().ticks()
    }

    fn can_resume(&self) -> bool {
        true
    }

    fn files(&self, outputs: &Outputs) -> Vec<PathBuf> {
        self.file_options().paths(T::EXTENSIONS, outputs)
    }

    fn exclusive(&self) -> Vec<String> {
        self.file_options().exclusive()
    }

    fn with_base(&self, base: &Base) -> Option<Arc<dyn SourceSpec>> {
        Some(Arc::new(self.with_files(self.file_options().with_base(base))))
    }

    fn times(&self) -> Result<Option<TimeParser>> {
        self.time_parser()
    }

    fn open(&self, options: &OpenOptions) -> Result<Box<dyn Source>> {
        let format = unpivoted(self.format(options)?);
        Ok(Box::new(self.file_options().open(format, T::EXTENSIONS, options)?))
    }
}
