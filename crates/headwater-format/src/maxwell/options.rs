//! What an event holds. The names are Maxwell's own, and so are the defaults.

use super::columns::Columns;
use super::encrypt::Encryption;

/// What an event holds beyond the row, and in which form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The types of snapshot events.
    pub bootstrap_events: BootstrapEvents,
    /// `xid` and `commit` (and `xoffset`, with its own option).
    pub output_commit_info: bool,
    /// `xoffset`, the row's number within its transaction, on all rows but the last.
    pub output_xoffset: bool,
    /// Members of `data` and `old` that are null.
    pub output_nulls: bool,
    /// `query`, the statement, where the log holds it.
    pub output_row_query: bool,
    /// Characters of `query` at most; 0 for all.
    pub row_query_max_length: usize,
    /// `position`, the place in the log at which the event of the row begins; null where there is none.
    pub output_binlog_position: bool,
    /// `server_id`, the server that first executed the transaction.
    pub output_server_id: bool,
    /// `thread_id`, the connection that executed it, where the log holds it.
    pub output_thread_id: bool,
    /// `gtid`; null where there is none.
    pub output_gtid_position: bool,
    /// `push_ts`, the time at which the event was made, in seconds with six digits behind the point.
    pub output_push_timestamp: bool,
    /// `primary_key`, the key's values.
    pub output_primary_keys: bool,
    /// `primary_key_columns`, the key's column names.
    pub output_primary_key_columns: bool,
    /// Events of changed definitions: tables and databases that are created, altered and dropped.
    pub output_ddl: bool,
    /// Dates whose year, month or day is zero become null, instead of being shown as they are stored.
    pub output_null_zerodates: bool,
    /// The form of names.
    pub output_naming_strategy: Naming,
    /// Columns that are left out of `data` and `old`. The key (of the record, and in `primary_key`) keeps them.
    pub exclude_columns: Columns,
    /// Members with the same text in every event, in order: before the key and the data.
    pub custom: Vec<(String, String)>,
    /// Whether the data, or everything, is encrypted.
    pub encrypt: Option<Encryption>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            bootstrap_events: BootstrapEvents::Headwater,
            output_commit_info: true,
            output_xoffset: true,
            output_nulls: true,
            output_row_query: false,
            row_query_max_length: 0,
            output_binlog_position: false,
            output_server_id: false,
            output_thread_id: false,
            output_gtid_position: false,
            output_push_timestamp: false,
            output_primary_keys: false,
            output_primary_key_columns: false,
            output_ddl: false,
            output_null_zerodates: false,
            output_naming_strategy: Naming::None,
            exclude_columns: Columns::default(),
            custom: Vec::new(),
            encrypt: None,
        }
    }
}

impl Options {
    /// The names that [`Options::custom`] must not have, for events have members of them.
    pub const RESERVED: [&'static str; 25] = [
        "database",
        "table",
        "query",
        "type",
        "ts",
        "xid",
        "xoffset",
        "commit",
        "position",
        "gtid",
        "server_id",
        "thread_id",
        "schema_id",
        "push_ts",
        "comment",
        "primary_key",
        "primary_key_columns",
        "data",
        "old",
        "encrypted",
        "sql",
        "def",
        "charset",
        "reason",
        "_uuid",
    ];

    /// Whether an event may have a member of this name already, in either form of names.
    #[must_use]
    pub fn is_reserved(name: &str) -> bool {
        let mut reserved = Self::RESERVED.into_iter();
        reserved.any(|known| known == name || Naming::UnderscoreToCamelcase.of(known) == name)
    }
}

/// How snapshot rows are told apart from live ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BootstrapEvents {
    /// `"type":"bootstrap"` for each row, and no other event.
    #[default]
    Headwater,
    /// Maxwell's own: `bootstrap-start`, `bootstrap-insert` for each row, `bootstrap-complete`.
    Maxwell,
}

/// The form of names, of an event's members and of columns (`output_naming_strategy`). Not converted: what is in
/// `primary_key_columns`, keys of records, `comment`, and custom members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Naming {
    /// As they are.
    #[default]
    None,
    /// `server_id` becomes `serverId`.
    UnderscoreToCamelcase,
}

impl Naming {
    /// The form of a name. Underscores go, and a lower-case letter behind one is raised, but not at the beginning; a name of
    /// nothing else stays.
    #[must_use]
    pub fn of(self, name: &str) -> String {
        if self == Self::None || name.chars().all(|letter| letter == '_') {
            return name.to_owned();
        }
        let mut converted = String::with_capacity(name.len());
        let mut is_behind = false;
        for letter in name.trim_start_matches('_').chars() {
            if letter == '_' {
                is_behind = true;
                continue;
            }
            let mut upper = letter.to_uppercase();
            match (std::mem::take(&mut is_behind), upper.next(), upper.next()) {
                (true, Some(raised), None) => converted.push(raised),
                _ => converted.push(letter),
            }
        }
        converted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_underscores_and_raise_what_follows() {
        for (name, converted) in [
            ("server_id", "serverId"),
            ("_age_", "age"),
            ("__123", "123"),
            ("a__b", "aB"),
            ("___", "___"),
            ("größe_ä", "größeÄ"),
            ("a_ß", "aß"),
            ("A_B", "AB"),
            ("plain", "plain"),
        ] {
            assert_eq!(Naming::UnderscoreToCamelcase.of(name), converted);
            assert_eq!(Naming::None.of(name), name);
        }
    }

    #[test]
    fn names_that_events_have_are_reserved_in_both_forms() {
        assert!(Options::is_reserved("server_id") && Options::is_reserved("serverId"));
        assert!(!Options::is_reserved("region"));
    }
}
