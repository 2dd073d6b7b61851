//! The sink `mail` of **tidemill**: alerts, or any records, by e-mail. A program that links this crate can use it by name.
//!
//! | module | |
//! |---|---|
//! | `options` | the options, and the component |
//! | `budget` | how many mails may still be sent |
//! | `held` | what waits for that, also across restarts |
//! | `outgoing` | mails on their way, and the thread that sends what has waited |
//! | `transport` | SMTP, and what the answers mean |
//! | `sink` | the running sink |

mod budget;
mod held;
mod options;
mod outgoing;
mod sink;
mod transport;

pub use options::{Mail, Security};
