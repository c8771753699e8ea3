//! What takes something out of a record: a closure, or a type of one's own.

use headwater_core::{Error, Result};
use jiff::civil;
use jiff::{Timestamp, tz};
use std::time::SystemTime;

use crate::key::AsKey;
use crate::monoid::Refused;

/// Takes an `Out` of a record. Any closure `|order: &Order| order.customer_id` is one; [`fallible`] makes one of a closure that may
/// fail; a type that holds what it needs (a table of rates, say) implements it.
pub trait Extractor<T>: Send + Sync + 'static {
    /// What is taken.
    type Out;

    /// Takes it.
    ///
    /// # Errors
    /// One that may pass ([`Error::is_temporary`]) is tried again, within the attempts of the options; any other is about the
    /// record, which then goes to the dead letters or ends the run.
    fn extract(&self, record: &T) -> Result<Self::Out>;
}

impl<T, O, F> Extractor<T> for F
where
    F: Fn(&T) -> O + Send + Sync + 'static,
{
    type Out = O;

    fn extract(&self, record: &T) -> Result<O> {
        Ok(self(record))
    }
}

/// A closure that may fail, as an extractor: see [`Extractor::extract`] for what its errors mean.
pub fn fallible<T, O, F>(closure: F) -> Fallible<F>
where
    F: Fn(&T) -> Result<O> + Send + Sync + 'static,
{
    Fallible(closure)
}

/// See [`fallible`].
#[derive(Clone, Copy)]
pub struct Fallible<F>(F);

impl<F> std::fmt::Debug for Fallible<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fallible")
    }
}

impl<T, O, F> Extractor<T> for Fallible<F>
where
    F: Fn(&T) -> Result<O> + Send + Sync + 'static,
{
    type Out = O;

    fn extract(&self, record: &T) -> Result<O> {
        (self.0)(record)
    }
}

/// The keys that a record counts at: one, or with [`Each`] any number of them (roll-ups).
pub trait Keys {
    /// Hands over each, as [`crate::key`] writes it. `key` is empty memory that is used again.
    fn each(&self, key: &mut Vec<u8>, each: impl FnMut(&[u8]));
}

impl<K: AsKey> Keys for K {
    fn each(&self, key: &mut Vec<u8>, mut each: impl FnMut(&[u8])) {
        key.clear();
        self.push(key);
        each(key);
    }
}

/// Several keys of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Each<K>(pub Vec<K>);

impl<K: AsKey> Keys for Each<K> {
    fn each(&self, key: &mut Vec<u8>, mut each: impl FnMut(&[u8])) {
        for one in &self.0 {
            key.clear();
            one.push(key);
            each(key);
        }
    }
}

/// When a record happened.
pub trait EventTime {
    /// In microseconds since 1970, UTC; local times are those of `zone`.
    ///
    /// # Errors
    /// What is beyond the years that a calendar knows.
    fn us(&self, zone: &tz::TimeZone) -> Result<i64, Refused>;
}

impl EventTime for Timestamp {
    fn us(&self, _zone: &tz::TimeZone) -> Result<i64, Refused> {
        Ok(self.as_microsecond())
    }
}

impl EventTime for SystemTime {
    fn us(&self, zone: &tz::TimeZone) -> Result<i64, Refused> {
        let at = Timestamp::try_from(*self).map_err(|cause| beyond(&cause))?;
        at.us(zone)
    }
}

impl EventTime for civil::DateTime {
    fn us(&self, zone: &tz::TimeZone) -> Result<i64, Refused> {
        let at = zone.to_ambiguous_zoned(*self).compatible();
        Ok(at
            .map_err(|cause| beyond(&cause))?
            .timestamp()
            .as_microsecond())
    }
}

impl EventTime for civil::Date {
    fn us(&self, zone: &tz::TimeZone) -> Result<i64, Refused> {
        self.at(0, 0, 0, 0).us(zone)
    }
}

impl<E: EventTime> EventTime for Option<E> {
    fn us(&self, zone: &tz::TimeZone) -> Result<i64, Refused> {
        let none = || Refused::unsuitable("the record tells no time");
        self.as_ref().ok_or_else(none)?.us(zone)
    }
}

fn beyond(cause: &jiff::Error) -> Refused {
    Refused::unsuitable(format!("a time is beyond the years of a calendar: {cause}"))
}

/// What an extractor's failure means for the row.
pub(super) fn unread(error: Error) -> crate::sink::Unread {
    if error.is_temporary() {
        return crate::sink::Unread::ForNow(error);
    }
    crate::sink::Unread::Refused(Refused::unsuitable(error.to_string()))
}
