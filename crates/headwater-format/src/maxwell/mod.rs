//! Maxwell's JSON, in Maxwell's field order and number forms, so that its consumers work unmodified.
//!
//! ```text
//! {"database":"shop","table":"orders","type":"update","ts":1700000000,"xid":812,"commit":true,
//!  "data":{"id":7,"qty":3,"note":null},"old":{"qty":2}}
//! ```
//!
//! A value has one rendering, whether it came from a snapshot or from the log. Where Maxwell has two, or is wrong, the
//! one here is right: `docs/differences-from-maxwell.md` lists each case.

mod encoder;
pub mod fallback;
pub mod key;
pub mod partition;
mod plan;
pub mod topic;
mod value;

pub use encoder::{Counts, Encoded, Encoder};
pub use partition::push_java_text;

/// What an event holds beyond the row. The names are Maxwell's own, and so are the defaults.
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
    /// `server_id`, the server that first executed the transaction.
    pub output_server_id: bool,
    /// `thread_id`, the connection that executed it, where the log holds it.
    pub output_thread_id: bool,
    /// `gtid`; null where there is none.
    pub output_gtid_position: bool,
    /// `primary_key`, the key's values.
    pub output_primary_keys: bool,
    /// `primary_key_columns`, the key's column names.
    pub output_primary_key_columns: bool,
    /// Dates whose year, month or day is zero become null, instead of being shown as they are stored.
    pub output_null_zerodates: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            bootstrap_events: BootstrapEvents::Headwater,
            output_commit_info: true,
            output_xoffset: true,
            output_nulls: true,
            output_row_query: false,
            output_server_id: false,
            output_thread_id: false,
            output_gtid_position: false,
            output_primary_keys: false,
            output_primary_key_columns: false,
            output_null_zerodates: false,
        }
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
