//! A private server: its own data, port and socket; gone when it is dropped.

use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::address::Address;
use crate::client::{self, Route};
use crate::data;
use crate::error::{Context, Result};
use crate::flavor::Flavor;
use crate::install::{Install, install};
use crate::launch::{self, Kind};
use crate::port::{self, Port};
use crate::process::Signal;
use crate::server::Server;
use crate::settings;

/// How a private server is to differ from the defaults.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Server options, such as `--binlog-row-metadata=MINIMAL`; they override the defaults.
    pub extra: Vec<String>,
    /// The port to ask for first; any free one if there is none.
    pub port: Option<u16>,
}

impl Options {
    /// The defaults with some server options over them.
    pub fn with(extra: &[&str]) -> Self {
        Self {
            extra: extra.iter().map(|&option| option.to_owned()).collect(),
            port: None,
        }
    }
}

/// A server that belongs to this value: dropping it kills the server and removes its data.
///
/// When the process that holds it dies, however it does, the server dies and its folder goes too.
#[derive(Debug)]
pub struct Instance {
    install: Install,
    options: Options,
    server: Server,
    // Let go of once the server is gone.
    port: Port,
}

/// A flavor's name, and the time that its server may take.
pub(crate) fn kind(flavor: Flavor) -> Kind {
    Kind {
        name: flavor.name(),
        start_limit: Duration::from_secs(90),
        stop_limit: Duration::from_secs(60),
    }
}

impl Instance {
    /// Starts a server on a new data folder and waits until it answers: about a second.
    ///
    /// # Errors
    /// The server cannot be had here, or does not start; its log's end is part of the error.
    pub fn start(flavor: Flavor, options: &Options) -> Result<Self> {
        let install = install(flavor)?;
        let port = port::reserve(options.port)?;
        let mut instance = Self {
            install,
            options: options.clone(),
            server: Server::new(kind(flavor), flavor.slug())?,
            port,
        };
        let data = instance.data_folder();
        data::create(&instance.install, &data, &instance.options.extra)?;
        instance.launch()?;
        Ok(instance)
    }

    fn launch(&mut self) -> Result<()> {
        let (folder, port) = (self.server.folder(), self.port.number);
        let command = server_command(&self.install, folder, port, &self.options.extra)?;
        self.server.launch(command, || answers(port))
    }

    /// Which server this is.
    pub fn flavor(&self) -> Flavor {
        self.install.flavor
    }

    /// The programs it was started from: client, dump, and so on.
    pub fn install(&self) -> &Install {
        &self.install
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port.number
    }

    /// The Unix socket.
    pub fn socket(&self) -> PathBuf {
        self.server.folder().join("s")
    }

    /// The server's data folder.
    pub fn data_folder(&self) -> PathBuf {
        self.server.folder().join("data")
    }

    /// The server's process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.server.pid()
    }

    /// Where it is, as administrator.
    pub fn address(&self) -> Address {
        Address::local(self.port())
    }

    /// The `mysql://` URL for a user; `database` may be empty.
    pub fn url(&self, user: &str, password: &str, database: &str) -> String {
        self.address().url(user, password, database)
    }

    /// The `mysql://` URL of the administrator.
    pub fn admin_url(&self) -> String {
        self.address().own_url()
    }

    /// Runs SQL as administrator through the stock client, over the socket. The answer is what the
    /// client prints: one line a row, columns separated by tabs, no headers.
    ///
    /// # Errors
    /// What the server said, with the beginning of the SQL.
    pub fn sql(&self, sql: &str) -> Result<String> {
        client::run(&self.install, Route::Socket(&self.socket()), sql)
    }

    /// The client's command, connected as administrator: SQL goes to its standard input.
    pub fn client(&self) -> Command {
        client::command(&self.install, Route::Socket(&self.socket()))
    }

    /// Ends the server cleanly; data and port stay for [`Self::restart`].
    ///
    /// # Errors
    /// It did not end within a minute, and was killed.
    pub fn stop(&mut self) -> Result<()> {
        self.server.stop()
    }

    /// Kills the server (SIGKILL); data and port stay for [`Self::restart`].
    ///
    /// # Errors
    /// The process cannot be waited for.
    pub fn kill(&mut self) -> Result<()> {
        self.server.kill()
    }

    /// Starts the server again on the same data and port, ending it cleanly first if it runs.
    ///
    /// # Errors
    /// It does not end, or does not start.
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.launch()
    }

    /// Like [`Self::restart`], with other server options in place of those of the start.
    ///
    /// # Errors
    /// It does not end, or does not start.
    pub fn restart_with(&mut self, extra: &[&str]) -> Result<()> {
        self.options.extra = Options::with(extra).extra;
        self.restart()
    }

    /// Sends the server a signal, such as [`Signal::Stop`] to make it stand still.
    ///
    /// # Errors
    /// It does not run.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.server.signal(signal)
    }

    /// The end of the server's log.
    pub fn log_tail(&self) -> String {
        self.server.log_tail()
    }
}

/// The command that runs a server in `folder`.
pub(crate) fn server_command(
    install: &Install,
    folder: &Path,
    port: u16,
    extra: &[String],
) -> Result<Command> {
    let temporary = folder.join("tmp");
    fs::create_dir_all(&temporary).context(|| format!("create {}", temporary.display()))?;
    let mut command = launch::command(folder)?;
    command.args(install.server.words()).arg("--no-defaults");
    command.args(&install.places).args(data::user_option());
    command.args(settings::options(install.flavor, folder, port, extra));
    Ok(command)
}

/// Whether a server greets on this port: it does so only once it is ready.
pub(crate) fn answers(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) else {
        return false;
    };
    // Three bytes of length, one of sequence, then the protocol version: 10.
    let mut greeting = [0; 5];
    let timed = stream.set_read_timeout(Some(Duration::from_secs(2)));
    timed
        .and_then(|()| stream.read_exact(&mut greeting))
        .is_ok()
        && greeting[4] == 10
}
