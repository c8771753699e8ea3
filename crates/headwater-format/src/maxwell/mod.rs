//! Maxwell's JSON, in Maxwell's field order and number forms, so that its consumers work unmodified.
//!
//! ```text
//! {"database":"shop","table":"orders","type":"update","ts":1700000000,"xid":812,"commit":true,
//!  "data":{"id":7,"qty":3,"note":null},"old":{"qty":2}}
//! ```
//!
//! A value has one rendering, whether it came from a snapshot or from the log. Where Maxwell has two, or is wrong, the
//! one here is right: `docs/differences-from-maxwell.md` lists each case.

mod columns;
mod ddl;
mod encoder;
mod encrypt;
pub mod fallback;
pub mod key;
mod options;
pub mod partition;
mod plan;
pub mod topic;
mod value;

pub use columns::{BadColumns, Columns};
pub use encoder::{Counts, Encoded, Encoder};
pub use encrypt::{BadKey, Encrypted, Encryption};
pub use options::{BootstrapEvents, Naming, Options};
pub use partition::push_java_text;
