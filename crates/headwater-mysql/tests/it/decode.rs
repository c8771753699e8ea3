//! Decoding on the three real servers: what a SELECT by the binary protocol gives, and what the log gives.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::too_many_lines,
    reason = "a test ends by panicking, and its helpers with it; a course of events is one list"
)]

mod charsets;
mod log;
pub(crate) mod types;

use std::collections::HashMap;
use std::sync::Arc;

use headwater_core::ErrorKind;
use headwater_core::batch::{Batch, ChangeKind, Mark, RowHead};
use headwater_core::schema::TableName;
use headwater_core::value::Cell;
use headwater_mysql::charset::Charset;
use headwater_mysql::client::Connection;
use headwater_mysql::config::ConnectOptions;
use headwater_mysql::decode::event::{Body, Checksum, Framing};
use headwater_mysql::decode::metadata;
use headwater_mysql::decode::plan::RowPlan;
use headwater_mysql::schema::{ColumnDefinition, ColumnType, TableDefinition};
use headwater_servers::{Flavor, Instance, Options};

use types::Case;

/// A server of a test's own: its global settings change.
struct Server {
    instance: Instance,
}

impl Server {
    fn start(flavor: Flavor, extra: &[&str]) -> Self {
        let instance = Instance::start(flavor, &Options::with(extra)).unwrap();
        instance
            .sql("CREATE DATABASE d CHARACTER SET utf8mb4")
            .unwrap();
        Self { instance }
    }

    async fn connect(&self) -> Connection {
        let url = format!("{}?ssl-mode=disabled", self.instance.url("root", "", "d"));
        let options = ConnectOptions::from_url(&url).unwrap();
        let mut connection = Connection::connect(&options).await.unwrap();
        connection
            .execute("SET time_zone = '+00:00', sql_mode = ''")
            .await
            .unwrap();
        connection
    }
}

fn column(name: &str, column_type: ColumnType, nullable: bool) -> ColumnDefinition {
    ColumnDefinition {
        name: name.into(),
        column_type,
        nullable,
        generated: false,
        invisible: false,
        native: headwater_mysql::schema::Native::default(),
    }
}

fn definition(table: &str, mut columns: Vec<ColumnDefinition>) -> TableDefinition {
    columns.insert(
        0,
        column(
            "id",
            ColumnType::Integer {
                bits: 32,
                unsigned: false,
            },
            false,
        ),
    );
    TableDefinition {
        name: TableName::new("d", table),
        charset: "utf8mb4".into(),
        columns,
        primary_key: vec![0],
        unique_keys: Vec::new(),
        row_end: None,
    }
}

/// All rows of a table, by the binary protocol.
async fn select(connection: &mut Connection, plan: &RowPlan) -> Batch {
    connection
        .execute("SET character_set_results = NULL")
        .await
        .unwrap();
    let names: Vec<_> = plan
        .definition()
        .columns
        .iter()
        .map(|column| format!("`{}`", column.name))
        .collect();
    let sql = format!(
        "SELECT {} FROM d.`{}` ORDER BY id",
        names.join(","),
        plan.definition().name.table
    );
    let statement = connection.prepare(&sql).await.unwrap();
    let mut rows = connection.start_rows(&statement).await.unwrap();
    let result = plan
        .result(rows.columns())
        .unwrap_or_else(|e| panic!("{e:?} {:?}", rows.columns()));
    let mut batch = Batch::new();
    let schema = batch.add_schema(plan.schema());
    while rows.fill().await.unwrap() {
        while let Some(row) = rows.next_buffered().unwrap() {
            let mark = result
                .decode(row, &mut batch)
                .unwrap_or_else(|e| panic!("{e:?}"));
            push(&mut batch, schema, mark);
        }
    }
    connection
        .execute("SET character_set_results = utf8mb4")
        .await
        .unwrap();
    batch
}

fn push(batch: &mut Batch, schema: u32, mark: Mark) {
    batch.push_row(RowHead {
        kind: ChangeKind::Bootstrap,
        schema,
        transaction: None,
        before: None,
        after: Some(mark),
        timestamp_s: 0,
        offset: 0,
        last: false,
    });
}

/// The cells of each row's image after, as text that shows every bit.
fn shown(batch: &Batch) -> Vec<String> {
    let row = |row: headwater_core::batch::Row<'_>| {
        let cells: Vec<_> = row
            .after()
            .unwrap()
            .cells()
            .map(|cell| format!("{cell:?}"))
            .collect();
        cells.join(" | ")
    };
    batch.rows().map(row).collect()
}

/// A table for each case, filled; its plans by table.
async fn fill(
    connection: &mut Connection,
    cases: &[Case],
    prefix: &str,
) -> HashMap<String, RowPlan> {
    let mut plans = HashMap::new();
    for (number, case) in cases.iter().enumerate() {
        let table = format!("{prefix}{number}");
        let sql = format!(
            "CREATE TABLE {table} (id INT PRIMARY KEY, v {}, w INT)",
            case.sql
        );
        connection
            .execute(&sql)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
        connection.execute("BEGIN").await.unwrap();
        for (id, value) in case
            .values
            .iter()
            .map(String::as_str)
            .chain(["NULL"])
            .enumerate()
        {
            let sql = format!("INSERT INTO {table} VALUES ({id}, {value}, {id})");
            connection
                .execute(&sql)
                .await
                .unwrap_or_else(|error| panic!("{} {sql}: {error}", case.sql));
        }
        connection.execute("COMMIT").await.unwrap();
        let integer = ColumnType::Integer {
            bits: 32,
            unsigned: false,
        };
        let columns = vec![
            column("v", case.column_type.clone(), true),
            column("w", integer, true),
        ];
        plans.insert(
            table.clone(),
            RowPlan::new(Arc::new(definition(&table, columns))),
        );
    }
    plans
}

/// What each type is in a definition that only the log tells; the rest is for [`metadata::refine`].
fn check_metadata(found: &log::Found, plans: &HashMap<String, RowPlan>, failed: &mut Vec<String>) {
    for (table, plan) in plans {
        let known = plan.definition();
        let mut logged = found.definitions[table].clone();
        if !metadata::refine(&mut logged, known) {
            failed.push(format!("{table}: not refined"));
        }
        for column in &mut logged.columns {
            if let ColumnType::Text { collation, .. } = &mut column.column_type {
                *collation = "".into();
            }
        }
        if logged != **known {
            failed.push(format!("{table}:\n  logged {logged:?}\n  known  {known:?}"));
        }
    }
}

/// A cell as the server itself would print it, where that is one and the same for all servers.
fn printed(cell: Cell<'_>) -> Option<String> {
    Some(match cell {
        Cell::Int(value) => value.to_string(),
        Cell::UInt(value) => value.to_string(),
        Cell::Decimal(text) | Cell::Text(text) | Cell::Set(text) | Cell::Json(text) => {
            text.to_owned()
        }
        Cell::Date(value) => value.to_string(),
        Cell::Time(value) => value.to_string(),
        Cell::DateTime(value) | Cell::Timestamp(value) => value.to_string(),
        Cell::Float(_) | Cell::Double(_) | Cell::Bytes(_) | Cell::Geometry(_) | Cell::Vector(_) => {
            return None;
        }
        Cell::Null => "NULL".to_owned(),
        Cell::Absent => "absent".to_owned(),
    })
}

/// What the server itself makes of the values, in UTF-8.
async fn servers_own(connection: &mut Connection, case: &Case, table: &str) -> Vec<String> {
    let expression = match &case.column_type {
        ColumnType::Geometry | ColumnType::Vector | ColumnType::Float | ColumnType::Double => {
            return Vec::new();
        }
        ColumnType::VarBinary | ColumnType::Binary { .. } => return Vec::new(),
        ColumnType::Bit { .. } | ColumnType::Year => "CAST(v + 0 AS CHAR)",
        ColumnType::Integer { .. } | ColumnType::Decimal { .. }
            if case.sql.contains("zerofill") =>
        {
            // The digits without the zeros in front, of which one stays.
            "REGEXP_REPLACE(CAST(v AS CHAR), '^0+(?=[0-9])', '')"
        }
        _ => "CONVERT(CAST(v AS CHAR) USING utf8mb4)",
    };
    let expression = match &case.column_type {
        ColumnType::Text { .. } | ColumnType::Enum { .. } | ColumnType::Set { .. } => {
            "CONVERT(v USING utf8mb4)"
        }
        _ => expression,
    };
    let sql = format!("SELECT {expression} FROM d.{table} ORDER BY id");
    let rows = connection.query(&sql).await.unwrap().rows;
    let is_json = case.column_type == ColumnType::Json;
    let text = |bytes: &[u8]| {
        let mut text = String::from_utf8(bytes.to_vec()).unwrap();
        if is_json {
            text.clear();
            headwater_mysql::decode::json::compact(bytes, &mut text).unwrap();
        }
        text
    };
    rows.iter()
        .map(|row| row.bytes(0).map_or("NULL".to_owned(), text))
        .collect()
}

/// Fills a table for each case, and holds what a SELECT gives against the server's own text and against the log.
async fn compare(
    server: &Server,
    connection: &mut Connection,
    cases: &[Case],
    prefix: &str,
    failed: &mut Vec<String>,
) -> (log::Found, HashMap<String, RowPlan>) {
    let place = log::end(connection).await;
    let plans = fill(connection, cases, prefix).await;
    let found = log::rows(server.connect().await, &place, "d", &plans).await;
    for (number, case) in cases.iter().enumerate() {
        let table = format!("{prefix}{number}");
        let batch = select(connection, &plans[&table]).await;
        let own = servers_own(connection, case, &table).await;
        assert!(own.is_empty() || own.len() == batch.len());
        for (row, own) in batch.rows().zip(own) {
            let cell = row.after().unwrap().cell(1);
            if printed(cell).is_some_and(|printed| printed != own) {
                failed.push(format!("{}:\n  cell   {cell:?}\n  server {own}", case.sql));
            }
        }
        let selected = shown(&batch);
        let logged = found.rows.get(&table).map(shown).unwrap_or_default();
        assert_eq!(selected.len(), case.values.len() + 1, "{}", case.sql);
        if selected.len() != logged.len() {
            failed.push(format!(
                "{}: {} rows of {}",
                case.sql,
                logged.len(),
                selected.len()
            ));
        }
        for ((selected, logged), value) in selected.iter().zip(&logged).zip(&case.values) {
            if selected != logged {
                failed.push(format!(
                    "{} {value}:\n  select {selected}\n  log    {logged}",
                    case.sql
                ));
            }
        }
    }
    (found, plans)
}

async fn the_log_gives_what_a_select_gives(flavor: Flavor) {
    let server = Server::start(flavor, &[]);
    let mut connection = server.connect().await;
    let cases = types::all().into_iter().filter(|case| case.on.has(flavor));
    let cases: Vec<_> = cases.collect();
    let mut failed = Vec::new();
    for metadata in ["FULL", "MINIMAL"] {
        let sql = format!("SET GLOBAL binlog_row_metadata = {metadata}");
        connection.execute(&sql).await.unwrap();
        let prefix = metadata.to_lowercase();
        let (found, plans) = compare(&server, &mut connection, &cases, &prefix, &mut failed).await;
        if metadata == "FULL" {
            check_metadata(&found, &plans, &mut failed);
        }
    }
    assert!(
        failed.is_empty(),
        "{} failed:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

/// Old temporal layouts (MariaDB) and compressed logs give the same cells.
async fn other_layouts_give_the_same(flavor: Flavor) {
    let server = Server::start(flavor, &[]);
    let mut connection = server.connect().await;
    let settings: &[&str] = match flavor.is_mariadb() {
        true => &[
            "mysql56_temporal_format = OFF",
            "log_bin_compress = ON",
            "log_bin_compress_min_len = 10",
        ],
        false => &["binlog_transaction_compression = ON"],
    };
    for setting in settings {
        connection
            .execute(&format!("SET GLOBAL {setting}"))
            .await
            .unwrap();
    }
    let mut connection = server.connect().await;
    let cases = types::all().into_iter().filter(|case| case.on.has(flavor));
    let temporal = |case: &Case| {
        ["date", "time"]
            .iter()
            .any(|name| case.sql.starts_with(name))
    };
    let cases: Vec<_> = cases
        .filter(|case| !flavor.is_mariadb() || temporal(case))
        .collect();
    let mut failed = Vec::new();
    let (found, _) = compare(&server, &mut connection, &cases, "other", &mut failed).await;
    assert!(
        failed.is_empty(),
        "{} failed:\n{}",
        failed.len(),
        failed.join("\n")
    );
    let compressed = if flavor.is_mariadb() {
        "compressed rows"
    } else {
        "TransactionPayload"
    };
    assert!(
        found.events.iter().any(|event| event == compressed),
        "{:?}",
        found.events
    );
}

/// What the log says besides rows: identities, statements, XA, partial images.
async fn every_kind_of_event_is_read(flavor: Flavor) {
    let server = Server::start(flavor, &[]);
    let mut connection = server.connect().await;
    let place = log::end(&mut connection).await;
    let integer = || ColumnType::Integer {
        bits: 32,
        unsigned: false,
    };
    let columns = vec![
        column("v", integer(), true),
        column("w", ColumnType::VarBinary, true),
    ];
    let plan = RowPlan::new(Arc::new(definition("t", columns)));
    let plans = HashMap::from([("t".to_owned(), plan)]);
    let (before, after): (&[&str], &[&str]) = match flavor.is_mariadb() {
        true => (&[], &["SET gtid_domain_id = 7"]),
        false => (
            &["SET binlog_rows_query_log_events = ON"],
            &["SET gtid_next = 'AUTOMATIC:tagged'"],
        ),
    };
    let common = [
        "CREATE TABLE t (id INT PRIMARY KEY, v INT, w BLOB)",
        "INSERT INTO t VALUES (1, 10, 'a'), (2, NULL, 'b')",
        "UPDATE t SET v = 11 WHERE id = 1",
        "SET binlog_row_image = MINIMAL",
        "UPDATE t SET v = 12 WHERE id = 1",
        "DELETE FROM t WHERE id = 2",
        "XA START 'global', 'branch', 3",
        "INSERT INTO t (id) VALUES (3)",
        "XA END 'global', 'branch', 3",
        "XA PREPARE 'global', 'branch', 3",
        "XA COMMIT 'global', 'branch', 3",
    ];
    let last = ["INSERT INTO t VALUES (4, 4, NULL)", "FLUSH LOGS"];
    for sql in before.iter().chain(&common).chain(after).chain(&last) {
        connection
            .execute(sql)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
    let found = log::rows(server.connect().await, &place, "d", &plans).await;
    let images: Vec<_> = found.rows["t"]
        .rows()
        .map(|row| log::images(&row))
        .collect();
    let expected = [
        "- > 1,10,a",
        "- > 2,null,b",
        "1,10,a > 1,11,a",
        "1,?,? > ?,12,?",
        "2,?,? > -",
        "- > 3,?,?",
        "- > 4,4,null",
    ];
    assert_eq!(images, expected, "{:#?}", found.events);
    let words = found.events.join("\n");
    let mut wanted = vec!["XaPrepare", "Rotate", "FormatDescription", "CREATE TABLE t"];
    let thread = format!("thread_id: Some({})", connection.server().connection_id);
    match flavor {
        Flavor::MySql97 => {
            wanted.extend([":tagged:1", "PreviousGtids", "DELETE FROM t WHERE id = 2"])
        }
        Flavor::MariaDb1011 => wanted.extend(["domain: 7", "GtidList", "sequence: 1,"]),
        Flavor::MariaDb118 => wanted.extend(["domain: 7", "GtidList", &thread]),
    }
    for wanted in wanted {
        assert!(words.contains(wanted), "{wanted} is missing in {words}");
    }
    if flavor == Flavor::MariaDb118 {
        assert_eq!(
            words.matches(&thread).count(),
            words.matches("MariaGtid {").count(),
            "{words}"
        );
    }
}

/// The log's partial JSON is refused by name.
#[tokio::test]
async fn partial_json_is_refused_with_the_setting_that_mends_it() {
    let server = Server::start(Flavor::MySql97, &[]);
    let mut connection = server.connect().await;
    let place = log::end(&mut connection).await;
    for sql in [
        "SET binlog_row_value_options = PARTIAL_JSON",
        "CREATE TABLE t (id INT PRIMARY KEY, v JSON)",
        "INSERT INTO t VALUES (1, JSON_OBJECT('a', REPEAT('x', 1000), 'b', 1))",
        "UPDATE t SET v = JSON_SET(v, '$.b', 2)",
    ] {
        connection.execute(sql).await.unwrap();
    }
    let mut framing = Framing::new(Checksum::Crc32);
    let mut errors = Vec::new();
    log::dump(server.connect().await, &place, |packet| {
        if let Body::Rows(rows) = framing.event(packet).unwrap().parse().unwrap()
            && let Err(error) = rows.reader(&mut Vec::new())
        {
            errors.push(error);
        }
    })
    .await;
    let [error] = errors.as_slice() else {
        panic!("{errors:?}")
    };
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(
        error
            .hint_text()
            .unwrap()
            .contains("binlog_row_value_options")
    );
}

/// Every code of a multi-byte set and every byte of a single-byte one, as the server converts it.
async fn every_charset_maps_as_the_server_does(flavor: Flavor) {
    let server = Server::start(flavor, &[]);
    let mut connection = server.connect().await;
    connection
        .execute("CREATE TABLE codes (code VARBINARY(4)) ENGINE = MEMORY")
        .await
        .unwrap();
    connection.execute("SET sql_log_bin = 0").await.unwrap();
    connection
        .execute("SET max_heap_table_size = 268435456")
        .await
        .unwrap();
    let mut failed = Vec::new();
    for (charset, codes) in charsets::all() {
        if charset == "gb18030" && flavor.is_mariadb() {
            continue;
        }
        connection.execute("DELETE FROM codes").await.unwrap();
        for part in codes.chunks(20_000) {
            let values: Vec<_> = part
                .iter()
                .map(|code| format!("(x'{}')", charsets::hex(code)))
                .collect();
            let sql = format!("INSERT INTO codes VALUES {}", values.join(","));
            connection.execute(&sql).await.unwrap();
        }
        let sql = format!(
            "SELECT HEX(code), HEX(CONVERT(CONVERT(code USING {charset}) USING utf8mb4)) FROM codes"
        );
        let decoder = Charset::by_name(charset).unwrap();
        let mut same = 0;
        for row in connection.query(&sql).await.unwrap().rows {
            let code = charsets::bytes(row.as_str(0).unwrap());
            // NULL: no code of this set. A question mark: a code without a character, of which we may know one.
            let Some(own) = row.as_str(1).map(charsets::bytes) else {
                continue;
            };
            let own = String::from_utf8(own).unwrap();
            if own.contains(['?', char::REPLACEMENT_CHARACTER]) || own.chars().count() != 1 {
                continue;
            }
            let mut text = String::new();
            let bad = decoder.decode(&code, &mut text);
            if text != own || bad > 0 {
                failed.push(format!(
                    "{charset} {code:02X?}: {text:?}, the server says {own:?}"
                ));
            }
            same += 1;
        }
        assert!(same > 90, "{charset}: only {same}");
    }
    assert!(
        failed.is_empty(),
        "{} failed:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

macro_rules! on_every_server {
    ($($name:ident),* $(,)?) => {
        mod mariadb_10_11 { $(
            #[tokio::test]
            async fn $name() {
                super::$name(headwater_servers::Flavor::MariaDb1011).await;
            }
        )* }
        mod mariadb_11_8 { $(
            #[tokio::test]
            async fn $name() {
                super::$name(headwater_servers::Flavor::MariaDb118).await;
            }
        )* }
        mod mysql_9_7 { $(
            #[tokio::test]
            async fn $name() {
                super::$name(headwater_servers::Flavor::MySql97).await;
            }
        )* }
    };
}

on_every_server!(
    the_log_gives_what_a_select_gives,
    other_layouts_give_the_same,
    every_kind_of_event_is_read,
    every_charset_maps_as_the_server_does,
);
