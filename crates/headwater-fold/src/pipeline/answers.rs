//! What a store holds of a pipeline, in the monoid's own values.

use headwater_core::{Error, ErrorKind, Result};
use jiff::Timestamp;
use std::sync::Arc;

use super::Pipeline;
use super::piped::Piped;
use crate::key::AsKey;
use crate::monoid::Monoid;
use crate::place::{ALL_TIME, Place};
use crate::query::{BUCKETS_MAX, Includes, includes};
use crate::sink::Extract as _;
use crate::store::{FoldInfo, Served, StateReader, StateStore};
use crate::window::Window;

/// Answers of a pipeline's store, at any time, beside a run.
#[derive(Debug)]
pub struct Answers<M, R> {
    info: FoldInfo,
    monoid: Arc<M>,
    window: Option<Window>,
    reader: R,
}

/// A value that the store holds, or that of no record.
#[derive(Debug, Clone, PartialEq)]
pub struct Held<V> {
    /// The value.
    pub value: V,
    /// How far in the source's log it is true.
    pub includes: Includes,
}

impl<T, V, M, S> Pipeline<T, V, M, S>
where
    T: 'static,
    V: std::borrow::Borrow<M::Input> + PartialEq + 'static,
    M: Monoid,
    S: StateStore + Clone,
{
    /// What answers out of its store.
    ///
    /// # Errors
    /// The store's.
    pub fn answers(&self) -> Result<Answers<M, S::Reader>> {
        Ok(Answers {
            info: Piped::of(self).info()?,
            monoid: self.monoid.clone(),
            window: self.window.as_ref().map(|(window, _)| window.clone()),
            reader: self.store.reader()?,
        })
    }
}

impl<M: Monoid, R: StateReader> Answers<M, R> {
    /// The value of a key. Of a pipeline with a window: of all buckets that are kept is asked with [`Answers::between`].
    ///
    /// # Errors
    /// `NotFound` before a bootstrap is complete, `Configuration` for a pipeline with a window; the store's.
    pub async fn get(&self, key: &(impl AsKey + ?Sized)) -> Result<Held<M::Value>> {
        let held = self.get_many(std::slice::from_ref(&key)).await?;
        first(held)
    }

    /// The values of several keys, in their order, as of one commit.
    ///
    /// # Errors
    /// As [`Answers::get`].
    pub async fn get_many<K: AsKey>(&self, keys: &[K]) -> Result<Vec<Held<M::Value>>> {
        if self.window.is_some() {
            return Err(Error::new(
                ErrorKind::Configuration,
                "the pipeline has a window: a value is one of a range of time",
            )
            .with("pipeline", &self.info.name)
            .hint("ask with `between`"));
        }
        self.merged(keys, &[ALL_TIME]).await
    }

    /// The values of several keys over the buckets that begin from `from` to before `to`, each merged through the monoid.
    ///
    /// # Errors
    /// As [`Answers::get`]; `Configuration` for a pipeline without a window, or too many buckets.
    pub async fn between<K: AsKey>(
        &self,
        keys: &[K],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Held<M::Value>>> {
        let window = self.window.as_ref().ok_or_else(|| {
            Error::new(
                ErrorKind::Configuration,
                "the pipeline has no window: its values are over all time",
            )
            .with("pipeline", &self.info.name)
            .hint("ask with `get`")
        })?;
        let most = BUCKETS_MAX / keys.len().max(1);
        let buckets = window.buckets_s(from.as_second(), to.as_second(), most)?;
        self.merged(keys, &buckets).await
    }

    /// How many aggregates are kept: keys, each in as many buckets as it has. Looks at each.
    ///
    /// # Errors
    /// As [`Answers::get`].
    pub async fn size(&self) -> Result<usize> {
        loop {
            let (served, fold) = self.served().await?;
            let mut size = 0;
            let mut each = |_| {
                size += 1;
                Ok(())
            };
            match self
                .reader
                .scan(&served, fold, (None, None), &mut each)
                .await
            {
                Err(error) if error.kind() == ErrorKind::Cancelled => {}
                read => return read.map(|_| size),
            }
        }
    }

    async fn merged<K: AsKey>(&self, keys: &[K], buckets: &[i64]) -> Result<Vec<Held<M::Value>>> {
        let mut places = Vec::with_capacity(keys.len() * buckets.len());
        for one in keys {
            let mut key = Vec::new();
            one.push(&mut key);
            places.extend(buckets.iter().map(|bucket_s| Place::new(*bucket_s, &key)));
        }
        let (progress, stored) = loop {
            let (served, fold) = self.served().await?;
            match self.reader.get_many(&served, fold, &places).await {
                // Another generation took over between two looks.
                Err(error) if error.kind() == ErrorKind::Cancelled => {}
                read => break read?,
            }
        };
        let includes = includes(&progress);
        let of = |stored: &[Option<Vec<u8>>]| {
            let mut value = self.monoid.identity();
            for bytes in stored.iter().flatten() {
                let bucket = self.monoid.decode(bytes)?;
                self.monoid.combine(&mut value, &bucket)?;
            }
            Ok(Held {
                value,
                includes: includes.clone(),
            })
        };
        if buckets.is_empty() {
            return keys.iter().map(|_| of(&[])).collect();
        }
        stored.chunks(buckets.len()).map(of).collect()
    }

    async fn served(&self) -> Result<(Served, usize)> {
        let served = self.reader.served().await?;
        let found = served.and_then(|served| {
            let mut folds = served.folds.iter();
            let fold = folds.position(|fold| *fold == self.info)?;
            Some((served, fold))
        });
        found.ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                "the pipeline is not bootstrapped yet, in this version",
            )
            .with("pipeline", &self.info.name)
            .hint("ask again once its bootstrap is complete")
        })
    }
}

fn first<V>(held: Vec<Held<V>>) -> Result<Held<V>> {
    let none = || {
        Error::new(
            ErrorKind::Internal,
            "a key was asked for, and none answered",
        )
    };
    held.into_iter().next().ok_or_else(none)
}
