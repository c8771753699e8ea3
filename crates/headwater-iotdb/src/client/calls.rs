//! The calls of `IClientRPCService` that are used, and the structures they send and get. (apache/iotdb,
//! `iotdb-protocol/thrift-datanode/src/main/thrift/client.thrift`; the numbers are those of its fields.)

use headwater_core::Result;

use super::status::Status;
use super::thrift::{Reader, Type, Writer};
use crate::tablet::Tablet;

/// `TSProtocolVersion.IOTDB_SERVICE_PROTOCOL_V3`.
const PROTOCOL_V3: i32 = 2;

/// What `openSession` answers.
#[derive(Debug, Default)]
pub(super) struct Opened {
    pub(super) status: Status,
    pub(super) session: i64,
}

pub(super) fn open_session(
    writer: &mut Writer,
    user: &str,
    password: &str,
    configuration: &[(&str, &str)],
) {
    writer.field(1, Type::Struct);
    writer.i32_field(1, PROTOCOL_V3);
    writer.string_field(2, "UTC");
    writer.string_field(3, user);
    writer.string_field(4, password);
    writer.field(5, Type::Map);
    writer.map(Type::String, Type::String, configuration.len());
    for (key, value) in configuration {
        writer.string(key);
        writer.string(value);
    }
    writer.stop();
}

impl Opened {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let mut opened = Self::default();
        while let Some((id, kind)) = reader.field()? {
            match (id, kind) {
                (1, Type::Struct) => opened.status = Status::read(reader)?,
                (3, Type::I64) => opened.session = reader.i64()?,
                _ => reader.skip(kind)?,
            }
        }
        Ok(opened)
    }
}

/// A call with the session's number alone.
pub(super) fn session_only(writer: &mut Writer, session: i64) {
    writer.request(session, |_| {});
}

/// A call whose argument is the bare number of the session.
pub(super) fn bare_session(writer: &mut Writer, session: i64) {
    writer.i64_field(1, session);
}

/// `insertTablets`: tablets of several devices, all aligned or none.
pub(super) fn insert_tablets(
    writer: &mut Writer,
    session: i64,
    tablets: &[Tablet],
    is_aligned: bool,
) {
    // About: names and numbers come to little beside the values.
    let size = |tablet: &Tablet| tablet.values_length() + tablet.len() * 8 + 512;
    writer.reserve(tablets.iter().map(size).sum());
    writer.request(session, |writer| {
        writer.list_field(2, Type::String, tablets, |out, tablet| {
            out.string(&tablet.target)
        });
        writer.list_field(3, Type::List, tablets, names);
        writer.list_field(4, Type::String, tablets, values);
        writer.list_field(5, Type::String, tablets, times);
        writer.list_field(6, Type::List, tablets, types);
        writer.list_field(7, Type::I32, tablets, |out, tablet| out.i32(tablet.rows()));
        writer.bool_field(8, is_aligned);
    });
}

/// `insertTablet` into a table of the table model.
pub(super) fn insert_into_table(writer: &mut Writer, session: i64, tablet: &Tablet) {
    writer.reserve(tablet.values_length() + tablet.len() * 8 + 1024);
    writer.request(session, |writer| {
        writer.string_field(2, &tablet.target);
        writer.field(3, Type::List);
        names(writer, tablet);
        writer.field(4, Type::String);
        values(writer, tablet);
        writer.field(5, Type::String);
        times(writer, tablet);
        writer.field(6, Type::List);
        types(writer, tablet);
        writer.i32_field(7, tablet.rows());
        writer.bool_field(8, false);
        writer.bool_field(9, true);
        let columns = &tablet.layout.columns;
        writer.list_field(10, Type::Byte, columns, |out, column| {
            out.byte(column.category as u8)
        });
    });
}

fn names(writer: &mut Writer, tablet: &Tablet) {
    let columns = &tablet.layout.columns;
    writer.list(Type::String, columns, |out, column| {
        out.string(&column.name)
    });
}

fn types(writer: &mut Writer, tablet: &Tablet) {
    let columns = &tablet.layout.columns;
    writer.list(Type::I32, columns, |out, column| {
        out.i32(column.series_type as i32)
    });
}

fn values(writer: &mut Writer, tablet: &Tablet) {
    writer.binary_with(tablet.values_length(), |out| tablet.write_values(out));
}

fn times(writer: &mut Writer, tablet: &Tablet) {
    writer.binary_with(tablet.len() * 8, |out| tablet.write_times(out));
}

/// `deleteData`: the points of these series from `first` to `last`, both included.
pub(super) fn delete_data(
    writer: &mut Writer,
    session: i64,
    paths: &[String],
    first: i64,
    last: i64,
) {
    writer.request(session, |writer| {
        writer.list_field(2, Type::String, paths, |out, path| out.string(path));
        writer.i64_field(3, first);
        writer.i64_field(4, last);
    });
}

/// `executeStatementV2`: any statement. Rows come `fetch` at a time.
pub(super) fn execute(
    writer: &mut Writer,
    session: i64,
    statement: &str,
    statement_id: i64,
    fetch: i32,
    timeout_ms: i64,
) {
    writer.request(session, |writer| {
        writer.string_field(2, statement);
        writer.i64_field(3, statement_id);
        writer.i32_field(4, fetch);
        writer.i64_field(5, timeout_ms);
    });
}

/// What a statement answers, as far as it is needed.
#[derive(Debug, Default)]
pub(super) struct Executed {
    pub(super) status: Status,
    pub(super) query: Option<i64>,
    pub(super) columns: Vec<String>,
    pub(super) types: Vec<String>,
    pub(super) places: Vec<(String, i32)>,
    /// For each column its place in the blocks, of servers that say so.
    pub(super) block_places: Vec<i32>,
    pub(super) blocks: Vec<Vec<u8>>,
    pub(super) has_more: bool,
}

impl Executed {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let mut executed = Self::default();
        while let Some((id, kind)) = reader.field()? {
            match (id, kind) {
                (1, Type::Struct) => executed.status = Status::read(reader)?,
                (2, Type::I64) => executed.query = Some(reader.i64()?),
                (3, Type::List) => executed.columns = reader.strings()?,
                (6, Type::List) => executed.types = reader.strings()?,
                (9, Type::Map) => {
                    if let Some((_, _, length)) = reader.map()? {
                        for _ in 0..length {
                            let name = reader.string()?.to_owned();
                            executed.places.push((name, reader.i32()?));
                        }
                    }
                }
                (13, Type::List) => executed.blocks = blocks(reader)?,
                (14, Type::Bool) => executed.has_more = reader.bool()?,
                (17, Type::List) => {
                    let (_, length) = reader.list()?;
                    for _ in 0..length {
                        executed.block_places.push(reader.i32()?);
                    }
                }
                _ => reader.skip(kind)?,
            }
        }
        Ok(executed)
    }
}

/// `fetchResultsV2`: the next rows of a query.
pub(super) fn fetch(
    writer: &mut Writer,
    session: i64,
    statement: &str,
    query: i64,
    fetch: i32,
    timeout_ms: i64,
) {
    writer.request(session, |writer| {
        writer.string_field(2, statement);
        writer.i32_field(3, fetch);
        writer.i64_field(4, query);
        writer.bool_field(5, true);
        writer.i64_field(6, timeout_ms);
    });
}

/// What `fetchResultsV2` answers.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    pub(super) status: Status,
    pub(super) has_rows: bool,
    pub(super) blocks: Vec<Vec<u8>>,
    pub(super) has_more: bool,
}

impl Fetched {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let mut fetched = Self::default();
        while let Some((id, kind)) = reader.field()? {
            match (id, kind) {
                (1, Type::Struct) => fetched.status = Status::read(reader)?,
                (2, Type::Bool) => fetched.has_rows = reader.bool()?,
                (6, Type::List) => fetched.blocks = blocks(reader)?,
                (7, Type::Bool) => fetched.has_more = reader.bool()?,
                _ => reader.skip(kind)?,
            }
        }
        Ok(fetched)
    }
}

/// `closeOperation`: a query's end before its last row.
pub(super) fn close_query(writer: &mut Writer, session: i64, query: i64, statement_id: i64) {
    writer.request(session, |writer| {
        writer.i64_field(2, query);
        writer.i64_field(3, statement_id);
    });
}

/// `getProperties`.
#[derive(Debug, Default, Clone)]
pub(crate) struct Properties {
    pub(crate) version: String,
    /// `ms`, `us` or `ns`.
    pub(crate) precision: String,
}

impl Properties {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let mut properties = Self::default();
        while let Some((id, kind)) = reader.field()? {
            match (id, kind) {
                (1, Type::String) => reader.string()?.clone_into(&mut properties.version),
                (3, Type::String) => reader.string()?.clone_into(&mut properties.precision),
                _ => reader.skip(kind)?,
            }
        }
        Ok(properties)
    }
}

fn blocks(reader: &mut Reader<'_>) -> Result<Vec<Vec<u8>>> {
    let (_, length) = reader.list()?;
    let mut all = Vec::new();
    for _ in 0..length {
        all.push(reader.binary()?.to_vec());
    }
    Ok(all)
}
