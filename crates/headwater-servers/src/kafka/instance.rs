//! A private Kafka: one node that is broker and controller, with its own data and ports; gone when it is dropped.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::install::{KafkaInstall, install};
use super::settings;
use crate::cache;
use crate::data;
use crate::error::{Context, Error, Result};
use crate::launch::{self, Kind, log_says};
use crate::port::{self, Port};
use crate::process::Signal;
use crate::server::Server;

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
    options: KafkaOptions,
    server: Server,
    // Let go of once the server is gone.
    ports: Ports,
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

/// Its name, and the time that it may take: after a kill, the end of the dead broker's session is part of a start.
pub(super) const KIND: Kind = Kind {
    name: "Kafka",
    start_limit: Duration::from_secs(400),
    stop_limit: Duration::from_secs(60),
};

/// What the log says once it serves.
pub(super) const READY: &[&str] = &["Kafka Server started"];

impl Kafka {
    /// Starts a Kafka on new data and waits until it serves: about three seconds.
    ///
    /// # Errors
    /// It cannot be had here, or does not start; its log's end is part of the error.
    pub fn start(options: &KafkaOptions) -> Result<Self> {
        let install = install()?;
        let ports = Ports::reserve(options.port)?;
        let mut this = Self {
            install,
            options: options.clone(),
            server: Server::new(KIND, "kafka")?,
            ports,
        };
        create_data(&this.install, &this.folder().join("data"))?;
        this.launch()?;
        Ok(this)
    }

    fn launch(&mut self) -> Result<()> {
        let folder = self.server.folder();
        let command = server_command(&self.install, folder, &self.ports, &self.options)?;
        let serves = log_says(folder, READY);
        self.server.launch(command, serves)
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
        self.server.folder()
    }

    /// The server's process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.server.pid()
    }

    /// Ends it cleanly; data and ports stay for [`Self::restart`].
    ///
    /// # Errors
    /// It did not end within a minute, and was killed.
    pub fn stop(&mut self) -> Result<()> {
        self.server.stop()
    }

    /// Kills it (SIGKILL); data and ports stay for [`Self::restart`].
    ///
    /// # Errors
    /// The process cannot be waited for.
    pub fn kill(&mut self) -> Result<()> {
        self.server.kill()
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
        self.server.signal(signal)
    }

    /// The end of its log.
    pub fn log_tail(&self) -> String {
        self.server.log_tail()
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

/// The command that runs a Kafka in `folder`.
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
    let mut command = launch::command(folder)?;
    command
        .arg(&install.java)
        .arg(format!("-Dkafka.logs.dir={}", folder.display()))
        .args(install.java_options())
        .arg("kafka.Kafka")
        .arg(&file);
    Ok(command)
}
