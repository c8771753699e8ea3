//! Rows of a query: `TsBlock`s, column by column. (apache/tsfile, `TsBlockSerde` and the column encoders beside it.)

use std::sync::Arc;

use headwater_core::{Error, Result};

use super::thrift::{Reader, malformed};

/// One value of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// BOOLEAN.
    Bool(bool),
    /// INT32, and DATE as `yyyymmdd`.
    Int32(i32),
    /// INT64 and TIMESTAMP.
    Int64(i64),
    /// FLOAT.
    Float(f32),
    /// DOUBLE.
    Double(f64),
    /// TEXT, STRING and BLOB.
    Bytes(Arc<[u8]>),
}

/// What a query answered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rows {
    /// The columns' names, without the time's.
    pub columns: Vec<String>,
    /// Their types, as the server names them.
    pub types: Vec<String>,
    /// The rows' times; of no meaning where the answer has none (`SHOW …`, and the table model).
    pub times: Vec<i64>,
    /// The values, row by row.
    pub values: Vec<Vec<Value>>,
}

impl Rows {
    /// The place of a column, whatever its letter case.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<usize> {
        let mut columns = self.columns.iter();
        columns.position(|column| column.eq_ignore_ascii_case(name))
    }

    /// Appends a block; `places` says which of its columns each column of the answer is.
    pub(super) fn append(&mut self, block: &[u8], places: &[usize]) -> Result<()> {
        let block = Block::read(block)?;
        for row in 0..block.times.len() {
            self.times.push(block.times[row]);
            let values = places.iter().map(|&place| {
                let column = block.columns.get(place);
                column.map_or(Value::Null, |column| column.value(row))
            });
            self.values.push(values.collect());
        }
        Ok(())
    }
}

impl Value {
    /// Bytes as text.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            _ => None,
        }
    }
}

struct Block {
    times: Vec<i64>,
    columns: Vec<Column>,
}

/// A column: its values, one for all rows where they are all the same.
struct Column {
    values: Vec<Value>,
    is_repeated: bool,
}

impl Column {
    fn value(&self, row: usize) -> Value {
        let row = if self.is_repeated { 0 } else { row };
        self.values.get(row).cloned().unwrap_or(Value::Null)
    }
}

const BYTES: u8 = 0;
const INTS: u8 = 1;
const LONGS: u8 = 2;
const BINARY: u8 = 3;
const REPEATED: u8 = 4;

/// The types of columns in a block.
mod kind {
    pub(super) const BOOLEAN: u8 = 0;
    pub(super) const INT64: u8 = 2;
    pub(super) const FLOAT: u8 = 3;
    pub(super) const DOUBLE: u8 = 4;
}

impl Block {
    fn read(bytes: &[u8]) -> Result<Self> {
        let mut input = Reader::new(bytes);
        let count = input.length()?;
        let types = input.take(count)?;
        let rows = usize::try_from(input.i32()?).map_err(|_| not_understood())?;
        let encodings = input.take(count + 1)?;
        let times = column(&mut input, encodings[0], kind::INT64, rows)?;
        let times = (0..rows).map(|row| match times.value(row) {
            Value::Int64(time) => time,
            _ => 0,
        });
        let times = times.collect();
        let mut columns = Vec::with_capacity(count);
        for (&encoding, &kind) in encodings[1..].iter().zip(types) {
            columns.push(column(&mut input, encoding, kind, rows)?);
        }
        Ok(Self { times, columns })
    }
}

fn column(input: &mut Reader<'_>, encoding: u8, kind: u8, rows: usize) -> Result<Column> {
    if encoding == REPEATED {
        let inner = input.u8()?;
        if inner == REPEATED {
            return Err(not_understood());
        }
        let mut repeated = column(input, inner, kind, 1)?;
        repeated.is_repeated = true;
        return Ok(repeated);
    }
    let nulls = match input.u8()? {
        0 => None,
        _ => Some(input.take(rows.div_ceil(8))?),
    };
    let is_null = |row: usize| nulls.is_some_and(|nulls| bit(nulls, row));
    // Booleans stand for all rows, the others for those that are not null only.
    let flags = match encoding {
        BYTES => input.take(rows.div_ceil(8))?,
        _ => &[],
    };
    let mut values = Vec::new();
    for row in 0..rows {
        values.push(match encoding {
            _ if is_null(row) => Value::Null,
            BYTES if kind == kind::BOOLEAN => Value::Bool(bit(flags, row)),
            INTS if kind == kind::FLOAT => Value::Float(f32::from_be_bytes(input.array()?)),
            INTS => Value::Int32(input.i32()?),
            LONGS if kind == kind::DOUBLE => Value::Double(f64::from_be_bytes(input.array()?)),
            LONGS => Value::Int64(i64::from_be_bytes(input.array()?)),
            BINARY => Value::Bytes(input.binary()?.into()),
            _ => return Err(not_understood()),
        });
    }
    Ok(Column {
        values,
        is_repeated: false,
    })
}

/// Bits of booleans and of nulls, highest first.
fn bit(bits: &[u8], at: usize) -> bool {
    bits.get(at / 8)
        .is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1)
}

fn not_understood() -> Error {
    malformed("rows in a form that is not known")
}
