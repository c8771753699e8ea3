//! Bootstraps of the running stream: which table's rows ask for them in the source, and whom they address (the names are
//! Maxwell's), how many tables are read at once, and under which load.

use headwater_core::Result;
use headwater_core::schema::TableName;
use headwater_mysql::trigger;
use schemars::JsonSchema;
use serde::Deserialize;

use super::file::File;
use super::load::Load;
use super::misused;
use super::names::{self, Wanted};

/// Bootstraps of the running stream.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bootstrap {
    /// The table whose rows ask for bootstraps, as Maxwell's do: `maxwell.bootstrap` if not given, or `none`.
    #[schemars(length(min = 1), extend("x-null-is-a-word" = true))]
    pub(crate) table: Option<String>,
    /// Of how many tables chunks are read in turn. 1 if not given: one table after the other, as they were asked for. It is also
    /// what counts for tables that are copied beside the stream.
    #[schemars(range(min = 1, max = 1000))]
    pub(crate) tables_at_once: Option<u16>,
    /// The load of the source above which bootstraps wait.
    pub(crate) load: Option<Load>,
}

/// The same on the command line.
#[derive(Debug, Default, Clone, clap::Args)]
#[command(next_help_heading = "Bootstraps asked for in the source (the options are Maxwell's)")]
pub(crate) struct TriggerFlags {
    /// The table whose rows ask for bootstraps of the running stream, or `none` [default: maxwell.bootstrap].
    #[arg(long, value_name = "TABLE")]
    pub(crate) bootstrap_table: Option<String>,
    /// The database of that table, where it is called `bootstrap`.
    #[arg(
        long,
        alias = "schema_database",
        value_name = "NAME",
        conflicts_with = "bootstrap_table"
    )]
    pub(crate) schema_database: Option<String>,
    /// Rows that address another client are left to it [default: maxwell].
    #[arg(long, alias = "client_id", value_name = "NAME")]
    pub(crate) client_id: Option<String>,
}

/// Which rows ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asking {
    pub(crate) table: TableName,
    pub(crate) client: String,
}

/// The flags over the file. None: nothing is asked for in the source.
pub(crate) fn resolve(flags: &TriggerFlags, file: &File) -> Result<Option<Asking>> {
    let listed = file
        .bootstrap
        .as_ref()
        .and_then(|section| section.table.as_ref());
    let table = match (&flags.bootstrap_table, &flags.schema_database) {
        (Some(table), _) => Some(self::table(table)?),
        (None, Some(database)) => Some(Some(TableName::new(database.as_str(), trigger::TABLE))),
        (None, None) => None,
    };
    let table = match (table, listed, &file.schema_database) {
        (Some(table), _, _) => table,
        (None, Some(listed), _) => self::table(listed)?,
        (None, None, Some(database)) => Some(TableName::new(database.as_str(), trigger::TABLE)),
        (None, None, None) => Some(trigger::table()),
    };
    let client = flags.client_id.as_ref().or(file.client_id.as_ref());
    let client = client.map_or(trigger::CLIENT, String::as_str).to_owned();
    Ok(table.map(|table| Asking { table, client }))
}

/// Reads `DATABASE.TABLE`, or `none`.
pub(crate) fn table(text: &str) -> Result<Option<TableName>> {
    if text.eq_ignore_ascii_case("none") {
        return Ok(None);
    }
    match names::parse(text)? {
        Wanted::Table(Some(database), table) => Ok(Some(TableName::new(database, table))),
        Wanted::Table(None, _) | Wanted::Database(_) => Err(misused(
            format!("`{text}` is not the full name of a table"),
            "write DATABASE.TABLE, for example maxwell.bootstrap, or `none`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(flags: &[Option<&str>; 3], table: Option<&str>, database: Option<&str>) -> String {
        let [bootstrap_table, schema_database, client_id] =
            flags.map(|flag| flag.map(str::to_owned));
        let flags = TriggerFlags {
            bootstrap_table,
            schema_database,
            client_id,
        };
        let file = File {
            bootstrap: Some(Bootstrap {
                table: table.map(str::to_owned),
                ..Bootstrap::default()
            }),
            schema_database: database.map(str::to_owned),
            client_id: Some("of the file".to_owned()),
            ..File::default()
        };
        match resolve(&flags, &file) {
            Ok(Some(asking)) => format!("{} for {}", asking.table, asking.client),
            Ok(None) => "none".to_owned(),
            Err(error) => error.message().to_owned(),
        }
    }

    #[test]
    fn flags_come_before_the_file_and_a_table_before_its_database() {
        let none = [None, None, None];
        assert_eq!(
            resolved(&none, None, None),
            "maxwell.bootstrap for of the file"
        );
        assert_eq!(
            resolved(&none, None, Some("mx")),
            "mx.bootstrap for of the file"
        );
        assert_eq!(
            resolved(&none, Some("a.b"), Some("mx")),
            "a.b for of the file"
        );
        assert_eq!(resolved(&none, Some("None"), Some("mx")), "none");
        let flags = [None, Some("flag"), Some("me")];
        assert_eq!(
            resolved(&flags, Some("none"), None),
            "flag.bootstrap for me"
        );
        let flags = [Some("none"), None, None];
        assert_eq!(resolved(&flags, Some("a.b"), None), "none");
        let flags = [Some("bootstrap"), None, None];
        assert_eq!(
            resolved(&flags, None, None),
            "`bootstrap` is not the full name of a table"
        );
    }
}
