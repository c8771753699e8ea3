//! What a file of the right shape can still get wrong: values that contradict each other.

use std::collections::{HashMap, HashSet};

use headwater_core::Error;
use headwater_core::filter::Filter;

use super::file::{Column, File, Http, Mysql, StartupMode, Table};
use super::iotdb::{Iotdb, Mapping};
use super::names;
use super::problem::{Place, Problem};
use super::sink::SinkChoice;

/// All contradictions, in the order of the file's sections.
pub(crate) fn check(file: &File, places: &HashMap<String, Place>) -> Vec<Problem> {
    let mut rules = Rules {
        places,
        problems: Vec::new(),
    };
    rules.connection(file);
    if let Some(mysql) = &file.mysql {
        rules.mysql(mysql);
    }
    for (key, error) in file.events.iter().flat_map(super::Events::problems) {
        rules.say_error(&format!("events.{key}"), &error);
    }
    if let Some(text) = &file.filter
        && let Err(error) = text.parse::<Filter>()
    {
        rules.say_error("filter", &error);
    }
    if let Some(iotdb) = &file.iotdb {
        let tables = file
            .mysql
            .as_ref()
            .and_then(|mysql| mysql.tables.as_deref());
        rules.iotdb(iotdb, tables);
    }
    if let Some(http) = &file.http {
        rules.http(http);
    }
    let asking = file.bootstrap.as_ref();
    if let Some(table) = asking.and_then(|asking| asking.table.as_deref())
        && let Err(error) = super::trigger::table(table)
    {
        rules.say_error("bootstrap.table", &error);
    }
    if let Some(sink) = &file.sink {
        rules.sink(sink, file);
    }
    rules.problems
}

struct Rules<'a> {
    places: &'a HashMap<String, Place>,
    problems: Vec<Problem>,
}

impl Rules<'_> {
    fn say(&mut self, path: &str, message: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Problem {
            at: self.places.get(path).cloned(),
            message: message.into(),
            help: Some(help.into()).filter(|help: &String| !help.is_empty()),
        });
    }

    fn sink(&mut self, text: &str, file: &File) {
        let choice = match SinkChoice::parse(text) {
            Ok(choice) => choice,
            Err(error) => return self.say_error("sink", &error),
        };
        let SinkChoice::Kafka { brokers, topic } = &choice else {
            return;
        };
        let (brokers, topic) = (brokers.as_deref(), topic.as_deref());
        // Flags may complete what the file leaves open; what it says must be right by itself.
        let flags = super::Kafka {
            transactional_id: Some("named by a flag".to_owned()),
            ..super::Kafka::default()
        };
        if let Err(error) = super::kafka::options(brokers, topic, &flags, file.kafka.as_ref()) {
            let place = if file.kafka.is_some() {
                "kafka"
            } else {
                "sink"
            };
            self.say_error(place, &error);
        }
    }

    fn say_error(&mut self, path: &str, error: &Error) {
        let said = error.to_string();
        self.say(path, said, error.hint_text().unwrap_or_default());
    }

    fn connection(&mut self, file: &File) {
        let Some(connections) = &file.connections else {
            return;
        };
        if let Some(mysql) = &connections.mysql {
            let path = "connections.mysql";
            match (&mysql.host, &mysql.socket) {
                (None, None) => {
                    self.say(
                        path,
                        "`host` is missing in `connections.mysql`",
                        "add `host: …`, or `socket: …` for a Unix socket",
                    );
                }
                (Some(_), Some(_)) => {
                    self.say(
                        &format!("{path}.socket"),
                        "both `host` and `socket` are given",
                        "keep one of them",
                    );
                }
                _ => {}
            }
            if mysql.socket.is_some() && mysql.port.is_some() {
                self.say(
                    &format!("{path}.port"),
                    "a Unix socket has no port",
                    "remove `port`, or use `host`",
                );
            }
            if mysql.password.is_some() && mysql.password_file.is_some() {
                self.say(
                    &format!("{path}.password_file"),
                    "both `password` and `password_file` are given",
                    "keep one of them",
                );
            }
        }
        if let Some(iotdb) = &connections.iotdb
            && iotdb.has_two_passwords()
        {
            self.say(
                "connections.iotdb.password_file",
                "both `password` and `password_file` are given",
                "keep one of them",
            );
        }
    }

    fn http(&mut self, http: &Http) {
        if http.token.is_some() && http.token_file.is_some() {
            self.say(
                "http.token_file",
                "both `token` and `token_file` are given",
                "keep one of them",
            );
        }
        if let Some(listen) = &http.listen
            && let Err(error) = super::http::Listen::parse(listen)
        {
            self.say(
                "http.listen",
                error.message().to_owned(),
                error.hint_text().unwrap_or_default(),
            );
        }
    }

    fn mysql(&mut self, mysql: &Mysql) {
        let mut known = HashSet::new();
        for (index, table) in mysql.tables.iter().flatten().enumerate() {
            let path = format!("mysql.tables[{index}].name");
            if let Err(error) = names::parse(&table.name) {
                self.say(
                    &path,
                    error.message().to_owned(),
                    error.hint_text().unwrap_or_default(),
                );
            }
            if !known.insert(table.name.as_str()) {
                self.say(
                    &path,
                    format!("the table `{}` is listed twice", table.name),
                    "remove one of the two",
                );
            }
            if table.condition.is_some() && table.name.ends_with('*') {
                self.say(
                    &format!("mysql.tables[{index}].where"),
                    "a condition belongs to one table, not to a whole database",
                    "name the table",
                );
            }
        }
        if let Some(parts) = &mysql.partitioning
            && let (Some(low), Some(high)) = (parts.lower_bound, parts.upper_bound)
            && low > high
        {
            self.say(
                "mysql.partitioning.upper_bound",
                format!("the upper bound {high} lies below the lower bound {low}"),
                "exchange the two",
            );
        }
        if let Some(cdc) = &mysql.cdc
            && cdc.startup_mode == Some(StartupMode::Specific)
            && cdc.specific.is_none()
        {
            self.say(
                "mysql.cdc.startup_mode",
                "`startup_mode: specific` does not say where",
                "add `specific:` with `file` and `pos`: a binlog file and a position in it",
            );
        }
    }

    fn iotdb(&mut self, iotdb: &Iotdb, tables: Option<&[Table]>) {
        for (index, mapping) in iotdb.mappings.iter().flatten().enumerate() {
            let path = format!("iotdb.mappings[{index}]");
            let table = tables
                .into_iter()
                .flatten()
                .find(|table| table.name == mapping.table);
            if tables.is_some() && table.is_none() {
                self.say(
                    &format!("{path}.table"),
                    format!("`{}` is none of `mysql.tables`", mapping.table),
                    "name a table that is listed there, or list it",
                );
            }
            if mapping.measurements.as_ref().is_some_and(Vec::is_empty) {
                self.say(
                    &format!("{path}.measurements"),
                    "a mapping without measurements writes nothing",
                    "list at least one, or leave the key out: all the other columns are then written",
                );
            }
            if let Some(columns) = table.and_then(|table| table.columns.as_deref()) {
                self.columns(mapping, columns, &path);
            }
        }
    }

    fn columns(&mut self, mapping: &Mapping, columns: &[Column], path: &str) {
        let has = |name: &str| columns.iter().any(|column| column.name == name);
        for (key, column) in mapping.columns() {
            if !has(column) {
                self.say(
                    &format!("{path}.{key}"),
                    format!("the table `{}` lists no column `{column}`", mapping.table),
                    "name one of its columns, or list it under `columns`",
                );
            }
        }
    }
}

impl Mapping {
    /// The columns it reads, each with its place below the mapping.
    fn columns(&self) -> Vec<(String, &str)> {
        let mut all = vec![("timestamp_field".to_owned(), self.timestamp_field.as_str())];
        all.extend(
            self.device_field
                .iter()
                .map(|name| ("device_field".to_owned(), name.as_str())),
        );
        for (key, names) in [("tags", &self.tags), ("attributes", &self.attributes)] {
            let names = names.iter().flatten().enumerate();
            all.extend(names.map(|(at, name)| (format!("{key}[{at}]"), name.as_str())));
        }
        let template = self.device_template.as_deref().unwrap_or_default();
        all.extend(template.split('{').skip(1).filter_map(|rest| {
            let (column, _) = rest.split_once('}')?;
            Some(("device_template".to_owned(), column.trim()))
        }));
        for (index, measurement) in self.measurements.iter().flatten().enumerate() {
            let (key, column) = match &measurement.field {
                Some(field) => ("field", field),
                None => ("name", &measurement.name),
            };
            all.push((format!("measurements[{index}].{key}"), column));
        }
        all
    }
}

impl super::iotdb::IotdbConnection {
    fn has_two_passwords(&self) -> bool {
        self.password.is_some() && self.password_file.is_some()
    }
}
