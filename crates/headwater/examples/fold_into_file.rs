//! Revenue of each customer, from MySQL or MariaDB into a file: what is there, then what changes.
//!
//! `cargo run --example fold_into_file -- mysql://cdc:secret@127.0.0.1:3306/shop revenue.redb`

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

mod common;

use headwater::fold::live::{self, LiveFrom as _};
use headwater::fold::monoid::{Decimal, SumDecimal};
use headwater::fold::store::Embedded;
use headwater::fold::{Options, Pipeline, bootstrap};
use headwater::mysql::MysqlSource;
use headwater::{CancellationToken, Result};

#[derive(serde::Deserialize)]
struct Order {
    customer_id: u64,
    amount: Decimal,
    status: String,
}

async fn fold(source: &MysqlSource, file: &str, stop: CancellationToken) -> Result<()> {
    let revenue = Pipeline::named("revenue")
        .rows::<Order>()
        .key(|order: &Order| order.customer_id)
        .value(|order: &Order| order.amount.clone())
        .monoid(SumDecimal)
        .store(Embedded::new(file.as_ref()))
        .filter(|order: &Order| order.status == "paid");

    let options = Options {
        cancel: stop,
        ..Options::default()
    };
    let token = bootstrap::run(&revenue, source, options.clone()).await?;
    println!(
        "customer 42 has paid {}",
        revenue.answers()?.get(&42u64).await?.value
    );

    live::run(&revenue, source.live_from(token)?, options).await?;
    println!(
        "customer 42 has paid {}",
        revenue.answers()?.get(&42u64).await?.value
    );
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let [url, file] = common::arguments()?;
    let source = MysqlSource::of_tables(&url, &["orders"])?;
    fold(&source, &file, common::stop_at_ctrl_c()).await
}
