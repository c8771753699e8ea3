//! How an operator reaches a run: by the program's own commands through the socket beside the checkpoint, or over HTTP where Kafka
//! holds the checkpoint and there is no file for a socket to lie beside.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::super::bootstrap::{TOKEN, try_ask};
use super::super::command::{Said, headwater, said};
use super::target::Target;

/// What an operator wants.
#[derive(Debug, Clone)]
pub(super) enum Wish {
    /// A bootstrap, with a rate in rows a second.
    New {
        tables: Vec<String>,
        condition: Option<&'static str>,
        rate: Option<u64>,
        comment: String,
    },
    List,
    Pause(u64),
    Resume(u64),
    /// Another rate, or none.
    Throttle(u64, Option<u64>),
    Abort(u64),
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Answer {
    Done(Value),
    /// The bootstrap was over already.
    Over,
    /// No run was there, or it ended meanwhile: what was wanted may be done, or not.
    Gone,
}

/// The way to one process.
#[derive(Debug)]
pub(super) enum Door {
    Socket {
        checkpoint: PathBuf,
    },
    /// The process says its port in its log, behind so many bytes.
    Http {
        log: PathBuf,
        said: usize,
    },
}

impl Door {
    /// Of the process that is started next.
    pub(super) fn of(target: &Target, folder: &Path) -> Self {
        match target {
            Target::File => Self::Socket {
                checkpoint: folder.join("kills.checkpoint"),
            },
            Target::Kafka(_) => {
                let log = folder.join("log");
                let said = fs::read(&log).map_or(0, |text| text.len());
                Self::Http { log, said }
            }
        }
    }

    /// Asks the process.
    ///
    /// # Panics
    /// When it refuses something for any reason but that it ends, or that the bootstrap is over.
    pub(super) fn ask(&self, wish: &Wish) -> Answer {
        match self {
            Self::Socket { checkpoint } => by_command(checkpoint, wish),
            Self::Http { log, said } => match port(log, *said) {
                Some(port) => by_http(port, wish),
                None => Answer::Gone,
            },
        }
    }
}

fn by_command(checkpoint: &Path, wish: &Wish) -> Answer {
    let number = |id: &u64| id.to_string();
    let words: Vec<String> = match wish {
        Wish::New {
            tables,
            condition,
            rate,
            comment,
        } => {
            let mut words = tables.clone();
            words.extend(["--detach".into(), format!("--comment={comment}")]);
            words.extend(condition.map(|condition| format!("--where={condition}")));
            words.extend(rate.map(|rate| format!("--rate={rate}rows/s")));
            words
        }
        Wish::List => vec!["list".into()],
        Wish::Pause(id) => vec!["pause".into(), number(id)],
        Wish::Resume(id) => vec!["resume".into(), number(id)],
        Wish::Abort(id) => vec!["abort".into(), number(id)],
        Wish::Throttle(id, rate) => {
            let rate = rate.map_or("none".to_owned(), |rate| format!("{rate}rows/s"));
            vec!["throttle".into(), number(id), rate]
        }
    };
    let mut command = headwater();
    command.arg("bootstrap").args(&words);
    let Said { code, out, err } = said(command.args(["--json", "--checkpoint"]).arg(checkpoint));
    match code {
        0 => Answer::Done(serde_json::from_str(&out).unwrap()),
        2 if err.contains("is over already") => Answer::Over,
        3 => Answer::Gone,
        _ => panic!("`headwater bootstrap {words:?}` ended with {code}: {out}{err}"),
    }
}

fn by_http(port: u16, wish: &Wish) -> Answer {
    let one = |method: &str, id: &u64| format!("{method} /bootstraps/{id}");
    let limits = |rate: &Option<u64>| match rate {
        Some(rate) => json!({ "rows_per_s": rate }),
        None => json!({ "load": {} }),
    };
    let (request, body) = match wish {
        Wish::New {
            tables,
            condition,
            rate,
            comment,
        } => {
            let mut new = json!({ "tables": tables, "comment": comment, "limits": limits(rate) });
            if let Some(condition) = condition {
                new["where"] = (*condition).into();
            }
            ("POST /bootstraps".to_owned(), new)
        }
        Wish::List => ("GET /bootstraps".to_owned(), Value::Null),
        Wish::Pause(id) => (one("PATCH", id), json!({ "state": "paused" })),
        Wish::Resume(id) => (one("PATCH", id), json!({ "state": "running" })),
        Wish::Abort(id) => (one("DELETE", id), json!({})),
        Wish::Throttle(id, rate) => (one("PATCH", id), json!({ "limits": limits(rate) })),
    };
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let Ok((code, answer)) = try_ask(port, &request, TOKEN, &body) else {
        return Answer::Gone;
    };
    match code {
        // Cut short, it is no JSON.
        200 | 201 => serde_json::from_str(&answer).map_or(Answer::Gone, Answer::Done),
        409 if answer.contains("is over already") => Answer::Over,
        503 => Answer::Gone,
        _ => panic!("{request} {body} was answered with {code}: {answer}"),
    }
}

/// Where the process listens, once it has said so.
fn port(log: &Path, said: usize) -> Option<u16> {
    let text = fs::read(log).ok()?;
    let text = String::from_utf8_lossy(text.get(said..)?);
    let line = text
        .lines()
        .find(|line| line.contains("listening for HTTP"))?;
    let (_, behind) = line.split_once("127.0.0.1:")?;
    let digits: String = behind.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}
