//! The one way to standard error.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use indicatif::{MultiProgress, ProgressDrawTarget};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogFormat, LogLevel};

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Bars and a status line, on a terminal.
    Bars,
    /// A line now and then.
    Lines,
    /// Not at all.
    Quiet,
}

/// Standard error, with the bars that stand at its end.
#[derive(Debug)]
pub(crate) struct Console {
    pub(super) bars: MultiProgress,
    form: Form,
    format: LogFormat,
}

/// What was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wishes {
    pub(crate) format: LogFormat,
    pub(crate) level: LogLevel,
    pub(crate) quiet: bool,
}

impl Console {
    /// Takes standard error over: from now on logs go through this console.
    pub(crate) fn start(wishes: Wishes) -> Arc<Self> {
        let is_terminal = io::stderr().is_terminal();
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let form = if wishes.quiet {
            Form::Quiet
        } else if is_terminal && !is_dumb && wishes.format == LogFormat::Text {
            Form::Bars
        } else {
            Form::Lines
        };
        let target = match form {
            Form::Bars => ProgressDrawTarget::stderr_with_hz(10),
            Form::Lines | Form::Quiet => ProgressDrawTarget::hidden(),
        };
        let console = Arc::new(Self {
            bars: MultiProgress::with_draw_target(target),
            form,
            format: wishes.format,
        });
        console.take_logs(wishes, is_terminal);
        console
    }

    fn take_logs(self: &Arc<Self>, wishes: Wishes, is_terminal: bool) {
        let level = if wishes.quiet {
            LevelFilter::WARN
        } else {
            match wishes.level {
                LogLevel::Error => LevelFilter::ERROR,
                LogLevel::Warn => LevelFilter::WARN,
                LogLevel::Info => LevelFilter::INFO,
                LogLevel::Debug => LevelFilter::DEBUG,
                LogLevel::Trace => LevelFilter::TRACE,
            }
        };
        // What the libraries underneath have to say is for those who ask for everything.
        let others = if level == LevelFilter::TRACE {
            level
        } else {
            level.min(LevelFilter::WARN)
        };
        let filter = Targets::new()
            .with_default(others)
            .with_target("headwater", level);
        let writer = Writer(Arc::clone(self));
        let registry = tracing_subscriber::registry().with(filter);
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(writer)
            .with_target(false);
        let started = match wishes.format {
            LogFormat::Json => registry
                .with(
                    layer
                        .json()
                        .flatten_event(true)
                        .with_current_span(false)
                        .with_span_list(false),
                )
                .try_init(),
            LogFormat::Text if self.form == Form::Bars => registry
                .with(layer.without_time().with_ansi(use_color(is_terminal)))
                .try_init(),
            LogFormat::Text => registry
                .with(layer.with_ansi(use_color(is_terminal)))
                .try_init(),
        };
        if let Err(error) = started {
            // Only if logs were taken before: they still go somewhere.
            self.say(&format!("warning: {error}"));
        }
    }

    /// How progress is shown.
    pub(crate) fn form(&self) -> Form {
        self.form
    }

    /// The form of log lines.
    pub(crate) fn format(&self) -> LogFormat {
        self.format
    }

    /// Writes with the bars out of the way, and brings them back.
    pub(crate) fn suspend<R>(&self, write: impl FnOnce() -> R) -> R {
        self.bars.suspend(write)
    }

    /// Says a line, whatever the log level.
    pub(crate) fn say(&self, line: &str) {
        self.suspend(|| to_stderr(&format!("{line}\n")));
    }
}

/// Writes to standard error. That it cannot be written to has nobody left to be told.
pub(crate) fn to_stderr(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes());
    let _ = stderr.flush();
}

/// Whether to use colours: on a terminal, unless `NO_COLOR` is set (no-color.org).
pub(crate) fn use_color(is_terminal: bool) -> bool {
    is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[derive(Debug, Clone)]
struct Writer(Arc<Console>);

/// One log line: written when it is whole.
#[derive(Debug)]
struct Line(Arc<Console>);

impl<'a> MakeWriter<'a> for Writer {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(Arc::clone(&self.0))
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write_all(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
