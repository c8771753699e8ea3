//! How many different values there were, about.

use std::borrow::Cow;

use super::codec::{Reader, put_unsigned};
use super::hash::hash;
use super::{Laws, Moment, Monoid, Refused, SEMILATTICE};

const VERSION: u8 = 1;
const SPARSE: u8 = 0;
const DENSE: u8 = 1;

/// Estimates the number of distinct values (P. Flajolet and others, "HyperLogLog", 2007), with 64-bit hashes and the improved raw estimator of
/// O. Ertl ("New cardinality estimation algorithms for HyperLogLog sketches", 2017, algorithm 6), which needs no table of corrections and
/// is unbiased over the whole range.
///
/// With precision p there are m = 2^p registers, and the standard error of an estimate is 1.04 / √m: 0.81 % for the default of 14.
/// Few values are held as a list of their registers; from m/8 registers on all of them are held, a byte each. Which it
/// is follows from the registers alone.
///
/// Commutative, idempotent, exact in its laws (the state is the maximum of hashes; only the answer is an estimate). It cannot take
/// back. Byte form, version 1: the precision, 0 for a list or 1 for all registers; then how many there are in the list and
/// for each the distance of its number from the one before (the first: from 0) and its value, or all registers, a byte each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HyperLogLog {
    precision: u8,
}

impl Default for HyperLogLog {
    fn default() -> Self {
        Self { precision: 14 }
    }
}

/// The registers of [`HyperLogLog`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registers(Form);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    /// Number of the register times 256, and its value, in order.
    Sparse(Vec<u32>),
    Dense(Box<[u8]>),
}

impl HyperLogLog {
    /// Of this precision.
    ///
    /// # Errors
    ///
    /// A precision that is not in 4 to 18.
    pub fn new(precision: u8) -> Result<Self, Refused> {
        match precision {
            4..=18 => Ok(Self { precision }),
            _ => Err(Refused::unsuitable(format!(
                "a precision of {precision}, where 4 to 18 can be had"
            ))),
        }
    }

    /// How many registers.
    #[must_use]
    pub fn registers(&self) -> usize {
        1 << self.precision
    }

    /// The standard error of an estimate, as a part of it.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a power of two is exact")]
    pub fn error(&self) -> f64 {
        1.04 / (self.registers() as f64).sqrt()
    }

    /// How many registers a list holds at most.
    fn sparse_max(&self) -> usize {
        self.registers() / 8
    }

    /// The greatest value of a register.
    fn rank_max(&self) -> u8 {
        64 - self.precision + 1
    }

    /// Adds a value by its hash.
    pub fn add_hash(&self, into: &mut Registers, hash: u64) {
        let index = (hash >> (64 - self.precision)) as u32;
        // A bit behind the last keeps the rank within its bounds.
        let rest = hash << self.precision | 1 << (self.precision - 1);
        self.raise(into, index, rest.leading_zeros() as u8 + 1);
    }

    fn raise(&self, into: &mut Registers, index: u32, rank: u8) {
        match &mut into.0 {
            Form::Dense(registers) => {
                let register = &mut registers[index as usize];
                *register = rank.max(*register);
            }
            Form::Sparse(list) => {
                let entry = index << 8 | u32::from(rank);
                match list.binary_search_by_key(&index, |entry| entry >> 8) {
                    Ok(at) => list[at] = entry.max(list[at]),
                    Err(at) => list.insert(at, entry),
                }
                self.spread(into);
            }
        }
    }

    /// Holds all registers, if that is due.
    fn spread(&self, value: &mut Registers) {
        if let Form::Sparse(list) = &value.0
            && list.len() > self.sparse_max()
        {
            let mut registers = vec![0; self.registers()].into_boxed_slice();
            for entry in list {
                registers[(entry >> 8) as usize] = *entry as u8;
            }
            value.0 = Form::Dense(registers);
        }
    }

    /// About how many different values were added.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "at most 2^18")]
    pub fn estimate(&self, value: &Registers) -> f64 {
        let rank_max = usize::from(self.rank_max());
        let mut counts = [0u32; 64];
        match &value.0 {
            Form::Dense(registers) => {
                for rank in registers {
                    counts[usize::from(*rank).min(63)] += 1;
                }
            }
            Form::Sparse(list) => {
                counts[0] = (self.registers() - list.len()) as u32;
                for entry in list {
                    counts[usize::from(*entry as u8).min(63)] += 1;
                }
            }
        }
        let registers = self.registers() as f64;
        let mut sum = registers * tau(1.0 - f64::from(counts[rank_max]) / registers);
        for count in counts[1..rank_max].iter().rev() {
            sum = 0.5 * (sum + f64::from(*count));
        }
        sum += registers * sigma(f64::from(counts[0]) / registers);
        registers * registers / (2.0 * std::f64::consts::LN_2 * sum)
    }
}

/// x + Σ x^(2^k) · 2^(k−1), k from 1 (Ertl, algorithm 4): what registers that are still zero stand for.
fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut sum, mut weight) = (x, 1.0);
    loop {
        x *= x;
        let before = sum;
        sum += x * weight;
        weight += weight;
        if sum <= before {
            return sum;
        }
    }
}

/// (1 − x − Σ (1 − x^(2^−k))² · 2^−k) / 3, k from 1 (Ertl, algorithm 5): what registers at their greatest value stand for.
fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut sum, mut weight) = (1.0 - x, 1.0);
    loop {
        x = x.sqrt();
        let before = sum;
        weight *= 0.5;
        sum -= (1.0 - x) * (1.0 - x) * weight;
        if sum >= before {
            return sum / 3.0;
        }
    }
}

impl Monoid for HyperLogLog {
    type Value = Registers;
    type Input = [u8];

    fn name(&self) -> Cow<'static, str> {
        Cow::Owned(format!("hll({})", self.precision))
    }

    fn laws(&self) -> Laws {
        SEMILATTICE
    }

    fn identity(&self) -> Registers {
        Registers(Form::Sparse(Vec::new()))
    }

    fn add(&self, into: &mut Registers, input: &[u8], _at: Moment) -> Result<(), Refused> {
        self.add_hash(into, hash(input));
        Ok(())
    }

    fn would_add(&self, _into: &Registers, _input: &[u8], _at: Moment) -> Result<(), Refused> {
        Ok(())
    }

    fn combine(&self, into: &mut Registers, other: &Registers) -> Result<(), Refused> {
        for value in [&*into, other] {
            let fits = match &value.0 {
                Form::Dense(registers) => registers.len() == self.registers(),
                Form::Sparse(list) => {
                    (list.last()).is_none_or(|entry| ((entry >> 8) as usize) < self.registers())
                }
            };
            if !fits {
                return Err(Refused::differs("distinct counts of different precisions"));
            }
        }
        match (&mut into.0, &other.0) {
            (_, Form::Sparse(list)) => {
                for entry in list {
                    self.raise(into, entry >> 8, *entry as u8);
                }
            }
            (Form::Dense(registers), Form::Dense(others)) => {
                for (register, other) in registers.iter_mut().zip(others) {
                    *register = (*other).max(*register);
                }
            }
            (Form::Sparse(list), Form::Dense(others)) => {
                let list = std::mem::take(list);
                into.0 = Form::Dense(others.clone());
                for entry in list {
                    self.raise(into, entry >> 8, entry as u8);
                }
            }
        }
        Ok(())
    }

    fn is_identity(&self, value: &Registers) -> bool {
        matches!(&value.0, Form::Sparse(list) if list.is_empty())
    }

    fn size_bytes(&self, value: &Registers) -> usize {
        let heap = match &value.0 {
            Form::Sparse(list) => 4 * list.capacity(),
            Form::Dense(registers) => registers.len(),
        };
        size_of::<Registers>() + heap
    }

    fn encode(&self, value: &Registers, out: &mut Vec<u8>) {
        out.extend_from_slice(&[VERSION, self.precision]);
        match &value.0 {
            Form::Sparse(list) => {
                out.push(SPARSE);
                put_unsigned(out, list.len() as u64);
                let mut before = 0;
                for entry in list {
                    put_unsigned(out, u64::from((entry >> 8) - before));
                    out.push(*entry as u8);
                    before = entry >> 8;
                }
            }
            Form::Dense(registers) => {
                out.push(DENSE);
                out.extend_from_slice(registers);
            }
        }
    }

    fn decode(&self, bytes: &[u8]) -> Result<Registers, Refused> {
        let mut reader = Reader::new(bytes, VERSION)?;
        let precision = reader.byte()?;
        if precision != self.precision {
            return Err(Refused::differs(format!(
                "a distinct count of precision {precision}, where {} is asked for",
                self.precision
            )));
        }
        let is_rank = |rank: u8| rank <= self.rank_max();
        let form = match reader.byte()? {
            SPARSE => Form::Sparse(self.read_list(&mut reader)?),
            DENSE => {
                let registers = reader.take(self.registers())?;
                let used = registers.iter().filter(|rank| **rank > 0).count();
                if used <= self.sparse_max() || !registers.iter().copied().all(is_rank) {
                    return Err(Refused::damaged("registers that no values can have made"));
                }
                Form::Dense(registers.into())
            }
            _ => return Err(Refused::damaged("a distinct count of an unknown form")),
        };
        reader.end()?;
        Ok(Registers(form))
    }
}

impl HyperLogLog {
    fn read_list(&self, reader: &mut Reader<'_>) -> Result<Vec<u32>, Refused> {
        let wrong = || Refused::damaged("registers that no values can have made");
        let count = reader.count(2)?;
        if count > self.sparse_max() {
            return Err(wrong());
        }
        let mut list: Vec<u32> = Vec::with_capacity(count);
        for _ in 0..count {
            let before = list.last().map(|entry| entry >> 8);
            let step = u32::try_from(reader.unsigned()?).map_err(|_| wrong())?;
            let index = before.unwrap_or(0).checked_add(step).ok_or_else(wrong)?;
            let rank = reader.byte()?;
            let fits = (index as usize) < self.registers() && (1..=self.rank_max()).contains(&rank);
            if !fits || before == Some(index) {
                return Err(wrong());
            }
            list.push(index << 8 | u32::from(rank));
        }
        Ok(list)
    }
}
