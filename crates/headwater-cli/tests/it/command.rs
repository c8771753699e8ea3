//! Starting the binary and looking at what it says.

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The binary, with nothing of the environment that it looks at.
pub(crate) fn headwater() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headwater"));
    for name in [
        "HEADWATER_MYSQL_PASSWORD",
        "HEADWATER_IOTDB_PASSWORD",
        "HEADWATER_REDIS_PASSWORD",
        "HEADWATER_HTTP_TOKEN",
        "HEADWATER_SECRET_KEY",
        "HEADWATER_FAILPOINTS",
    ] {
        command.env_remove(name);
    }
    command.env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// What came out.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// With a command that streams: to the file `e`, as far as the source is now, so that the same words go on where they stopped.
pub(crate) const CATCH_UP: [&str; 6] = ["--until", "now", "--sink", "file:e", "--checkpoint", "c"];

/// Runs it to its end.
pub(crate) fn run(words: &[&str]) -> Said {
    run_in(Path::new("."), words)
}

/// Runs it to its end in a folder.
pub(crate) fn run_in(folder: &Path, words: &[&str]) -> Said {
    said(headwater().args(words).current_dir(folder))
}

/// Runs a command to its end.
pub(crate) fn said(command: &mut Command) -> Said {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    Said {
        code: status.code().unwrap_or(-1),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}
