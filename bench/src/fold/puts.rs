//! The limit of the embedded store: keys and values as a fold has them, put in order, in batches, and made durable.

use std::path::PathBuf;

use headwater_fold::monoid::{Decimal, Monoid as _, SumDecimal};
use headwater_fold::place::{ALL_TIME, Place};
use headwater_servers::{Error, Result};
use redb::{Database, TableDefinition};

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("puts");
/// What stands before a place in the store: generation and fold.
const PREFIX: [u8; 6] = [0; 6];

/// Puts so many.
#[derive(Debug, clap::Args)]
pub(crate) struct Puts {
    /// Keys.
    #[arg(long)]
    keys: u64,
    /// The file.
    #[arg(long)]
    file: PathBuf,
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::new(format!("puts: {error}"))
}

/// Puts them.
pub(crate) fn put(wanted: &Puts) -> Result<()> {
    let mut keys: Vec<Vec<u8>> = (0..wanted.keys)
        .map(|key| {
            let mut bytes = PREFIX.to_vec();
            bytes.extend_from_slice(Place::new(ALL_TIME, key.to_string().as_bytes()).as_bytes());
            bytes
        })
        .collect();
    keys.sort_unstable();
    let mut value = Vec::new();
    SumDecimal.encode(&Decimal::new(123_456_789, 2), &mut value);
    let database = Database::create(&wanted.file).map_err(failed)?;
    let step = database.begin_write().map_err(failed)?;
    {
        let mut table = step.open_table(TABLE).map_err(failed)?;
        for key in &keys {
            table
                .insert(key.as_slice(), value.as_slice())
                .map_err(failed)?;
        }
    }
    step.commit().map_err(failed)
}
