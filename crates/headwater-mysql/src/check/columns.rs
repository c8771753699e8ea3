//! Columns' types as the server declares them, for messages that name them.

use std::collections::HashMap;

use headwater_core::Result;
use headwater_core::schema::TableName;

use crate::snapshot::control::Control;
use crate::snapshot::sql::text_literal;
use crate::source::MysqlSource;

/// The types of the columns of these tables, by table and column in small letters: `varchar(20)`.
///
/// # Errors
/// As those of any query.
pub async fn column_types(
    source: &MysqlSource,
    tables: &[TableName],
) -> Result<HashMap<(TableName, String), String>> {
    let mut types = HashMap::new();
    let mut control = Control::connect(&source.settings.connect).await?;
    for table in tables {
        let sql = format!(
            "SELECT COLUMN_NAME, COLUMN_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {}",
            text_literal(&table.database),
            text_literal(&table.table)
        );
        let found = control.connection.query(&sql).await?;
        for row in &found.rows {
            if let (Some(column), Some(kind)) = (row.as_str(0), row.as_str(1)) {
                types.insert((table.clone(), column.to_lowercase()), kind.to_owned());
            }
        }
    }
    control.close().await;
    Ok(types)
}
