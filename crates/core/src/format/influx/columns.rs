//! Which columns line protocol has: those of the options, and the tags and fields of the first records.

use super::Influx;
use super::options::InfluxOptions;
use super::sample::{KeySample, SampledKey};
use crate::batch::{FieldType, Pattern, Schema};
use crate::error::{Error, Result};
use crate::format::Head;
use crate::format::columns::Columns;

impl Influx {
    /// The columns of every input, then the texts that the options name, under their names in the records.
    fn named(&self) -> Vec<String> {
        let own = self.columns.own_columns().into_iter().chain(self.table());
        let named = own.chain(self.options.texts.iter().flatten().map(String::as_str));
        named.map(|name| self.columns.written_name(name)).collect()
    }

    /// The table's own column, if it has one.
    fn table(&self) -> Option<&str> {
        own_table(&self.options, &self.columns)
    }

    /// The schema, if the options define all columns.
    pub(super) fn schema_of_options(&self, head: Head<'_>) -> Result<Schema> {
        let mut names = self.named();
        for name in self.columns.named_fields().unwrap_or_default() {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        self.columns.schema_of(head.name, &names, |_| FieldType::Text)
    }

    /// The tags that the sensor is composed of, under their names in the records.
    fn sensor_tags(&self) -> Vec<String> {
        let own = self.columns.own_columns().into_iter();
        let tags = own.filter(|&name| name != self.options.time && name != self.options.table);
        tags.map(|name| self.columns.written_name(name)).collect()
    }

    /// Whether the options define the columns, so that no records have to be sampled.
    pub(super) fn knows_names(&self) -> bool {
        let InfluxOptions { measurements, texts, .. } = &self.options;
        let has_glob = || measurements.iter().chain(texts).flatten().any(|name| Pattern::new(name).is_glob());
        measurements.is_some() && texts.is_some() && !has_glob()
    }

    /// The tags and fields that have to be seen before all columns are known.
    pub(super) fn sought(&self) -> Option<Vec<String>> {
        let table = self.columns.written_name(&self.options.table);
        let time = self.columns.written_name(&self.options.time);
        let mut sought = self.columns.sought_fields()?;
        sought.retain(|name| *name != table && *name != time);
        Some(sought)
    }

    /// Remarks each tag and field that the options name and the first records do not have.
    pub(super) fn check_there(&self, found: &KeySample) {
        let InfluxOptions { measurements, texts, .. } = &self.options;
        if self.columns.may_differ() {
            // Another file may have it.
            return;
        }
        for (option, names) in [("measurements", measurements), ("texts", texts)] {
            let missing = names.iter().flatten().filter(|name| found.key(name).is_none());
            missing.for_each(|name| self.is_missing(option, name));
        }
    }

    fn is_missing(&self, option: &str, name: &str) {
        self.columns.remark(format!("`{name}` in `{option}` is not a tag or field of the first records"));
    }

    /// The same format with names instead of globs.
    pub(super) fn without_globs(&self, found: &KeySample) -> Result<Self> {
        let mut options = self.options.clone();
        let mut taken = self.named();
        taken.extend(options.measurements.iter().flatten().cloned());
        let groups = [("measurements", &mut options.measurements), ("texts", &mut options.texts)];
        for (option, names) in groups {
            let is_kind = |key: &SampledKey| option == "texts" || key.is_number();
            let mut own = Vec::new();
            for name in names.iter().flatten() {
                let pattern = Pattern::new(name.as_str());
                if !pattern.is_glob() || found.key(name).is_some() {
                    if option == "texts" && found.key(name).is_none() {
                        self.is_missing(option, name);
                    }
                    own.push(name.clone());
                    continue;
                }
                let is_new = |(key, kind): &(&String, &SampledKey)| {
                    pattern.fits(key) && is_kind(kind) && !taken.contains(key)
                };
                let fitting: Vec<_> = found.keys.iter().filter(is_new).map(|(key, _)| key.clone()).collect();
                if fitting.is_empty() {
                    let what = if option == "texts" { "tag or field" } else { "numeric field" };
                    self.columns
                        .remark(format!("`{name}` in `{option}` matches no {what} of the first records"));
                }
                taken.extend(fitting.iter().cloned());
                own.extend(fitting);
            }
            *names = names.as_ref().map(|_| own);
        }
        Ok(Self { origins: self.origins, sensors: self.sensors, ..Self::new(&options)? })
    }

    /// The schema derived from the options and the first records.
    pub(super) fn schema_of_sample(&self, head: Head<'_>, found: &KeySample) -> Result<Schema> {
        if found.keys.is_empty() {
            let what = format!("`{}` has no line protocol among its first lines", head.name);
            let help = "a line is `table,tag=value field=1.5 1700000000000000000`; to begin without lines, name the \
                `measurements`";
            return Err(Error::data(what).with_help(help));
        }
        self.check_own_names(head, found)?;
        let texts = &self.options.texts;
        let mut names = self.named();
        // A sensor tag that no record has is reported like a missing column.
        let sensors = self.sensor_tags();
        names.retain(|name| !sensors.contains(name) || found.key(name).is_some());
        let is_taken = |key: &SampledKey| texts.is_none() || key.is_number();
        let more = found.keys.iter().filter(|(name, key)| !names.contains(name) && is_taken(key));
        let own = names.len();
        names.extend(more.map(|(name, _)| name.clone()).collect::<Vec<_>>());
        let ty = |at: usize| {
            let is_measured = |key: &&SampledKey| {
                at >= own && key.is_number() || self.columns.names_measurement(&names[at])
            };
            found
                .key(&names[at])
                .filter(is_measured)
                .map_or(FieldType::Text, |key| key.ty.unwrap_or(FieldType::F64))
        };
        self.columns.schema_of(head.name, &names, ty)
    }

    /// Checks that no tag or field has the name of the time or table column.
    fn check_own_names(&self, head: Head<'_>, found: &KeySample) -> Result<()> {
        for (option, column) in [("time", &self.options.time), ("table", &self.options.table)] {
            if found.key(column).is_some() {
                let what = format!(
                    "`{}` has a tag or field `{column}`, the name that `{option}` gives to a column",
                    head.name
                );
                return Err(Error::config(what).with_help(format!("choose another name: {option} = \"…\"")));
            }
        }
        Ok(())
    }
}

/// The table's own column, if it has one and is not part of the sensor.
fn own_table<'o>(options: &'o InfluxOptions, columns: &Columns) -> Option<&'o str> {
    let table = options.table.as_str();
    let is_part = columns.made_sensor().is_some_and(|made| made.names().iter().any(|name| name == table));
    (!table.is_empty() && !is_part).then_some(table)
}

/// Checks that no column is named twice.
///
/// # Errors
/// A configuration error that names the column.
pub(super) fn check_named_once(options: &InfluxOptions, columns: &Columns) -> Result<()> {
    let single = columns.own_columns().into_iter().chain(own_table(options, columns));
    let listed = options.measurements.iter().chain(&options.texts).flatten().map(String::as_str);
    let named: Vec<&str> = single.chain(listed).collect();
    match named.iter().enumerate().find(|(at, name)| named[..*at].contains(name)) {
        None => Ok(()),
        Some((_, name)) => Err(Error::config(format!(
            "column `{name}` is named twice in `time`, `sensor`, `table`, `measurements` and `texts`"
        ))
        .with_help("a column is one of these only")),
    }
}
