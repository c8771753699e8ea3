//! How a failure is told: for people `error:` and `help:`, with `--log-format json` one JSON object a line.

use std::ffi::OsString;
use std::io::IsTerminal;

use clap::error::ErrorKind as ClapKind;
use headwater_core::Error;
use serde_json::{Value, json};

use crate::config::{Failure, LogFormat, Refused, mask};
use crate::exit::Exit;
use crate::terminal::console::{to_stderr, use_color};

/// Tells a failure, and says what to end with.
pub(crate) fn failure(failure: &Failure, format: LogFormat) -> Exit {
    let color = use_color(std::io::stderr().is_terminal());
    to_stderr(&text(failure, format, color));
    match failure {
        Failure::Refused(_) => Exit::Refused,
        Failure::Error(error) => Exit::of(error.kind()),
    }
}

fn text(failure: &Failure, format: LogFormat, color: bool) -> String {
    match (failure, format) {
        (Failure::Error(error), LogFormat::Text) => {
            plain(&error.to_string(), error.hint_text(), color)
        }
        (Failure::Error(error), LogFormat::Json) => line(&error_object(error)),
        (Failure::Refused(refused), LogFormat::Text) => refused.render(color),
        (Failure::Refused(refused), LogFormat::Json) => refused_lines(refused),
    }
}

fn plain(message: &str, help: Option<&str>, color: bool) -> String {
    let (error, hint, end) = if color {
        (
            "\u{1b}[1;31merror:\u{1b}[0m",
            "\u{1b}[36mhelp:\u{1b}[0m",
            "",
        )
    } else {
        ("error:", "help:", "")
    };
    let message = mask::urls(message);
    match help {
        Some(help) => format!("{error} {message}{end}\n  {hint} {help}\n"),
        None => format!("{error} {message}{end}\n"),
    }
}

fn error_object(error: &Error) -> Value {
    json!({
        "level": "ERROR",
        "kind": error.kind().name(),
        "message": mask::urls(&error.to_string()),
        "help": error.hint_text(),
    })
}

fn refused_lines(refused: &Refused) -> String {
    let lines = refused.problems.iter().map(|problem| {
        let place = problem.at.as_ref();
        line(&json!({
            "level": "ERROR",
            "kind": "configuration",
            "message": refused.line(problem),
            "help": problem.help,
            "line": place.map(|place| place.line),
            "column": place.map(|place| place.column),
        }))
    });
    lines.collect()
}

fn line(object: &Value) -> String {
    format!("{object}\n")
}

/// Tells what clap has to say: help and version on standard output, a misuse on standard error. What clap repeats of the
/// command line may hold a password.
pub(crate) fn usage(error: &clap::Error, words: &[OsString]) -> Exit {
    match error.kind() {
        ClapKind::DisplayHelp | ClapKind::DisplayVersion => {
            // A reader that has gone is no failure.
            let _ = error.print();
            Exit::Finished
        }
        _ => {
            let color = use_color(std::io::stderr().is_terminal());
            let rendered = error.render();
            let text = if color {
                rendered.ansi().to_string()
            } else {
                rendered.to_string()
            };
            to_stderr(&without_secrets(&text, words));
            Exit::Refused
        }
    }
}

/// The text with every word of the command line that holds a URL's password replaced.
fn without_secrets(text: &str, words: &[OsString]) -> String {
    let mut out = text.to_owned();
    for word in words {
        let word = word.to_string_lossy();
        let shown = mask::whole_word(&word);
        if shown != word {
            out = out.replace(word.as_ref(), &shown);
            // `--flag=URL` is repeated without its flag.
            if let (Some((_, value)), Some((_, shown))) =
                (word.split_once('='), shown.split_once('='))
            {
                out = out.replace(value, shown);
            }
        }
    }
    mask::urls(&out)
}

/// Says a panic as what it is: a fault of this program.
pub(crate) fn take_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let what = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        to_stderr(&format!(
            "error: headwater itself failed: {} (at {place})\n  help: this is a fault of headwater, please report it with \
             the lines above; the checkpoint is safe to go on from\n",
            mask::urls(what)
        ));
    }));
}

#[cfg(test)]
mod tests {
    use headwater_core::ErrorKind;

    use super::*;

    #[test]
    fn an_error_is_told_in_two_lines_or_one_object() {
        let error = Error::new(ErrorKind::Storage, "cannot write")
            .during("writing the checkpoint")
            .hint("free some space");
        let failure = Failure::Error(error);
        insta::assert_snapshot!(text(&failure, LogFormat::Text, false), @r"
        error: while writing the checkpoint: cannot write
          help: free some space
        ");
        insta::assert_snapshot!(text(&failure, LogFormat::Json, false), @r#"{"level":"ERROR","kind":"storage","message":"while writing the checkpoint: cannot write","help":"free some space"}"#);
    }

    #[test]
    fn what_clap_repeats_of_a_url_has_no_password() {
        for words in [
            ["headwater", "run", "--readers", "mysql://u:hunter2 x@h"],
            ["headwater", "run", "--readers=mysql://u:hunter2@h", "-q"],
            ["headwater", "mysql://u:hun@ter2@h", "-q", "-q"],
        ] {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            let error =
                <crate::arguments::Arguments as clap::Parser>::try_parse_from(&words).unwrap_err();
            let said = without_secrets(&error.render().to_string(), &words);
            assert!(!said.contains("hun") && said.contains("***"), "{said}");
        }
    }
}
