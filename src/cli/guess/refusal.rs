//! Why no options can read a file.

/// Why no options can read a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Refusal {
    pub(in crate::cli) why: String,
    /// What to do about it.
    pub(in crate::cli) help: &'static str,
}

impl Refusal {
    pub(super) fn of_json(line: usize, why: &str) -> Self {
        Self {
            why: format!("it begins like JSON, but has no readable object; line {line}: {why}"),
            help: "write it as JSON: names and texts in double quotes, null for missing values",
        }
    }

    pub(super) fn of_arrays() -> Self {
        Self {
            why: "it is JSON without objects, and a record must be an object".to_owned(),
            help: "write one object per record, or CSV with one line per record",
        }
    }

    pub(super) fn of_markup() -> Self {
        Self { why: "it seems to be HTML or XML".to_owned(), help: "export the data as CSV or JSON" }
    }

    pub(super) fn of_bytes() -> Self {
        Self {
            why: "its first line has bytes that are not text".to_owned(),
            help: "unpack an archive; export a spreadsheet or a database as CSV",
        }
    }

    pub(super) fn of_names(names: usize, fields: usize) -> Self {
        Self {
            why: format!("its header has {names} names, and its records have {fields} fields"),
            help: "a comma as decimal mark and as delimiter cannot be told apart: export it with another delimiter, or give it names for all fields",
        }
    }
}
