//! The answer to a request, without any network.

use std::time::Duration;

use headwater_core::bootstrap::Action;
use headwater_core::{Error, ErrorKind};
use hyper::body::Bytes;
use hyper::{Method, StatusCode, Uri};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::folds;
use super::routes::{Asked, Found, Route, find};
use super::view::{
    ChangeBootstrap, ErrorBody, ErrorView, Health, Limits, NewBootstrap, WantedState,
};
use super::watched::Watched;
use crate::config::mask;

/// How long the engine may take to answer a command: it first ends what it is at.
const COMMAND_S_MAX: u64 = 30;
/// The most tables of one request, by name or pattern.
const TABLES_MAX: usize = 10_000;

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) content_type: &'static str,
    pub(super) body: Bytes,
    /// A header more: `Allow`, `Location`.
    pub(super) header: Option<(&'static str, String)>,
}

impl Answer {
    /// JSON of any of the shapes in [`super::view`].
    pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Self {
        // Structs of strings and numbers always print.
        let mut bytes = serde_json::to_vec(body).unwrap_or_default();
        bytes.push(b'\n');
        Self {
            status,
            content_type: "application/json",
            body: bytes.into(),
            header: None,
        }
    }

    /// An error.
    pub(super) fn error(status: StatusCode, error: &Error) -> Self {
        let error = ErrorView {
            kind: error.kind().name().to_owned(),
            message: mask::urls(&error.to_string()),
            hint: error.hint_text().map(str::to_owned),
        };
        Self::json(status, &ErrorBody { error })
    }

    fn with(mut self, name: &'static str, value: String) -> Self {
        self.header = Some((name, value));
        self
    }
}

/// What is asked for, or the answer that nothing is.
pub(super) fn route(method: &Method, path: &str) -> Result<(&'static Route, Option<u64>), Answer> {
    match find(method, path) {
        Found::Route(route, id) => Ok((route, id)),
        Found::Methods(methods) => {
            let error = Error::new(
                ErrorKind::Unsupported,
                format!("{method} means nothing here"),
            )
            .hint(format!("use {}", methods.join(" or ")));
            let answer = Answer::error(StatusCode::METHOD_NOT_ALLOWED, &error);
            Err(answer.with("allow", methods.join(", ")))
        }
        Found::Nothing => {
            let error = Error::new(ErrorKind::NotFound, "there is nothing under this path").hint(
                "paths are /health, /ready, /status, /metrics, /bootstraps, /bootstraps/ID, /folds/NAME and /folds/NAME/KEY",
            );
            Err(Answer::error(StatusCode::NOT_FOUND, &error))
        }
    }
}

/// Answers a request that was let in.
pub(super) async fn answer(
    watched: &Watched,
    asked: Asked,
    id: Option<u64>,
    uri: &Uri,
    body: &[u8],
) -> Answer {
    let answered = match (asked, id) {
        (Asked::Health, _) => Ok(Answer::json(StatusCode::OK, &Health { alive: true })),
        (Asked::Ready, _) => Ok(ready(watched)),
        (Asked::Status, _) => Ok(Answer::json(StatusCode::OK, &watched.status())),
        (Asked::Metrics, _) => Ok(Answer {
            status: StatusCode::OK,
            content_type: "text/plain; version=0.0.4; charset=utf-8",
            body: watched.metrics().into(),
            header: None,
        }),
        (Asked::List, _) => Ok(Answer::json(StatusCode::OK, &watched.bootstraps())),
        (Asked::New, _) => new(watched, body).await,
        (Asked::Show, Some(id)) => show(watched, id),
        (Asked::Change, Some(id)) => change(watched, id, body).await,
        (Asked::Abort, Some(id)) => act(watched, id, Action::Abort).await,
        (Asked::Fold | Asked::FoldKey, _) => folds::answer(watched, uri.path(), uri.query()).await,
        (Asked::Show | Asked::Change | Asked::Abort, None) => Err(refused(none(None))),
    };
    answered.unwrap_or_else(|(status, error)| Answer::error(status, &error))
}

type Refused = (StatusCode, Error);

fn ready(watched: &Watched) -> Answer {
    let readiness = watched.readiness();
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    Answer::json(status, &readiness)
}

async fn new(watched: &Watched, body: &[u8]) -> Result<Answer, Refused> {
    let new: NewBootstrap = read(body)?;
    check(&new).map_err(|error| (StatusCode::BAD_REQUEST, error))?;
    let asked = watched.control.ask(new.into());
    let bootstrap = in_time(asked).await.map_err(|error| match error.kind() {
        ErrorKind::Configuration => (StatusCode::BAD_REQUEST, error),
        _ => refused(error),
    })?;
    let place = format!("/bootstraps/{}", bootstrap.id);
    let answer = Answer::json(StatusCode::CREATED, &watched.view(&bootstrap));
    Ok(answer.with("location", place))
}

fn show(watched: &Watched, id: u64) -> Result<Answer, Refused> {
    let bootstrap = watched
        .bootstrap(id)
        .ok_or_else(|| refused(none(Some(id))))?;
    Ok(Answer::json(StatusCode::OK, &bootstrap))
}

async fn change(watched: &Watched, id: u64, body: &[u8]) -> Result<Answer, Refused> {
    let change: ChangeBootstrap = read(body)?;
    let bad = |error| (StatusCode::BAD_REQUEST, error);
    let mut answer = None;
    if let Some(limits) = change.limits {
        check_limits(limits).map_err(bad)?;
        answer = Some(act(watched, id, Action::Limit(limits.into())).await?);
    }
    if let Some(state) = change.state {
        let action = match state {
            WantedState::Paused => Action::Pause,
            WantedState::Running => Action::Resume,
        };
        answer = Some(act(watched, id, action).await?);
    }
    answer.ok_or_else(|| {
        bad(
            Error::new(ErrorKind::Configuration, "nothing is to be changed")
                .hint(r#"give "state" ("paused" or "running") or "limits""#),
        )
    })
}

async fn act(watched: &Watched, id: u64, action: Action) -> Result<Answer, Refused> {
    let bootstrap = in_time(watched.control.act(id, action))
        .await
        .map_err(refused)?;
    Ok(Answer::json(StatusCode::OK, &watched.view(&bootstrap)))
}

/// The engine's answer, if it comes in time. A command whose answer nobody waits for any more may still be done.
async fn in_time<T>(
    answer: impl Future<Output = headwater_core::Result<T>>,
) -> headwater_core::Result<T> {
    let limit = Duration::from_secs(COMMAND_S_MAX);
    let Ok(answer) = tokio::time::timeout(limit, answer).await else {
        return Err(Error::new(
            ErrorKind::Timeout,
            format!("the run did not take the command within {COMMAND_S_MAX} s"),
        )
        .hint("it may still do it: look at /bootstraps (`headwater bootstrap list`) before asking again"));
    };
    answer
}

/// What the engine refused.
fn refused(error: Error) -> Refused {
    let status = match error.kind() {
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        // Of a bootstrap that is over.
        ErrorKind::Configuration => StatusCode::CONFLICT,
        ErrorKind::Unsupported => StatusCode::BAD_REQUEST,
        kind if kind == ErrorKind::Cancelled || error.is_temporary() => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, error)
}

fn none(id: Option<u64>) -> Error {
    let error = Error::new(ErrorKind::NotFound, "there is no bootstrap of this number")
        .hint("`headwater bootstrap list` (GET /bootstraps) shows those there are");
    match id {
        Some(id) => error.with("id", id),
        None => error,
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(body).map_err(|cause| {
        let error = Error::new(
            ErrorKind::Malformed,
            format!("the body is not what it should be: {cause}"),
        )
        .hint("it is one JSON object; docs/openapi.json has its members");
        (StatusCode::BAD_REQUEST, error)
    })
}

fn check(new: &NewBootstrap) -> headwater_core::Result<()> {
    let misused = |message: &str, hint: &'static str| {
        Err(Error::new(ErrorKind::Configuration, message.to_owned()).hint(hint))
    };
    if new.tables.is_empty() {
        return misused("no table is named", "name one: shop.orders, or shop.*");
    }
    if new.tables.len() > TABLES_MAX {
        return misused("too many tables are named", "use a pattern: shop.*");
    }
    if let Some(bad) = new.tables.iter().find(|table| !table.contains('.')) {
        return misused(
            &format!("`{bad}` is not a table's full name"),
            "write DATABASE.TABLE; a star stands for any run of characters: shop.*",
        );
    }
    let is_blank =
        |text: &Option<String>| text.as_deref().is_some_and(|text| text.trim().is_empty());
    if is_blank(&new.condition) {
        return misused(
            "the condition is empty",
            "leave `where` out to take every row",
        );
    }
    if is_blank(&new.origin) {
        return misused("the origin is empty", "leave `origin` out, or give a name");
    }
    check_limits(new.limits)
}

fn check_limits(limits: Limits) -> headwater_core::Result<()> {
    if limits.rows_per_s == Some(0) || limits.bytes_per_s == Some(0) {
        return Err(
            Error::new(ErrorKind::Configuration, "a rate of 0 would never end")
                .hint("pause the bootstrap instead, or leave the limit out"),
        );
    }
    Ok(())
}
