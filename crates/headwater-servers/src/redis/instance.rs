//! A private server with its own data and port; gone when it is dropped.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::RedisFlavor;
use super::install::install;
use crate::error::{Context, Error, Result};
use crate::guard::Guard;
use crate::install::Program;
use crate::instance::new_folder;
use crate::port::{self, Port};
use crate::process::{Signal, send_signal, wait_until};

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
    flavor: RedisFlavor,
    program: Program,
    folder: PathBuf,
    port: Port,
    options: RedisOptions,
    child: Option<Child>,
    // The folder and the process it watches go with it, so it comes last.
    guard: Option<Guard>,
}

/// How long a start may take on a loaded machine.
const START_LIMIT: Duration = Duration::from_secs(120);

/// How long it may take to end cleanly before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(60);

impl Redis {
    /// Starts a server without data and waits until it serves.
    ///
    /// # Errors
    /// It cannot be had here, or does not start; its log's end is part of the error.
    pub fn start(flavor: RedisFlavor, options: &RedisOptions) -> Result<Self> {
        let program = install(flavor)?;
        let port = port::reserve(options.port)?;
        let folder = new_folder(flavor.slug())?;
        let guard = Guard::folder(&folder)?;
        let mut this = Self {
            flavor,
            program,
            folder,
            port,
            options: options.clone(),
            child: None,
            guard: Some(guard),
        };
        this.launch()?;
        Ok(this)
    }

    fn launch(&mut self) -> Result<()> {
        let port = self.port.number;
        let mut command = server_command(&self.program, &self.folder, port, &self.options)?;
        // Away from the terminal's group: Ctrl-C is for the owner, who then ends the server.
        command.process_group(0);
        let name = self.flavor.name();
        let child = command.spawn().context(|| format!("start {name}"))?;
        wait_until_it_serves(self.flavor, self.child.insert(child), &self.folder, port)
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
        &self.folder
    }

    /// The server's process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Ends it cleanly; data and port stay for [`Self::restart`].
    ///
    /// # Errors
    /// It did not end within a minute, and was killed.
    pub fn stop(&mut self) -> Result<()> {
        let Some(child) = self.child.as_mut() else {
            return Ok(());
        };
        send_signal(child.id(), Signal::Terminate)?;
        if wait_until(STOP_LIMIT, || matches!(child.try_wait(), Ok(Some(_)))) {
            self.child = None;
            return Ok(());
        }
        self.kill()?;
        Err(Error::new(format!(
            "{} did not end, and was killed",
            self.flavor.name()
        )))
    }

    /// Kills it (SIGKILL); data and port stay for [`Self::restart`].
    ///
    /// # Errors
    /// The process cannot be waited for.
    pub fn kill(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        let name = self.flavor.name();
        child
            .kill()
            .and_then(|()| child.wait())
            .context(|| format!("kill {name}"))?;
        Ok(())
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
        let name = self.flavor.name();
        let pid = self
            .pid()
            .ok_or_else(|| Error::new(format!("{name} does not run")))?;
        send_signal(pid, signal)
    }

    /// The end of its log.
    pub fn log_tail(&self) -> String {
        crate::instance::log_tail(&self.folder)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // Nobody is left to tell; the guard makes sure of it.
        let _ = self.kill();
        drop(self.guard.take());
    }
}

/// The command that runs a server in `folder`: its process id goes to the file `pid` there before anything else happens, its
/// output to the file `log`, and its data to the folder `data`.
pub(super) fn server_command(
    program: &Program,
    folder: &Path,
    port: u16,
    options: &RedisOptions,
) -> Result<Command> {
    let data = folder.join("data");
    fs::create_dir_all(&data).context(|| format!("create {}", data.display()))?;
    let path = folder.join("log");
    let doing = || format!("create {}", path.display());
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(&path)
        .context(doing)?;
    let copy = log.try_clone().context(doing)?;
    let mut command = Command::new("sh");
    command
        .args(["-c", "echo $$ >\"$0/pid\" && exec \"$@\""])
        .arg(folder)
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
    command
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(copy);
    Ok(command)
}

/// Waits until the server answers commands: not before it has read its data.
pub(super) fn wait_until_it_serves(
    flavor: RedisFlavor,
    child: &mut Child,
    folder: &Path,
    port: u16,
) -> Result<()> {
    let mut ended = None;
    let up = wait_until(START_LIMIT, || {
        ended = child.try_wait().ok().flatten();
        ended.is_some() || answers(port)
    });
    let said = match ended {
        Some(status) => format!("ended at once ({status})"),
        None if !up => format!("did not start within {} s", START_LIMIT.as_secs()),
        None => return Ok(()),
    };
    let _ = child.kill().and_then(|()| child.wait());
    let tail = crate::instance::log_tail(folder);
    let name = flavor.name();
    Err(Error::new(format!(
        "{name} {said}; the end of its log:\n{tail}"
    )))
}

/// Whether it answers a command, if only with that it wants a password.
fn answers(port: u16) -> bool {
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
