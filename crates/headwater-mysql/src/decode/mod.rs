//! Decoding: wire bytes to the cells of a [`headwater_core::batch::Batch`], such that a row of a result (binary
//! protocol) and an image of the log give one and the same cell for every type.
//!
//! - [`plan::RowPlan`]: a table's definition, made ready; it is bound to
//!   - the columns of a result: [`result_row::ResultPlan`], or
//!   - a table map of the log: [`row_image::ImagePlan`].
//! - [`event`]: the frames and bodies of the log's events.
//! - [`metadata`]: a table map with FULL metadata, as a definition.
//! - [`decimal`], [`temporal`], [`json`], [`mariadb`]: one type family each.
//!
//! No bytes make a decoder panic, loop, or allocate more than they stand for: everything is read through a
//! [`reader::Reader`], and what does not fit is an error of kind `Malformed` (the bytes break their format) or
//! `SchemaMismatch` (they break the table's definition).

pub mod decimal;
pub mod event;
pub mod json;
pub mod mariadb;
pub mod metadata;
pub mod plan;
pub mod reader;
pub mod result_row;
pub mod row_image;
pub mod temporal;

use std::borrow::Cow;

use headwater_core::{Error, ErrorKind};

#[cold]
pub(crate) fn malformed(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Malformed, message)
}

#[cold]
pub(crate) fn mismatch(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::SchemaMismatch, message).hint(
        "the table's definition is not the one the log's rows were written with: a change of it was missed; \
         set binlog_row_metadata=FULL, or take a new snapshot of the table",
    )
}
