//! The changes of a source, folded as they come: the second half of a pipeline's life, after its [`bootstrap`](crate::bootstrap).

use std::borrow::Borrow;

use headwater_core::Result;
use headwater_core::engine::{Start, Summary};
use headwater_core::position::HandoffToken;
use headwater_core::source::Source;

use crate::monoid::Monoid;
pub use crate::pipeline::Options;
use crate::pipeline::{Pipeline, drive};
use crate::recorder::Doing;
use crate::store::StateStore;

/// A source's log, from some place.
#[derive(Debug)]
pub struct Live<'a, O> {
    source: &'a O,
    /// None: from where the store stands.
    start: Option<Start>,
    token: Option<HandoffToken>,
}

/// Sources whose log can be followed: all of them.
pub trait LiveFrom: Source + Sized {
    /// The log behind a bootstrap, which gave this token. A pipeline goes on from where its store stands, which is there or behind.
    ///
    /// # Errors
    /// `ForeignPosition` for a token that is of another kind of source. Whether it is of this very one is asked when it is run.
    fn live_from(&self, token: HandoffToken) -> Result<Live<'_, Self>> {
        token.position_for::<Self::Position>(&token.source)?;
        Ok(Live {
            source: self,
            start: None,
            token: Some(token),
        })
    }

    /// The log from now on, for a pipeline that is to count nothing of what is there. Run again, it goes on where its store stands.
    fn live(&self) -> Live<'_, Self> {
        Live {
            source: self,
            start: Some(Start::Now),
            token: None,
        }
    }
}

impl<O: Source> LiveFrom for O {}

/// Folds what changes, until the options say so.
///
/// Where the store stands decides from where the log is read, so nothing is lost or counted twice, whatever was killed when.
///
/// # Errors
/// `NotFound` if the store holds no bootstrap to go on from, `ForeignPosition` for another source's token, `ExpiredPosition` if the
/// log no longer reaches back; what is permanent of source and store; the first record that is refused, if the options say so.
pub async fn run<T, V, M, S, O>(
    pipeline: &Pipeline<T, V, M, S>,
    live: Live<'_, O>,
    options: Options,
) -> Result<Summary>
where
    T: 'static,
    V: Borrow<M::Input> + PartialEq + Send + 'static,
    M: Monoid,
    S: StateStore + Clone,
    O: Source,
{
    if let Some(token) = &live.token {
        let identity = live.source.identity().await?;
        token.position_for::<O::Position>(&identity)?;
    }
    drive(pipeline, live.source, &options, Doing::Live, live.start).await
}
