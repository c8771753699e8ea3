//! A pipeline as a fold of the sink.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use headwater_core::Result;
use headwater_core::batch::Image;
use headwater_core::schema::TableSchema;
use serde_json::json;

use super::Pipeline;
use super::extractor::{Keys, unread};
use crate::fold::{TakeBack, check_name};
use crate::monoid::{Monoid, Refused};
use crate::sink::{Contribution, Extract, Unread};
use crate::store::FoldInfo;
use crate::window::Window;

/// A pipeline without its store.
pub(crate) struct Piped<T, V, M: Monoid>(Pipeline<T, V, M, ()>);

impl<T, V, M: Monoid> Piped<T, V, M> {
    pub(super) fn of<S>(pipeline: &Pipeline<T, V, M, S>) -> Self {
        Self(pipeline.kept_in(()))
    }
}

impl<T, V, M: Monoid> fmt::Debug for Piped<T, V, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The keys of a record, one behind the other.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct KeyList {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl KeyList {
    pub(super) fn extend(&mut self, keys: &impl Keys) {
        let mut key = Vec::new();
        keys.each(&mut key, |key| {
            self.bytes.extend_from_slice(key);
            self.ends.push(self.bytes.len());
        });
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(&0).chain(&self.ends);
        let places = begins.zip(&self.ends);
        places.map(|(begin, end)| &self.bytes[*begin..*end])
    }
}

/// What was taken out of a record that counts.
#[derive(Debug, PartialEq)]
pub(crate) struct Taken<V> {
    keys: KeyList,
    time_us: Option<i64>,
    value: V,
}

impl<T, V, M> Piped<T, V, M>
where
    M: Monoid,
{
    fn take(&self, record: &T) -> Result<Option<Taken<V>>> {
        for filter in &self.0.filters {
            if !filter(record)? {
                return Ok(None);
            }
        }
        let mut keys = KeyList::default();
        (self.0.keys)(record, &mut keys)?;
        let time = self.0.window.as_ref();
        Ok(Some(Taken {
            keys,
            time_us: time
                .map(|(window, time)| time(record, window))
                .transpose()?,
            value: (self.0.value)(record)?,
        }))
    }
}

impl<T, V, M> Extract for Piped<T, V, M>
where
    T: 'static,
    V: Borrow<M::Input> + PartialEq + 'static,
    M: Monoid,
{
    type Monoid = M;
    type Plan = ();
    type Seen<'a> = Taken<V>;

    fn info(&self) -> Result<FoldInfo> {
        let pipeline = &self.0;
        check_name(&pipeline.name)?;
        let window = pipeline.window.as_ref().map(|(window, _)| {
            json!({ "every": format!("{:?}", window.every), "zone": window.zone.iana_name() })
        });
        Ok(FoldInfo {
            name: pipeline.name.clone(),
            definition: json!({
                "pipeline": pipeline.name,
                "version": pipeline.version,
                "monoid": pipeline.monoid.name(),
                "window": window,
            }),
        })
    }

    fn monoid(&self) -> Arc<M> {
        self.0.monoid.clone()
    }

    fn window(&self) -> Result<Option<Window>> {
        Ok(self.0.window.as_ref().map(|(window, _)| window.clone()))
    }

    fn take_back(&self) -> TakeBack {
        self.0.take_back
    }

    fn bind(&self, _schema: &TableSchema) -> Result<Option<()>> {
        Ok(Some(()))
    }

    fn see<'a>(&mut self, _plan: &(), image: Image<'a>) -> Result<Option<Taken<V>>, Unread> {
        guarded(|| {
            let record = (self.0.read)(&image)?;
            self.take(&record).map_err(unread)
        })
    }

    fn event_id(&mut self, _plan: &(), image: Image<'_>, id: &mut Vec<u8>) -> Result<bool, Unread> {
        let Some(take) = &self.0.event_id else {
            return Ok(false);
        };
        guarded(|| {
            let record = (self.0.read)(&image)?;
            take(&record, id).map_err(unread)?;
            Ok(true)
        })
    }

    fn is_same(&self, _plan: &(), one: &Taken<V>, other: &Taken<V>) -> bool {
        one == other
    }

    fn contribute(
        &mut self,
        _plan: &(),
        seen: &Taken<V>,
        _window: Option<&Window>,
        each: &mut impl FnMut(Contribution<'_, M::Input>),
    ) -> Result<(), Refused> {
        let input: &M::Input = seen.value.borrow();
        for key in seen.keys.iter() {
            each(Contribution {
                key,
                time_us: seen.time_us,
                input,
                input_bytes: size_of_val(input),
            });
        }
        Ok(())
    }
}

/// A panic of an extractor is about the record, too: it must not take the run with it.
fn guarded<A>(read: impl FnOnce() -> Result<A, Unread>) -> Result<A, Unread> {
    let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(read));
    read.unwrap_or_else(|panic| Err(panicked(&*panic).into()))
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Refused {
    let said = panic.downcast_ref::<&str>().copied();
    let said = said.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Refused::unsuitable(format!(
        "the pipeline panicked: {}",
        said.unwrap_or("without a word")
    ))
}
