//! A table's definition, made ready for decoding.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use headwater_core::Result;
use headwater_core::schema::TableSchema;

use super::event::TableMap;
use super::result_row::ResultPlan;
use super::row_image::ImagePlan;
use crate::client::ColumnDefinition as ResultColumn;
use crate::schema::TableDefinition;

/// A table's definition, to be bound to a result ([`RowPlan::result`]) or to a table map of the log
/// ([`RowPlan::image`]). Cheap to clone.
#[derive(Debug, Clone)]
pub struct RowPlan {
    definition: Arc<TableDefinition>,
    schema: Arc<TableSchema>,
    losses: Losses,
}

/// Counts places of text that could not be decoded.
#[derive(Debug, Clone, Default)]
pub(crate) struct Losses(Arc<AtomicU64>);

impl Losses {
    #[inline]
    pub(crate) fn add(&self, places: usize) {
        if places > 0 {
            self.0.fetch_add(places as u64, Ordering::Relaxed);
        }
    }
}

impl RowPlan {
    /// A plan with a schema of its own (a new [`headwater_core::schema::SchemaId`]).
    #[must_use]
    pub fn new(definition: Arc<TableDefinition>) -> Self {
        let schema = Arc::new(definition.to_schema());
        Self::with_schema(definition, schema)
    }

    /// A plan whose rows are to carry `schema`, which [`TableDefinition::to_schema`] made of this definition.
    #[must_use]
    pub fn with_schema(definition: Arc<TableDefinition>, schema: Arc<TableSchema>) -> Self {
        Self {
            definition,
            schema,
            losses: Losses::default(),
        }
    }

    /// The definition.
    #[must_use]
    pub fn definition(&self) -> &Arc<TableDefinition> {
        &self.definition
    }

    /// The schema to give to [`headwater_core::batch::Batch::add_schema`].
    #[must_use]
    pub fn schema(&self) -> &Arc<TableSchema> {
        &self.schema
    }

    /// How many places of text so far were not valid in their character set, and are U+FFFD in the cells. Counted over
    /// all clones of this plan, and what they were bound to.
    #[must_use]
    pub fn undecodable(&self) -> u64 {
        self.losses.0.load(Ordering::Relaxed)
    }

    /// Binds the plan to the columns of a result, which are the table's columns, all of them, in table order.
    ///
    /// # Errors
    /// `SchemaChanged` if number or types of the columns are not the definition's: the table was altered meanwhile.
    pub fn result(&self, columns: &[ResultColumn]) -> Result<ResultPlan> {
        ResultPlan::new(&self.definition, columns, self.losses.clone())
    }

    /// Binds the plan to a table map of the log. It serves as long as [`ImagePlan::fits`] the table maps that follow.
    ///
    /// # Errors
    /// `SchemaMismatch` if number, types, names or signs of the columns are not the definition's; `Malformed`;
    /// `Unsupported` for a type of the log that no supported server writes.
    pub fn image(&self, table_map: &TableMap<'_>) -> Result<ImagePlan> {
        ImagePlan::new(&self.definition, table_map, self.losses.clone())
    }
}
