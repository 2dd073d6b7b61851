//! The one error type: what happened, where, and what to do next.
//!
//! An [`Error`] ends a run; a [`Rejection`] sets one record aside and the run goes on. Both hold names and texts from outside as they came,
//! and show them with [`visible`].

pub mod guard;
mod masks;
mod nearest;
mod pieces;
mod visible;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::offset::{Position, Trigger};

pub use masks::Masks;
pub use masks::{Spelling, each_text};
pub use nearest::nearest;
pub use visible::is_obeyed;
pub use visible::{visible, visible_lines};

/// The result of everything that can end a run.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a run ended early. As large as one pointer.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    /// What belongs to the message, one line each.
    lines: Vec<String>,
    position: Option<Position>,
    part: Option<Part>,
    help: Option<String>,
    is_broken_pipe: bool,
    is_transient: bool,
}

/// The class of an [`Error`]; each has the exit code that `sysexits.h` gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The command line cannot be understood.
    Usage,
    /// The input is not what the pipeline says it is.
    Data,
    /// Something that should be there is not: an input file, an alert command.
    Unavailable,
    /// A component broke its own promise; always a bug.
    Internal,
    /// Reading or writing failed.
    Io,
    /// The pipeline is wrong: an unknown option, a missing column, a stage that cannot run here.
    Config,
    /// The user asked to stop.
    Interrupted,
}

/// A part of a pipeline, counted from 0 as in messages and in `--set`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// A source.
    Source(usize),
    /// A stage.
    Stage(usize),
    /// A sink.
    Sink(usize),
}

impl ErrorKind {
    /// The exit code of a process that ends with this kind of error.
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

    /// What the operating system said about `path`. A missing file or folder is
    /// [`ErrorKind::Unavailable`], everything else [`ErrorKind::Io`].
    pub fn io(doing: &str, path: impl fmt::Display, error: &std::io::Error) -> Self {
        use std::io::ErrorKind as Os;
        let (kind, help) = match error.kind() {
            Os::NotFound => (ErrorKind::Unavailable, "check the path"),
            Os::PermissionDenied => (ErrorKind::Io, "check who may read or write there"),
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
        // A number, or a few letters, would be read as a word of the sentence.
        let is_word = path.chars().all(char::is_alphanumeric);
        let is_number = path.bytes().all(|letter| letter.is_ascii_digit());
        let path =
            if is_word && (is_number || path.chars().count() < 4) { format!("`{path}`") } else { path };
        let mut result = Self::new(kind, format!("cannot {doing} {path}: {}", plain(error)));
        result.0.is_transient = passes(error);
        if help.is_empty() { result } else { result.with_help(help) }
    }

    /// Whoever read the standard output has closed it: the run ends, and there is nothing to complain about.
    pub fn broken_pipe() -> Self {
        let mut error = Self::new(ErrorKind::Io, "standard output is closed");
        error.0.is_broken_pipe = true;
        error
    }

    /// Whether it is [`Error::broken_pipe`].
    pub fn is_broken_pipe(&self) -> bool {
        self.0.is_broken_pipe
    }

    /// The same error, of something that may succeed when it is tried again later: a full disk, a server that does not answer.
    pub fn transient(mut self) -> Self {
        self.0.is_transient = true;
        self
    }

    /// Whether what failed may succeed when it is tried again later. What the system says of files and sockets tells it by itself:
    /// there is no room, it is interrupted, it is busy, it takes too long, nobody answers.
    pub fn is_transient(&self) -> bool {
        self.0.is_transient
    }

    /// The same error, at a place in the input.
    pub fn with_position(mut self, position: Position) -> Self {
        self.0.position = Some(position);
        self
    }

    /// The same error, with what to do next.
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.0.help = Some(help.into());
        self
    }

    /// The same error, with more that belongs to its message, one line each.
    pub fn with_lines(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.0.lines.extend(lines);
        self
    }

    /// The same error, with `change` made to all its text.
    pub fn map_text(mut self, change: impl Fn(&str) -> String) -> Self {
        let Inner { message, lines, help, .. } = &mut *self.0;
        std::iter::once(message).chain(lines).chain(help).for_each(|text| *text = change(text));
        self
    }

    /// The same error, with `change` made to the name of the file that it is about.
    pub fn map_file(mut self, change: impl Fn(&str) -> String) -> Self {
        if let Some(position) = &mut self.0.position {
            position.file = change(&position.file).into();
        }
        self
    }

    /// The same error, its message preceded by who met it: `stage 2 (normalize): …`.
    pub fn with_context(mut self, context: impl fmt::Display) -> Self {
        self.0.message = format!("{context}: {}", self.0.message);
        self
    }

    /// The same error, with the part of the pipeline that it belongs to.
    pub fn with_part(mut self, part: Part) -> Self {
        self.0.part = Some(part);
        self
    }

    /// The part of the pipeline that it belongs to.
    pub fn part(&self) -> Option<Part> {
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

    /// What belongs to the message, one line each.
    pub fn lines(&self) -> &[String] {
        &self.0.lines
    }

    /// Where in the input it happened.
    pub fn position(&self) -> Option<&Position> {
        self.0.position.as_ref()
    }

    /// What to do next.
    pub fn help(&self) -> Option<&str> {
        self.0.help.as_deref()
    }
}

/// Whether the same call may succeed later, with nothing but time gone by.
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

/// An operating system error without its `(os error 28)` tail, in lower case.
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

/// Whether a record was refused for what it says or for when it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RejectionKind {
    /// The record cannot be read as the pipeline says (clauses 2–5).
    Malformed,
    /// The record is older than its series' newest by more than the bound (clause 9).
    Late,
    /// The record's time is further ahead of the clock than is believed.
    Ahead,
    /// It is a header, and not that of the file: what is behind it has other columns. That ends the run (clause 5).
    OtherHeader,
}

/// A record set aside: it goes to the dead letter and into the counts, never silently (clause 7).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rejection {
    /// Malformed or late.
    pub kind: RejectionKind,
    /// Where the record begins.
    pub position: Position,
    /// Which record of the input it is, from 1; 0 where that is not known.
    pub record: u64,
    /// The record that decided it, where that may be a later one.
    pub decided: Option<Trigger>,
    /// The column at fault, where there is one.
    pub column: Option<Arc<str>>,
    /// What is wrong with it, for people.
    pub reason: String,
    /// The record's bytes as they came, without the line end.
    pub raw: Vec<u8>,
}

impl Rejection {
    /// Its place in the order of what one chunk sets aside: that of the record that decided it.
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
