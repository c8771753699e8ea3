//! From Maxwell's options to a file of ours.

use headwater_core::filter::Filter;
use serde_json::Value;

use super::table::{self, Becomes, Kind, Row};
use super::yaml::{Tree, plain};
use super::{Fate, Moved};
use crate::config::mask;

/// Makes a file of the options.
pub(super) fn convert(options: &[(String, String)]) -> Moved {
    let mut moving = Moving {
        options,
        tree: Tree::default(),
    };
    // In the order in which a person would write it.
    moving.tree.set("mode", "cdc");
    moving.connection();
    let sink = moving.sink();
    let checkpoint = format!(
        "{}.checkpoint",
        moving.get("client_id").unwrap_or("maxwell")
    );
    moving.tree.set("sink", sink.as_deref().unwrap_or("stdout"));
    moving.tree.set("checkpoint", plain(&checkpoint));
    moving.tree.set("events.bootstrap_events", "maxwell");
    let fates = options
        .iter()
        .map(|(name, value)| (name.clone(), moving.option(name, value)))
        .collect();
    if !moving.tree.has("filter") {
        moving.filter("");
    }
    Moved {
        yaml: moving.tree.text(),
        fates,
    }
}

struct Moving<'a> {
    options: &'a [(String, String)],
    tree: Tree,
}

fn is_true(value: &str) -> bool {
    value.eq_ignore_ascii_case("true")
}

impl<'a> Moving<'a> {
    /// The value of an option that has one.
    fn get(&self, name: &str) -> Option<&'a str> {
        let mut options = self.options.iter();
        let (_, value) = options.find(|(known, _)| known == name)?;
        (!value.is_empty()).then_some(value)
    }

    /// The value that an option has for the server whose log is read.
    fn of_log(&self, name: &str) -> Option<&'a str> {
        self.get(&format!("replication_{name}"))
            .or_else(|| self.get(name))
    }

    fn connection(&mut self) {
        let host = self.of_log("host").unwrap_or("localhost");
        self.tree.set("connections.mysql.host", plain(host));
        if let Some(port) = self.of_log("port") {
            self.tree
                .set("connections.mysql.port", number_or_text(port));
        }
        let user = self.of_log("user").unwrap_or("maxwell");
        self.tree.set("connections.mysql.user", plain(user));
        if let Some(mode) = self.of_log("ssl").and_then(tls_mode) {
            self.tree.set("connections.mysql.tls.mode", mode);
        }
    }

    /// Where events go; none where that cannot be.
    fn sink(&self) -> Option<String> {
        match self.get("producer").unwrap_or("stdout") {
            "stdout" => Some("stdout".into()),
            "none" => Some("null".into()),
            "kafka" => Some("kafka".into()),
            "file" => {
                let path = self.get("output_file").unwrap_or("maxwell.jsonl");
                Some(format!("file:{}", path.replace("${", "$${")))
            }
            _ => None,
        }
    }

    fn option(&mut self, name: &str, value: &str) -> Fate {
        let Some(row) = table::of(name) else {
            return Fate::Lost("Maxwell 1.45.0 has no such option".into());
        };
        if value.is_empty() {
            return Fate::Ignored("it has no value".into());
        }
        match row.becomes {
            Becomes::Key(path, kind) => self.key(name, path, kind, value),
            Becomes::Mapped => self.mapped(name, value, row),
            Becomes::Nothing => Fate::Ignored(row.note_or("it needs nothing here")),
            Becomes::Not(harmless)
                if harmless.iter().any(|one| one.eq_ignore_ascii_case(value)) =>
            {
                Fate::Ignored(format!("with {value} it asks for nothing"))
            }
            Becomes::Not(_) => Fate::Lost(row.note_or("it is not there")),
            Becomes::Of(producer) if self.get("producer") == Some(producer) => {
                Fate::Lost(format!("the producer {producer} is {}", row.note))
            }
            Becomes::Of(producer) => Fate::Ignored(format!(
                "it is for the producer {producer}, which the file does not choose"
            )),
        }
    }

    fn key(&mut self, name: &str, path: &str, kind: Kind, value: &str) -> Fate {
        if path.starts_with("kafka.") && self.get("producer") != Some("kafka") {
            return Fate::Ignored(
                "it is for the producer kafka, which the file does not choose".into(),
            );
        }
        let value: Value = match kind {
            Kind::Bool => is_true(value).into(),
            Kind::Number => number_or_text(value),
            Kind::Text => plain(value),
            Kind::Names => value.split(',').map(|part| plain(part.trim())).collect(),
        };
        self.tree.set(path, value.clone());
        let (_, own) = path.rsplit_once('.').unwrap_or(("", path));
        if own == name {
            Fate::Taken(format!("{path}: {value}"))
        } else {
            Fate::Mapped(format!("{path}: {value}"))
        }
    }

    fn mapped(&mut self, name: &str, value: &str, row: &Row) -> Fate {
        let at = |path: &str| Fate::Mapped(format!("to {path}"));
        match name {
            "host" | "port" | "user" | "ssl" => match self.get(&format!("replication_{name}")) {
                Some(_) => Fate::Ignored(format!("replication_{name} says it of the server whose log is read")),
                None => self.of_server(name, value),
            },
            "replication_host" | "replication_port" | "replication_user" | "replication_ssl" => {
                self.of_server(name.trim_start_matches("replication_"), value)
            }
            "password" | "replication_password" => {
                Fate::Mapped("not copied: set HEADWATER_MYSQL_PASSWORD, or name a file with connections.mysql.password_file".into())
            }
            "secret_key" => Fate::Mapped(
                "not copied: set HEADWATER_SECRET_KEY, or name a file with events.secret_key_file".into(),
            ),
            "schema_host" if Some(value) == self.of_log("host") => {
                Fate::Ignored("it is the server whose log is read".into())
            }
            "schema_host" => Fate::Lost(row.note.into()),
            "schema_database" => {
                self.tree.set("schema_database", plain(value));
                Fate::Taken(format!("schema_database: {value}; and filter excludes the rest of it"))
            }
            "client_id" => {
                self.tree.set("client_id", plain(value));
                Fate::Taken(format!("client_id: {value}; and to checkpoint"))
            }
            "log_level" => {
                let level = value.to_ascii_lowercase();
                self.tree.set("log.level", plain(&level));
                at("log.level")
            }
            "init_position" => self.start(value),
            "producer" if self.sink().is_some() => at("sink"),
            "producer" => Fate::Lost(format!("the producer {value} is not there: write to Kafka, a file or standard output and forward from it")),
            "output_file" if self.get("producer") == Some("file") => at("sink"),
            "output_file" => Fate::Ignored("it is for the producer file, which the file does not choose".into()),
            "producer_ack_timeout" => self.acknowledge(value),
            "filter" => self.filter(value),
            "metrics_type" => self.metrics(value),
            "http_port" | "http_bind_address" => {
                if self.tree.has("http.listen") || self.has_http() {
                    Fate::Mapped(format!("to http.listen; {}", without_links(row.note)))
                } else {
                    Fate::Ignored("nothing is told over HTTP: metrics_type is not http".into())
                }
            }
            _ => self.property(name.trim_start_matches("kafka."), value),
        }
    }

    fn of_server(&self, name: &str, value: &str) -> Fate {
        if name == "ssl" {
            return match tls_mode(value) {
                Some(mode) => Fate::Mapped(format!("to connections.mysql.tls.mode: {mode}")),
                None => Fate::Lost(format!(
                    "{value} is no way of TLS: DISABLED, PREFERRED, REQUIRED, VERIFY_CA, VERIFY_IDENTITY"
                )),
            };
        }
        Fate::Mapped(format!("to connections.mysql.{name}"))
    }

    /// `FILE:POSITION`, with a heartbeat behind it that means nothing here.
    fn start(&mut self, value: &str) -> Fate {
        let mut parts = value.split(':');
        let (Some(file), Some(pos)) = (
            parts.next(),
            parts.next().and_then(|pos| pos.parse::<u64>().ok()),
        ) else {
            return Fate::Lost("it is not FILE:POSITION".into());
        };
        self.tree.set("mysql.cdc.startup_mode", "specific");
        self.tree.set("mysql.cdc.specific.file", plain(file));
        self.tree.set("mysql.cdc.specific.pos", pos);
        Fate::Mapped("to mysql.cdc.specific".into())
    }

    fn acknowledge(&mut self, value: &str) -> Fate {
        let milliseconds = value.parse::<u64>().unwrap_or(0);
        if milliseconds == 0 || self.get("producer") != Some("kafka") {
            return Fate::Ignored("there is nothing to wait for, or no limit to it".into());
        }
        let seconds = milliseconds.div_ceil(1_000).clamp(1, 86_400);
        self.tree.set("kafka.acknowledge_within_s", seconds);
        Fate::Mapped(format!("to kafka.acknowledge_within_s: {seconds}"))
    }

    /// The rules, and one that leaves out what Maxwell keeps in the source, which the old one may still write.
    fn filter(&mut self, value: &str) -> Fate {
        let own = self.get("schema_database").unwrap_or("maxwell");
        let own: Filter = format!("exclude: `{own}`.*").parse().unwrap_or_default();
        match value.parse::<Filter>() {
            Ok(filter) => {
                let rules = filter.rules().iter().chain(own.rules()).cloned().collect();
                self.tree
                    .set("filter", plain(&Filter::new(rules).to_string()));
                Fate::Taken(
                    "filter, and behind it a rule that excludes Maxwell's own tables".into(),
                )
            }
            Err(error) => {
                let hint = error.hint_text().map(|hint| format!("; {hint}"));
                Fate::Lost(format!("{error}{}", hint.unwrap_or_default()))
            }
        }
    }

    fn has_http(&self) -> bool {
        let types = self.get("metrics_type").unwrap_or_default();
        types.split(',').any(|one| one.trim() == "http")
    }

    fn metrics(&mut self, value: &str) -> Fate {
        if self.has_http() {
            let port = self.get("http_port").unwrap_or("8080");
            self.tree
                .set("http.listen", plain(&format!("127.0.0.1:{port}")));
        }
        let others: Vec<&str> = value
            .split(',')
            .map(str::trim)
            .filter(|one| *one != "http")
            .collect();
        if others.is_empty() {
            Fate::Mapped("to http, which wants a token: set HEADWATER_HTTP_TOKEN".into())
        } else {
            Fate::Lost(format!(
                "{} is not there: let an agent read Prometheus's metrics over HTTP",
                others.join(", ")
            ))
        }
    }

    fn property(&mut self, name: &str, value: &str) -> Fate {
        if self.get("producer") != Some("kafka") {
            return Fate::Ignored(
                "it is for the producer kafka, which the file does not choose".into(),
            );
        }
        if let Err(error) = headwater_kafka::check_property(name, value) {
            let hint = error.hint_text().unwrap_or_default();
            return match hint.starts_with("leave it out") {
                true => Fate::Ignored(hint.into()),
                false => Fate::Lost(hint.into()),
            };
        }
        let sections = ["kafka", "properties"];
        if mask::is_secret(name) {
            let variable = format!("KAFKA_{}", name.to_uppercase().replace(['.', '-'], "_"));
            self.tree
                .set_below(&sections, name, format!("${{{variable}}}").into());
            return Fate::Mapped(format!("not copied: set the variable {variable}"));
        }
        self.tree.set_below(&sections, name, plain(value));
        Fate::Mapped(format!("to kafka.properties: {name}"))
    }
}

impl Row {
    fn note_or(&self, otherwise: &str) -> String {
        let note = if self.note.is_empty() {
            otherwise
        } else {
            self.note
        };
        without_links(note)
    }
}

/// A note of the page for a terminal: of `[text](target)` the text.
fn without_links(note: &str) -> String {
    let mut out = String::new();
    let mut rest = note;
    while let Some((before, text, after)) = link(rest) {
        out.push_str(before);
        out.push_str(text);
        rest = after;
    }
    out + rest
}

/// What stands before the first link, its text, and what stands behind it.
fn link(note: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = note.split_once('[')?;
    let (text, rest) = rest.split_once("](")?;
    let (_, after) = rest.split_once(')')?;
    Some((before, text, after))
}

fn number_or_text(value: &str) -> Value {
    value
        .parse::<u64>()
        .map_or_else(|_| plain(value), Value::from)
}

fn tls_mode(value: &str) -> Option<&'static str> {
    Some(match value.to_ascii_uppercase().as_str() {
        "DISABLED" => "disabled",
        "PREFERRED" => "preferred",
        "REQUIRED" => "required",
        "VERIFY_CA" => "verify-ca",
        "VERIFY_IDENTITY" => "verify-identity",
        _ => return None,
    })
}
