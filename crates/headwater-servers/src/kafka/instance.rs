//! A private Kafka: one node that is broker and controller, with its own data and ports; gone when it is dropped.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::install::{KafkaInstall, install};
use super::settings;
use crate::cache;
use crate::data;
use crate::error::{Context, Error, Result};
use crate::guard::Guard;
use crate::instance::new_folder;
use crate::port::{self, Port};
use crate::process::{Signal, send_signal, wait_until};

/// How a private Kafka is to differ from the defaults.
#[derive(Debug, Clone, Default)]
pub struct KafkaOptions {
    /// What clients speak: `PLAINTEXT` if empty, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`.
    pub protocol: String,
    /// Server properties, such as `auto.create.topics.enable=false`; they override the defaults.
    pub properties: Vec<String>,
    /// The port to ask for first; any free one if there is none.
    pub port: Option<u16>,
}

impl KafkaOptions {
    /// The defaults with some properties over them.
    pub fn with(properties: &[&str]) -> Self {
        Self {
            properties: properties.iter().map(|&line| line.to_owned()).collect(),
            ..Self::default()
        }
    }
}

/// A Kafka that belongs to this value: dropping it kills it and removes its data.
///
/// When the process that holds it dies, however it does, the server dies and its folder goes too.
#[derive(Debug)]
pub struct Kafka {
    install: KafkaInstall,
    folder: PathBuf,
    ports: Ports,
    options: KafkaOptions,
    child: Option<Child>,
    // The folder and the process it watches go with it, so it comes last.
    guard: Option<Guard>,
}

/// A port each for clients, for the broker itself and for the controller.
#[derive(Debug)]
pub(super) struct Ports {
    pub(super) clients: Port,
    pub(super) broker: Port,
    pub(super) controller: Port,
}

impl Ports {
    pub(super) fn reserve(wished: Option<u16>) -> Result<Self> {
        Ok(Self {
            clients: port::reserve(wished)?,
            broker: port::reserve(None)?,
            controller: port::reserve(None)?,
        })
    }
}

/// How long a start may take: after a kill, recovery and the end of the dead broker's session are part of it.
const START_LIMIT: Duration = Duration::from_secs(400);

/// How long it may take to end cleanly before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(60);

impl Kafka {
    /// Starts a Kafka on new data and waits until it serves: about three seconds.
    ///
    /// # Errors
    /// It cannot be had here, or does not start; its log's end is part of the error.
    pub fn start(options: &KafkaOptions) -> Result<Self> {
        let install = install()?;
        let ports = Ports::reserve(options.port)?;
        let folder = new_folder("kafka")?;
        let guard = Guard::folder(&folder)?;
        let mut this = Self {
            install,
            folder,
            ports,
            options: options.clone(),
            child: None,
            guard: Some(guard),
        };
        create_data(&this.install, &this.folder.join("data"))?;
        this.launch()?;
        Ok(this)
    }

    fn launch(&mut self) -> Result<()> {
        let mut command = server_command(&self.install, &self.folder, &self.ports, &self.options)?;
        // Away from the terminal's group: Ctrl-C is for the owner, who then ends the server.
        command.process_group(0);
        let log = self.folder.join("log");
        let from = fs::metadata(&log).map_or(0, |log| log.len());
        let child = self
            .child
            .insert(command.spawn().context(|| "start Kafka".into())?);
        wait_until_it_serves(child, &self.folder, from)
    }

    /// Where it is, as `bootstrap.servers` wants it.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.ports.clients.number)
    }

    /// The libraries it was started from.
    pub fn install(&self) -> &KafkaInstall {
        &self.install
    }

    /// A folder that goes with the server, for certificates and the like.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The server's process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Ends it cleanly; data and ports stay for [`Self::restart`].
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
        Err(Error::new("Kafka did not end, and was killed"))
    }

    /// Kills it (SIGKILL); data and ports stay for [`Self::restart`].
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
            .context(|| "kill Kafka".into())?;
        Ok(())
    }

    /// Starts it again on the same data and ports, ending it cleanly first if it runs.
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
        let pid = self.pid().ok_or_else(|| Error::new("Kafka does not run"))?;
        send_signal(pid, signal)
    }

    /// The end of its log.
    pub fn log_tail(&self) -> String {
        crate::instance::log_tail(&self.folder)
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        // Nobody is left to tell; the guard makes sure of it.
        let _ = self.kill();
        drop(self.guard.take());
    }
}

/// Copies an empty, formatted log folder to `target`: formatting takes a Java of its own, once.
pub(super) fn create_data(install: &KafkaInstall, target: &Path) -> Result<()> {
    let _lock = cache::lock("kafka-data")?;
    let template = cache::subfolder("servers")?.join("kafka-data");
    if !template.is_dir() {
        let part = template.with_extension("part");
        let _ = fs::remove_dir_all(&part);
        fs::create_dir_all(&part).context(|| format!("create {}", part.display()))?;
        let file = part.join("server.properties");
        let text = settings::properties(&part, [9092, 9091, 9093], &KafkaOptions::default());
        fs::write(&file, text).context(|| format!("write {}", file.display()))?;
        let output = install
            .command("kafka.tools.StorageTool")
            .args([
                "format",
                "--ignore-formatted",
                "-t",
                settings::CLUSTER,
                "-c",
            ])
            .arg(&file)
            .stdin(Stdio::null())
            .output()
            .context(|| "format Kafka's storage".into())?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(Error::new(format!(
                "Kafka's storage cannot be formatted:\n{}",
                data::tail(&said, 10)
            )));
        }
        fs::rename(part.join("data"), &template)
            .context(|| format!("put {} in place", template.display()))?;
        let _ = fs::remove_dir_all(&part);
    }
    fs::create_dir_all(target).context(|| format!("create {}", target.display()))?;
    let doing = || format!("copy {}", template.display());
    for entry in fs::read_dir(&template).context(doing)? {
        let path = entry.context(doing)?.path();
        if let Some(name) = path.file_name() {
            fs::copy(&path, target.join(name)).context(doing)?;
        }
    }
    Ok(())
}

/// The command that runs a Kafka in `folder`: its process id goes to the file `pid` there before anything else happens, its
/// output to the file `log`.
pub(super) fn server_command(
    install: &KafkaInstall,
    folder: &Path,
    ports: &Ports,
    options: &KafkaOptions,
) -> Result<Command> {
    let file = folder.join("server.properties");
    let numbers = [&ports.clients, &ports.broker, &ports.controller].map(|port| port.number);
    fs::write(&file, settings::properties(folder, numbers, options))
        .context(|| format!("write {}", file.display()))?;
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
        .arg(&install.java)
        .arg(format!("-Dkafka.logs.dir={}", folder.display()))
        .args(install.java_options())
        .arg("kafka.Kafka")
        .arg(&file)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(copy);
    Ok(command)
}

/// Waits until the log says, from its byte `from` on, that the server has started.
pub(super) fn wait_until_it_serves(child: &mut Child, folder: &Path, from: u64) -> Result<()> {
    let mut ended = None;
    let serves = || {
        let log = fs::read(folder.join("log")).unwrap_or_default();
        let new = log.get(usize::try_from(from).unwrap_or(0)..);
        String::from_utf8_lossy(new.unwrap_or_default()).contains("Kafka Server started")
    };
    let up = wait_until(START_LIMIT, || {
        ended = child.try_wait().ok().flatten();
        ended.is_some() || serves()
    });
    let said = match ended {
        Some(status) => format!("ended at once ({status})"),
        None if !up => format!("did not start within {} s", START_LIMIT.as_secs()),
        None => return Ok(()),
    };
    let _ = child.kill().and_then(|()| child.wait());
    let tail = crate::instance::log_tail(folder);
    Err(Error::new(format!(
        "Kafka {said}; the end of its log:\n{tail}"
    )))
}
