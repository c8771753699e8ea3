//! Which tables of the log are wanted, and how their rows are decoded: definitions valid here, moved on by DDL, checked
//! against every table map.

use std::collections::HashMap;
use std::sync::Arc;

use headwater_core::schema::{TableName, TableSchema};
use headwater_core::source::Watched;
use headwater_core::{ErrorKind, Result};
use rustc_hash::FxHashMap;

use crate::decode::event::TableMap;
use crate::decode::malformed;
use crate::decode::metadata;
use crate::decode::plan::RowPlan;
use crate::decode::row_image::ImagePlan;
use crate::schema::ddl::Effect;
use crate::schema::{Catalog, CatalogEvent, Lookup, Selection, TableDefinition};

/// A table map as it last came under its number.
#[derive(Debug)]
struct Mapped {
    body: Box<[u8]>,
    /// Whether its rows are wanted.
    captured: bool,
    bound: Option<Arc<Bound>>,
    /// Definitions have changed since: it is to be bound anew when it comes again. Rows that wait for their transaction's
    /// end (a prepared one, say) still go by the old binding.
    stale: bool,
}

/// A table map bound to a definition.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) plan: ImagePlan,
    pub(super) schema: Arc<TableSchema>,
    /// The column of a row's end, where the log has the rows of the past too.
    pub(super) row_end: Option<usize>,
    /// Whether its rows are read for what they ask for only, and are no rows of the stream.
    pub(super) is_silent: bool,
}

impl Bound {
    fn new(plan: &RowPlan, image: ImagePlan) -> Self {
        Self {
            plan: image,
            schema: Arc::clone(plan.schema()),
            row_end: plan.definition().row_end,
            is_silent: false,
        }
    }
}

/// Bindings by the numbers of their tables.
pub(super) type Bindings = FxHashMap<u64, Arc<Bound>>;

/// The tables.
#[derive(Debug)]
pub(super) struct Tables {
    selection: Selection,
    pub(super) catalog: Catalog,
    maps: FxHashMap<u64, Mapped>,
    plans: HashMap<TableName, RowPlan>,
    /// The table map that came last: rows events mostly follow their own.
    last: Option<(u64, bool)>,
    /// Definitions changed since they were last asked for.
    pub(super) changed: bool,
    /// Whether some table had rows that are none of the stream's: rows of the past, or those of a table that is only watched.
    pub(super) has_uncounted: bool,
    /// The table whose rows ask for bootstraps.
    pub(super) watched: Option<Watched>,
    /// Numbers of table maps whose rows are passed over, though they are captured.
    left_out: Vec<u64>,
    mariadb: bool,
}

/// Whether the server was asked for a table's definition, which the log does not tell in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    No,
    Yes,
}

/// What becomes of a table map's rows.
pub(super) enum Mapping {
    /// They are not wanted.
    Ignored,
    /// They can be decoded.
    Ready,
    /// They are wanted, but the definition has to be read from the server first.
    Unknown(u64, TableName),
}

impl Tables {
    pub(super) fn new(
        selection: Selection,
        catalog: Catalog,
        mariadb: bool,
        watched: Option<Watched>,
    ) -> Self {
        let selection = match &watched {
            Some(watched) => selection.with(&watched.table),
            None => selection,
        };
        Self {
            selection,
            catalog,
            maps: FxHashMap::default(),
            plans: HashMap::new(),
            last: None,
            changed: false,
            has_uncounted: false,
            watched,
            left_out: Vec::new(),
            mariadb,
        }
    }

    /// Takes note of a table map, and binds it.
    pub(super) fn map(&mut self, body: &[u8]) -> Result<Mapping> {
        let id = table_id(body);
        if let Some(mapped) = self.maps.get(&id)
            && !mapped.stale
            && (mapped.bound.is_some() || !mapped.captured)
            && *mapped.body == *body
        {
            self.last = Some((id, mapped.captured));
            return Ok(if mapped.captured {
                Mapping::Ready
            } else {
                Mapping::Ignored
            });
        }
        let map = TableMap::parse(body)?;
        let name = TableName::new(map.database, map.table);
        let captured = self.captures_name(&name);
        self.maps.insert(
            id,
            Mapped {
                body: body.into(),
                captured,
                bound: None,
                stale: false,
            },
        );
        self.last = Some((id, captured));
        if !captured {
            return Ok(Mapping::Ignored);
        }
        Ok(if self.bind(id, Asked::No)? {
            Mapping::Ready
        } else {
            Mapping::Unknown(id, name)
        })
    }

    /// Whether the rows of the table with this number are wanted.
    pub(super) fn captures(&self, id: u64) -> bool {
        match self.last {
            Some((last, captured)) if last == id => captured,
            _ => self.maps.get(&id).is_some_and(|mapped| mapped.captured),
        }
    }

    /// Binds a table map to a definition. Says whether there is one.
    pub(super) fn bind(&mut self, id: u64, asked: Asked) -> Result<bool> {
        let Some(mapped) = self.maps.get_mut(&id) else {
            return Ok(false);
        };
        let map = TableMap::parse(&mapped.body)?;
        let name = TableName::new(map.database, map.table);
        let was_known = matches!(self.catalog.get(&name), Lookup::Known(_));
        let is_silent = is_silent(self.watched.as_ref(), &name);
        let is_unsure = |logged: &TableDefinition| {
            self.mariadb && asked == Asked::No && metadata::may_have_versions(logged)
        };
        let found = bind(&mut self.catalog, &mut self.plans, &name, &map, is_unsure)?;
        let Some((mut bound, learned)) = found else {
            return Ok(false);
        };
        bound.is_silent = is_silent;
        self.has_uncounted |= bound.row_end.is_some() || is_silent;
        if !was_known
            && self.mariadb
            && let Lookup::Known(logged) = self.catalog.get(&name)
            && metadata::may_have_versions(logged)
        {
            tracing::warn!(table = %name, "whether the table has system versioning is not known, because the server does not have it any more: rows of the past, if there are any, go out as inserts");
        }
        self.changed |= learned;
        mapped.bound = Some(Arc::new(bound));
        mapped.stale = false;
        Ok(true)
    }

    /// Passes over the rows of the table with this number: what they ask for cannot be read.
    pub(super) fn leave_out(&mut self, id: u64) {
        if let Some(mapped) = self.maps.get_mut(&id) {
            mapped.captured = false;
            self.last = None;
            self.left_out.push(id);
        }
    }

    /// Whether the rows of the table with this number are passed over.
    pub(super) fn leaves_out(&self, id: u64) -> bool {
        !self.left_out.is_empty() && self.left_out.contains(&id)
    }

    /// Whether the table's rows are no rows of the stream.
    pub(super) fn is_silent(&self, table: &TableName) -> bool {
        is_silent(self.watched.as_ref(), table)
    }

    /// How to decode the rows of the table with this number.
    pub(super) fn bound(&self, id: u64) -> Result<&Arc<Bound>> {
        let bound = self.maps.get(&id).and_then(|mapped| mapped.bound.as_ref());
        bound.ok_or_else(|| malformed("a rows event has no table map").with("table-id", id))
    }

    /// How to decode rows that are kept: a server that is started again gives the same numbers to other tables.
    pub(super) fn bindings(&self) -> Bindings {
        let bound = |(id, mapped): (&u64, &Mapped)| Some((*id, Arc::clone(mapped.bound.as_ref()?)));
        self.maps.iter().filter_map(bound).collect()
    }

    /// Definitions have changed: every table map is bound anew when it comes again.
    pub(super) fn unbind(&mut self) {
        for mapped in self.maps.values_mut() {
            mapped.stale = true;
        }
        self.plans.clear();
        self.changed = true;
    }

    /// A new connection numbers its tables anew.
    pub(super) fn forget_maps(&mut self) {
        self.maps.clear();
        self.left_out.clear();
        self.last = None;
    }

    /// A schema for marks that belong to a table.
    pub(super) fn schema(&mut self, name: &TableName) -> Option<Arc<TableSchema>> {
        let Lookup::Known(definition) = self.catalog.get(name) else {
            return None;
        };
        let plan = self
            .plans
            .entry(name.clone())
            .or_insert_with(|| RowPlan::new(Arc::clone(definition)));
        Some(Arc::clone(plan.schema()))
    }

    /// Moves the definitions on by what a statement does. Gives what happened.
    pub(super) fn apply(&mut self, effects: &[Effect]) -> Vec<CatalogEvent> {
        let events = self.catalog.apply(&self.selection, effects);
        if !events.is_empty() {
            self.unbind();
        }
        events
    }

    pub(super) fn captures_name(&self, name: &TableName) -> bool {
        self.catalog.is_captured(name, &self.selection)
            && !matches!(self.catalog.get(name), Lookup::Sequence)
    }

    pub(super) fn captures_database(&self, database: &str) -> bool {
        match &self.watched {
            // Its own database is not chosen because of it.
            Some(watched) if !watched.is_streamed && &*watched.table.database == database => {
                self.selection
                    .databases()
                    .iter()
                    .any(|name| **name == *database)
                    || (self.selection.tables().iter())
                        .any(|name| *name.database == *database && *name != watched.table)
            }
            _ => self.selection.has_database(database),
        }
    }

    pub(super) fn learn(&mut self, definition: TableDefinition) {
        self.catalog.learn(definition);
        self.unbind();
    }
}

fn is_silent(watched: Option<&Watched>, table: &TableName) -> bool {
    watched.is_some_and(|watched| !watched.is_streamed && watched.table == *table)
}

/// The number of the table that a table map or a rows event begins with: six bytes.
pub(super) fn table_id(body: &[u8]) -> u64 {
    let mut id = [0; 8];
    for (to, from) in id.iter_mut().zip(body.iter().take(6)) {
        *to = *from;
    }
    u64::from_le_bytes(id)
}

/// Binds a table map to the known definition if it fits, else to the one that its own FULL metadata tells: also where only
/// the labels of an ENUM or SET are others. None: neither is there, or it `is_unsure` what the log does not tell of it. Says
/// also whether something new was learned.
fn bind(
    catalog: &mut Catalog,
    plans: &mut HashMap<TableName, RowPlan>,
    name: &TableName,
    map: &TableMap<'_>,
    is_unsure: impl Fn(&TableDefinition) -> bool,
) -> Result<Option<(Bound, bool)>> {
    let known = match catalog.get(name) {
        Lookup::Known(definition) => Some(Arc::clone(definition)),
        _ => None,
    };
    if let Some(definition) = &known {
        let plan = plans
            .entry(name.clone())
            .or_insert_with(|| RowPlan::new(Arc::clone(definition)));
        match plan.image(map) {
            Ok(_) if metadata::has_other_labels(map, definition)? => {
                tracing::debug!(table = %name, "the log has other labels than the known definition");
            }
            Ok(image) => {
                return Ok(Some((Bound::new(plan, image), false)));
            }
            Err(error) if error.kind() == ErrorKind::SchemaMismatch => {
                tracing::debug!(table = %name, "the known definition does not fit the log: {error}");
            }
            Err(error) => return Err(error),
        }
    }
    let Some(mut definition) = metadata::definition(map)? else {
        return Ok(None);
    };
    match &known {
        Some(known) => _ = metadata::refine(&mut definition, known),
        None if is_unsure(&definition) => return Ok(None),
        None => {}
    }
    let plan = RowPlan::new(Arc::new(definition.clone()));
    let bound = Bound::new(&plan, plan.image(map)?);
    plans.insert(name.clone(), plan);
    catalog.learn(definition);
    Ok(Some((bound, true)))
}
