//! Why no options read a file.

/// Why no options read a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Refusal {
    pub(in crate::cli) why: String,
    /// What to do about it.
    pub(in crate::cli) help: &'static str,
}

impl Refusal {
    pub(super) fn of_json(line: usize, why: &str) -> Self {
        Self {
            why: format!("it begins as JSON does, and has no object that can be read; line {line}: {why}"),
            help: "write it anew as JSON: names and texts in double quotes, null for what is missing",
        }
    }

    pub(super) fn of_arrays() -> Self {
        Self {
            why: "it is JSON without objects, and records are objects".to_owned(),
            help: "write an object for each record, or CSV with a line for each",
        }
    }

    pub(super) fn of_markup() -> Self {
        Self { why: "it is HTML or XML as it seems".to_owned(), help: "export the data as CSV or JSON" }
    }

    pub(super) fn of_bytes() -> Self {
        Self {
            why: "its first line has bytes that no text has".to_owned(),
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
