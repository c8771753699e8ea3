//! The snapshot: cuts ([`cut`]), and readers that read splits of tables as of one ([`reader`]).

pub(crate) mod chunk;
pub(crate) mod control;
pub(crate) mod cut;
pub(crate) mod kept;
pub(crate) mod reader;
pub(crate) mod sql;
mod views;

pub use reader::Reader;
