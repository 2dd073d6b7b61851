//! Where the sinks of a chaos run write, so that nothing of the user's is touched unless that was asked for.

use std::path::{Path, PathBuf};

use crate::pipeline::Pipeline;
use crate::sink::SinkSpec;

/// Where a sink writes by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
// Exhaustive: a sink writes files, or somewhere else, or nowhere.
pub enum Place {
    /// One file.
    File,
    /// Files that roll.
    Files,
    /// Standard output, which nobody reads in a chaos run, or nothing.
    Nowhere,
    /// A server, a database, a command, a pipe: what others see.
    Outside,
}

/// Where a sink writes by itself.
#[must_use]
pub fn place_of(sink: &dyn SinkSpec) -> Place {
    match () {
        () if sink.file().is_some() => Place::File,
        () if sink.rolls().is_some() => Place::Files,
        () if sink.is_stdout() || sink.name() == "null" => Place::Nowhere,
        () => Place::Outside,
    }
}

/// The file, or the folder of the files, of `sink`, the number `at`, if it writes in `folder`; `None` for a sink that writes no files.
#[must_use]
pub fn output_in(folder: &Path, at: usize, sink: &dyn SinkSpec) -> Option<PathBuf> {
    let own = folder.join(format!("sink {at}"));
    match sink.file() {
        Some(file) => Some(own.join(file.file_name()?)),
        None => sink.rolls().map(|_| own),
    }
}

/// The overrides of the pipeline's file, such as `sink.0.path="…"`, that put all files that it writes, rolling ones included, into `folder`.
#[must_use]
pub fn overrides(pipeline: &Pipeline, folder: &Path) -> Vec<String> {
    let place = |option: String, path: &Path| format!("{option}={:?}", path.to_string_lossy());
    let sinks = pipeline.sinks.iter().enumerate().filter_map(|(at, sink)| {
        let path = output_in(folder, at, &*sink.spec)?;
        let path = match sink.spec.rolls() {
            Some(template) => path.join(template.path().strip_prefix(template.root()).ok()?),
            None => path,
        };
        Some(place(format!("sink.{at}.path"), &path))
    });
    let stages = pipeline.stages.iter().enumerate();
    let saves = stages.filter(|(_, entry)| entry.stage.parameters()["save"].is_string());
    let saves =
        saves.map(|(at, _)| place(format!("stage.{at}.save"), &folder.join(format!("stage {at} fitted"))));
    sinks.chain(saves).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_put_into_the_folder() {
        let pipeline = Pipeline::from_toml(
            "[source]\ntype = 'csv'\npath = 'in.csv'\n\
             [[sink]]\ntype = 'csv'\npath = 'deep/out.csv'\n\
             [[sink]]\ntype = 'jsonl'\npath = 'out/{date}/{epoch}.jsonl'\nroll = { every = '1h' }\n\
             [[sink]]\ntype = 'console'\n\
             [[sink]]\ntype = 'null'\n\
             [[sink]]\ntype = 'alert'\ncolumn = 'v'\nabove = 1\ncommand = ['true']\n",
        );
        let pipeline = pipeline.expect("a pipeline");
        assert_eq!(
            overrides(&pipeline, Path::new("/t")),
            ["sink.0.path=\"/t/sink 0/out.csv\"", "sink.1.path=\"/t/sink 1/{date}/{epoch}.jsonl\""]
        );
        let places: Vec<_> = pipeline.sinks.iter().map(|sink| place_of(&*sink.spec)).collect();
        assert_eq!(places, [Place::File, Place::Files, Place::Nowhere, Place::Nowhere, Place::Outside]);
    }
}
