//! `headwater bootstrap`: asks the running process, through the socket beside its checkpoint.

mod at;
mod list;
mod rate;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use headwater_core::Result;
use hyper::Method;
use serde::Serialize;

pub(super) use list::table;

use super::schema::print;
use crate::arguments::{Bootstrap, BootstrapAction, Process, Request};
use crate::config::{self, Failure, Lookup, misused};
use crate::control::client::Client;
use crate::control::find;
use crate::control::view::{
    BootstrapList, BootstrapView, ChangeBootstrap, Limits, NewBootstrap, WantedState,
};
use crate::exit::Exit;
use crate::terminal::Console;

/// Does what is asked for.
pub(crate) async fn run(
    bootstrap: &Bootstrap,
    console: &Arc<Console>,
    lookup: Lookup<'_>,
) -> Result<Exit, Failure> {
    let (request, is_json) = (&bootstrap.request, bootstrap.json);
    let Some(action) = &bootstrap.action else {
        let new = new(request)?;
        let client = client(&bootstrap.process, lookup)?;
        return Ok(ask(&client, new, request.detach, is_json, console).await?);
    };
    request.refuse_beside_a_command()?;
    // What cannot be is refused before anybody is asked.
    let limits = match action {
        BootstrapAction::Throttle(throttle) => rate::limits(&throttle.rate)?,
        _ => Limits::default(),
    };
    let client = client(&bootstrap.process, lookup)?;
    let set = |state| ChangeBootstrap {
        state: Some(state),
        limits: None,
    };
    let view: BootstrapView = match action {
        BootstrapAction::List => {
            let list: BootstrapList = client.get("/bootstraps").await?;
            return Ok(show_list(&list, is_json));
        }
        BootstrapAction::Watch(which) => {
            let view = client.get(&path(which.id)).await?;
            return Ok(watch::watch(&client, view, is_json, console).await?);
        }
        BootstrapAction::Pause(which) => {
            change(&client, which.id, &set(WantedState::Paused)).await?
        }
        BootstrapAction::Resume(which) => {
            change(&client, which.id, &set(WantedState::Running)).await?
        }
        BootstrapAction::Abort(which) => {
            let nothing = serde_json::Map::new();
            client
                .send(Method::DELETE, &path(which.id), &nothing)
                .await?
        }
        BootstrapAction::Throttle(throttle) => {
            let limits = ChangeBootstrap {
                state: None,
                limits: Some(limits),
            };
            change(&client, throttle.which.id, &limits).await?
        }
    };
    Ok(if is_json {
        print_json(&view)
    } else {
        print(&format!("{}\n", list::sentence(&view)))
    })
}

fn path(id: u64) -> String {
    format!("/bootstraps/{id}")
}

async fn change(client: &Client, id: u64, change: &ChangeBootstrap) -> Result<BootstrapView> {
    client.send(Method::PATCH, &path(id), change).await
}

async fn ask(
    client: &Client,
    new: NewBootstrap,
    is_detached: bool,
    is_json: bool,
    console: &Arc<Console>,
) -> Result<Exit> {
    let view: BootstrapView = client.send(Method::POST, "/bootstraps", &new).await?;
    tracing::info!(id = view.id, "bootstrap asked for: {}", list::tables(&view));
    if !is_detached {
        return watch::watch(client, view, is_json, console).await;
    }
    Ok(if is_json {
        print_json(&view)
    } else {
        print(&format!("{}\n", view.id))
    })
}

fn show_list(list: &BootstrapList, is_json: bool) -> Exit {
    if is_json {
        return print_json(list);
    }
    if list.bootstraps.is_empty() {
        return print("no bootstrap was asked for\n");
    }
    print(&table(&list.bootstraps))
}

/// Prints an answer as one JSON object.
fn print_json(answer: &impl Serialize) -> Exit {
    // Structs of strings and numbers always print.
    let text = serde_json::to_string_pretty(answer).unwrap_or_default();
    print(&format!("{text}\n"))
}

fn client(process: &Process, lookup: Lookup<'_>) -> Result<Client, Failure> {
    let socket: PathBuf = match (&process.checkpoint, &process.config) {
        (Some(checkpoint), _) => find::socket_of(checkpoint),
        (None, Some(config)) => find::socket_of(&config::checkpoint_in(config, lookup)?),
        (None, None) => find::only_socket_in(Path::new("."))?,
    };
    Ok(Client::new(socket))
}

fn new(request: &Request) -> Result<NewBootstrap> {
    if request.tables.is_empty() {
        return Err(misused(
            "no table is named",
            "name one: headwater bootstrap shop.orders",
        ));
    }
    if let Some(word) = request.tables.iter().find(|table| !table.contains('.')) {
        return Err(misused(
            format!("`{word}` is neither a table's full name nor a command"),
            "write DATABASE.TABLE (shop.orders, 'shop.*'); the commands are list, watch, pause, resume, abort, throttle",
        ));
    }
    Ok(NewBootstrap {
        tables: request.tables.clone(),
        condition: request.condition.clone(),
        comment: request.comment.clone(),
        limits: rate::limits(&request.rate)?,
        at_once: false,
        origin: None,
        not_before_s: request.at.as_deref().map(at::seconds).transpose()?,
    })
}

impl Request {
    /// What belongs to a request has no effect on `list` and its like.
    fn refuse_beside_a_command(&self) -> Result<()> {
        let given = [
            (!self.tables.is_empty(), "a table"),
            (self.condition.is_some(), "--where"),
            (!self.rate.is_empty(), "--rate"),
            (self.comment.is_some(), "--comment"),
            (self.at.is_some(), "--at"),
            (self.detach, "--detach"),
        ];
        match given.iter().find(|(is_given, _)| *is_given) {
            Some((_, what)) => Err(misused(
                format!(
                    "{what} belongs to a new bootstrap, and a command for another is given too"
                ),
                "say one at a time; `headwater bootstrap --help` shows both ways",
            )),
            None => Ok(()),
        }
    }
}
