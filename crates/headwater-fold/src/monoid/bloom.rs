//! Whether a value was there, perhaps.

use std::borrow::Cow;

use super::codec::{Reader, put_unsigned};
use super::hash::{again, hash};
use super::{Laws, Moment, Monoid, Refused, SEMILATTICE};

const VERSION: u8 = 1;
const SPARSE: u8 = 0;
const DENSE: u8 = 1;
/// Most words: 128 MiB of bits.
const WORDS_MAX: f64 = 16_777_216.0;

/// A Bloom filter (B. H. Bloom, 1970): it answers "no" for certain, and "yes" wrongly for a part p of what was not added, once n values
/// were. With more than n the part grows; [`Bloom::false_positives`] says how large it is.
///
/// It has m = −n·ln p / (ln 2)² bits, rounded up to whole words, and k = m/n·ln 2 hashes, by double hashing (A. Kirsch and M.
/// Mitzenmacher, "Less Hashing, Same Performance", 2006). The bits are reserved once, with the first value.
///
/// Commutative, idempotent, exact in its laws (the state is a union of bits; only the answer is uncertain). It cannot take back. Byte form,
/// version 1: the number of words and of hashes; 0, how many bits are set and the distance of each from the one before (the
/// first: from 0), where they are fewer than words; else 1 and all words, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bloom {
    words: u32,
    hashes: u8,
}

/// The bits of [`Bloom`]: none before the first value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bits(Box<[u64]>);

impl Bloom {
    /// For `items` values with at most this part of false positives.
    ///
    /// # Errors
    ///
    /// A part that is not between 0 and 1, no items, or a filter of more than 128 MiB.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "checked to be within bounds"
    )]
    pub fn new(items: u64, false_positives: f64) -> Result<Self, Refused> {
        if items == 0 || !(false_positives > 0.0 && false_positives < 1.0) {
            return Err(Refused::unsuitable(
                "a Bloom filter needs a number of items above 0, and a part of false positives between 0 and 1",
            ));
        }
        let ln2 = std::f64::consts::LN_2;
        let words = (items as f64 * -false_positives.ln() / (ln2 * ln2) / 64.0).ceil();
        if words > WORDS_MAX {
            return Err(Refused::unsuitable(
                "a Bloom filter of more than 128 MiB: fewer items, or more false positives",
            ));
        }
        let words = words.max(1.0);
        let hashes = (words * 64.0 / items as f64 * ln2).round().clamp(1.0, 32.0);
        Ok(Self {
            words: words as u32,
            hashes: hashes as u8,
        })
    }

    fn bits(&self) -> u64 {
        u64::from(self.words) * 64
    }

    /// The places of the bits of a hash: a word and a bit in it.
    fn places(&self, first: u64) -> impl Iterator<Item = (usize, u64)> + use<> {
        let step = again(first) | 1;
        let bits = self.bits();
        (0..u64::from(self.hashes)).map(move |turn| {
            let hash = first.wrapping_add(turn.wrapping_mul(step));
            // The upper half of a product instead of a remainder: as even, and faster (D. Lemire, 2016).
            let bit = ((u128::from(hash) * u128::from(bits)) >> 64) as u64;
            ((bit / 64) as usize, 1 << (bit % 64))
        })
    }

    /// Adds a value by its hash.
    pub fn add_hash(&self, into: &mut Bits, hash: u64) {
        if into.0.is_empty() {
            into.0 = vec![0; self.words as usize].into_boxed_slice();
        }
        for (word, bit) in self.places(hash) {
            into.0[word] |= bit;
        }
    }

    /// Whether a value may have been added; where not, it was not.
    #[must_use]
    pub fn contains(&self, value: &Bits, item: &[u8]) -> bool {
        self.contains_hash(value, hash(item))
    }

    /// As [`Bloom::contains`], by the value's hash.
    #[must_use]
    pub fn contains_hash(&self, value: &Bits, hash: u64) -> bool {
        self.places(hash)
            .all(|(word, bit)| value.0.get(word).is_some_and(|held| held & bit != 0))
    }

    /// Which part of values that were not added is taken for one that was, as full as the filter is now.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "at most 2^30")]
    pub fn false_positives(&self, value: &Bits) -> f64 {
        (ones(value) as f64 / self.bits() as f64).powi(i32::from(self.hashes))
    }

    /// About how many different values were added (S. J. Swamidass and P. Baldi, 2007); infinite where every bit is set.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "at most 2^30")]
    pub fn estimate(&self, value: &Bits) -> f64 {
        let bits = self.bits() as f64;
        -bits / f64::from(self.hashes) * (-(ones(value) as f64) / bits).ln_1p()
    }
}

fn ones(value: &Bits) -> u64 {
    value
        .0
        .iter()
        .map(|word| u64::from(word.count_ones()))
        .sum()
}

impl Monoid for Bloom {
    type Value = Bits;
    type Input = [u8];

    fn name(&self) -> Cow<'static, str> {
        Cow::Owned(format!("bloom({}, {})", self.bits(), self.hashes))
    }

    fn laws(&self) -> Laws {
        SEMILATTICE
    }

    fn identity(&self) -> Bits {
        Bits::default()
    }

    fn add(&self, into: &mut Bits, input: &[u8], _at: Moment) -> Result<(), Refused> {
        self.add_hash(into, hash(input));
        Ok(())
    }

    fn would_add(&self, _into: &Bits, _input: &[u8], _at: Moment) -> Result<(), Refused> {
        Ok(())
    }

    fn combine(&self, into: &mut Bits, other: &Bits) -> Result<(), Refused> {
        if other.0.is_empty() {
            return Ok(());
        }
        let words = self.words as usize;
        if other.0.len() != words || !(into.0.is_empty() || into.0.len() == words) {
            return Err(Refused::differs("Bloom filters of different sizes"));
        }
        if into.0.is_empty() {
            into.0.clone_from(&other.0);
            return Ok(());
        }
        for (word, other) in into.0.iter_mut().zip(&other.0) {
            *word |= other;
        }
        Ok(())
    }

    fn is_identity(&self, value: &Bits) -> bool {
        value.0.is_empty()
    }

    fn size_bytes(&self, value: &Bits) -> usize {
        size_of::<Bits>() + 8 * value.0.len()
    }

    fn encode(&self, value: &Bits, out: &mut Vec<u8>) {
        out.push(VERSION);
        put_unsigned(out, u64::from(self.words));
        out.push(self.hashes);
        let ones = ones(value);
        if ones >= u64::from(self.words) {
            out.push(DENSE);
            out.extend(value.0.iter().flat_map(|word| word.to_le_bytes()));
            return;
        }
        out.push(SPARSE);
        put_unsigned(out, ones);
        let mut before = 0;
        for (index, word) in value.0.iter().enumerate() {
            let mut word = *word;
            while word != 0 {
                let place = index as u64 * 64 + u64::from(word.trailing_zeros());
                put_unsigned(out, place - before);
                before = place;
                word &= word - 1;
            }
        }
    }

    fn decode(&self, bytes: &[u8]) -> Result<Bits, Refused> {
        let mut reader = Reader::new(bytes, VERSION)?;
        let parameters = (reader.unsigned()?, reader.byte()?);
        if parameters != (u64::from(self.words), self.hashes) {
            return Err(Refused::differs(format!(
                "a Bloom filter of {} words and {} hashes, where {} and {} are asked for",
                parameters.0, parameters.1, self.words, self.hashes
            )));
        }
        let value = match reader.byte()? {
            SPARSE => self.read_places(&mut reader)?,
            DENSE => {
                let words = reader.take(self.words as usize * 8)?;
                let words = words.chunks_exact(8);
                let words = words.map(|word| word.try_into().map_or(0, u64::from_le_bytes));
                let value = Bits(words.collect());
                if ones(&value) < u64::from(self.words) {
                    return Err(Refused::damaged(
                        "a Bloom filter in the form of a fuller one",
                    ));
                }
                value
            }
            _ => return Err(Refused::damaged("a Bloom filter of an unknown form")),
        };
        reader.end()?;
        Ok(value)
    }
}

impl Bloom {
    fn read_places(&self, reader: &mut Reader<'_>) -> Result<Bits, Refused> {
        let wrong = || Refused::damaged("bits that are not in a Bloom filter, or out of order");
        let count = reader.count(1)?;
        if count >= self.words as usize {
            return Err(wrong());
        }
        let mut value = Bits::default();
        let mut before = None;
        for _ in 0..count {
            let step = reader.unsigned()?;
            let place = before.unwrap_or(0u64).checked_add(step).ok_or_else(wrong)?;
            if place >= self.bits() || before == Some(place) {
                return Err(wrong());
            }
            if value.0.is_empty() {
                value.0 = vec![0; self.words as usize].into_boxed_slice();
            }
            value.0[(place / 64) as usize] |= 1 << (place % 64);
            before = Some(place);
        }
        Ok(value)
    }
}
