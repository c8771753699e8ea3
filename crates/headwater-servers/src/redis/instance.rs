//! A private server with its own data and port; gone when it is dropped.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::RedisFlavor;
use super::install::install;
use crate::error::{Context, Result};
use crate::install::Program;
use crate::launch::{self, Kind};
use crate::port::{self, Port};
use crate::process::Signal;
use crate::server::Server;

/// How a private server is to differ from the defaults.
#[derive(Debug, Clone, Default)]
pub struct RedisOptions {
    /// The password of the user `default`; none if empty.
    pub password: String,
    /// Settings, such as `["appendfsync", "everysec"]`; they override the defaults.
    pub settings: Vec<[String; 2]>,
    /// The port to ask for first; any free one if there is none.
    pub port: Option<u16>,
}

impl RedisOptions {
    /// The defaults with some settings over them.
    pub fn with(settings: &[[&str; 2]]) -> Self {
        Self {
            settings: settings
                .iter()
                .map(|pair| pair.map(str::to_owned))
                .collect(),
            ..Self::default()
        }
    }
}

/// A server that belongs to this value: dropping it kills it and removes its data.
///
/// When the process that holds it dies, however it does, the server dies and its folder goes too.
#[derive(Debug)]
pub struct Redis {
    program: Program,
    options: RedisOptions,
    server: Server,
    // Let go of once the server is gone.
    port: Port,
}

/// A flavor's name, and the time that its server may take.
pub(super) const fn kind(flavor: RedisFlavor) -> Kind {
    Kind {
        name: flavor.name(),
        start_limit: Duration::from_secs(120),
        stop_limit: Duration::from_secs(60),
    }
}

impl Redis {
    /// Starts a server without data and waits until it serves.
    ///
    /// # Errors
    /// It cannot be had here, or does not start; its log's end is part of the error.
    pub fn start(flavor: RedisFlavor, options: &RedisOptions) -> Result<Self> {
        let program = install(flavor)?;
        let port = port::reserve(options.port)?;
        let mut this = Self {
            program,
            options: options.clone(),
            server: Server::new(kind(flavor), flavor.slug())?,
            port,
        };
        this.launch()?;
        Ok(this)
    }

    fn launch(&mut self) -> Result<()> {
        let (folder, port) = (self.server.folder(), self.port.number);
        let command = server_command(&self.program, folder, port, &self.options)?;
        self.server.launch(command, || answers(port))
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port.number
    }

    /// Where it is: `redis://127.0.0.1:20123`, with the password if it has one (which must need no escape in a URL).
    pub fn url(&self) -> String {
        let secret = match self.options.password.as_str() {
            "" => String::new(),
            password => format!(":{password}@"),
        };
        format!("redis://{secret}127.0.0.1:{}", self.port.number)
    }

    /// A folder that goes with the server.
    pub fn folder(&self) -> &Path {
        self.server.folder()
    }

    /// The server's process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.server.pid()
    }

    /// Ends it cleanly; data and port stay for [`Self::restart`].
    ///
    /// # Errors
    /// It did not end within a minute, and was killed.
    pub fn stop(&mut self) -> Result<()> {
        self.server.stop()
    }

    /// Kills it (SIGKILL); data and port stay for [`Self::restart`].
    ///
    /// # Errors
    /// The process cannot be waited for.
    pub fn kill(&mut self) -> Result<()> {
        self.server.kill()
    }

    /// Starts it again on the same data and port, ending it cleanly first if it runs.
    ///
    /// # Errors
    /// It does not end, or does not start.
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.launch()
    }

    /// Sends it a signal, such as [`Signal::Stop`] to make it stand still.
    ///
    /// # Errors
    /// It does not run.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.server.signal(signal)
    }

    /// The end of its log.
    pub fn log_tail(&self) -> String {
        self.server.log_tail()
    }
}

/// The command that runs a server in `folder`, with its data in the folder `data` there.
pub(super) fn server_command(
    program: &Program,
    folder: &Path,
    port: u16,
    options: &RedisOptions,
) -> Result<Command> {
    let data = folder.join("data");
    fs::create_dir_all(&data).context(|| format!("create {}", data.display()))?;
    let mut command = launch::command(folder)?;
    command
        .args(program.words())
        .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--dir"])
        .arg(&data);
    for [name, value] in [
        ["daemonize", "no"],
        ["appendonly", "yes"],
        ["appendfsync", "always"],
        ["save", ""],
        // The folder on its command line is what tells the process from others.
        ["set-proc-title", "no"],
    ] {
        command.arg(format!("--{name}")).arg(value);
    }
    if !options.password.is_empty() {
        command.args(["--requirepass", &options.password]);
    }
    for [name, value] in &options.settings {
        command.arg(format!("--{name}")).arg(value);
    }
    Ok(command)
}

/// Whether it answers a command, if only with that it wants a password: not before it has read its data.
pub(super) fn answers(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let answer = || {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"PING\r\n")?;
        let mut head = [0; 5];
        stream.read_exact(&mut head)?;
        std::io::Result::Ok(&head == b"+PONG" || &head == b"-NOAU")
    };
    answer().unwrap_or(false)
}
