//! The progress of a run, on standard error.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing::Level;

use super::args::{DriveArgs, ProgressMode};
use super::summary::count;
use super::{interrupt, log, output};
use tidemill_engine::executor::Observer;
use tidemill_engine::source::Progress;

/// With a known total: share done, rate, remaining time.
const BAR: &str = "{prefix} [{bar:30}] {percent:>3} %  {msg}, {eta} left";
/// Without: amount and rate.
const SPINNER: &str = "{prefix} {spinner} {msg}";

/// Without a terminal and a known total, a line is written this often.
const PAUSE: Duration = Duration::from_secs(5);

/// Shows a bar on a terminal, a line for every tenth elsewhere (every 5 s where the end is not known), or nothing.
pub(super) struct Display {
    bar: Option<ProgressBar>,
    lines: bool,
    pass: String,
    tenth: u64,
    start: Instant,
    spoke: Instant,
    last: Progress,
}

impl Display {
    /// What `args` ask for.
    pub(super) fn new(args: &DriveArgs) -> Self {
        let is_terminal = output::is_terminal();
        let is_wanted = !args.quiet
            && (args.progress == ProgressMode::Always || args.progress == ProgressMode::Auto && is_terminal);
        // A bar between the lines of a log would be for nobody.
        let is_terminal = is_terminal && !log::is_json();
        let bar = (is_wanted && is_terminal)
            .then(|| ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10)));
        Self {
            bar,
            lines: is_wanted && !is_terminal,
            pass: String::new(),
            tenth: 0,
            start: Instant::now(),
            spoke: Instant::now(),
            last: Progress::default(),
        }
    }

    /// Removes the bar.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn begin(&mut self, pass: &str, progress: Progress) {
        pass.clone_into(&mut self.pass);
        self.start = Instant::now();
        self.tenth = 0;
        let Some(bar) = &self.bar else { return };
        bar.reset();
        let template = if progress.total.is_some() { BAR } else { SPINNER };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_prefix(pass.to_owned());
    }

    fn rate(&self, records: u64) -> String {
        let seconds = self.start.elapsed().as_secs_f64().max(1e-3);
        format!("{} records, {} /s", count(records), count((records as f64 / seconds) as u64))
    }
}

fn tell(line: &str) {
    match log::is_json() {
        true => log::page(Level::INFO, "progress", line),
        false => output::note(line),
    }
}

impl Observer for Display {
    fn committing(&mut self) {
        interrupt::commits();
    }

    fn progress(&mut self, pass: &str, progress: Progress, records: u64) {
        interrupt::advance();
        if self.bar.is_none() && !self.lines {
            return;
        }
        if self.pass != pass || progress.done < self.last.done {
            self.begin(pass, progress);
        }
        self.last = progress;
        if let Some(bar) = &self.bar {
            if let Some(total) = progress.total {
                bar.set_length(total);
            }
            bar.set_position(progress.done);
            bar.set_message(self.rate(records));
            return;
        }
        match progress.total {
            Some(total) => {
                let tenth = progress.done.saturating_mul(10) / total.max(1);
                if tenth > self.tenth {
                    self.tenth = tenth;
                    tell(&format!("{pass}: {} %, {}", tenth * 10, self.rate(records)));
                }
            }
            None if self.spoke.elapsed() >= PAUSE => {
                self.spoke = Instant::now();
                tell(&format!("{pass}: {}", self.rate(records)));
            }
            None => {}
        }
    }
}
