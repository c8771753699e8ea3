//! How many different customers order on each day, from MySQL or MariaDB into Redis or Valkey.
//!
//! `cargo run --example fold_into_redis -- mysql://cdc:secret@127.0.0.1:3306/shop 'redis://127.0.0.1:6379/0?name=shop'`

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

mod common;

use headwater::fold::fold::TakeBack;
use headwater::fold::jiff::{Timestamp, civil, tz::TimeZone};
use headwater::fold::live::{self, LiveFrom as _};
use headwater::fold::monoid::HyperLogLog;
use headwater::fold::window::{Every, Window};
use headwater::fold::{Options, Pipeline, bootstrap};
use headwater::mysql::MysqlSource;
use headwater::redis::{RedisOptions, RedisStore};
use headwater::{CancellationToken, Result};

#[derive(serde::Deserialize)]
struct Order {
    customer_id: u64,
    created_at: civil::DateTime,
}

async fn fold(source: &MysqlSource, store: &str, stop: CancellationToken) -> Result<()> {
    let days = Window::new(Every::Day, TimeZone::UTC, None);
    let customers = Pipeline::named("customers")
        .rows::<Order>()
        .key(|_: &Order| ())
        .value(|order: &Order| order.customer_id.to_le_bytes().to_vec())
        .monoid(HyperLogLog::default())
        .store(RedisStore::new(RedisOptions::from_url(store)?)?)
        .window(days, |order: &Order| order.created_at)
        // Who has ordered has been there, whatever became of the order.
        .take_back(TakeBack::Ignore);

    let options = Options {
        cancel: stop,
        ..Options::default()
    };
    let token = bootstrap::run(&customers, source, options.clone()).await?;
    println!("what was there is folded; now what changes");
    live::run(&customers, source.live_from(token)?, options).await?;

    let november: [Timestamp; 2] =
        ["2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"].map(|at| at.parse().expect("a time"));
    let held = customers
        .answers()?
        .between(&[()], november[0], november[1])
        .await?;
    println!(
        "about {:.0} customers in November",
        HyperLogLog::default().estimate(&held[0].value)
    );
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let [url, store] = common::arguments()?;
    let source = MysqlSource::of_tables(&url, &["orders"])?;
    fold(&source, &store, common::stop_at_ctrl_c()).await
}
