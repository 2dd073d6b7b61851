//! What the sources of text have in common: a format and the files, pipes or sockets that it is read from.

use std::path::PathBuf;
use std::sync::Arc;

use super::file::{FileOptions, beginning};
use super::stream::HEAD;
use super::{OpenOptions, Source, SourceSpec, Traits};
use crate::atomic::Outputs;
use crate::error::{Error, Result};
use crate::files::Base;
use crate::format::{Format, Head, unpivoted};
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

    fn header(&self, file: &str) -> Result<Option<Vec<u8>>> {
        let format = unpivoted(self.format(&OpenOptions::default())?);
        if format.names_sensors_after_files() {
            return Err(Error::config("the sensors are named after the files that their records are in")
                .with_help("repair the files themselves, and run the pipeline again"));
        }
        let files = self.file_options().files(T::EXTENSIONS, &Outputs::default()).unwrap_or_default();
        let found = files.iter().find(|found| *found.name == *file && found.is_at_rest());
        let Some(found) = found else {
            return match format.records_name_fields() || format.declared(file)?.is_some() {
                true => Ok(Some(Vec::new())),
                false => Err(Error::unavailable(format!(
                    "{file} does not exist any more, and records need its header"
                ))
                .with_help(
                    "restore it; or write header and records into a file, and run the pipeline over that",
                )),
            };
        };
        let mut bytes = beginning(found, HEAD)?;
        let head = Head { name: &found.name, stem: &found.stem, bytes: &bytes, is_whole: bytes.len() < HEAD };
        let length = format.bind(head, &Arc::new(format.schema(head)?))?.skip_bytes;
        bytes.truncate(length);
        Ok(Some(bytes))
    }

    fn open(&self, options: &OpenOptions) -> Result<Box<dyn Source>> {
        let format = unpivoted(self.format(options)?);
        Ok(Box::new(self.file_options().open(format, T::EXTENSIONS, options)?))
    }
}
