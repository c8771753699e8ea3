//! What minima, sets and lists hold: values with an order and with bytes.

use std::fmt::Debug;

use super::codec::{Reader, put_bytes, put_signed, put_unsigned};
use super::{ITEM_BYTES_MAX, Refused};

/// A value that has a total order and a byte form of its own. Equal items have equal bytes.
pub trait Item: Clone + Ord + Debug + Send + Sync + 'static {
    /// The name of the type, part of the names of the monoids over it.
    const NAME: &'static str;

    /// Appends the item's bytes.
    fn put(&self, out: &mut Vec<u8>);

    /// Reads one item.
    ///
    /// # Errors
    ///
    /// Bytes that [`Item::put`] does not write.
    fn read(reader: &mut Reader<'_>) -> Result<Self, Refused>;

    /// About how many bytes it takes on the heap.
    fn heap_bytes(&self) -> usize {
        0
    }

    /// That it may be held in an aggregate.
    ///
    /// # Errors
    ///
    /// An item of more than [`ITEM_BYTES_MAX`] bytes.
    fn check(&self) -> Result<(), Refused> {
        check_bytes(self.heap_bytes())
    }
}

/// That an item of so many bytes may be held.
pub(super) fn check_bytes(count: usize) -> Result<(), Refused> {
    if count > ITEM_BYTES_MAX {
        return Err(Refused::unsuitable(format!(
            "a value of {count} bytes, more than the {ITEM_BYTES_MAX} that an aggregate holds of one"
        )));
    }
    Ok(())
}

impl Item for i64 {
    const NAME: &'static str = "i64";

    fn put(&self, out: &mut Vec<u8>) {
        put_signed(out, *self);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Refused> {
        reader.signed()
    }
}

impl Item for u64 {
    const NAME: &'static str = "u64";

    fn put(&self, out: &mut Vec<u8>) {
        put_unsigned(out, *self);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Refused> {
        reader.unsigned()
    }
}

impl Item for Vec<u8> {
    const NAME: &'static str = "bytes";

    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(out, self);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Refused> {
        read_bounded(reader).map(<[u8]>::to_vec)
    }

    fn heap_bytes(&self) -> usize {
        self.len()
    }
}

impl Item for String {
    const NAME: &'static str = "text";

    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.as_bytes());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Refused> {
        read_text(reader)
    }

    fn heap_bytes(&self) -> usize {
        self.len()
    }
}

pub(super) fn read_text(reader: &mut Reader<'_>) -> Result<String, Refused> {
    let bytes = read_bounded(reader)?;
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(Refused::damaged("text that is not UTF-8")),
    }
}

pub(super) fn read_bounded<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Refused> {
    let bytes = reader.bytes()?;
    match bytes.len() {
        0..=ITEM_BYTES_MAX => Ok(bytes),
        _ => Err(Refused::damaged("an item longer than any that is held")),
    }
}
