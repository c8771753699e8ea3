//! Folds in Rust: a pipeline takes a key and a value out of each record, and a monoid combines the values by key, in a state store.
//!
//! ```no_run
//! use headwater_fold::monoid::SumInteger;
//! use headwater_fold::pipeline::{Options, Pipeline};
//! use headwater_fold::store::Embedded;
//! use headwater_fold::window::{Every, Window};
//! use headwater_fold::{bootstrap, live, live::LiveFrom as _};
//! # use headwater_core::source::Source;
//! # use headwater_core::Result;
//!
//! #[derive(serde::Deserialize)]
//! struct Order {
//!     customer_id: u64,
//!     amount_cents: i64,
//!     created_at: jiff::civil::DateTime,
//!     status: String,
//! }
//!
//! # async fn example(source: impl Source) -> Result<()> {
//! let days = Window::new(Every::Day, jiff::tz::TimeZone::UTC, None);
//! let revenue = Pipeline::named("revenue")
//!     .rows::<Order>()
//!     .key(|order: &Order| order.customer_id)
//!     .value(|order: &Order| i128::from(order.amount_cents))
//!     .monoid(SumInteger)
//!     .store(Embedded::new("revenue.redb".as_ref()))
//!     .window(days, |order: &Order| order.created_at)
//!     .filter(|order: &Order| order.status == "paid");
//!
//! let token = bootstrap::run(&revenue, &source, Options::default()).await?;
//! live::run(&revenue, source.live_from(token)?, live::Options::default()).await?;
//!
//! let of_42 = revenue.answers()?.get(&42u64).await?;
//! # Ok(()) }
//! ```
//!
//! | file | what |
//! |---|---|
//! | `record.rs` | records out of rows |
//! | `extractor.rs` | what takes keys, values and times out of records |
//! | `piped.rs` | a pipeline as a fold of the sink |
//! | `options.rs`, `drive.rs` | a run: what can be set, and how it goes |
//! | `answers.rs` | what the store holds of it |

mod answers;
mod drive;
mod extractor;
mod options;
mod piped;
mod record;

use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use headwater_core::Result;
use headwater_core::batch::Image;
use serde::de::DeserializeOwned;

pub use answers::{Answers, Held};
pub(crate) use drive::drive;
pub use extractor::{Each, EventTime, Extractor, Fallible, Keys, fallible};
pub use options::Options;
pub use record::record;

use crate::fold::TakeBack;
use crate::key::AsKey;
use crate::monoid::{Monoid, Refused};
use crate::store::StateStore;
use crate::window::Window;

type Read<T> = Arc<dyn Fn(&Image<'_>) -> Result<T, Refused> + Send + Sync>;
type Take<T, O> = Arc<dyn Fn(&T) -> Result<O> + Send + Sync>;
/// Appends each key behind its length.
type TakeKeys<T> = Arc<dyn Fn(&T, &mut piped::KeyList) -> Result<()> + Send + Sync>;
/// Appends the event's id.
type TakeId<T> = Arc<dyn Fn(&T, &mut Vec<u8>) -> Result<()> + Send + Sync>;
type TakeTime<T> = Arc<dyn Fn(&T, &Window) -> Result<i64> + Send + Sync>;

fn taking<T, X: Extractor<T>>(extractor: X) -> Take<T, X::Out> {
    Arc::new(move |record| extractor.extract(record))
}

/// What is folded, how, and where it is kept. Made by [`Pipeline::named`]; a clone is the same pipeline.
pub struct Pipeline<T, V, M: Monoid, S> {
    name: String,
    version: u32,
    read: Read<T>,
    filters: Vec<Take<T, bool>>,
    keys: TakeKeys<T>,
    value: Take<T, V>,
    monoid: Arc<M>,
    window: Option<(Window, TakeTime<T>)>,
    take_back: TakeBack,
    event_id: Option<TakeId<T>>,
    store: S,
}

impl<T, V, M: Monoid, S: Clone> Clone for Pipeline<T, V, M, S> {
    fn clone(&self) -> Self {
        self.kept_in(self.store.clone())
    }
}

impl<T, V, M: Monoid, S> Pipeline<T, V, M, S> {
    /// The same, kept elsewhere.
    fn kept_in<O>(&self, store: O) -> Pipeline<T, V, M, O> {
        Pipeline {
            name: self.name.clone(),
            version: self.version,
            read: self.read.clone(),
            filters: self.filters.clone(),
            keys: self.keys.clone(),
            value: self.value.clone(),
            monoid: self.monoid.clone(),
            window: self.window.clone(),
            take_back: self.take_back,
            event_id: self.event_id.clone(),
            store,
        }
    }
}

impl<T, V, M: Monoid, S: fmt::Debug> fmt::Debug for Pipeline<T, V, M, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("monoid", &self.monoid)
            .field("window", &self.window.as_ref().map(|(window, _)| window))
            .field("take_back", &self.take_back)
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

/// A pipeline with a name: which records?
#[derive(Debug, Clone)]
pub struct Named {
    name: String,
}

/// A pipeline of records: which key?
#[must_use = "a pipeline has a key"]
pub struct Reading<T> {
    name: String,
    read: Read<T>,
}

/// A pipeline of records with a key: which value?
#[must_use = "a pipeline has a value"]
pub struct Keyed<T> {
    reading: Reading<T>,
    keys: TakeKeys<T>,
}

/// A pipeline of values by key: which monoid?
#[must_use = "a pipeline has a monoid"]
pub struct Valued<T, V> {
    keyed: Keyed<T>,
    value: Take<T, V>,
}

/// A pipeline that lacks a store.
#[must_use = "a pipeline has a store"]
pub struct Unkept<T, V, M>(Valued<T, V>, Arc<M>);

impl Pipeline<(), (), crate::monoid::Count, PhantomData<()>> {
    /// Begins a pipeline: letters, digits, `_` and `-`. The store knows it by that name.
    #[must_use]
    pub fn named(name: &str) -> Named {
        Named {
            name: name.to_owned(),
        }
    }
}

impl Named {
    /// Of records that serde reads from rows, by the names of their columns: see [`record`].
    pub fn rows<T: DeserializeOwned + 'static>(self) -> Reading<T> {
        self.records(|image: &Image<'_>| record(image))
    }

    /// Of records that a closure makes of rows.
    pub fn records<T>(
        self,
        read: impl Fn(&Image<'_>) -> Result<T, Refused> + Send + Sync + 'static,
    ) -> Reading<T> {
        Reading {
            name: self.name,
            read: Arc::new(read),
        }
    }
}

impl<T: 'static> Reading<T> {
    /// By this key: an integer, text, bytes, an option, a tuple of these; or [`Each`] of several.
    pub fn key<X: Extractor<T>>(self, key: X) -> Keyed<T>
    where
        X::Out: Keys,
    {
        let take = move |record: &T, list: &mut piped::KeyList| {
            list.extend(&key.extract(record)?);
            Ok(())
        };
        Keyed {
            reading: self,
            keys: Arc::new(take),
        }
    }
}

impl<T: 'static> Keyed<T> {
    /// With this value: what the monoid adds.
    pub fn value<X: Extractor<T>>(self, value: X) -> Valued<T, X::Out> {
        Valued {
            keyed: self,
            value: taking(value),
        }
    }
}

impl<T, V> Valued<T, V> {
    /// Combined like this.
    pub fn monoid<M: Monoid>(self, monoid: M) -> Unkept<T, V, M>
    where
        V: Borrow<M::Input>,
    {
        Unkept(self, Arc::new(monoid))
    }
}

impl<T, V, M: Monoid> Unkept<T, V, M> {
    /// Kept here. A clone of the store is another handle of the same one.
    pub fn store<S: StateStore + Clone>(self, store: S) -> Pipeline<T, V, M, S> {
        let Self(Valued { keyed, value }, monoid) = self;
        Pipeline {
            name: keyed.reading.name,
            version: 1,
            read: keyed.reading.read,
            filters: Vec::new(),
            keys: keyed.keys,
            value,
            monoid,
            window: None,
            take_back: TakeBack::default(),
            event_id: None,
            store,
        }
    }
}

impl<T: 'static, V, M: Monoid, S: StateStore + Clone> Pipeline<T, V, M, S> {
    /// By windows of event time: an instant ([`jiff::Timestamp`], [`std::time::SystemTime`]), or a time or a day of the window's zone
    /// ([`jiff::civil`]).
    #[must_use]
    pub fn window<X: Extractor<T>>(mut self, window: Window, time: X) -> Self
    where
        X::Out: EventTime,
    {
        let take = move |record: &T, window: &Window| Ok(time.extract(record)?.us(&window.zone)?);
        self.window = Some((window, Arc::new(take)));
        self
    }

    /// Only records of which this holds. A row that changes so that it does not hold any more is taken back.
    #[must_use]
    pub fn filter<X: Extractor<T, Out = bool>>(mut self, filter: X) -> Self {
        self.filters.push(taking(filter));
        self
    }

    /// What becomes of updates and deletes where the monoid cannot take back. Unless said, the first ends the run.
    #[must_use]
    pub fn take_back(mut self, take_back: TakeBack) -> Self {
        self.take_back = take_back;
        self
    }

    /// The id of the event that a record is, for [`Options::dedup`].
    #[must_use]
    pub fn event_id<X: Extractor<T>>(mut self, id: X) -> Self
    where
        X::Out: AsKey,
    {
        let take = move |record: &T, bytes: &mut Vec<u8>| {
            id.extract(record)?.push(bytes);
            Ok(())
        };
        self.event_id = Some(Arc::new(take));
        self
    }

    /// Another version of what is folded: nobody can see in a closure that it means something else now. With another version, the
    /// pipeline is folded anew, beside what is served until then.
    #[must_use]
    pub fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

macro_rules! shown_by_name {
    ($($type:ident<$($parameter:ident),+>),*) => {$(
        impl<$($parameter),+> fmt::Debug for $type<$($parameter),+> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($type))
            }
        }
    )*};
}
shown_by_name!(Reading<T>, Keyed<T>, Valued<T, V>, Unkept<T, V, M>);
