//! Secrets of this process's pipelines, which are masked in all that is written.

use std::sync::{Mutex, PoisonError};

use tidemill_core::error::hide_secrets;
use tidemill_engine::pipeline::Secrets;

static SECRETS: Mutex<Vec<Secrets>> = Mutex::new(Vec::new());

/// From now on, these are masked in everything.
pub(super) fn hide(secrets: &Secrets) {
    if !secrets.is_empty() {
        SECRETS.lock().unwrap_or_else(PoisonError::into_inner).push(secrets.clone());
    }
}

/// A message without their values.
pub(super) fn message(text: &str) -> String {
    masked(text, |secrets, text| secrets.hide(text).into_owned())
}

/// The same for text with data, such as a report: short values are not looked for, since data may be equal to them.
pub(super) fn data(text: &str) -> String {
    masked(text, |secrets, text| secrets.masks().hide_long(text).into_owned())
}

fn masked(text: &str, hide: impl Fn(&Secrets, &str) -> String) -> String {
    let secrets = SECRETS.lock().unwrap_or_else(PoisonError::into_inner);
    let text = secrets.iter().fold(text.to_owned(), |text, secrets| hide(secrets, &text));
    hide_secrets(&text).into_owned()
}
