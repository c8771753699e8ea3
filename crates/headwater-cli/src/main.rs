//! The `headwater` command: reads the command line and the configuration, runs the engine, and tells people what happens.
//! Standard output carries events and nothing else; everything said goes to standard error. This is the only crate that
//! prints, ends the process, or reads the environment.

mod arguments;
mod commands;
mod config;
mod control;
mod exit;
mod folds;
mod maxwell;
mod report;
mod secrets;
mod signals;
mod terminal;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use headwater_core::failpoint::{self, Failpoints};
use headwater_core::{Error, ErrorKind, Result};

use arguments::Arguments;
use commands::Surroundings;
use config::{Failure, LogFormat};
use exit::Exit;

fn main() -> ExitCode {
    report::take_panics();
    let words: Vec<OsString> = std::env::args_os().collect();
    let exit = match Arguments::try_parse_from(&words) {
        Ok(arguments) => {
            let visible = hide_password(&arguments, words);
            started(&arguments, visible)
        }
        Err(error) => report::usage(&error, &words),
    };
    ExitCode::from(exit.code())
}

/// Takes a password out of the process list; says why it is still there if that does not work.
fn hide_password(arguments: &Arguments, words: Vec<OsString>) -> Option<std::io::Error> {
    let source = arguments.command.source()?;
    // Given twice: it will be refused.
    if source.password_file.is_some() {
        return None;
    }
    secrets::leave_process_list(words, source.url()?).err()
}

fn started(arguments: &Arguments, visible: Option<std::io::Error>) -> Exit {
    let prepared = arm_failpoints().and_then(|failpoints| {
        let runtime = runtime()?;
        Ok((
            runtime,
            Surroundings {
                visible,
                failpoints,
            },
        ))
    });
    match prepared {
        Ok((runtime, surroundings)) => {
            let exit = runtime.block_on(commands::execute(arguments, surroundings));
            // What still runs has nothing left to say.
            runtime.shutdown_background();
            exit
        }
        Err(error) => {
            let format = arguments.said.log_format.unwrap_or(LogFormat::Text);
            report::failure(&Failure::Error(error), format)
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.enable_all().build().map_err(|cause| {
        Error::new(ErrorKind::Internal, "the runtime does not start")
            .hint("the system may be out of threads or memory")
            .caused_by(cause)
    })
}

/// Arms what `HEADWATER_FAILPOINTS` asks for, and says what that is.
fn arm_failpoints() -> Result<Option<String>> {
    let Some(text) = std::env::var("HEADWATER_FAILPOINTS")
        .ok()
        .filter(|text| !text.is_empty())
    else {
        return Ok(None);
    };
    failpoint::install(Failpoints::parse(&text, || std::process::abort())?)?;
    Ok(Some(text))
}
