//! A cluster of two DataNodes that each lead some of the devices: rows go to the node that IoTDB names for them, and those of a
//! node that dies wait until it is back.

use std::collections::BTreeSet;
use std::time::Duration;

use headwater_core::batch::Batch;
use headwater_core::dead_letters;
use headwater_core::sink::{Durability, Sink};
use headwater_servers::iotdb::{Iotdb, IotdbOptions as ServerOptions};

use super::{
    Points, Reading, apply, clean, compare, open, options_at, points, push, query, schema, time,
};
use crate::client::Value;
use crate::config::{Address, IotdbOptions, Model, OnError, Policy};
use crate::sink::{IotdbSink, any_session};

/// Enough that each node leads some of them.
const PUMPS: i64 = 48;

const NAME: &str = "cluster";

fn address(text: &str) -> Address {
    let (host, port) = text.rsplit_once(':').unwrap();
    Address {
        host: host.to_owned(),
        port: port.parse().unwrap(),
    }
}

async fn cluster() -> Iotdb {
    let settings = ServerOptions {
        more_nodes: 1,
        heap_mb: Some(512),
        properties: [
            "schema_region_group_extension_policy=CUSTOM",
            "default_schema_region_group_num_per_database=2",
            "data_region_group_extension_policy=CUSTOM",
            "default_data_region_group_num_per_database=2",
            // What is killed keeps what it has answered for.
            "wal_mode=SYNC",
        ]
        .map(str::to_owned)
        .to_vec(),
        ..ServerOptions::default()
    };
    let started = tokio::task::spawn_blocking(move || Iotdb::start(&settings));
    started.await.unwrap().unwrap()
}

/// A row of each pump at each of these minutes.
fn rows(minutes: std::ops::Range<u32>) -> Vec<Reading> {
    let pumps = (0..PUMPS).flat_map(|pump| minutes.clone().map(move |minute| (pump, minute)));
    pumps
        .map(|(pump, minute)| Reading {
            id: pump * 100_000 + i64::from(minute),
            pump: Some(format!("p{pump}")),
            minute,
            flow: Some(f64::from(minute) + 0.5),
            note: Some(format!("{pump} at {minute}")),
        })
        .collect()
}

/// Writes rows, and waits until IoTDB has them; opens the sink again for as long as IoTDB does not take them, as the engine does.
async fn write(sink: &mut IotdbSink, rows: &[Reading], expected: &mut Points) {
    let schema = schema("readings");
    let mut batch = Batch::new();
    for row in rows {
        push(&mut batch, &schema, None, Some(row));
    }
    while let Err(error) = sink.write(&batch, Durability::Durable).await {
        assert!(error.is_temporary(), "{error}");
        open(sink).await;
    }
    expect(expected, rows);
}

fn expect(points: &mut Points, rows: &[Reading]) {
    for row in rows {
        apply(points, Policy::default(), false, None, Some(row));
    }
}

fn redirects(sink: &IotdbSink) -> u64 {
    sink.counts().counted().redirects
}

/// A cluster and what is in it.
struct World {
    server: Iotdb,
    nodes: Vec<Address>,
    model: Model,
    expected: Points,
}

impl World {
    fn options(&self, nodes: &[Address]) -> IotdbOptions {
        let mut options = options_at(&nodes[0].to_string(), &self.model, NAME);
        options.nodes = nodes.to_vec();
        options.call_timeout = Duration::from_secs(60);
        options.unavailable_for_max = Duration::from_secs(600);
        options
    }

    async fn sink(&self, nodes: &[Address]) -> IotdbSink {
        let mut sink = IotdbSink::new(self.options(nodes)).unwrap();
        open(&mut sink).await;
        sink
    }

    /// What is expected is there, asked of one node.
    async fn judge(&self, what: &str) {
        let options = self.options(&self.nodes[..1]);
        compare(&points(&options, NAME).await, &self.expected, what);
    }

    /// The ports of the nodes that lead data.
    async fn leaders(&self) -> BTreeSet<String> {
        let statement = format!("SHOW DATA REGIONS OF DATABASE root.{NAME}");
        let rows = query(&self.options(&self.nodes), &statement).await;
        let [port, slots] = ["RpcPort", "SeriesSlotNum"].map(|name| rows.column(name).unwrap());
        let leading = (rows.values.iter())
            .filter(|row| !matches!(row[slots], Value::Int32(0) | Value::Int64(0)));
        leading.map(|row| format!("{:?}", row[port])).collect()
    }
}

/// Of the tree model: IoTDB 2.0.1 names no node for rows of tables.
async fn rows_go_to_the_node_that_is_named(world: &mut World) {
    // One node is known: it sends rows on to the other, and says so each time.
    let mut sink = world.sink(&world.nodes[..1]).await;
    write(&mut sink, &rows(0..3), &mut world.expected).await;
    assert_eq!(world.leaders().await.len(), 2, "both nodes lead devices");
    let of_first = redirects(&sink);
    assert!(of_first > 0);
    write(&mut sink, &rows(3..6), &mut world.expected).await;
    assert_eq!(redirects(&sink), 2 * of_first);
    world.judge("one node").await;

    // Both are: what was named is gone to, and nothing is sent on any more.
    let mut sink = world.sink(&world.nodes).await;
    write(&mut sink, &rows(6..9), &mut world.expected).await;
    let learned = redirects(&sink);
    assert!(
        learned > 0,
        "a lane stays with one node, and has devices of both"
    );
    write(&mut sink, &rows(9..30), &mut world.expected).await;
    assert_eq!(redirects(&sink), learned, "rows go where they were sent");
    world.judge("two nodes").await;
}

/// Rows that are too old, among others in the same calls and on both nodes: what IoTDB answers for them is in the order of its
/// regions, not of the call.
async fn refused_rows_are_found_whatever_node_they_are_on(world: &mut World) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.jsonl");
    let mut options = world.options(&world.nodes[..1]);
    options.on_error = OnError::DeadLetters(path.clone());
    // A call has tablets of both nodes.
    options.connections = 1;
    let now = i64::try_from(headwater_core::clock::now_s()).unwrap() * 1_000;
    let age = now - time(600);
    let mut session = any_session(&options).await.unwrap();
    let statement = format!("SET TTL TO root.{NAME}.** {age}");
    assert!(session.execute(&statement).await.unwrap().is_success());
    let mut sink = IotdbSink::new(options).unwrap();
    open(&mut sink).await;
    let is_old = |row: &Reading| row.minute < 600;
    // One row of each pump: of every third one from hours before the limit.
    let rows: Vec<Reading> = (rows(40..41).into_iter().zip(rows(1_200..1_201)))
        .enumerate()
        .map(|(at, (old, new))| if at % 3 == 0 { old } else { new })
        .collect();
    let (old, new): (Vec<Reading>, Vec<Reading>) = rows.iter().cloned().partition(is_old);
    write(&mut sink, &rows, &mut Points::new()).await;
    let letters = dead_letters::read(&path).unwrap();
    let refused: BTreeSet<i64> = (letters.iter())
        .map(|letter| letter.key["id"].as_i64().unwrap())
        .collect();
    assert_eq!(refused, old.iter().map(|row| row.id).collect());
    let counted = sink.counts().counted();
    assert_eq!((counted.refused, counted.rows), (16, 32));
    let statement = format!("UNSET TTL FROM root.{NAME}.**");
    assert!(session.execute(&statement).await.unwrap().is_success());
    session.close().await;
    expect(&mut world.expected, &new);
    world.judge("some are refused").await;
}

async fn rows_of_a_node_that_died_wait_for_it(world: &mut World) {
    let mut sink = world.sink(&world.nodes).await;
    write(&mut sink, &rows(1_300..1_303), &mut world.expected).await;
    world.server.kill_another(0).unwrap();
    let counts = sink.counts();
    let before = counts.counted().retries;
    let written = rows(1_303..1_306);
    let mut waiting = Box::pin(write(&mut sink, &written, &mut world.expected));
    // More often than a refusal that may pass is tried again.
    while counts.counted().retries < before + 24 {
        let early = tokio::time::timeout(Duration::from_millis(200), &mut waiting).await;
        assert!(
            early.is_err(),
            "rows of a node that is dead are not written"
        );
    }
    tokio::task::block_in_place(|| world.server.restart_another(0)).unwrap();
    waiting.await;
    assert_eq!(counts.counted().refused, 0);
    world.judge("a node died").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_go_to_the_node_that_leads_them_and_wait_for_it() {
    let server = cluster().await;
    let nodes = server.addresses();
    let mut world = World {
        nodes: nodes.iter().map(|text| address(text)).collect(),
        server,
        model: Model::Tree { is_aligned: true },
        expected: Points::new(),
    };
    rows_go_to_the_node_that_is_named(&mut world).await;
    refused_rows_are_found_whatever_node_they_are_on(&mut world).await;
    rows_of_a_node_that_died_wait_for_it(&mut world).await;

    let database = NAME.to_owned();
    world.model = Model::Table { database };
    world.expected = Points::new();
    clean(&world.options(&world.nodes), NAME).await;
    rows_of_a_node_that_died_wait_for_it(&mut world).await;
}
