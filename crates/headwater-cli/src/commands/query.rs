//! `headwater query`: what folds hold. Of a run that is there it asks that one, through its socket; else it looks into the store.

use std::fmt::Write as _;

use headwater_core::Result;
use headwater_fold::query::{Answer, KeyAnswer, Question};
use serde_json::Value;

use crate::arguments::Query;
use crate::config::{Failure, Lookup, Passwords, StoreChoice, misused};
use crate::control::client::Client;
use crate::control::find;
use crate::exit::Exit;
use crate::folds::Reader;

/// Prints the answer.
pub(crate) async fn run(query: &Query, lookup: Lookup<'_>) -> Result<Exit, Failure> {
    let store = match (&query.store, &query.config) {
        (Some(store), _) => named(store, lookup)?,
        (None, Some(path)) => crate::config::fold_store_in(path, lookup)?,
        (None, None) => {
            return Err(misused(
                "where the folds are kept is not said",
                "name the configuration, --config FILE, or the store, --store FILE",
            )
            .into());
        }
    };
    let question = question(query);
    let socket = store.path().map(find::socket_of);
    let answer: Answer = match socket.filter(|socket| find::is_alive(socket)) {
        Some(socket) => Client::new(socket).get(&path_of(&question)).await?,
        None => Reader::open(&store)?.answer(&question).await?,
    };
    Ok(super::schema::print(&if query.json {
        let text = serde_json::to_string_pretty(&answer).unwrap_or_default();
        format!("{text}\n")
    } else {
        text(&answer)
    }))
}

/// The store that a flag names.
fn named(store: &str, lookup: Lookup<'_>) -> Result<StoreChoice> {
    let store = StoreChoice::parse(store)?;
    if matches!(&store, StoreChoice::Redis(options) if options.has_password()) {
        return Err(misused(
            "a password on the command line can be read by everybody on this machine",
            "leave it out of the URL, and set HEADWATER_REDIS_PASSWORD, or name the configuration: --config FILE",
        ));
    }
    store.with_password(&Passwords::default(), lookup)
}

fn question(query: &Query) -> Question {
    Question {
        fold: query.fold.clone(),
        keys: query.keys.clone(),
        top: query.top,
        from: query.from.clone(),
        to: query.to.clone(),
        by_window: query.windows,
    }
}

/// The question as a path of HTTP.
fn path_of(question: &Question) -> String {
    let mut path = format!("/folds/{}?", encoded(&question.fold));
    let mut add = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = write!(path, "{name}={}&", encoded(value));
    };
    for key in &question.keys {
        add("key", key);
    }
    if let Some(top) = question.top {
        add("top", &top.to_string());
    }
    for (name, value) in [("from", &question.from), ("to", &question.to)] {
        if let Some(value) = value {
            add(name, value);
        }
    }
    if question.by_window {
        add("windows", "true");
    }
    path.pop();
    path
}

/// With everything in percent but letters, digits, `-`, `_`, `.` and `~` (RFC 3986, section 2.3).
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(byte.into());
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// For people: a line a key, and one for each of its buckets.
fn text(answer: &Answer) -> String {
    let mut out = String::new();
    let shown = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    for KeyAnswer {
        key,
        value,
        windows,
        found,
    } in &answer.answers
    {
        let none = if *found { "" } else { "  (nothing stored)" };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{key}\t{}{none}", shown(value));
        for window in windows {
            let _ = writeln!(out, "  {}\t{}", window.from, shown(&window.value));
        }
    }
    if let Some(range) = &answer.range {
        let _ = writeln!(out, "# from {} to before {}", range.from, range.to);
    }
    let includes = &answer.includes;
    let _ = writeln!(
        out,
        "# true as of {} (stored at {})",
        includes.position, includes.stored_at_s
    );
    if !includes.refolded_up_to.is_null() {
        let _ = writeln!(out, "# refolded keys up to {}", includes.refolded_up_to);
    }
    out
}
