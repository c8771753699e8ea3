//! What answers in place of an engine, and what asks in place of a person.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use headwater_core::bootstrap::{
    Action, Bootstrap, BootstrapState, Command, Commands, TableBootstrap, control, matches,
};
use headwater_core::progress::{Phase, Progress};
use headwater_core::schema::TableName;
use headwater_core::{Error, ErrorKind, Result};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::config::HttpSettings;
use crate::control::{About, Plane, Watched};

/// A plane with a checkpoint of its own.
pub(super) struct Served {
    pub(super) plane: Plane,
    pub(super) progress: Arc<Progress>,
    pub(super) folder: TempDir,
}

impl Served {
    pub(super) async fn start(http: Option<&HttpSettings>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let progress = Arc::new(Progress::default());
        let (control, commands) = control();
        let about = About {
            mode: "both",
            server: "mysql://cdc@db/shop".into(),
            sink: "null".into(),
            ..About::default()
        };
        let watched = Watched::new(control, Arc::clone(&progress), about);
        let checkpoint = folder.path().join("shop.checkpoint");
        let plane = Plane::start(watched, Some(&checkpoint), http)
            .await
            .unwrap();
        progress.set_phase(Phase::Streaming);
        tokio::spawn(stand_in(commands, Arc::clone(&progress)));
        Self {
            plane,
            progress,
            folder,
        }
    }

    pub(super) fn checkpoint(&self) -> PathBuf {
        self.folder.path().join("shop.checkpoint")
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.folder.path().join("shop.checkpoint.sock")
    }

    /// Asks through the socket.
    pub(super) async fn ask(&self, method: &str, path: &str, body: &str) -> Said {
        ask_socket(&self.socket(), method, path, body).await
    }
}

pub(super) async fn ask_socket(socket: &Path, method: &str, path: &str, body: &str) -> Said {
    let stream = UnixStream::connect(socket).await.unwrap();
    exchange(stream, method, path, "", body).await
}

/// An answer.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Said {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

/// Says a request as it stands on the wire, and takes the answer to its end.
pub(super) async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> Said {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    // A server that has seen enough may close before it has read all.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Said {
        status: status.unwrap_or_else(|| panic!("no answer: {answer:?}")),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

/// Takes commands as an engine would that streams `shop.orders` and `shop.users`.
async fn stand_in(mut commands: Commands, progress: Arc<Progress>) {
    let mut all: Vec<Bootstrap> = Vec::new();
    while let Some(command) = commands.next().await {
        match command {
            Command::Ask(request, answer) => {
                let asked = ask(&mut all, request);
                progress.set_bootstraps(all.clone());
                let _ = answer.send(asked);
            }
            Command::Act(id, action, answer) => {
                let done = act(&mut all, id, action);
                progress.set_bootstraps(all.clone());
                let _ = answer.send(done);
            }
        }
    }
}

fn ask(
    all: &mut Vec<Bootstrap>,
    request: headwater_core::bootstrap::BootstrapRequest,
) -> Result<Bootstrap> {
    let known = ["orders", "users"].map(|table| TableName::new("shop", table));
    let meant = |name: &TableName| request.tables.iter().any(|pattern| matches(pattern, name));
    let tables: Vec<TableBootstrap> = (known.iter().filter(|name| meant(name)))
        .map(|name| {
            let coverage = headwater_core::coverage::TableCoverage::unread();
            serde_json::from_value(json!({
                "name": name, "key_columns": ["id"], "rows": 40, "estimated_rows": 100, "coverage": coverage,
            }))
            .unwrap()
        })
        .collect();
    if tables.is_empty() {
        return Err(Error::new(
            ErrorKind::NotFound,
            "no table that is streamed has such a name",
        )
        .hint("look at the names"));
    }
    let bootstrap = Bootstrap {
        id: all.len() as u64 + 1,
        request,
        state: BootstrapState::Running,
        asked_at_s: 1,
        began_at_s: Some(2),
        ended_at_s: None,
        tables,
    };
    all.push(bootstrap.clone());
    Ok(bootstrap)
}

fn act(all: &mut [Bootstrap], id: u64, action: Action) -> Result<Bootstrap> {
    let bootstrap = all
        .iter_mut()
        .find(|one| one.id == id)
        .ok_or_else(|| Error::new(ErrorKind::NotFound, "there is none"))?;
    if bootstrap.state.is_over() {
        return Err(Error::new(
            ErrorKind::Configuration,
            "the bootstrap is over",
        ));
    }
    match action {
        Action::Pause => bootstrap.state = BootstrapState::Paused,
        Action::Resume => bootstrap.state = BootstrapState::Running,
        Action::Abort => {
            bootstrap.state = BootstrapState::Aborted;
            bootstrap.ended_at_s = Some(9);
        }
        Action::Limit(limits) => bootstrap.request.limits = limits,
    }
    Ok(bootstrap.clone())
}
