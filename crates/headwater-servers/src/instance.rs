//! A private server: its own data, port and socket; gone when it is dropped.

use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::address::Address;
use crate::client::{self, Route};
use crate::data;
use crate::error::{Context, Error, Result};
use crate::flavor::Flavor;
use crate::guard::Guard;
use crate::install::{Install, install};
use crate::port::{self, Port};
use crate::process::{Signal, send_signal, wait_until};
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
    folder: PathBuf,
    options: Options,
    port: Port,
    child: Option<Child>,
    // The folder and the process it watches go with it, so it comes last.
    guard: Option<Guard>,
}

/// How long a server may take to answer after its start (recovery after a kill included).
const START_LIMIT: Duration = Duration::from_secs(90);

/// How long a server may take to end cleanly before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(60);

impl Instance {
    /// Starts a server on a new data folder and waits until it answers: about a second.
    ///
    /// # Errors
    /// The server cannot be had here, or does not start; its log's end is part of the error.
    pub fn start(flavor: Flavor, options: &Options) -> Result<Self> {
        let install = install(flavor)?;
        let port = port::reserve(options.port)?;
        let folder = new_folder(flavor.slug())?;
        let guard = Guard::folder(&folder)?;
        let options = options.clone();
        let mut instance = Self {
            install,
            folder,
            options,
            port,
            child: None,
            guard: Some(guard),
        };
        let data = instance.folder.join("data");
        data::create(&instance.install, &data, &instance.options.extra)?;
        instance.launch()?;
        Ok(instance)
    }

    fn launch(&mut self) -> Result<()> {
        let port = self.port.number;
        let mut command = server_command(&self.install, &self.folder, port, &self.options.extra)?;
        // Away from the terminal's group: Ctrl-C is for the owner, who then ends the server.
        command.process_group(0);
        let doing = || format!("start {}", self.install.flavor.name());
        self.child = Some(command.spawn().context(doing)?);
        let (mut ended, child) = (None, &mut self.child);
        let up = wait_until(START_LIMIT, || {
            ended = child
                .as_mut()
                .and_then(|child| child.try_wait().ok().flatten());
            ended.is_some() || answers(port)
        });
        let said = match ended {
            Some(status) => format!("ended at once ({status})"),
            None if !up => format!("did not answer within {} s", START_LIMIT.as_secs()),
            None => return Ok(()),
        };
        let name = self.install.flavor.name();
        Err(Error::new(format!(
            "{name} {said}; the end of its log:\n{}",
            self.log_tail()
        )))
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
        self.folder.join("s")
    }

    /// The server's data folder.
    pub fn data_folder(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The server's process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
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
            self.install.flavor.name()
        )))
    }

    /// Kills the server (SIGKILL); data and port stay for [`Self::restart`].
    ///
    /// # Errors
    /// The process cannot be waited for.
    pub fn kill(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        child
            .kill()
            .and_then(|()| child.wait())
            .context(|| "kill a server".into())?;
        Ok(())
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
        let pid = self
            .pid()
            .ok_or_else(|| Error::new("the server does not run"))?;
        send_signal(pid, signal)
    }

    /// The end of the server's log.
    pub fn log_tail(&self) -> String {
        log_tail(&self.folder)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // Nobody is left to tell; the guard makes sure of it.
        let _ = self.kill();
        drop(self.guard.take());
    }
}

/// A new folder for a server. Short, for the socket in it: its path must fit in 107 bytes.
pub(crate) fn new_folder(name: &str) -> Result<PathBuf> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let doing = |path: &Path| format!("create {}", path.display());
    for _ in 0..1000 {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("headwater-{name}-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        match fs::create_dir(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            done => return done.context(|| doing(&path)).map(|()| path),
        }
    }
    Err(Error::new(format!(
        "no name for a folder is free in {}",
        std::env::temp_dir().display()
    )))
}

/// The command that runs a server in `folder`: its process id goes to the file `pid` there before
/// anything else happens, its output to the file `log`.
pub(crate) fn server_command(
    install: &Install,
    folder: &Path,
    port: u16,
    extra: &[String],
) -> Result<Command> {
    let path = folder.join("log");
    let doing = || format!("create {}", path.display());
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(&path)
        .context(doing)?;
    let copy = log.try_clone().context(doing)?;
    let temporary = folder.join("tmp");
    fs::create_dir_all(&temporary).context(|| format!("create {}", temporary.display()))?;
    let mut command = Command::new("sh");
    command
        .args(["-c", "echo $$ >\"$0/pid\" && exec \"$@\""])
        .arg(folder);
    command.args(install.server.words()).arg("--no-defaults");
    command.args(&install.places).args(data::user_option());
    command.args(settings::options(install.flavor, folder, port, extra));
    command
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(copy);
    Ok(command)
}

pub(crate) fn log_tail(folder: &Path) -> String {
    let bytes = fs::read(folder.join("log")).unwrap_or_default();
    data::tail(&String::from_utf8_lossy(&bytes), 40)
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
