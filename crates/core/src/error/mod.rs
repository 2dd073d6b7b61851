//! The error type: what happened, where, and what to do next.
//!
//! An [`Error`] ends a run; a [`Rejection`] concerns one record, and the run continues. Both keep names and texts of external origin
//! unchanged, and escape them with [`visible`] when displayed.

mod forms;
pub mod guard;
mod hidden;
mod masks;
mod nearest;
mod pieces;
mod visible;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::offset::{Position, Trigger};

pub use hidden::{Hidden, hide_secrets, without_secrets};
pub use masks::Masks;
pub use masks::{Spelling, each_text};
pub use nearest::nearest;
pub use visible::is_obeyed;
pub use visible::{visible, visible_lines};

/// The result of operations whose failure ends a run.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a run failed. The size of one pointer.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    /// Additional lines of the message.
    lines: Vec<String>,
    position: Option<Position>,
    part: Option<PartIndex>,
    help: Option<String>,
    is_broken_pipe: bool,
    is_transient: bool,
    retry_after: Option<Duration>,
}

/// The class of an [`Error`]; each has the exit code of `sysexits.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The command line is invalid.
    Usage,
    /// The input does not have the form that the pipeline declares.
    Data,
    /// A required file or command does not exist: an input file, an alert command.
    Unavailable,
    /// A component violated its protocol; always a bug.
    Internal,
    /// Reading or writing failed.
    Io,
    /// The pipeline is invalid: an unknown option, a missing column, a stage that cannot run here.
    Config,
    /// The user stopped the run.
    Interrupted,
}

/// A part of a pipeline, counted from 0 as in messages and in `--set`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
// Exhaustive: a pipeline has no other parts.
pub enum PartIndex {
    /// A source.
    Source(usize),
    /// A stage.
    Stage(usize),
    /// A sink.
    Sink(usize),
}

impl ErrorKind {
    /// The exit code of a process that ends with an error of this kind.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Usage => 64,
            Self::Data => 65,
            Self::Unavailable => 69,
            Self::Internal => 70,
            Self::Io => 74,
            Self::Config => 78,
            Self::Interrupted => 130,
        }
    }
}

impl Error {
    /// An error of the given kind; `message` says what happened, in lower case, without a full stop.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            lines: Vec::new(),
            position: None,
            part: None,
            help: None,
            is_broken_pipe: false,
            is_transient: false,
            retry_after: None,
        }))
    }

    /// A [`ErrorKind::Usage`] error.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message)
    }

    /// A [`ErrorKind::Data`] error.
    pub fn data(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Data, message)
    }

    /// A [`ErrorKind::Unavailable`] error.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// A [`ErrorKind::Config`] error.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    /// A [`ErrorKind::Internal`] error.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// An error of the operating system at `path`. A missing file or folder is [`ErrorKind::Unavailable`], everything else
    /// [`ErrorKind::Io`].
    pub fn io(doing: &str, path: impl fmt::Display, error: &std::io::Error) -> Self {
        use std::io::ErrorKind as Os;
        let (kind, help) = match error.kind() {
            Os::NotFound => (ErrorKind::Unavailable, "check the path"),
            Os::PermissionDenied => (ErrorKind::Io, "check the permissions"),
            Os::StorageFull | Os::QuotaExceeded => {
                (ErrorKind::Io, "free some space or write elsewhere, then run again")
            }
            Os::FileTooLarge => (ErrorKind::Io, "a limit on the size of files is reached: see `ulimit -f`"),
            Os::ReadOnlyFilesystem => (ErrorKind::Io, "write elsewhere"),
            Os::NotADirectory => (ErrorKind::Io, "a part of the path is a file, not a folder"),
            Os::IsADirectory => (ErrorKind::Io, "that is a directory: name a file in it"),
            _ => (ErrorKind::Io, ""),
        };
        let path = path.to_string();
        // A number or a few letters could be read as part of the sentence.
        let is_word = path.chars().all(char::is_alphanumeric);
        let is_number = path.bytes().all(|letter| letter.is_ascii_digit());
        let path =
            if is_word && (is_number || path.chars().count() < 4) { format!("`{path}`") } else { path };
        let mut result = Self::new(kind, format!("cannot {doing} {path}: {}", plain(error)));
        result.0.is_transient = passes(error);
        if help.is_empty() { result } else { result.with_help(help) }
    }

    /// The reader of the standard output has closed it: the run ends without an error message.
    pub fn broken_pipe() -> Self {
        let mut error = Self::new(ErrorKind::Io, "standard output is closed");
        error.0.is_broken_pipe = true;
        error
    }

    /// Whether it is [`Error::broken_pipe`].
    pub fn is_broken_pipe(&self) -> bool {
        self.0.is_broken_pipe
    }

    /// Marks the error as transient: a retry may succeed, as after a full disk or a server that does not respond.
    pub fn transient(mut self) -> Self {
        self.0.is_transient = true;
        self
    }

    /// Whether a retry may succeed. Errors of the operating system are classified automatically: no space left, interrupted, busy, timed
    /// out, no response.
    pub fn is_transient(&self) -> bool {
        self.0.is_transient
    }

    /// How long the server has asked to wait before the next attempt, as by `Retry-After`: an hour counts at most, since anybody may say anything. Of effect on a
    /// [transient](Error::transient) error only.
    pub fn with_retry_after(mut self, delay: Duration) -> Self {
        /// The longest wait that a server may ask for.
        const LONGEST: Duration = Duration::from_hours(1);
        self.0.retry_after = Some(delay.min(LONGEST));
        self
    }

    /// How long to wait at least before the next attempt, if the server has said so; `None` unless the error is transient.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after.filter(|_| self.0.is_transient)
    }

    /// Adds the position in the input.
    pub fn with_position(mut self, position: Position) -> Self {
        self.0.position = Some(position);
        self
    }

    /// Adds what to do next.
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.0.help = Some(help.into());
        self
    }

    /// Adds lines to the message.
    pub fn with_lines(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.0.lines.extend(lines);
        self
    }

    /// Applies `change` to all of its text.
    pub fn map_text(mut self, change: impl Fn(&str) -> String) -> Self {
        let Inner { message, lines, help, .. } = &mut *self.0;
        std::iter::once(message).chain(lines).chain(help).for_each(|text| *text = change(text));
        self
    }

    /// Applies `change` to the name of the file at its position.
    pub fn map_file(mut self, change: impl Fn(&str) -> String) -> Self {
        if let Some(position) = &mut self.0.position {
            position.file = change(&position.file).into();
        }
        self
    }

    /// Adds a prefix to the message, such as the component: `stage 2 (normalize): …`.
    pub fn with_context(mut self, context: impl fmt::Display) -> Self {
        self.0.message = format!("{context}: {}", self.0.message);
        self
    }

    /// Adds the component of the pipeline that caused it.
    pub fn with_part(mut self, part: PartIndex) -> Self {
        self.0.part = Some(part);
        self
    }

    /// The component of the pipeline that caused it.
    pub fn part(&self) -> Option<PartIndex> {
        self.0.part
    }

    /// The class of the error.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What happened, without position and help.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The additional lines of the message.
    pub fn lines(&self) -> &[String] {
        &self.0.lines
    }

    /// The position in the input where it happened.
    pub fn position(&self) -> Option<&Position> {
        self.0.position.as_ref()
    }

    /// What to do next.
    pub fn help(&self) -> Option<&str> {
        self.0.help.as_deref()
    }
}

/// Whether the same call may succeed later without any change but time.
fn passes(error: &std::io::Error) -> bool {
    use std::io::ErrorKind as Os;
    matches!(
        error.kind(),
        Os::StorageFull
            | Os::QuotaExceeded
            | Os::Interrupted
            | Os::WouldBlock
            | Os::TimedOut
            | Os::ResourceBusy
            | Os::ConnectionRefused
            | Os::ConnectionReset
            | Os::ConnectionAborted
            | Os::NotConnected
            | Os::HostUnreachable
            | Os::NetworkUnreachable
            | Os::NetworkDown
    )
}

/// The message of an operating system error without its `(os error 28)` suffix, in lower case.
pub fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&visible(&self.0.message))?;
        self.0.lines.iter().try_for_each(|line| write!(f, "\n{}", visible(line)))?;
        if let Some(position) = &self.0.position {
            write!(f, " ({})", visible(&position.to_string()))?;
        }
        if let Some(help) = &self.0.help {
            write!(f, "; {}", visible(help))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)
    }
}

impl std::error::Error for Error {}

/// Why a record was rejected: its content, or its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum RejectionKind {
    /// The record does not have the form that the pipeline declares (clauses 2–5).
    Malformed,
    /// The record is older than its series' newest by more than the bound (clause 9).
    Late,
    /// The record's time is too far ahead: of the clock (`max_ahead`), or of its series (`max_jump`).
    Ahead,
    /// It is a header other than the file's: the records after it have other columns. That ends the run (clause 5).
    OtherHeader,
}

impl RejectionKind {
    /// The kind as the dead letter has it: "malformed", "late" or "ahead". Another header counts as malformed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed | Self::OtherHeader => "malformed",
            Self::Late => "late",
            Self::Ahead => "ahead",
        }
    }
}

/// A rejected record: it is written to the dead letter and counted (clause 7).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rejection {
    /// Why it was rejected.
    pub kind: RejectionKind,
    /// Where the record begins.
    pub position: Position,
    /// The ordinal of the record in the input, from 1; 0 if unknown.
    pub record: u64,
    /// The record that caused the rejection, if that is a later one.
    pub decided: Option<Trigger>,
    /// The column at fault, if there is one.
    pub column: Option<Arc<str>>,
    /// The reason, as a message.
    pub reason: String,
    /// The bytes of the record as in the input, without the line end.
    pub raw: Vec<u8>,
}

impl Rejection {
    /// Its position in the order of a chunk's rejections: that of the record that caused it.
    pub fn trigger(&self) -> Trigger {
        self.decided.unwrap_or(Trigger { line: self.position.line, offset: self.position.offset })
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", visible(&self.position.to_string()))?;
        if let Some(column) = &self.column {
            write!(f, "column `{}`: ", visible(column))?;
        }
        f.write_str(&visible(&self.reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_pointer_and_tells_what_where_and_next() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
        let position = Position { file: "a.csv".into(), line: 3, offset: 20 };
        let error = Error::data("bad").with_position(position).with_help("mend it").with_context("stage 1");
        assert_eq!(error.to_string(), "stage 1: bad (a.csv, line 3, byte 20); mend it");
    }

    #[test]
    fn when_to_try_again_is_told_of_transient_errors_only() {
        let error = || Error::unavailable("too many requests").with_retry_after(Duration::from_secs(3));
        assert_eq!(error().retry_after(), None);
        assert_eq!(error().transient().with_context("sink 1").retry_after(), Some(Duration::from_secs(3)));
        assert_eq!(Error::unavailable("away").transient().retry_after(), None);
        let endless = Error::unavailable("away").transient().with_retry_after(Duration::MAX);
        assert_eq!(endless.retry_after(), Some(Duration::from_hours(1)), "it can be added to any time");
    }

    #[test]
    fn what_may_pass_by_itself_is_told_from_what_will_not() {
        let of = |number| Error::io("write", "x.csv", &std::io::Error::from_raw_os_error(number));
        for number in
            [libc::ENOSPC, libc::EDQUOT, libc::EAGAIN, libc::EINTR, libc::ETIMEDOUT, libc::ECONNREFUSED]
        {
            assert!(of(number).is_transient(), "{number}");
        }
        for number in [libc::EIO, libc::EACCES, libc::EROFS, libc::ENOENT, libc::EFBIG] {
            assert!(!of(number).is_transient(), "{number}");
        }
        let error = of(libc::ENOSPC).with_context("sink 0").with_help("wait");
        assert!(error.is_transient(), "whoever adds to it does not change that");
        assert!(
            !Error::unavailable("gone").is_transient()
                && Error::unavailable("away").transient().is_transient()
        );
    }

    #[test]
    fn what_came_from_outside_forges_no_line() {
        let error = Error::data("sensor `a\nerror: b\u{1b}[31m`").with_lines(["x\ny".to_owned()]);
        assert_eq!(error.to_string(), "sensor `a\\nerror: b\\u{1b}[31m`\nx\\ny");
    }

    #[test]
    fn system_errors_lose_their_number_and_gain_a_kind() {
        let error = Error::io("open", "x.csv", &std::io::Error::from_raw_os_error(libc::ENOENT));
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(error.to_string(), "cannot open x.csv: no such file or directory; check the path");
    }
}
