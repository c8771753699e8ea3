//! Folds of a configuration, over the columns of their tables.

use std::sync::Arc;

use headwater_core::Result;
use headwater_core::batch::Image;
use headwater_core::key::{Key, KeyValue};
use headwater_core::schema::{TableName, TableSchema};

use super::extract::{Contribution, Extract, Unread};
use crate::fold::{Plan, TakeBack, Typed, WindowText};
use crate::key;
use crate::monoid::{Dynamic, Item as _, Refused, Scalar};
use crate::store::FoldInfo;
use crate::window::Window;

/// A fold of a configuration.
#[derive(Debug)]
pub struct Configured {
    typed: Typed,
    // Memory that is used again for each row.
    key: Vec<u8>,
    values: Vec<Scalar>,
}

impl From<Typed> for Configured {
    fn from(typed: Typed) -> Self {
        Self {
            typed,
            key: Vec::new(),
            values: Vec::new(),
        }
    }
}

impl Extract for Configured {
    type Monoid = Dynamic;
    type Plan = Plan;
    type Seen<'a> = Image<'a>;

    fn info(&self) -> Result<FoldInfo> {
        self.typed.fold.validate()?;
        self.typed.info()
    }

    fn monoid(&self) -> Arc<Dynamic> {
        Arc::new(self.typed.monoid.clone())
    }

    fn window(&self) -> Result<Option<Window>> {
        let window = self.typed.fold.window.as_ref();
        window.map(WindowText::window).transpose()
    }

    fn take_back(&self) -> TakeBack {
        self.typed.fold.take_back
    }

    fn can_refold(&self) -> Result<()> {
        // What it takes was looked at when the fold met its table.
        Ok(())
    }

    fn key_of(&self, plan: &Plan, seen: &Image<'_>) -> Option<Key> {
        let values = plan.key.iter().map(|&at| KeyValue::of(seen.cell(at)));
        Some(Key(values.collect()))
    }

    fn found_by(&self) -> Option<(&TableName, &[String])> {
        Some((&self.typed.fold.table, &self.typed.fold.key))
    }

    fn bind(&self, schema: &TableSchema) -> Result<Option<Plan>> {
        if self.typed.fold.table != schema.name {
            return Ok(None);
        }
        self.typed.bind(schema).map(Some)
    }

    fn see<'a>(&mut self, plan: &Plan, image: Image<'a>) -> Result<Option<Image<'a>>, Unread> {
        let filter = plan.filter.as_ref();
        let counts = filter.is_none_or(|filter| filter.holds(&image));
        Ok(counts.then_some(image))
    }

    fn is_same(&self, plan: &Plan, one: &Image<'_>, other: &Image<'_>) -> bool {
        let mut columns = plan.key.iter().chain(&plan.value).chain(&plan.time);
        columns.all(|&at| one.same_cell(other, at))
    }

    fn contribute(
        &mut self,
        plan: &Plan,
        seen: &Image<'_>,
        window: Option<&Window>,
        each: &mut impl FnMut(Contribution<'_, [Scalar]>),
    ) -> Result<(), Refused> {
        let mut time_us = None;
        if let (Some(window), Some(at)) = (window, plan.time) {
            let cell = seen.cell(at);
            time_us = Some(window.time_us(cell).ok_or_else(|| {
                let column = &seen.schema().columns[at].name;
                Refused::unsuitable(format!("column {column} tells no time: {cell:?}"))
            })?);
        }
        self.key.clear();
        for (number, &at) in plan.key.iter().enumerate() {
            key::push_part(&mut self.key, number == 0, seen.cell(at));
        }
        self.values.resize_with(plan.value.len(), Scalar::default);
        for (value, &at) in self.values.iter_mut().zip(&plan.value) {
            value.set(seen.cell(at))?;
        }
        each(Contribution {
            key: &self.key,
            time_us,
            input: &self.values,
            input_bytes: self.values.iter().map(|value| value.heap_bytes()).sum(),
        });
        Ok(())
    }
}
