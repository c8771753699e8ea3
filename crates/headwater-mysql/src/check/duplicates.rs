//! Whether columns tell rows apart, for sinks that keep one row for each of their values.

use headwater_core::Result;
use headwater_core::schema::TableName;

use crate::snapshot::control::Control;
use crate::snapshot::sql::{quoted, quoted_table};
use crate::source::MysqlSource;

/// Two rows of a table with the same values in `columns`, told; none if there are none. Rows with a NULL among them are left
/// out. The server groups the whole table for it, unless an index helps.
///
/// # Errors
/// As those of any query.
pub async fn duplicates(
    source: &MysqlSource,
    table: &TableName,
    columns: &[String],
) -> Result<Option<String>> {
    let mut control = Control::connect(&source.settings.connect).await?;
    let names: Vec<String> = columns.iter().map(|name| quoted(name)).collect();
    let given: Vec<String> = names
        .iter()
        .map(|name| format!("{name} IS NOT NULL"))
        .collect();
    let list = names.join(", ");
    let query = format!(
        "SELECT {list}, COUNT(*) FROM {} WHERE {} GROUP BY {list} HAVING COUNT(*) > 1 ORDER BY NULL LIMIT 1",
        quoted_table(table),
        given.join(" AND "),
    );
    let found = control.connection.query(&query).await?;
    let Some(row) = found.rows.first() else {
        return Ok(None);
    };
    let values: Vec<String> = columns
        .iter()
        .enumerate()
        .map(|(at, name)| format!("{name} = {}", row.as_str(at).unwrap_or_default()))
        .collect();
    let count = row.as_str(columns.len()).unwrap_or_default();
    Ok(Some(format!("{count} rows with {}", values.join(", "))))
}
