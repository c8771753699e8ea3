//! What can be asked: one table, from which requests are answered and `docs/openapi.json` is made.

use hyper::{Method, StatusCode};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::view::{
    BootstrapList, BootstrapView, ChangeBootstrap, ErrorBody, Health, NewBootstrap, Readiness,
    StatusView,
};

/// Which request it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Health,
    Ready,
    Status,
    Metrics,
    List,
    New,
    Show,
    Change,
    Abort,
    Fold,
    FoldKey,
}

/// Who may ask over TCP. Over the Unix socket, whoever can open it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// Anybody: probes have no token, and learn nothing but yes or no.
    Anybody,
    /// Who has the token.
    Operator,
}

/// A shape of JSON.
pub(super) type Shape = fn(&mut SchemaGenerator) -> Schema;

/// What an answer holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Holds {
    Json(Shape),
    Text,
}

/// A request that can be made.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) asked: Asked,
    pub(super) method: Method,
    /// The path; `{id}` stands for a bootstrap's number, `{fold}` for a name, `{key}` for whatever follows.
    pub(super) path: &'static str,
    pub(super) who: Who,
    pub(super) summary: &'static str,
    pub(super) body: Option<Shape>,
    /// The answers: the first is that of a request that was done.
    pub(super) answers: &'static [(StatusCode, &'static str, Holds)],
}

fn shape<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

const ERROR: Holds = Holds::Json(shape::<ErrorBody>);
const BOOTSTRAP: Holds = Holds::Json(shape::<BootstrapView>);

type Answer = (StatusCode, &'static str, Holds);
const NO_TOKEN: Answer = (StatusCode::UNAUTHORIZED, "No token, or a wrong one.", ERROR);
const MALFORMED: Answer = (
    StatusCode::BAD_REQUEST,
    "The body is not what it should be, or asks for something impossible.",
    ERROR,
);
const TOO_LARGE: Answer = (
    StatusCode::PAYLOAD_TOO_LARGE,
    "The body is larger than 64 KiB.",
    ERROR,
);
const NONE: Answer = (
    StatusCode::NOT_FOUND,
    "There is no bootstrap of this number.",
    ERROR,
);
const OVER: Answer = (StatusCode::CONFLICT, "The bootstrap is over.", ERROR);
const NOT_TAKEN: Answer = (
    StatusCode::SERVICE_UNAVAILABLE,
    "The run is ending, or does not take commands now: ask again.",
    ERROR,
);

/// All of them.
pub(super) static ROUTES: [Route; 11] = [
    Route {
        asked: Asked::Health,
        method: Method::GET,
        path: "/health",
        who: Who::Anybody,
        summary: "Whether the process lives.",
        body: None,
        answers: &[(StatusCode::OK, "It does.", Holds::Json(shape::<Health>))],
    },
    Route {
        asked: Asked::Ready,
        method: Method::GET,
        path: "/ready",
        who: Who::Anybody,
        summary: "Whether rows or changes flow.",
        body: None,
        answers: &[
            (
                StatusCode::OK,
                "They do: the source was reached and the sink is open.",
                Holds::Json(shape::<Readiness>),
            ),
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "They do not, and why.",
                Holds::Json(shape::<Readiness>),
            ),
        ],
    },
    Route {
        asked: Asked::Status,
        method: Method::GET,
        path: "/status",
        who: Who::Operator,
        summary: "What the run is, and where it stands.",
        body: None,
        answers: &[
            (StatusCode::OK, "The run.", Holds::Json(shape::<StatusView>)),
            NO_TOKEN,
        ],
    },
    Route {
        asked: Asked::Metrics,
        method: Method::GET,
        path: "/metrics",
        who: Who::Operator,
        summary: "The run's numbers, as Prometheus reads them.",
        body: None,
        answers: &[(StatusCode::OK, "The metrics.", Holds::Text), NO_TOKEN],
    },
    Route {
        asked: Asked::List,
        method: Method::GET,
        path: "/bootstraps",
        who: Who::Operator,
        summary: "The bootstraps that are open, and the last that were.",
        body: None,
        answers: &[
            (
                StatusCode::OK,
                "The bootstraps, oldest first.",
                Holds::Json(shape::<BootstrapList>),
            ),
            NO_TOKEN,
        ],
    },
    Route {
        asked: Asked::New,
        method: Method::POST,
        path: "/bootstraps",
        who: Who::Operator,
        summary: "Asks for a bootstrap: rows that are there already, while the log flows.",
        body: Some(shape::<NewBootstrap>),
        answers: &[
            (StatusCode::CREATED, "The bootstrap.", BOOTSTRAP),
            MALFORMED,
            NO_TOKEN,
            (
                StatusCode::NOT_FOUND,
                "No table that is streamed has such a name.",
                ERROR,
            ),
            TOO_LARGE,
            NOT_TAKEN,
        ],
    },
    Route {
        asked: Asked::Show,
        method: Method::GET,
        path: "/bootstraps/{id}",
        who: Who::Operator,
        summary: "A bootstrap.",
        body: None,
        answers: &[
            (StatusCode::OK, "The bootstrap.", BOOTSTRAP),
            NO_TOKEN,
            NONE,
        ],
    },
    Route {
        asked: Asked::Change,
        method: Method::PATCH,
        path: "/bootstraps/{id}",
        who: Who::Operator,
        summary: "Pauses or resumes a bootstrap, or changes how fast it may go and under which load.",
        body: Some(shape::<ChangeBootstrap>),
        answers: &[
            (StatusCode::OK, "The bootstrap as it then is.", BOOTSTRAP),
            MALFORMED,
            NO_TOKEN,
            NONE,
            OVER,
            TOO_LARGE,
            NOT_TAKEN,
        ],
    },
    Route {
        asked: Asked::Abort,
        method: Method::DELETE,
        path: "/bootstraps/{id}",
        who: Who::Operator,
        summary: "Aborts a bootstrap. It stays in the list.",
        body: None,
        answers: &[
            (StatusCode::OK, "The bootstrap as it then is.", BOOTSTRAP),
            NO_TOKEN,
            NONE,
            OVER,
            NOT_TAKEN,
        ],
    },
    Route {
        asked: Asked::Fold,
        method: Method::GET,
        path: "/folds/{fold}",
        who: Who::Operator,
        summary: "What a fold holds: of `key`, which may be given more than once, or of the `top` keys; in a window `from` to `to`, and each of its buckets with `windows=true`.",
        body: None,
        answers: FOLD,
    },
    Route {
        asked: Asked::FoldKey,
        method: Method::GET,
        path: "/folds/{fold}/{key}",
        who: Who::Operator,
        summary: "What a fold holds of one key.",
        body: None,
        answers: FOLD,
    },
];

const FOLD: &[Answer] = &[
    (
        StatusCode::OK,
        "The answer, with how far in the source's log it is true.",
        Holds::Json(shape::<headwater_fold::query::Answer>),
    ),
    MALFORMED,
    NO_TOKEN,
    (
        StatusCode::NOT_FOUND,
        "There is no such fold, or it is not complete yet.",
        ERROR,
    ),
    (
        StatusCode::SERVICE_UNAVAILABLE,
        "The store cannot be read now.",
        ERROR,
    ),
];

/// What was found for a request.
#[derive(Debug)]
pub(super) enum Found {
    /// The route, with the number in the path.
    Route(&'static Route, Option<u64>),
    /// The path is known, but not with this method; these are.
    Methods(Vec<&'static str>),
    /// Nothing.
    Nothing,
}

/// The request that this is. HEAD is GET without its body.
pub(super) fn find(method: &Method, path: &str) -> Found {
    let method = match *method {
        Method::HEAD => &Method::GET,
        _ => method,
    };
    let here = ROUTES
        .iter()
        .filter_map(|route| Some((route, fits(route.path, path)?)));
    let mut methods = Vec::new();
    for (route, id) in here {
        if route.method == *method {
            return Found::Route(route, id);
        }
        methods.push(route.method.as_str());
    }
    if methods.is_empty() {
        Found::Nothing
    } else {
        Found::Methods(methods)
    }
}

/// The number in the path, if the path fits.
fn fits(pattern: &str, path: &str) -> Option<Option<u64>> {
    if let Some(before) = pattern.strip_suffix("/{key}") {
        // `/folds`, a name, and the key, in which there may be slashes.
        let (at, _) = path.match_indices('/').nth(before.matches('/').count())?;
        let (head, key) = path.split_at(at);
        return (key.len() > 1 && fits(before, head).is_some()).then_some(None);
    }
    if let Some(before) = pattern.strip_suffix("{fold}") {
        let name = path.strip_prefix(before)?;
        return (!name.is_empty() && !name.contains('/')).then_some(None);
    }
    let Some(before) = pattern.strip_suffix("{id}") else {
        return (pattern == path).then_some(None);
    };
    let number = path.strip_prefix(before)?;
    let is_plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| number.parse().ok()).flatten().map(Some)
}
