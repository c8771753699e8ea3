//! A column's type as it is written, in DDL and in information_schema, turned into a [`ColumnType`].

use std::sync::Arc;

use headwater_core::schema::DataType;

use super::charset::Charset;
use super::ddl::Cursor;
use super::definition::ColumnType;
use super::lexer::{Lexer, Token};
use super::sql_mode::SqlMode;

/// How types read: that differs between servers and sessions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TypeRules {
    /// JSON is an alias of LONGTEXT; UUID, INET4 and INET6 exist.
    pub(crate) mariadb: bool,
    /// The session's mode.
    pub(crate) mode: SqlMode,
}

/// A type whose character set may yet have to be inherited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypeDraft {
    /// A type without a character set, or one whose character set does not matter.
    Fixed(ColumnType),
    /// CHAR, VARCHAR or one of the TEXT kinds.
    Text {
        /// The number of characters of CHAR; `None` for all others.
        char_length: Option<u32>,
        /// The character set, as far as the column names it.
        charset: Charset,
    },
}

impl TypeDraft {
    /// The type, where `default` is the table's character set; `None` if that is needed and not known.
    #[must_use]
    pub fn resolve(&self, default: &Charset) -> Option<ColumnType> {
        let (char_length, charset) = match self {
            Self::Fixed(column_type) => return Some(column_type.clone()),
            Self::Text {
                char_length,
                charset,
            } => (char_length, charset),
        };
        let (charset, collation) = charset.resolve(default)?;
        Some(match (&*charset, char_length) {
            ("binary", Some(length)) => ColumnType::Binary { length: *length },
            ("binary", None) => ColumnType::VarBinary,
            _ => ColumnType::Text { charset, collation },
        })
    }

    /// The character set to note an explicit `COLLATE` or `CHARACTER SET` in; `None` for types without one.
    pub(crate) fn charset_mut(&mut self) -> Option<&mut Charset> {
        match self {
            Self::Text { charset, .. } => Some(charset),
            Self::Fixed(_) => None,
        }
    }
}

/// The type that a row of `information_schema.COLUMNS` shows. What is not known becomes [`ColumnType::Unknown`].
pub(crate) fn from_information_schema(
    column_type: &str,
    charset: Option<&str>,
    collation: Option<&str>,
    mariadb: bool,
) -> ColumnType {
    let rules = TypeRules {
        mariadb,
        mode: SqlMode::default(),
    };
    let tokens: Vec<Token> = Lexer::new(column_type, rules.mode, mariadb).collect();
    let mut cursor = Cursor::new(&tokens);
    let unknown = || ColumnType::Unknown {
        native: column_type.into(),
    };
    let Some(mut draft) = parse(&mut cursor, rules) else {
        return unknown();
    };
    if let Some(slot) = draft.charset_mut() {
        match charset {
            Some(charset) => slot.set_charset(charset),
            None => slot.set_charset("binary"),
        }
        if let Some(collation) = collation {
            slot.set_collation(collation);
        }
    }
    draft.resolve(&Charset::default()).unwrap_or_else(unknown)
}

/// What a column holds whose type is written so, `VARCHAR(20)`; none where that is not known.
#[must_use]
pub fn data_type_of(column_type: &str) -> Option<DataType> {
    match from_information_schema(column_type, Some("utf8mb4"), None, true) {
        ColumnType::Unknown { .. } => None,
        known => Some(known.data_type()),
    }
}

/// Takes a type with its own modifiers (length, sign, character set); `None` for one that is not known.
pub(crate) fn parse(cursor: &mut Cursor<'_>, rules: TypeRules) -> Option<TypeDraft> {
    if rules.mode.oracle() {
        return None;
    }
    let word = cursor.keyword()?;
    cursor.next();
    let draft = match word.as_str() {
        "ENUM" => fixed(ColumnType::Enum {
            labels: labels(cursor)?,
        }),
        "SET" => fixed(ColumnType::Set {
            labels: labels(cursor)?,
        }),
        word => match numeric(word, cursor, rules).or_else(|| temporal(word, cursor)) {
            Some(column_type) => {
                let column_type = signs(column_type, cursor);
                return Some(fixed(column_type));
            }
            None => match plain(word, cursor, rules) {
                Some(column_type) => return Some(fixed(column_type)),
                None => text(word, cursor)?,
            },
        },
    };
    with_charset(draft, cursor)
}

fn fixed(column_type: ColumnType) -> TypeDraft {
    TypeDraft::Fixed(column_type)
}

/// The one or two numbers in parentheses behind a type.
fn sizes(cursor: &mut Cursor<'_>) -> (Option<u32>, Option<u32>) {
    let Some(mut inner) = cursor.parentheses() else {
        return (None, None);
    };
    let first = inner.number();
    inner.symbol(',');
    (first, inner.number())
}

fn byte(size: Option<u32>, default: u8) -> u8 {
    size.and_then(|size| u8::try_from(size).ok())
        .unwrap_or(default)
}

fn integer(bits: u8) -> ColumnType {
    ColumnType::Integer {
        bits,
        unsigned: false,
    }
}

fn numeric(word: &str, cursor: &mut Cursor<'_>, rules: TypeRules) -> Option<ColumnType> {
    let column_type = match word {
        "BOOL" | "BOOLEAN" => return Some(integer(8)),
        "SERIAL" => {
            return Some(ColumnType::Integer {
                bits: 64,
                unsigned: true,
            });
        }
        "TINYINT" | "INT1" => integer(8),
        "SMALLINT" | "INT2" => integer(16),
        "MEDIUMINT" | "INT3" | "MIDDLEINT" => integer(24),
        "INT" | "INTEGER" | "INT4" => integer(32),
        "BIGINT" | "INT8" => integer(64),
        "BIT" => {
            return Some(ColumnType::Bit {
                bits: byte(sizes(cursor).0, 1).max(1),
            });
        }
        "YEAR" => ColumnType::Year,
        "FLOAT" => {
            return Some(match sizes(cursor) {
                (Some(25..), None) => ColumnType::Double,
                _ => ColumnType::Float,
            });
        }
        "FLOAT4" => ColumnType::Float,
        "REAL" if rules.mode.real_as_float() => ColumnType::Float,
        "DOUBLE" => {
            cursor.word("PRECISION");
            ColumnType::Double
        }
        "FLOAT8" | "REAL" => ColumnType::Double,
        "DECIMAL" | "DEC" | "NUMERIC" | "FIXED" => {
            let (precision, scale) = sizes(cursor);
            return Some(ColumnType::Decimal {
                precision: byte(precision.filter(|&precision| precision > 0), 10),
                scale: byte(scale, 0),
            });
        }
        _ => return None,
    };
    sizes(cursor);
    Some(column_type)
}

/// `UNSIGNED`, `SIGNED`, `ZEROFILL`.
fn signs(column_type: ColumnType, cursor: &mut Cursor<'_>) -> ColumnType {
    let mut unsigned = false;
    loop {
        if cursor.any(&["UNSIGNED", "ZEROFILL"]) {
            unsigned = true;
        } else if !cursor.word("SIGNED") {
            break;
        }
    }
    match column_type {
        ColumnType::Integer { bits, .. } if unsigned => ColumnType::Integer { bits, unsigned },
        other => other,
    }
}

fn temporal(word: &str, cursor: &mut Cursor<'_>) -> Option<ColumnType> {
    Some(match word {
        "DATE" => ColumnType::Date,
        "TIME" => ColumnType::Time {
            digits: byte(sizes(cursor).0, 0),
        },
        "DATETIME" => ColumnType::DateTime {
            digits: byte(sizes(cursor).0, 0),
        },
        "TIMESTAMP" => ColumnType::Timestamp {
            digits: byte(sizes(cursor).0, 0),
        },
        _ => return None,
    })
}

/// Types without sign and character set.
fn plain(word: &str, cursor: &mut Cursor<'_>, rules: TypeRules) -> Option<ColumnType> {
    Some(match word {
        "BINARY" => ColumnType::Binary {
            length: sizes(cursor).0.unwrap_or(1),
        },
        "VARBINARY" | "TINYBLOB" | "BLOB" | "MEDIUMBLOB" | "LONGBLOB" => {
            sizes(cursor);
            ColumnType::VarBinary
        }
        "LONG" if cursor.word("VARBINARY") => ColumnType::VarBinary,
        "JSON" if rules.mariadb => ColumnType::JsonText,
        "JSON" => ColumnType::Json,
        "GEOMETRY" | "POINT" | "LINESTRING" | "POLYGON" | "MULTIPOINT" | "MULTILINESTRING"
        | "MULTIPOLYGON" | "GEOMETRYCOLLECTION" | "GEOMCOLLECTION" => ColumnType::Geometry,
        "VECTOR" => {
            sizes(cursor);
            ColumnType::Vector
        }
        "UUID" if rules.mariadb => ColumnType::Uuid,
        "INET4" if rules.mariadb => ColumnType::Inet4,
        "INET6" if rules.mariadb => ColumnType::Inet6,
        _ => return None,
    })
}

/// CHAR, VARCHAR, the TEXT kinds, and their aliases.
fn text(word: &str, cursor: &mut Cursor<'_>) -> Option<TypeDraft> {
    let mut charset = Charset::default();
    let mut fixed_length = false;
    match word {
        "CHAR" | "CHARACTER" => fixed_length = !cursor.word("VARYING"),
        "VARCHAR" | "VARCHARACTER" => {}
        "NCHAR" => {
            charset.set_charset("utf8mb3");
            fixed_length = !cursor.any(&["VARYING", "VARCHAR", "VARCHARACTER"]);
        }
        "NVARCHAR" => charset.set_charset("utf8mb3"),
        "NATIONAL" => {
            charset.set_charset("utf8mb3");
            if cursor.any(&["CHAR", "CHARACTER"]) {
                fixed_length = !cursor.word("VARYING");
            } else if !cursor.any(&["VARCHAR", "VARCHARACTER"]) {
                return None;
            }
        }
        "LONG" => {
            if cursor.any(&["CHAR", "CHARACTER"]) {
                cursor.word("VARYING");
            } else {
                cursor.any(&["VARCHAR", "VARCHARACTER"]);
            }
        }
        "TINYTEXT" | "TEXT" | "MEDIUMTEXT" | "LONGTEXT" => {}
        _ => return None,
    }
    let length = sizes(cursor).0.unwrap_or(1);
    Some(TypeDraft::Text {
        char_length: fixed_length.then_some(length),
        charset,
    })
}

/// The character set and its aliases behind a type. Those of ENUM and SET are read, and change nothing.
fn with_charset(mut draft: TypeDraft, cursor: &mut Cursor<'_>) -> Option<TypeDraft> {
    let mut charset = draft.charset_mut().cloned().unwrap_or_default();
    loop {
        if cursor.words(&["CHARACTER", "SET"])
            || cursor.words(&["CHAR", "SET"])
            || cursor.word("CHARSET")
        {
            charset.set_charset(cursor.identifier_or_text()?);
        } else if cursor.word("ASCII") {
            charset.set_charset("latin1");
        } else if cursor.word("UNICODE") {
            charset.set_charset("ucs2");
        } else if cursor.word("BYTE") {
            charset.set_charset("binary");
        } else if cursor.word("COLLATE") {
            charset.set_collation(cursor.identifier_or_text()?);
        } else if !cursor.word("BINARY") {
            break; // BINARY: the character set's `_bin` collation, whose name does not matter here
        }
    }
    if let Some(slot) = draft.charset_mut() {
        *slot = charset;
    }
    Some(draft)
}

/// The labels of an ENUM or SET. The server drops their trailing spaces.
fn labels(cursor: &mut Cursor<'_>) -> Option<Arc<[Arc<str>]>> {
    let mut inner = cursor.parentheses()?;
    let mut labels: Vec<Arc<str>> = Vec::new();
    loop {
        let mut label = inner.text()?.to_owned();
        while let Some(more) = inner.text() {
            label.push_str(more);
        }
        labels.push(label.trim_end_matches(' ').into());
        if inner.at_end() {
            return Some(labels.into());
        }
        if !inner.symbol(',') {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(column_type: &str) -> ColumnType {
        from_information_schema(column_type, Some("utf8mb3"), Some("utf8mb3_bin"), true)
    }

    #[test]
    fn what_information_schema_shows_is_read() {
        let int = |bits, unsigned| ColumnType::Integer { bits, unsigned };
        assert_eq!(shown("int(10) unsigned"), int(32, true));
        assert_eq!(shown("bigint(20) unsigned zerofill"), int(64, true));
        assert_eq!(shown("tinyint(1)"), int(8, false));
        assert_eq!(shown("mediumint"), int(24, false));
        assert_eq!(
            shown("decimal(10,2)"),
            ColumnType::Decimal {
                precision: 10,
                scale: 2
            }
        );
        assert_eq!(shown("datetime(3)"), ColumnType::DateTime { digits: 3 });
        assert_eq!(shown("vector(3)"), ColumnType::Vector);
        assert_eq!(shown("uuid"), ColumnType::Uuid);
        assert_eq!(shown("inet6"), ColumnType::Inet6);
        assert_eq!(shown("point"), ColumnType::Geometry);
        assert_eq!(shown("bit(64)"), ColumnType::Bit { bits: 64 });
        assert_eq!(shown("year(4)"), ColumnType::Year);
        assert_eq!(shown("binary(16)"), ColumnType::Binary { length: 16 });
        let text = ColumnType::Text {
            charset: "utf8mb3".into(),
            collation: "utf8mb3_bin".into(),
        };
        assert_eq!(shown("varchar(20)"), text);
        assert_eq!(shown("longtext /*M!100301 COMPRESSED*/"), text);
        let labels = ["a", "b'c", ""].map(Arc::from).into();
        assert_eq!(shown("enum('a','b''c','')"), ColumnType::Enum { labels });
        assert_eq!(
            shown("xmltype"),
            ColumnType::Unknown {
                native: "xmltype".into()
            }
        );
    }
}
