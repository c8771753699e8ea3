//! Maxwell's way to ask for a bootstrap: a row in its table `maxwell.bootstrap`. (`src/main/resources/sql/maxwell_schema_bootstrap.sql`
//! of Maxwell has the table.)

use headwater_core::schema::TableName;
use headwater_core::trigger::{Trigger, TriggerColumns};

/// The table's name, in a database that is Maxwell's `schema_database`.
pub const TABLE: &str = "bootstrap";
/// The database that it is in unless another is named.
pub const DATABASE: &str = "maxwell";
/// Whom a row addresses unless it says otherwise.
pub const CLIENT: &str = "maxwell";

/// Maxwell's names for the columns.
pub const COLUMNS: TriggerColumns = TriggerColumns {
    id: "id",
    database: "database_name",
    table: "table_name",
    condition: "where_clause",
    comment: "comment",
    client: "client_id",
    not_before: "started_at",
    is_over: "is_complete",
};

/// How rows ask that address `client`.
#[must_use]
pub fn asking(client: &str) -> Trigger {
    Trigger {
        columns: COLUMNS,
        client: client.to_owned(),
    }
}

/// The table, where Maxwell has it.
#[must_use]
pub fn table() -> TableName {
    TableName::new(DATABASE, TABLE)
}
