//! What tables look like: definitions, where they come from, and how DDL moves them on.
//!
//! - [`definition`]: a table's definition, whatever it came from.
//! - [`information`]: definitions as information_schema has them now.
//! - [`ddl`]: what a statement in the log does.
//! - [`catalog`]: the definitions that are valid at one place in the log.
//! - [`mod@plausible`]: whether a definition fits a table map.

pub mod catalog;
mod charset;
mod column_type;
pub mod ddl;
pub mod definition;
pub mod information;
mod labels;
mod lexer;
pub(crate) mod native;
mod plausible;
mod read;
mod selection;
mod server;
mod shadow;
mod sql_mode;

pub use catalog::{Catalog, CatalogEvent, Happened, Lookup};
pub use column_type::data_type_of;
pub use definition::{ColumnDefinition, ColumnType, TableDefinition, UniqueKey};
pub use information::TableFacts;
pub use native::Native;
pub use plausible::{Implausible, plausible};
pub use read::{read_catalog, read_definitions};
pub use selection::Selection;
pub use server::ServerRules;
pub use shadow::is_shadow;
pub use sql_mode::SqlMode;
