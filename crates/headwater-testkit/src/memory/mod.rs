//! A source, a sink and a checkpoint store in memory. They share a [`World`]: a database with writers, one random generator,
//! and a count of steps at any of which the process can be made to die.
//!
//! Each call of a source, reader, log or sink is a step. At a step the writers commit something, the task gives way to others
//! a few times, and virtual time passes; so races between reading and writing are explored, and are the same for the same seed.

mod database;
mod live;
mod reader;
mod sink;
mod source;
mod store;
mod world;
mod writers;

pub use live::Live;
pub use reader::Reader;
pub use sink::{Keeps, Sink, Target};
pub use source::{At, Source, Streamed};
pub use store::Store;
pub use world::{Broken, Cuts, Ddl, Load, Options, World, meets};

/// The definition of `shop.numbers`: an integer key `id`, a text `note` that can be NULL, an integer `version`.
#[must_use]
pub fn numbers_schema() -> std::sync::Arc<headwater_core::schema::TableSchema> {
    database::schema(
        "numbers",
        &[("id", false)],
        headwater_core::schema::KeyOrder::Client,
    )
}
