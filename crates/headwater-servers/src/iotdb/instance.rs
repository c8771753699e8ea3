//! A private IoTDB: a ConfigNode and one DataNode, or several, with their own data and ports; gone when it is dropped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::install::{IotdbInstall, install};
use super::settings::{self, PORTS};
use crate::error::{Context, Error, Result};
use crate::launch::{self, Kind, log_says};
use crate::port::{self, Port};
use crate::process::Signal;
use crate::server::Server;

/// How a private IoTDB is to differ from the defaults.
#[derive(Debug, Clone, Default)]
pub struct IotdbOptions {
    /// Properties, such as `timestamp_precision=us`; they override the defaults.
    pub properties: Vec<String>,
    /// Whether clients speak TLS; the certificate to trust is then [`Iotdb::certificate`].
    pub tls: bool,
    /// The port to ask for first; any free one if there is none.
    pub port: Option<u16>,
    /// The heap of the DataNode, which most of what it holds in memory is cut from; 768 if not given.
    pub heap_mb: Option<u32>,
    /// DataNodes of the same cluster beside the first; regions are spread over all of them, each on one alone.
    pub more_nodes: usize,
}

/// An IoTDB that belongs to this value: dropping it kills it and removes its data.
///
/// When the process that holds it dies, however it does, the server dies and its folders go too.
#[derive(Debug)]
pub struct Iotdb {
    install: IotdbInstall,
    ports: Vec<Port>,
    options: IotdbOptions,
    data: Node,
    more: Vec<(Node, Vec<Port>)>,
    config: Node,
}

/// Which of the two nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Config,
    Data,
}

impl Role {
    const fn class(self) -> &'static str {
        match self {
            Self::Config => "org.apache.iotdb.confignode.service.ConfigNode",
            Self::Data => "org.apache.iotdb.db.service.DataNode",
        }
    }

    /// What its log says once it serves. A new one "has successfully started", one that was there before, "restarted".
    pub(super) const fn ready(self) -> &'static [&'static str] {
        match self {
            Self::Config => &[
                "ConfigNode has successfully started",
                "ConfigNode has successfully restarted",
            ],
            Self::Data => &["DataNode is set up successfully"],
        }
    }

    /// Its name, and the time that it may take.
    pub(super) const fn kind(self) -> Kind {
        Kind {
            name: match self {
                Self::Config => "IoTDB's ConfigNode",
                Self::Data => "IoTDB's DataNode",
            },
            start_limit: Duration::from_secs(400),
            stop_limit: Duration::from_secs(90),
        }
    }
}

impl Iotdb {
    /// Starts an IoTDB on new data and waits until it serves: about six seconds.
    ///
    /// # Errors
    /// It cannot be had here, or does not start; its log's end is part of the error.
    pub fn start(options: &IotdbOptions) -> Result<Self> {
        let install = install()?;
        let mut this = Self {
            install,
            ports: reserve(options.port)?,
            options: options.clone(),
            data: Node::new(Role::Data)?,
            more: (0..options.more_nodes)
                .map(|_| Ok((Node::new(Role::Data)?, reserve(None)?)))
                .collect::<Result<_>>()?,
            config: Node::new(Role::Config)?,
        };
        if options.tls {
            super::tls::create(&this.install.java, this.folder())?;
        }
        this.launch()?;
        Ok(this)
    }

    fn launch(&mut self) -> Result<()> {
        let ports = numbers(&self.ports);
        for node in [&mut self.config, &mut self.data] {
            node.launch(&self.install, ports, &self.options)?;
        }
        for (node, own) in &mut self.more {
            node.launch(&self.install, of_another(ports, own), &self.options)?;
        }
        Ok(())
    }

    /// Where clients find it: `HOST:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports[0].number)
    }

    /// Where clients find each DataNode, the first one first.
    pub fn addresses(&self) -> Vec<String> {
        let more = self.more.iter().map(|(_, ports)| ports[0].number);
        let all = std::iter::once(self.ports[0].number).chain(more);
        all.map(|port| format!("127.0.0.1:{port}")).collect()
    }

    /// Kills (SIGKILL) one of the DataNodes beside the first; data and ports stay for [`Self::restart_another`].
    ///
    /// # Errors
    /// There is none of this number, counted from zero, or it cannot be waited for.
    pub fn kill_another(&mut self, number: usize) -> Result<()> {
        self.another(number)?.0.server.kill()
    }

    /// Starts one of the DataNodes beside the first on the same data and ports.
    ///
    /// # Errors
    /// There is none of this number, counted from zero, or it does not start.
    pub fn restart_another(&mut self, number: usize) -> Result<()> {
        let ports = numbers(&self.ports);
        let (install, options) = (self.install.clone(), self.options.clone());
        let (node, own) = self.another(number)?;
        node.server.stop()?;
        let ports = of_another(ports, own);
        node.launch(&install, ports, &options)
    }

    fn another(&mut self, number: usize) -> Result<&mut (Node, Vec<Port>)> {
        let count = self.more.len();
        self.more.get_mut(number).ok_or_else(|| {
            Error::new(format!(
                "there is no DataNode {number} beside the first: there are {count}"
            ))
            .hint("ask for more with IotdbOptions::more_nodes")
        })
    }

    /// The certificate to trust, as PEM, where it speaks TLS.
    pub fn certificate(&self) -> PathBuf {
        self.folder().join("server.pem")
    }

    /// A folder that goes with the server.
    pub fn folder(&self) -> &Path {
        self.data.server.folder()
    }

    /// The DataNode's process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.data.server.pid()
    }

    /// Ends it cleanly; data and ports stay for [`Self::restart`].
    ///
    /// # Errors
    /// It did not end in time, and was killed.
    pub fn stop(&mut self) -> Result<()> {
        for (node, _) in &mut self.more {
            node.server.stop()?;
        }
        self.data.server.stop()?;
        self.config.server.stop()
    }

    /// Kills all nodes (SIGKILL); data and ports stay for [`Self::restart`].
    ///
    /// # Errors
    /// The processes cannot be waited for.
    pub fn kill(&mut self) -> Result<()> {
        for (node, _) in &mut self.more {
            node.server.kill()?;
        }
        self.data.server.kill()?;
        self.config.server.kill()
    }

    /// Starts it again on the same data and ports, ending it cleanly first if it runs.
    ///
    /// # Errors
    /// It does not end, or does not start.
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.launch()
    }

    /// Sends the DataNode a signal, such as [`Signal::Stop`] to make it stand still.
    ///
    /// # Errors
    /// It does not run.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.data.server.signal(signal)
    }

    /// The end of the DataNode's log.
    pub fn log_tail(&self) -> String {
        self.data.server.log_tail()
    }
}

/// One of the processes, in a folder of its own.
#[derive(Debug)]
struct Node {
    role: Role,
    server: Server,
}

impl Node {
    fn new(role: Role) -> Result<Self> {
        let slug = match role {
            Role::Config => "iotdb-config",
            Role::Data => "iotdb-data",
        };
        let server = Server::new(role.kind(), slug)?;
        Ok(Self { role, server })
    }

    /// Starts it, and waits until it serves.
    fn launch(
        &mut self,
        install: &IotdbInstall,
        ports: [u16; PORTS],
        options: &IotdbOptions,
    ) -> Result<()> {
        let folder = self.server.folder();
        let command = node_command(self.role, folder, install, ports, options)?;
        // Its port opens before it serves.
        let serves = log_says(folder, self.role.ready());
        self.server.launch(command, serves)
    }
}

pub(super) fn reserve(wished: Option<u16>) -> Result<Vec<Port>> {
    let mut ports = vec![port::reserve(wished)?];
    for _ in 1..PORTS {
        ports.push(port::reserve(None)?);
    }
    Ok(ports)
}

pub(super) fn numbers(ports: &[Port]) -> [u16; PORTS] {
    std::array::from_fn(|at| ports.get(at).map_or(0, |port| port.number))
}

/// The ports of a DataNode beside the first: its own, but for those of the cluster's one ConfigNode.
fn of_another(first: [u16; PORTS], own: &[Port]) -> [u16; PORTS] {
    let mut ports = numbers(own);
    ports[1..3].copy_from_slice(&first[1..3]);
    ports
}

/// The command that runs a node in `folder`.
pub(super) fn node_command(
    role: Role,
    folder: &Path,
    install: &IotdbInstall,
    ports: [u16; PORTS],
    options: &IotdbOptions,
) -> Result<Command> {
    let conf = folder.join("conf");
    let doing = || format!("write the settings in {}", conf.display());
    fs::create_dir_all(&conf).context(doing)?;
    let properties = settings::properties(ports, folder, options);
    fs::write(conf.join("iotdb-system.properties"), properties).context(doing)?;
    fs::write(conf.join("logback.xml"), settings::LOGBACK).context(doing)?;
    let mut command = launch::command(folder)?;
    command
        .arg(&install.java)
        .args(settings::java_options(
            role,
            folder,
            &install.libraries,
            options,
        ))
        .args([role.class(), "-s"]);
    Ok(command)
}
