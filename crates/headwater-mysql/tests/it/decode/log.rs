//! Reads a server's whole log from a position on, into batches.

use std::collections::HashMap;
use std::sync::Arc;

use headwater_core::batch::{Batch, ChangeKind, Image, Row, RowHead};
use headwater_core::value::Cell;
use headwater_mysql::client::Connection;
use headwater_mysql::decode::event::{
    Body, Checksum, Event, Framing, RowsEvent, TableMap, event_type,
};
use headwater_mysql::decode::metadata;
use headwater_mysql::decode::plan::RowPlan;
use headwater_mysql::decode::row_image::ImagePlan;
use headwater_mysql::schema::TableDefinition;

/// A place in the log.
#[derive(Debug, Clone)]
pub(super) struct Place {
    file: String,
    position: u32,
}

/// Where the log ends now.
pub(super) async fn end(connection: &mut Connection) -> Place {
    let statement = match connection.server().is_mariadb() {
        true => "SHOW MASTER STATUS",
        false => "SHOW BINARY LOG STATUS",
    };
    let row = connection.query_one(statement).await.unwrap().unwrap();
    Place {
        file: row.as_str(0).unwrap().to_owned(),
        position: row.as_str(1).unwrap().parse().unwrap(),
    }
}

/// Gives each packet of the log from `place` to its end to `visit`.
pub(super) async fn dump(mut connection: Connection, place: &Place, mut visit: impl FnMut(&[u8])) {
    let checksum = "SET @master_binlog_checksum = @@GLOBAL.binlog_checksum";
    connection.execute(checksum).await.unwrap();
    if connection.server().is_mariadb() {
        let capability = "SET @mariadb_slave_capability = 4";
        connection.execute(capability).await.unwrap();
    } else {
        let checksum = "SET @source_binlog_checksum = @@GLOBAL.binlog_checksum";
        connection.execute(checksum).await.unwrap();
    }
    let mut payload = place.position.to_le_bytes().to_vec();
    payload.extend_from_slice(&1_u16.to_le_bytes());
    payload.extend_from_slice(&4711_u32.to_le_bytes());
    payload.extend_from_slice(place.file.as_bytes());
    connection.send_command(0x12, &payload).await.unwrap();
    loop {
        connection.fill().await.unwrap();
        while let Some(packet) = connection.next_packet().unwrap() {
            match packet.split_first() {
                Some((0, event)) => visit(event),
                Some((0xFE, _)) => return,
                _ => panic!("{}", Connection::server_error(packet)),
            }
        }
    }
}

/// What the log held.
#[derive(Default)]
pub(super) struct Found {
    /// The rows, by table.
    pub(super) rows: HashMap<String, Batch>,
    /// The definitions that FULL metadata told, by table.
    pub(super) definitions: HashMap<String, TableDefinition>,
    /// A word for each event.
    pub(super) events: Vec<String>,
    plans: HashMap<String, ImagePlan>,
    table: HashMap<u64, String>,
    scratch: Vec<u8>,
}

/// The rows of the tables that `plans` knows, from `place` to the end.
pub(super) async fn rows(
    connection: Connection,
    place: &Place,
    database: &str,
    plans: &HashMap<String, RowPlan>,
) -> Found {
    let mut found = Found::default();
    let mut framing = Framing::new(Checksum::Crc32);
    dump(connection, place, |packet| {
        let event = framing.event(packet).unwrap();
        found.take(&event, database, plans);
    })
    .await;
    found
}

impl Found {
    fn take(&mut self, event: &Event<'_>, database: &str, plans: &HashMap<String, RowPlan>) {
        let body = event.parse().unwrap();
        let mut word = format!("{body:?}");
        word.truncate(word.find(['(', ' ', '{']).unwrap_or(word.len()));
        self.events.push(word);
        match body {
            Body::TableMap(map) if map.database == database => self.map(&map, plans),
            Body::Rows(rows) => {
                if event.header.event_type > event_type::QUERY_COMPRESSED {
                    self.events.push("compressed rows".to_owned());
                }
                self.read(&rows, plans);
            }
            Body::TransactionPayload(payload) => {
                let mut events = payload.events().unwrap();
                while let Some(event) = events.next_event().unwrap() {
                    self.take(&event, database, plans);
                }
            }
            Body::MariaGtid(gtid) => self.events.push(format!("{gtid:?}")),
            Body::Gtid(gtid) => self.events.push(format!("{gtid:?} {}", gtid.to_text())),
            Body::Query(query) => {
                let status = query.status();
                self.events.push(format!("{} {status:?}", query.sql()));
            }
            Body::XaPrepare(xa) => self.events.push(format!("{xa:?}")),
            Body::Statement(text) => self.events.push(text.into_owned()),
            Body::Unknown => panic!("unknown event {:?}", event.header),
            _ => {}
        }
    }

    fn map(&mut self, map: &TableMap<'_>, plans: &HashMap<String, RowPlan>) {
        let Some(plan) = plans.get(map.table) else {
            return;
        };
        let table = map.table.to_owned();
        self.table.insert(map.table_id, table.clone());
        if self.plans.get(&table).is_some_and(|plan| plan.fits(map)) {
            return;
        }
        if let Some(definition) = metadata::definition(map).unwrap() {
            self.definitions.insert(table.clone(), definition);
        }
        let image = plan
            .image(map)
            .unwrap_or_else(|error| panic!("{error:?} {map:?}"));
        self.plans.insert(table, image);
    }

    fn read(&mut self, rows: &RowsEvent<'_>, plans: &HashMap<String, RowPlan>) {
        let Some(table) = self.table.get(&rows.table_id) else {
            return;
        };
        let (plan, schema) = (&self.plans[table], plans[table].schema());
        let batch = self.rows.entry(table.clone()).or_default();
        let schema = batch.add_schema(&Arc::clone(schema));
        let mut reader = rows.reader(&mut self.scratch).unwrap();
        while let Some(images) = reader
            .next_row(plan, batch)
            .unwrap_or_else(|e| panic!("{e:?}"))
        {
            batch.push_row(RowHead {
                kind: ChangeKind::Insert,
                schema,
                transaction: None,
                before: images.before,
                after: images.after,
                timestamp_s: 0,
                offset: 0,
                last: false,
            });
        }
        if rows.ends_statement() {
            self.table.clear();
        }
    }
}

/// The images of a row before and after: `1,10,a > 1,11,a`; `?` for what is absent, `-` for no image.
pub(super) fn images(row: &Row<'_>) -> String {
    let cell = |cell: Cell<'_>| match cell {
        Cell::Absent => "?".to_owned(),
        Cell::Null => "null".to_owned(),
        Cell::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Cell::Int(value) => value.to_string(),
        cell => format!("{cell:?}"),
    };
    let image = |image: Option<Image<'_>>| match image {
        Some(image) => image.cells().map(cell).collect::<Vec<_>>().join(","),
        None => "-".to_owned(),
    };
    format!("{} > {}", image(row.before()), image(row.after()))
}
