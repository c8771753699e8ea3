//! A private IoTDB: a ConfigNode and one DataNode, or several, with their own data and ports; gone when it is dropped.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::install::{IotdbInstall, install};
use super::settings::{self, PORTS};
use crate::error::{Context, Error, Result};
use crate::guard::Guard;
use crate::instance::{log_tail, new_folder};
use crate::port::{self, Port};
use crate::process::{Signal, send_signal, wait_until};

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
    const fn ready(self) -> [&'static str; 2] {
        match self {
            Self::Config => [
                "ConfigNode has successfully started",
                "ConfigNode has successfully restarted",
            ],
            Self::Data => [
                "DataNode is set up successfully",
                "DataNode is set up successfully",
            ],
        }
    }
}

/// How long a start may take, recovery included.
const START_LIMIT: Duration = Duration::from_secs(400);

/// How long a node may take to end cleanly before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(90);

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
            super::tls::create(&this.install.java, &this.data.folder)?;
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
        self.another(number)?.0.kill()
    }

    /// Starts one of the DataNodes beside the first on the same data and ports.
    ///
    /// # Errors
    /// There is none of this number, counted from zero, or it does not start.
    pub fn restart_another(&mut self, number: usize) -> Result<()> {
        let ports = numbers(&self.ports);
        let (install, options) = (self.install.clone(), self.options.clone());
        let (node, own) = self.another(number)?;
        node.stop()?;
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
        self.data.folder.join("server.pem")
    }

    /// A folder that goes with the server.
    pub fn folder(&self) -> &Path {
        &self.data.folder
    }

    /// The DataNode's process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.data.child.as_ref().map(Child::id)
    }

    /// Ends it cleanly; data and ports stay for [`Self::restart`].
    ///
    /// # Errors
    /// It did not end in time, and was killed.
    pub fn stop(&mut self) -> Result<()> {
        for (node, _) in &mut self.more {
            node.stop()?;
        }
        self.data.stop()?;
        self.config.stop()
    }

    /// Kills all nodes (SIGKILL); data and ports stay for [`Self::restart`].
    ///
    /// # Errors
    /// The processes cannot be waited for.
    pub fn kill(&mut self) -> Result<()> {
        for (node, _) in &mut self.more {
            node.kill()?;
        }
        self.data.kill()?;
        self.config.kill()
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
        let pid = self.pid().ok_or_else(|| Error::new("IoTDB does not run"))?;
        send_signal(pid, signal)
    }

    /// The end of the DataNode's log.
    pub fn log_tail(&self) -> String {
        log_tail(&self.data.folder)
    }
}

/// One of the two processes, in a folder of its own.
#[derive(Debug)]
struct Node {
    role: Role,
    folder: PathBuf,
    child: Option<Child>,
    // The folder and the process it watches go with it, so it comes last.
    guard: Option<Guard>,
}

impl Node {
    fn new(role: Role) -> Result<Self> {
        let folder = new_folder(match role {
            Role::Config => "iotdb-config",
            Role::Data => "iotdb-data",
        })?;
        Ok(Self {
            role,
            guard: Some(Guard::folder(&folder)?),
            folder,
            child: None,
        })
    }

    /// Starts it, and waits until it serves.
    fn launch(
        &mut self,
        install: &IotdbInstall,
        ports: [u16; PORTS],
        options: &IotdbOptions,
    ) -> Result<()> {
        let mut command = node_command(self.role, &self.folder, install, ports, options)?;
        // Away from the terminal's group: Ctrl-C is for the owner, who then ends the server.
        command.process_group(0);
        let from = fs::metadata(self.folder.join("log")).map_or(0, |log| log.len());
        let child = command.spawn().context(|| "start IoTDB".into())?;
        let child = self.child.insert(child);
        wait_until_it_serves(self.role, child, &self.folder, from)
    }

    fn stop(&mut self) -> Result<()> {
        let Some(child) = self.child.as_mut() else {
            return Ok(());
        };
        send_signal(child.id(), Signal::Terminate)?;
        if wait_until(STOP_LIMIT, || matches!(child.try_wait(), Ok(Some(_)))) {
            self.child = None;
            return Ok(());
        }
        self.kill()?;
        Err(Error::new("IoTDB did not end, and was killed"))
    }

    fn kill(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        child
            .kill()
            .and_then(|()| child.wait())
            .context(|| "kill IoTDB".into())?;
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Nobody is left to tell; the guard makes sure of it.
        let _ = self.kill();
        drop(self.guard.take());
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

/// The command that runs a node in `folder`: its process id goes to the file `pid` there before anything else happens, its
/// output to the file `log`.
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
    let path = folder.join("log");
    let doing = || format!("create {}", path.display());
    let mut open = fs::File::options();
    let log = open.create(true).append(true).open(&path).context(doing)?;
    let copy = log.try_clone().context(doing)?;
    let mut command = Command::new("sh");
    command
        .args(["-c", "echo $$ >\"$0/pid\" && exec \"$@\""])
        .arg(folder)
        .arg(&install.java)
        .args(settings::java_options(
            role,
            folder,
            &install.libraries,
            options,
        ))
        .args([role.class(), "-s"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(copy);
    Ok(command)
}

/// Waits until the log says, from its byte `from` on, that the node serves: its port opens before that.
pub(super) fn wait_until_it_serves(
    role: Role,
    child: &mut Child,
    folder: &Path,
    from: u64,
) -> Result<()> {
    let mut ended = None;
    let serves = || {
        let log = fs::read(folder.join("log")).unwrap_or_default();
        let new = log.get(usize::try_from(from).unwrap_or(0)..);
        let said = String::from_utf8_lossy(new.unwrap_or_default()).into_owned();
        role.ready().iter().any(|text| said.contains(text))
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
    let tail = log_tail(folder);
    Err(Error::new(format!(
        "IoTDB's {role:?}Node {said}; the end of its log:\n{tail}"
    )))
}
