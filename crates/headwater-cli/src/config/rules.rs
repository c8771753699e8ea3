//! What a file of the right shape can still get wrong: values that contradict each other.

use std::collections::{HashMap, HashSet};

use headwater_core::Error;
use headwater_core::filter::Filter;

use super::file::{Column, File, Http, Mysql, StartupMode, Table};
use super::iotdb::{Iotdb, Mapping, Model};
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
    for (key, error) in file.folds.iter().flat_map(super::folds::Folds::problems) {
        rules.say_error(&format!("folds.{key}"), &error);
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
    if let Some(load) = asking.and_then(|asking| asking.load.as_ref()) {
        rules.load(load);
    }
    if let Some(sink) = &file.sink {
        rules.sink(sink, file);
    }
    rules.problems
}

/// Names side by side.
fn names<'a>(all: impl Iterator<Item = &'a String>) -> String {
    all.map(String::as_str).collect::<Vec<_>>().join(", ")
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

    fn load(&mut self, load: &super::load::Load) {
        let path = "bootstrap.load";
        let named = load.replicas.as_deref().unwrap_or_default();
        // With any account: only the form is looked at.
        let anybody = headwater_mysql::config::ConnectOptions::new(
            headwater_mysql::config::Address::Unix(std::path::PathBuf::new()),
            "",
        );
        for (index, text) in named.iter().enumerate() {
            if let Err(error) = super::load::replica(text, &anybody) {
                self.say_error(&format!("{path}.replicas[{index}]"), &error);
            }
        }
        if load.replica_lag_s.is_some() && named.is_empty() {
            self.say(
                &format!("{path}.replica_lag_s"),
                "the lag of replicas is limited, and none is named",
                "add `replicas:` with their addresses: `- db2:3306`",
            );
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
        let is_table = iotdb.model == Some(Model::Table);
        if is_table && iotdb.database.is_none() {
            self.say(
                "iotdb.model",
                "the table model does not say which database",
                "add iotdb.database: NAME",
            );
        }
        let zone = iotdb.time.as_ref().and_then(|time| time.zone.as_deref());
        if let Some(zone) = zone
            && let Err(error) = headwater_iotdb::check_zone(zone)
        {
            self.say_error("iotdb.time.zone", &error);
        }
        for (index, mapping) in iotdb.mappings.iter().flatten().enumerate() {
            let path = format!("iotdb.mappings[{index}]");
            let table = tables
                .into_iter()
                .flatten()
                .find(|table| table.name == mapping.table);
            if tables.is_some() && table.is_none() {
                self.say(
                    &format!("{path}.table"),
                    format!(
                        "no such table is listed: found `{}`, expected one of {}",
                        mapping.table,
                        names(tables.into_iter().flatten().map(|table| &table.name))
                    ),
                    "name a table of `mysql.tables`, or list it there",
                );
            }
            let earlier = iotdb.mappings.iter().flatten().take(index);
            if earlier
                .into_iter()
                .any(|earlier| earlier.table == mapping.table)
            {
                self.say(
                    &format!("{path}.table"),
                    format!(
                        "a table is mapped twice: found `{}` again, expected one mapping of each table",
                        mapping.table
                    ),
                    "put all its measurements into one",
                );
            }
            self.names(mapping, &path);
            if mapping.measurements.as_ref().is_some_and(Vec::is_empty) {
                self.say(
                    &format!("{path}.measurements"),
                    "a mapping without measurements writes nothing",
                    "list at least one, or leave the key out: all the other columns are then written",
                );
            }
            self.model(mapping, is_table, &path);
            if let Some(columns) = table.and_then(|table| table.columns.as_deref()) {
                self.columns(mapping, columns, &path);
                self.types(mapping, columns, &path);
            }
        }
    }

    fn columns(&mut self, mapping: &Mapping, columns: &[Column], path: &str) {
        let has = |name: &str| columns.iter().any(|column| column.name == name);
        for (key, column) in mapping.columns() {
            if !has(column) {
                self.say(
                    &format!("{path}.{key}"),
                    format!(
                        "the table `{}` lists no such column: found `{column}`, expected one of {}",
                        mapping.table,
                        names(columns.iter().map(|column| &column.name))
                    ),
                    "name one of its columns, or list it under `columns`",
                );
            }
        }
    }
}

impl Rules<'_> {
    /// Keys of the one model or the other.
    fn model(&mut self, mapping: &Mapping, is_table: bool, path: &str) {
        let (model, others): (_, &[(&str, bool)]) = match is_table {
            true => (
                "table",
                &[("device_template", mapping.device_template.is_some())],
            ),
            false => (
                "tree",
                &[
                    ("target", mapping.target.is_some()),
                    ("tags", mapping.tags.is_some()),
                    ("attributes", mapping.attributes.is_some()),
                ],
            ),
        };
        for (key, _) in others.iter().filter(|(_, is_there)| *is_there) {
            let expected = match is_table {
                true => "`target`, `tags` and `attributes`",
                false => "`device_template`, or `model: table`",
            };
            self.say(
                &format!("{path}.{key}"),
                format!(
                    "this means nothing in the {model} model: found `{key}`, expected {expected}"
                ),
                "",
            );
        }
        match &mapping.device_template {
            _ if is_table => {}
            None => self.say(
                path,
                format!(
                    "the mapping of `{}` has no `device_template`",
                    mapping.table
                ),
                "add one, such as root.plant.pump_{pumpId}",
            ),
            Some(template) => {
                if let Err(error) = headwater_iotdb::check_template(template) {
                    self.say(
                        &format!("{path}.device_template"),
                        format!(
                            "{}: found `{template}`, expected a path such as root.plant.pump_{{pumpId}}",
                            error.message()
                        ),
                        "",
                    );
                }
            }
        }
    }

    /// Measurements of one name.
    fn names(&mut self, mapping: &Mapping, path: &str) {
        let mut known = HashSet::new();
        for (index, measurement) in mapping.measurements.iter().flatten().enumerate() {
            if !known.insert(&measurement.name) {
                self.say(
                    &format!("{path}.measurements[{index}].name"),
                    format!(
                        "a name is given to two columns: found `{}` again, expected a name of its own for each measurement",
                        measurement.name
                    ),
                    "",
                );
            }
        }
    }

    /// What the listed types cannot be. The database's own are looked at before a run.
    fn types(&mut self, mapping: &Mapping, columns: &[Column], path: &str) {
        let listed = |name: &str| {
            let mut columns = columns.iter();
            let column = columns.find(|column| column.name.eq_ignore_ascii_case(name))?;
            let written = column.data_type.as_deref()?;
            Some((headwater_mysql::schema::data_type_of(written)?, written))
        };
        if let Some((data_type, found)) = listed(&mapping.timestamp_field)
            && !headwater_iotdb::is_time(&data_type)
        {
            self.say(
                &format!("{path}.timestamp_field"),
                format!(
                    "the column `{}` holds no time: found {found}, expected a DATE, DATETIME, TIMESTAMP or integer column",
                    mapping.timestamp_field
                ),
                "",
            );
        }
        for (index, measurement) in mapping.measurements.iter().flatten().enumerate() {
            let field = measurement.field.as_ref().unwrap_or(&measurement.name);
            let series_type = super::iotdb::series_type(measurement.data_type);
            let Some((data_type, found)) = listed(field) else {
                continue;
            };
            if let Err(expected) = headwater_iotdb::fits(&data_type, series_type) {
                self.say(
                    &format!("{path}.measurements[{index}].type"),
                    format!(
                        "the column `{field}` cannot be {}: found {found}, expected {expected} for it",
                        series_type.name()
                    ),
                    "",
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
