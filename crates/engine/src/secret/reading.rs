//! The pipeline file that is being read on this thread: where its secrets come from, and which it has. A deserialiser is given nothing but the text, so
//! what belongs to the file is found by thread, for as long as the file is read.

use std::cell::RefCell;
use std::rc::Rc;

use super::file::{self, Contents};
use super::{Reference, Secret};
use crate::environment;
use crate::error::{Error, Hidden, Result};
use crate::files::Base;

/// Where the values of variables come from.
type Lookup = dyn Fn(&str) -> Option<String>;

thread_local! {
    static OPEN: RefCell<Option<(Reading, FoundSecrets)>> = const { RefCell::new(None) };
}

/// How the secrets of a pipeline file are read.
#[derive(Clone)]
pub(crate) struct Reading {
    base: Base,
    lookup: Rc<Lookup>,
    /// Text with values from the environment: what it came to, and how it is written.
    variables: Vec<(String, String)>,
}

/// The secrets of a pipeline file.
#[derive(Clone, Default)]
pub(crate) struct FoundSecrets {
    /// Their values, which are hidden for as long as these live.
    pub(crate) hidden: Vec<Hidden>,
    /// What is worth knowing about them.
    pub(crate) remarks: Vec<String>,
    /// Which of them are written in the file itself.
    pub(crate) inline: Vec<Hidden>,
}

impl Reading {
    /// Files from `base` on, and variables by `lookup`.
    pub(crate) fn new(base: Base, lookup: impl Fn(&str) -> Option<String> + 'static) -> Self {
        Self { base, lookup: Rc::new(lookup), variables: Vec::new() }
    }

    /// The same, where text that is `written` so came to that.
    pub(crate) fn with_variables(self, variables: Vec<(String, String)>) -> Self {
        Self { variables, ..self }
    }

    /// Makes secrets in `act` those of this file; gives what it gave, and the secrets.
    pub(crate) fn around<T>(self, act: impl FnOnce() -> T) -> (T, FoundSecrets) {
        /// Puts back what was there, after a panic too.
        struct Closes(Option<(Reading, FoundSecrets)>);
        impl Drop for Closes {
            fn drop(&mut self) {
                OPEN.replace(self.0.take());
            }
        }
        let _at_the_end = Closes(OPEN.replace(Some((self, FoundSecrets::default()))));
        let result = act();
        let found = OPEN.take().map(|(_, found)| found);
        (result, found.unwrap_or_default())
    }
}

/// The secret behind `reference`, which names an environment variable or a file.
pub(super) fn read(reference: Reference) -> Result<Secret> {
    let open = OPEN.with_borrow(|open| open.as_ref().map(|(reading, _)| reading.clone()));
    let reading = open.unwrap_or_else(|| Reading::new(Base::default(), environment::variable));
    let mut remark = None;
    let value = match &reference {
        Reference::Env(name) => of_variable(name, (reading.lookup)(name))?,
        Reference::File(path) => {
            let Contents { text, is_open } = file::read(&path.with_base(&reading.base))?;
            remark = is_open.then(|| {
                let path = path.written();
                format!(
                    "every user of this machine can read the secret in {path}: `chmod o= {path}` ends that"
                )
            });
            text
        }
        Reference::Text(text) => text.clone(),
    };
    Ok(noted(Secret::of(reference, value), remark))
}

/// The secret that is written in the pipeline itself, if only by a variable.
pub(super) fn inline(value: String) -> Result<Secret> {
    if value.is_empty() {
        return Err(Error::config("the secret is empty"));
    }
    let is_of = |(came_to, _): &&(String, String)| *came_to == value;
    let written = OPEN.with_borrow(|open| {
        let (reading, _) = open.as_ref()?;
        reading.variables.iter().find(is_of).map(|(_, written)| written.clone())
    });
    if let Some(written) = written {
        return Ok(noted(Secret::of(Reference::Text(written), value), None));
    }
    let secret = noted(
        Secret::new(value),
        Some("a secret is written in the pipeline file: `{ env = \"NAME\" }` or `{ file = \"path\" }` keeps it out".into()),
    );
    in_file(&secret.hidden);
    Ok(secret)
}

/// Text that may have been meant as a secret stands in the pipeline file.
pub(super) fn mistaken(value: String) {
    if !value.is_empty() {
        in_file(&Hidden::new(value, super::INLINE.to_owned()));
    }
}

fn in_file(hidden: &Hidden) {
    OPEN.with_borrow_mut(|open| {
        if let Some((_, found)) = open {
            found.inline.push(hidden.clone());
        }
    });
}

fn of_variable(name: &str, value: Option<String>) -> Result<String> {
    match value {
        None => Err(Error::config(format!("the variable `{name}` is not set"))
            .with_help("set it where the command is started")),
        Some(value) if value.is_empty() => {
            Err(Error::config(format!("the variable `{name}` is empty")).with_help("set it to the secret"))
        }
        Some(value) => Ok(value),
    }
}

fn noted(secret: Secret, remark: Option<String>) -> Secret {
    OPEN.with_borrow_mut(|open| {
        let Some((_, found)) = open else { return };
        found.hidden.push(secret.hidden.clone());
        // An option is read again where another one is wrong.
        found.remarks.extend(remark.filter(|remark| !found.remarks.contains(remark)));
    });
    secret
}
