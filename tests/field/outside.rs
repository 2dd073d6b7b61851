//! Folders of files that are not here: `TIDEMILL_FIELD` names where they are, `outside.toml` says what must come out of each.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;

use serde::Deserialize;
use tidemill_engine::environment::variable;
use toml::{Table, Value};

use super::expected::Expected;
use super::kind::{Kind, Pipeline};

/// What can be asked of one folder.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    folder: String,
    /// Read together, in this order.
    files: Vec<String>,
    /// Options laid over what `init` writes for them.
    #[serde(default)]
    source: Table,
    /// Stages in place of those that `init` writes.
    #[serde(default)]
    stage: Vec<Value>,
    /// Records, or as much of each as matters.
    #[serde(default)]
    records: Vec<Table>,
    #[serde(default)]
    rejects: Vec<String>,
    #[serde(default)]
    said: Vec<String>,
    #[serde(default)]
    fails: Vec<String>,
}

#[derive(Deserialize)]
struct Cases {
    case: Vec<Case>,
}

/// Checks all folders, or says that there are none.
pub(crate) fn check(random: &mut u64) {
    let Cases { case: cases } = toml::from_str(include_str!("outside.toml")).expect("cases");
    let folders = cases.iter().map(|case| case.folder.as_str()).collect::<BTreeSet<_>>().len();
    let Some(place) = variable("TIDEMILL_FIELD") else {
        say(&format!("skipped: {} folders, because TIDEMILL_FIELD does not say where they are", folders));
        return;
    };
    let place = Path::new(&place);
    check_all_are_asked(place, &cases);
    for case in cases {
        let name = format!("{}: {}", case.folder, case.files.join(", "));
        case.kind(place).check(random);
        say(&format!("right: {name}"));
    }
    say(&format!("right: all {} folders", folders));
}

impl Case {
    fn kind(self, place: &Path) -> Kind {
        let files = self.files.iter().map(|file| place.join(&self.folder).join(file)).collect();
        // What TOML has no word for, such as null and integers above those of 64 bits with a sign, stands in a text, in parentheses.
        let bare = |value: &serde_json::Value| {
            let inner = value.as_str()?.strip_prefix('(')?.strip_suffix(')')?;
            serde_json::from_str(inner).ok()
        };
        let json = |record: &Table| {
            let mut record = serde_json::to_value(record).expect("JSON");
            let values = record.as_object_mut().into_iter().flat_map(serde_json::Map::values_mut);
            values.for_each(|value| *value = bare(value).unwrap_or_else(|| value.take()));
            record.to_string()
        };
        Kind {
            name: format!("{}, {}", self.folder, self.files.join(", ")),
            files,
            pipeline: Pipeline::Init { source: self.source, stages: self.stage },
            expected: Expected {
                records: self.records.iter().map(json).collect(),
                is_partial: true,
                rejects: self.rejects,
                said: self.said,
                fails: self.fails,
            },
        }
    }
}

/// No folder and no file is left out.
fn check_all_are_asked(place: &Path, cases: &[Case]) {
    let entries =
        |folder: &Path| fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    for folder in entries(place).filter(|entry| entry.path().is_dir()) {
        let name = folder.file_name().to_string_lossy().into_owned();
        let of: Vec<_> = cases.iter().filter(|case| case.folder == name).collect();
        for file in entries(&folder.path()) {
            let file = file.file_name().to_string_lossy().into_owned();
            let is_asked = of.iter().any(|case| case.files.contains(&file));
            assert!(is_asked, "nothing says what must come out of {name}/{file}");
        }
    }
}

/// Past the harness, which keeps what tests say that pass.
fn say(text: &str) {
    let _nobody_reads = writeln!(std::io::stderr(), "field of others, {text}");
}
