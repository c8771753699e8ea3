//! The tables, and what of their changes never reaches a row log.

use headwater_core::Result;
use headwater_core::schema::KeyOrder;

use super::Finding;
use crate::schema::{ColumnType, TableDefinition, TableFacts};
use crate::snapshot::control::Control;
use crate::snapshot::sql::{quoted_table, text_literal};

pub(super) async fn check(
    control: &mut Control,
    definitions: &[(TableDefinition, TableFacts)],
    findings: &mut Vec<Finding>,
) -> Result<()> {
    if definitions.is_empty() {
        findings.push(
            Finding::failed("tables", "none").expected("at least one table that the user may read"),
        );
        return Ok(());
    }
    for (definition, facts) in definitions {
        findings.push(table(control, definition, facts).await);
    }
    cascades(control, definitions, findings).await
}

async fn table(control: &mut Control, definition: &TableDefinition, facts: &TableFacts) -> Finding {
    let name = format!("table {}", definition.name);
    let quoted = quoted_table(&definition.name);
    if let Err(error) = control
        .connection
        .query(&format!("SELECT 1 FROM {quoted} LIMIT 1"))
        .await
    {
        return Finding::failed(name, error.to_string())
            .expected("SELECT on it")
            .mend(format!("GRANT SELECT ON {quoted} TO CURRENT_USER"));
    }
    if !facts.transactional {
        return Finding::failed(name, format!("engine {}", facts.engine))
            .expected("an engine with read views, or its rows cannot be read as of a position")
            .mend(format!("ALTER TABLE {quoted} ENGINE = InnoDB"));
    }
    let end = definition
        .row_end
        .and_then(|end| definition.columns.get(end));
    if end.is_some_and(|end| matches!(end.column_type, ColumnType::Integer { .. })) {
        return Finding::failed(name, "system versioning by transaction numbers").expected(
            "system versioning by TIMESTAMP(6): the server logs changes of this table as statements, which cannot be streamed",
        );
    }
    let schema = definition.to_schema();
    let mut rows = format!("about {} rows", facts.estimated_rows);
    if facts.system_versioned {
        rows.push_str(", of which the current ones are copied and followed");
    }
    if !schema.has_key() {
        return Finding::warning(name, format!("{rows}, no key"))
            .expected("a primary key is better: without one it is read alone, in one piece, and begins again after a crash")
            .mend(format!("ALTER TABLE {quoted} ADD COLUMN id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY"));
    }
    if schema.key_order == KeyOrder::None {
        return Finding::warning(
            name,
            format!("{rows}, a key of floating point, ENUM, SET or BIT"),
        )
        .expected("it is read in one piece");
    }
    Finding::ok(name, rows)
}

/// Foreign keys whose cascades InnoDB carries out by itself, past the log: all of MariaDB's, and MySQL's before 9.6.
async fn cascades(
    control: &mut Control,
    definitions: &[(TableDefinition, TableFacts)],
    findings: &mut Vec<Finding>,
) -> Result<()> {
    let server = control.connection.server();
    if !server.is_mariadb() && server.version >= (9, 6, 0) {
        let native = super::variable(&mut control.connection, "innodb_native_foreign_keys").await?;
        if native.is_none_or(|native| native != "ON") {
            return Ok(());
        }
    }
    let sql = "SELECT CONSTRAINT_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, UPDATE_RULE, DELETE_RULE \
               FROM information_schema.REFERENTIAL_CONSTRAINTS \
               WHERE UPDATE_RULE IN ('CASCADE', 'SET NULL', 'SET DEFAULT') \
               OR DELETE_RULE IN ('CASCADE', 'SET NULL', 'SET DEFAULT')";
    let keys = control.connection.query(sql).await?;
    for key in &keys.rows {
        let cell = |index: usize| key.as_str(index).unwrap_or_default();
        let ours = definitions.iter().any(|(definition, _)| {
            *definition.name.database == *cell(0) && *definition.name.table == *cell(1)
        });
        if ours {
            findings.push(
                Finding::warning(
                    format!("foreign key {}", text_literal(cell(2))),
                    format!("{}.{}: ON UPDATE {}, ON DELETE {}", cell(0), cell(1), cell(3), cell(4)),
                )
                .expected("rows that the cascade changes or removes are not in the log, so not in the stream either"),
            );
        }
    }
    Ok(())
}
