//! Runs SQL through the stock command-line client.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::address::Address;
use crate::error::{Context, Error, Result};
use crate::install::Install;

/// How to reach the server.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Route<'a> {
    Socket(&'a Path),
    Tcp(&'a Address),
}

/// The client's command, ready to read SQL from its standard input: rows tab-separated, no headers.
pub(crate) fn command(install: &Install, route: Route<'_>) -> Command {
    let mut command = install.client.command();
    command.args([
        "--no-defaults",
        "--batch",
        "--skip-column-names",
        "--unbuffered",
    ]);
    command.args([
        "--default-character-set=utf8mb4",
        "--max-allowed-packet=256M",
    ]);
    match route {
        Route::Socket(path) => {
            command.args(["--protocol=socket", "--user=root"]);
            command.arg(format!("--socket={}", path.display()));
        }
        Route::Tcp(address) => {
            command.args(["--protocol=tcp", &format!("--user={}", address.user)]);
            command
                .arg(format!("--host={}", address.host))
                .arg(format!("--port={}", address.port));
            // Not as an argument: process lists show those.
            command.env("MYSQL_PWD", &address.password);
        }
    }
    if install.flavor.is_mariadb() {
        // The client of 11.8 would verify a certificate that a test server makes up at each start.
        command.arg("--skip-ssl");
    }
    command
}

/// Runs SQL and answers what the client prints.
pub(crate) fn run(install: &Install, route: Route<'_>, sql: &str) -> Result<String> {
    let doing = || format!("run SQL on {}", install.flavor.name());
    let mut child = command(install, route)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context(doing)?;
    let pipe = child.stdin.take();
    let output = std::thread::scope(|scope| {
        // Written beside the reading: both pipes have a bound.
        scope.spawn(move || {
            if let Some(mut pipe) = pipe {
                // A client that fails closes the pipe, and says why on its standard error.
                let _ = pipe
                    .write_all(sql.as_bytes())
                    .and_then(|()| pipe.write_all(b"\n"));
            }
        });
        child.wait_with_output()
    })
    .context(doing)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let start: String = sql.chars().take(200).collect();
    Err(Error::new(format!(
        "{} refused: {}\n  in: {start}",
        install.flavor.name(),
        said.trim()
    )))
}
