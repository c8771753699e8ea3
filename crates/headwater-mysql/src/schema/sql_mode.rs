//! The session settings that change how a statement reads.

use serde::{Deserialize, Serialize};

/// A session's `sql_mode`, as a query event carries it (status variable `Q_SQL_MODE_CODE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SqlMode(u64);

impl SqlMode {
    /// The mode of these bits.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// `REAL` means `FLOAT`.
    #[must_use]
    pub const fn real_as_float(self) -> bool {
        self.0 & 1 != 0
    }

    /// Double quotes enclose names.
    #[must_use]
    pub const fn ansi_quotes(self) -> bool {
        self.0 & 4 != 0
    }

    /// MariaDB's Oracle mode, in which type names mean something else.
    #[must_use]
    pub const fn oracle(self) -> bool {
        self.0 & 0x200 != 0
    }

    /// A backslash in a text is a backslash.
    #[must_use]
    pub const fn no_backslash_escapes(self) -> bool {
        self.0 & 0x10_0000 != 0
    }
}
