//! The table and the logs that everything is measured on.

use std::fmt::Write as _;

use headwater_servers::{Error, Flavor, Instance, Options, Result};

/// A small log's transactions change one row in each of three of so many tables.
const TABLES: u64 = 20;
/// Rows that each of those tables begins with, and that updates go round.
const SEEDED_ROWS: u64 = 100;

/// Where in the log something begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: String,
    pub(crate) offset: u32,
}

/// How much was put into a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) changes: u64,
    pub(crate) transactions: u64,
}

/// Starts a server as `bench/README.md` says.
pub(crate) fn start(flavor: Flavor) -> Result<Instance> {
    let mut options = vec!["--innodb-buffer-pool-size=1G", "--max-binlog-size=1G"];
    match flavor.is_mariadb() {
        true => options.push("--innodb-log-file-size=512M"),
        false => options.push("--innodb-redo-log-capacity=1G"),
    }
    Instance::start(flavor, &Options::with(&options))
}

/// Fills `bench.orders`; the rows do not go through the log.
pub(crate) fn load(server: &Instance, rows: u64) -> Result<()> {
    let sql = match server.flavor().is_mariadb() {
        true => include_str!("../sql/orders.mariadb.sql"),
        false => include_str!("../sql/orders.mysql.sql"),
    };
    server.sql(&with_rows(sql, rows))?;
    let there = server.sql("select count(*) from bench.orders")?;
    if there.trim() == rows.to_string() {
        return Ok(());
    }
    Err(Error::new(format!(
        "bench.orders has {} rows, not {rows}",
        there.trim()
    )))
}

fn with_rows(sql: &str, rows: u64) -> String {
    sql.replace("{rows}", &rows.to_string())
}

/// Makes what the log of `bench.orders` needs.
pub(crate) fn prepare_log(server: &Instance, rows: u64) -> Result<()> {
    server
        .sql(&with_rows(include_str!("../sql/live.sql"), rows))
        .map(drop)
}

/// Writes about `changes` changes of `bench.orders` into the log.
pub(crate) fn write_log(server: &Instance, changes: u64) -> Result<Written> {
    let rounds = changes / 300;
    server.sql(&format!("call bench.live({rounds})"))?;
    Ok(Written {
        changes: rounds * 300,
        transactions: rounds * 11,
    })
}

/// Makes the 20 tables of `bench20`, and the procedure that changes them.
pub(crate) fn prepare_small_log(server: &Instance) -> Result<()> {
    server.sql(&small_sql()).map(drop)
}

/// Writes about `changes` changes of `bench20` into the log, three in a transaction.
pub(crate) fn write_small_log(server: &Instance, changes: u64) -> Result<Written> {
    let rounds = changes / 3 / TABLES;
    server.sql(&format!("call bench20.small({rounds})"))?;
    let transactions = rounds * TABLES;
    Ok(Written {
        changes: transactions * 3,
        transactions,
    })
}

fn row(id: &str) -> String {
    format!(
        "({id}, ({id}*7919)%500000, 1+({id}%5), (({id}*104729)%100000000)/100.0, \
         concat('commande n° ',{id},' – naïve café ',substr(sha2({id},256),1,16)), \
         timestamp('2024-01-01 00:00:00.000') + interval ({id}*1009) second, {id}%256, \
         if({id}%50=0,null,{id}/7.0e0))"
    )
}

/// The procedure `small(n)`: `n` rounds of 20 transactions. Transaction `b` of round `r` inserts the row `1000+r` into
/// table `b`, updates one of the first hundred rows of table `b+7`, and deletes from table `b+13` the row that the
/// round before has inserted there; so each statement hits one row, and the tables stay small.
fn small_sql() -> String {
    let mut sql = String::from(
        "create database if not exists bench20 character set utf8mb4;\nuse bench20;\n\
         drop procedure if exists small;\n",
    );
    let mut branches = String::new();
    let mut seed = String::from("set sql_log_bin=0;\n");
    for table in 0..TABLES {
        let [updated, deleted] = [7, 13].map(|step| (table + step) % TABLES);
        _ = writeln!(sql, "drop table if exists part_{table:02};");
        _ = writeln!(sql, "create table part_{table:02} like bench.orders;");
        let ids = (1..=SEEDED_ROWS).chain([999]);
        let rows: Vec<String> = ids.map(|id| row(&id.to_string())).collect();
        _ = writeln!(
            seed,
            "insert into part_{table:02} values {};",
            rows.join(",")
        );
        _ = writeln!(
            branches,
            "    start transaction;\n    insert into part_{table:02} values {};\n    \
             update part_{updated:02} set status=1+((status+0)%5), amount=(amount+0.25)%1000000, \
             created_at=created_at + interval 1 second where id=1+(r%{SEEDED_ROWS});\n    \
             delete from part_{deleted:02} where id=999+r;\n    commit;",
            row("(1000+r)"),
        );
    }
    _ = write!(
        sql,
        "delimiter //\ncreate procedure small(n int)\nbegin\n  declare r bigint default 0;\n  \
         while r < n do\n{branches}    set r = r+1;\n  end while;\nend//\ndelimiter ;\n{seed}"
    );
    sql
}

/// The end of the log as it is now.
pub(crate) fn end_of_log(server: &Instance) -> Result<Place> {
    let said = match server.flavor().is_mariadb() {
        true => server.sql("show master status")?,
        false => server.sql("show binary log status")?,
    };
    let mut words = said.split_whitespace();
    let (file, offset) = (
        words.next(),
        words.next().and_then(|word| word.parse().ok()),
    );
    match (file, offset) {
        (Some(file), Some(offset)) => Ok(Place {
            file: file.to_owned(),
            offset,
        }),
        _ => Err(Error::new("the server does not say where its log ends")),
    }
}
