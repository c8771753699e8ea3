//! Cuts under writers: the rows of each are the table as of exactly its position, found by replaying the log up to it.
//!
//! Every transaction moves an amount from one row to another and counts up both rows, so that the amounts always have one
//! sum, and the counts tell how far a view has come. What is known to be wrong, a position read without a lock, must be
//! found by the same check. Forty cuts each; four hundred in a soak.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use headwater_core::batch::{Batch, Image, Row};
use headwater_core::key::KeyRange;
use headwater_core::schema::TableName;
use headwater_core::source::{
    CutRequest, LiveSource, LiveStep, LogPoint, ScanStep, SnapshotReader, Source, Split,
};
use headwater_core::value::Cell;
use headwater_mysql::MysqlSource;
use headwater_mysql::client::Connection;
use headwater_mysql::position::BinlogPosition;
use headwater_servers::{Flavor, Instance};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use crate::harness::{Host, start};
use crate::snapshot::{LOG, user};

const CUTS: usize = 40;
const CUTS_SOAK: usize = 400;
/// Cuts by a wrong way after which one of them must have been found wrong.
const WRONG_CUTS_MAX: usize = 400;
const WRITERS: u64 = 6;
const ROWS: i64 = 200;

/// Each row's count and amount.
type Contents = BTreeMap<i64, (i64, i64)>;

/// Transactions that `contents` has seen.
fn transactions(contents: &Contents) -> i64 {
    contents.values().map(|(count, _)| count).sum::<i64>() / 2
}

/// A server with the table, and writers on it.
struct Scene {
    server: Arc<Instance>,
    source: MysqlSource,
    stop: Arc<AtomicBool>,
    writers: Vec<tokio::task::JoinHandle<()>>,
    /// Where the log stood before the writers began.
    began: (BinlogPosition, Value),
}

impl Scene {
    async fn start(flavor: Flavor, grants: &str) -> Self {
        let server = Arc::new(start(flavor, &[]));
        let rows: Vec<String> = (0..ROWS).map(|id| format!("({id}, 0, 100)")).collect();
        server.admin(&format!(
            "CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY, count INT, amount INT); INSERT INTO d.t VALUES {}",
            rows.join(",")
        ));
        let source = MysqlSource::new(user(&server, "cuts", grants).settings);
        let began = source.current().await.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let writers = (0..WRITERS)
            .map(|number| {
                let (server, stop) = (Arc::clone(&server), Arc::clone(&stop));
                tokio::spawn(async move { write(&server, number, &stop).await })
            })
            .collect();
        Self {
            server,
            source,
            stop,
            writers,
            began,
        }
    }

    /// Cuts as the source takes them, one after the other: the position of each with what its readers read.
    async fn cuts(&self, count: usize, readers: usize) -> Vec<(BinlogPosition, Contents)> {
        let mut cuts = Vec::new();
        for _ in 0..count {
            let request = CutRequest {
                at_least: None,
                readers,
            };
            let opened = self.source.open_cuts(request).await.unwrap();
            assert_eq!(opened.readers.len(), readers, "by marks, or without views");
            for mut reader in opened.readers {
                let position = reader.cut().cloned().expect("a cut that is known");
                cuts.push((position, read(&mut reader).await));
                reader.close().await;
            }
        }
        cuts
    }

    /// A cut as it must not be taken: the position is read without a lock, then the view is opened.
    async fn wrong_cut(&self, control: &mut Connection) -> (BinlogPosition, Contents) {
        let mut reader = self.server.connect("d").await;
        reader
            .execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            .await
            .unwrap();
        let status = control.query_one("SHOW BINARY LOG STATUS").await.unwrap();
        let status = status.unwrap();
        let position = BinlogPosition {
            file: status.get("File").unwrap().to_owned(),
            offset: status.get("Position").unwrap().parse().unwrap(),
            ..BinlogPosition::default()
        };
        reader
            .execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
            .await
            .unwrap();
        let rows = reader.query("SELECT id, count, amount FROM t").await;
        let cell = |row: &headwater_mysql::client::TextRow, index| -> i64 {
            row.as_str(index).unwrap().parse().unwrap()
        };
        let rows = rows.unwrap().rows;
        let rows = rows
            .iter()
            .map(|row| (cell(row, 0), (cell(row, 1), cell(row, 2))));
        let contents = rows.collect();
        reader.close().await;
        (position, contents)
    }

    /// Ends the writers, and follows the log from cut to cut: what the table truly was at each.
    async fn truth(self, positions: impl Iterator<Item = &BinlogPosition>) -> Vec<Contents> {
        self.stop.store(true, Ordering::Relaxed);
        for writer in self.writers {
            writer.await.unwrap();
        }
        let (position, definitions) = self.began;
        let mut point = LogPoint::at(position);
        let mut live = self.source.open_live(&point, &definitions).await.unwrap();
        let mut contents: Contents = (0..ROWS).map(|id| (id, (0, 100))).collect();
        let mut truth = Vec::new();
        for position in positions {
            live.set_target(Some(position.clone()));
            loop {
                let mut batch = Batch::new();
                let step = live.next(&mut batch).await.unwrap();
                contents.extend(batch.rows().map(|row| after(&row)));
                let (LiveStep::Rows(at) | LiveStep::Idle(at) | LiveStep::Reached(at)) = &step;
                point = at.clone();
                if matches!(step, LiveStep::Reached(_)) {
                    break;
                }
            }
            assert_eq!(point.rows_done, 0, "a cut lies between two transactions");
            truth.push(contents.clone());
        }
        live.close().await;
        truth
    }
}

async fn write(server: &Instance, number: u64, stop: &AtomicBool) {
    let mut connection = server.connect("d").await;
    let mut random = StdRng::seed_from_u64(number);
    while !stop.load(Ordering::Relaxed) {
        let from = random.random_range(0..ROWS);
        let to = (from + random.random_range(1..ROWS)) % ROWS;
        // Always in the order of the keys, so that writers wait for each other and never in a circle.
        let amount = random.random_range(1..10) * if from < to { 1 } else { -1 };
        let (low, high) = (from.min(to), from.max(to));
        for sql in [
            "BEGIN".to_owned(),
            format!("UPDATE t SET count = count + 1, amount = amount - {amount} WHERE id = {low}"),
            format!("UPDATE t SET count = count + 1, amount = amount + {amount} WHERE id = {high}"),
            "COMMIT".to_owned(),
        ] {
            connection.execute(&sql).await.unwrap();
        }
    }
    connection.close().await;
}

async fn read(reader: &mut impl SnapshotReader) -> Contents {
    let split = Split {
        table: TableName::new("d", "t"),
        range: KeyRange::default(),
    };
    reader.begin(&split).await.unwrap();
    let mut batch = Batch::new();
    while reader.read(&mut batch).await.unwrap() != ScanStep::Done {}
    batch.rows().map(|row| after(&row)).collect()
}

fn after(row: &Row<'_>) -> (i64, (i64, i64)) {
    let image = row.after().expect("nothing is deleted");
    let number = |image: &Image<'_>, index| match image.cell(index) {
        Cell::Int(value) => value,
        other => panic!("no integer: {other:?}"),
    };
    (number(&image, 0), (number(&image, 1), number(&image, 2)))
}

/// Takes `count` cuts under writers, each by `readers`; all must be exact.
async fn cuts_are_exact(flavor: Flavor, grants: &str, count: usize, readers: usize) {
    let scene = Scene::start(flavor, grants).await;
    let cuts = scene.cuts(count, readers).await;
    let truth = scene.truth(cuts.iter().map(|(position, _)| position)).await;
    let (first, last) = (truth.first().unwrap(), truth.last().unwrap());
    let between = transactions(last) - transactions(first);
    assert!(
        between > i64::try_from(count).unwrap(),
        "the writers hardly wrote: {between} transactions"
    );
    for (number, ((position, found), truth)) in cuts.iter().zip(&truth).enumerate() {
        let (seen, true_count) = (transactions(found), transactions(truth));
        assert_eq!(
            found, truth,
            "cut {number} at {position}: its view has seen {seen} transactions, the log up to there holds {true_count}"
        );
        let sum: i64 = found.values().map(|(_, amount)| amount).sum();
        assert_eq!(sum, 100 * ROWS, "cut {number} lies within a transaction");
    }
}

/// Cuts whose position is read without a lock: the check must find some of them wrong; in a soak, that some lost rows.
async fn wrong_cuts_are_found(needs_lost: bool) {
    let scene = Scene::start(Flavor::MySql97, LOG).await;
    let mut control = scene.server.connect("d").await;
    let mut cuts = Vec::new();
    for _ in 0..WRONG_CUTS_MAX {
        cuts.push(scene.wrong_cut(&mut control).await);
    }
    control.close().await;
    let truth = scene.truth(cuts.iter().map(|(position, _)| position)).await;
    let mut exact = 0;
    let (mut newer, mut lost) = (0, 0);
    for ((_, found), truth) in cuts.iter().zip(&truth) {
        if found == truth {
            exact += 1;
        } else if transactions(found) > transactions(truth) {
            newer += 1;
        } else {
            lost += 1;
        }
    }
    let what = format!("{exact} exact, {newer} with a newer view, {lost} that lost rows");
    assert!(newer + lost > 0 && (lost > 0 || !needs_lost), "{what}");
}

macro_rules! ways {
    ($($name:ident, $soak:ident: $flavor:expr, $grants:expr, $readers:expr;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            cuts_are_exact($flavor, $grants, CUTS, $readers).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        #[ignore = "the full number of cuts: cargo xtask soak"]
        async fn $soak() {
            cuts_are_exact($flavor, $grants, CUTS_SOAK, $readers).await;
        }
    )*};
}

ways! {
    forty_cuts_by_mariadbs_own_snapshot_are_exact, soak_cuts_mariadb_10_11_by_snapshot:
        Flavor::MariaDb1011, LOG, 1;
    forty_cuts_under_a_global_lock_on_mysql_are_exact, soak_cuts_mysql_9_7_by_global_lock:
        Flavor::MySql97, &format!("{LOG} GRANT RELOAD ON *.* TO USER;"), 2;
    forty_cuts_under_locked_tables_on_mysql_are_exact, soak_cuts_mysql_9_7_by_lock_tables:
        Flavor::MySql97, &format!("{LOG} GRANT LOCK TABLES ON d.* TO USER;"), 2;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cuts_at_a_position_read_without_a_lock_are_found_to_be_wrong() {
    wrong_cuts_are_found(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "that rows are lost, which is rarer: cargo xtask soak"]
async fn soak_cuts_at_a_position_read_without_a_lock_lose_rows() {
    wrong_cuts_are_found(true).await;
}
