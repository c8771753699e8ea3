//! What a sink of folds asks of a fold: how rows become contributions to its aggregates.

use std::fmt::Debug;
use std::sync::Arc;

use headwater_core::batch::Image;
use headwater_core::key::Key;
use headwater_core::schema::{TableName, TableSchema};
use headwater_core::{Error, ErrorKind, Result};

use crate::fold::TakeBack;
use crate::monoid::{Monoid, Refused};
use crate::store::FoldInfo;
use crate::window::Window;

/// How the rows of a source become contributions to one fold. Each image of a row is looked at by itself: where it counts, and for
/// what.
pub trait Extract: Debug + Send + 'static {
    /// How contributions combine.
    type Monoid: Monoid;
    /// The fold over one definition of its table.
    type Plan: Debug + Send + Sync + 'static;
    /// An image that counts, as it is read once.
    type Seen<'a>;

    /// What a store knows the fold by.
    ///
    /// # Errors
    /// `Configuration`, `Internal`.
    fn info(&self) -> Result<FoldInfo>;

    /// Its monoid.
    fn monoid(&self) -> Arc<Self::Monoid>;

    /// Its window; none: over all time.
    ///
    /// # Errors
    /// `Configuration`.
    fn window(&self) -> Result<Option<Window>>;

    /// What becomes of updates and deletes where the monoid cannot take back.
    fn take_back(&self) -> TakeBack;

    /// Whether [`TakeBack::Refold`] can be done.
    ///
    /// # Errors
    /// `Unsupported` or `Configuration`, with what to do: always, if the fold does not say otherwise.
    fn can_refold(&self) -> Result<()> {
        Err(Error::new(
            ErrorKind::Unsupported,
            "rows of this fold cannot be found again by its keys, so it cannot be refolded",
        )
        .hint("say TakeBack::Ignore or TakeBack::Refuse; only folds over columns can be refolded"))
    }

    /// The key's values in an image: by them its rows are found again. None if the fold cannot be refolded.
    fn key_of(&self, plan: &Self::Plan, seen: &Self::Seen<'_>) -> Option<Key> {
        let _ = (plan, seen);
        None
    }

    /// The table, and the names of the columns of the key in their order. None if the fold cannot be refolded.
    fn found_by(&self) -> Option<(&TableName, &[String])> {
        None
    }

    /// The fold over a definition; none if rows of that table are not folded.
    ///
    /// # Errors
    /// What ends the run: columns that are missing, or of types that do not fit.
    fn bind(&self, schema: &TableSchema) -> Result<Option<Self::Plan>>;

    /// Reads an image; none if it does not count.
    ///
    /// # Errors
    /// What is wrong with it, or what kept it from being read for now.
    fn see<'a>(
        &mut self,
        plan: &Self::Plan,
        image: Image<'a>,
    ) -> Result<Option<Self::Seen<'a>>, Unread>;

    /// Appends the id of the event that an image is, for folds that count each event once ([`FoldOptions::dedup`]); false if it has
    /// none, and counts whenever it comes.
    ///
    /// # Errors
    /// As [`Extract::see`].
    ///
    /// [`FoldOptions::dedup`]: super::FoldOptions::dedup
    fn event_id(
        &mut self,
        plan: &Self::Plan,
        image: Image<'_>,
        id: &mut Vec<u8>,
    ) -> Result<bool, Unread> {
        let _ = (plan, image, id);
        Ok(false)
    }

    /// Whether both images count for the same at the same place.
    fn is_same(&self, plan: &Self::Plan, one: &Self::Seen<'_>, other: &Self::Seen<'_>) -> bool;

    /// Hands over what an image contributes. `window` is the fold's own.
    ///
    /// # Errors
    /// What is wrong with the image; nothing was handed over.
    fn contribute(
        &mut self,
        plan: &Self::Plan,
        seen: &Self::Seen<'_>,
        window: Option<&Window>,
        each: &mut impl FnMut(Contribution<'_, <Self::Monoid as Monoid>::Input>),
    ) -> Result<(), Refused>;
}

/// What an image contributes at one key.
#[derive(Debug)]
pub struct Contribution<'a, I: ?Sized> {
    /// The key, as [`crate::key`] writes it.
    pub key: &'a [u8],
    /// When it happened, in microseconds since 1970, UTC, where the fold has a window.
    pub time_us: Option<i64>,
    /// What is added, or taken back.
    pub input: &'a I,
    /// Bytes that the input takes in memory, about.
    pub input_bytes: usize,
}

/// Why an image was not read.
#[derive(Debug)]
pub enum Unread {
    /// For what it is: to read it again would say the same.
    Refused(Refused),
    /// For something that may pass.
    ForNow(Error),
}

impl From<Refused> for Unread {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}
