//! What a server's settings make of names and of DDL.

use headwater_core::Result;
use headwater_core::schema::TableName;

use super::ddl::Rules;
use super::selection::{Selection, folded_table};
use super::sql_mode::SqlMode;
use crate::client::Connection;
use crate::decode::event::Query;

/// MariaDB's flag for `explicit_defaults_for_timestamp` (OPTION_EXPLICIT_DEF_TIMESTAMP in its `sql_priv.h`).
const EXPLICIT_TIMESTAMPS: u32 = 1 << 24;

/// The settings of a server that decide what its names and its DDL mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerRules {
    /// `lower_case_table_names`.
    lower_case_table_names: u8,
    /// `explicit_defaults_for_timestamp`, as sessions begin with.
    explicit_timestamps: bool,
    mariadb: bool,
    /// MariaDB: whether the flags of a statement in the log say `explicit_defaults_for_timestamp`.
    flags_tell: bool,
}

impl ServerRules {
    /// Asks the server.
    ///
    /// # Errors
    /// What [`Connection::query`] answers.
    pub async fn read(connection: &mut Connection) -> Result<Self> {
        let row = connection
            .query_one(
                "SELECT @@global.lower_case_table_names, @@global.explicit_defaults_for_timestamp",
            )
            .await?;
        let number = |index| row.as_ref().and_then(|row| row.u64(index));
        let server = connection.server();
        let mariadb = server.is_mariadb();
        Ok(Self {
            lower_case_table_names: number(0).and_then(|n| u8::try_from(n).ok()).unwrap_or(0),
            explicit_timestamps: number(1) != Some(0),
            mariadb,
            flags_tell: mariadb && flags_tell(server.version),
        })
    }

    /// The selection as the server writes its names.
    #[must_use]
    pub fn selection(&self, selection: &Selection) -> Selection {
        selection.clone().folded(self.lower_case_table_names)
    }

    /// A table's name as the server writes it.
    #[must_use]
    pub(crate) fn table(&self, name: &TableName) -> TableName {
        if self.lower_case_table_names == 1 {
            folded_table(name)
        } else {
            name.clone()
        }
    }

    /// Whether the server has all names in lower case, whatever the letter case they are given in (1).
    #[must_use]
    pub fn folds_names(&self) -> bool {
        self.lower_case_table_names == 1
    }

    /// Whether the server keeps names in the letter case they were given in, and compares them without it (2, macOS).
    #[must_use]
    pub fn keeps_letter_case_only(&self) -> bool {
        self.lower_case_table_names == 2
    }

    /// Whether the user's `wanted` is the server's `table`.
    #[must_use]
    pub fn is_same_table(&self, wanted: &TableName, table: &TableName) -> bool {
        wanted == table || (self.lower_case_table_names == 1 && folded_table(wanted) == *table)
    }

    /// What a statement of the log depends on: its session's settings before the server's.
    #[must_use]
    pub(crate) fn of(&self, query: &Query<'_>) -> Rules {
        let status = query.status();
        let mode = SqlMode::from_bits(status.sql_mode.unwrap_or(0));
        let by_flags = status.flags.filter(|_| self.flags_tell);
        let explicit = status
            .explicit_timestamps
            .or(by_flags.map(|flags| flags & EXPLICIT_TIMESTAMPS != 0))
            .unwrap_or(self.explicit_timestamps);
        Rules {
            lower_case_names: self.lower_case_table_names == 1,
            timestamps_not_null: !explicit,
            ..Rules::new(query.database.as_ref(), mode, self.mariadb)
        }
    }
}

/// Whether a MariaDB of this version has the flag. Source: `Format_description_log_event` in its `log_event.cc`.
fn flags_tell(version: (u16, u16, u16)) -> bool {
    match version {
        (10, 6, patch) => patch >= 9,
        (10, 7, patch) => patch >= 5,
        (10, 8, patch) => patch >= 4,
        (10, 9, patch) => patch >= 2,
        version => version >= (10, 10, 0),
    }
}
