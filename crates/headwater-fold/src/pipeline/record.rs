//! Records out of rows: any type that serde can read from a map of columns.
//!
//! | column | read as |
//! |---|---|
//! | integer, BIT, YEAR | integers; `bool`: whether it is not 0 |
//! | float, double | floats |
//! | decimal | text in plain digits; floats; [`monoid::Decimal`](crate::monoid::Decimal), exactly |
//! | text, ENUM, SET | text; an enum's variant of that name |
//! | bytes, geometry, vector | bytes |
//! | date, time | text: `2026-11-21`, `-12:30:00` |
//! | date and time | text: `2026-11-21T12:00:00.5`; with a `Z` where it is a point in time (TIMESTAMP) |
//! | JSON | text where text is asked for, else what the document holds |
//! | NULL | `None`, or the unit |
//!
//! A column that the image does not hold is as one that is not there.

use headwater_core::batch::Image;
use headwater_core::value::Cell;
use serde::de::value::Error;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess,
    Visitor,
};
use serde::forward_to_deserialize_any;

use crate::monoid::Refused;

/// The record of a row.
///
/// # Errors
/// A column that is missing, or holds nothing that its field can take.
pub fn record<T: DeserializeOwned>(image: &Image<'_>) -> Result<T, Refused> {
    let columns = Columns { image, at: 0 };
    let read = T::deserialize(serde::de::value::MapAccessDeserializer::new(columns));
    read.map_err(|error| Refused::unsuitable(format!("the row cannot be read: {error}")))
}

struct Columns<'a, 'b> {
    image: &'b Image<'a>,
    at: usize,
}

impl<'de> MapAccess<'de> for Columns<'_, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let columns = &self.image.schema().columns;
        while let Some(column) = columns.get(self.at) {
            self.at += 1;
            if !matches!(self.image.cell(self.at - 1), Cell::Absent) {
                let name: &str = &column.name;
                return seed.deserialize(name.into_deserializer()).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let at = self.at.saturating_sub(1);
        let read = seed.deserialize(Value(self.image.cell(at)));
        read.map_err(|error| {
            let column = &self.image.schema().columns[at].name;
            Error::custom(format!("column {column}: {error}"))
        })
    }
}

struct Value<'a>(Cell<'a>);

impl<'de> Deserializer<'de> for Value<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Cell::Absent | Cell::Null => visitor.visit_unit(),
            Cell::Int(value) => visitor.visit_i64(value),
            Cell::UInt(value) => visitor.visit_u64(value),
            Cell::Float(value) => visitor.visit_f32(value),
            Cell::Double(value) => visitor.visit_f64(value),
            Cell::Decimal(text) | Cell::Text(text) | Cell::Set(text) => visitor.visit_str(text),
            Cell::Json(text) => serde_json::Deserializer::from_reader(text.as_bytes())
                .deserialize_any(visitor)
                .map_err(Error::custom),
            Cell::Bytes(bytes) | Cell::Geometry(bytes) | Cell::Vector(bytes) => {
                visitor.visit_bytes(bytes)
            }
            Cell::Date(value) => visitor.visit_string(value.to_string()),
            Cell::Time(value) => visitor.visit_string(value.to_string()),
            Cell::DateTime(value) => visitor.visit_string(iso(&value.to_string(), "")),
            Cell::Timestamp(value) => visitor.visit_string(iso(&value.to_string(), "Z")),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Cell::Absent | Cell::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Cell::Int(value) => visitor.visit_bool(value != 0),
            Cell::UInt(value) => visitor.visit_bool(value != 0),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Cell::Decimal(text) => visitor.visit_f64(text.parse().map_err(Error::custom)?),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Cell::Json(text) => visitor.visit_str(text),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Cell::Bytes(bytes) | Cell::Geometry(bytes) | Cell::Vector(bytes) => {
                let bytes = bytes.iter().copied();
                visitor.visit_seq(serde::de::value::SeqDeserializer::new(bytes))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0 {
            Cell::Text(text) | Cell::Set(text) => text
                .into_deserializer()
                .deserialize_enum(name, variants, visitor),
            Cell::Json(text) => serde_json::Deserializer::from_reader(text.as_bytes())
                .deserialize_enum(name, variants, visitor)
                .map_err(Error::custom),
            _ => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 char bytes byte_buf unit unit_struct tuple
        tuple_struct map struct identifier ignored_any
    }
}

fn iso(text: &str, zone: &str) -> String {
    let mut text = text.replacen(' ', "T", 1);
    text.push_str(zone);
    text
}
