//! The rows that are there, folded: the first half of a pipeline's life. The second is [`live`](crate::live).

use std::borrow::Borrow;

use headwater_core::engine::Ended;
use headwater_core::position::HandoffToken;
use headwater_core::source::Source;
use headwater_core::{Error, ErrorKind, Result};

use crate::monoid::Monoid;
pub use crate::pipeline::Options;
use crate::pipeline::{Pipeline, drive};
use crate::recorder::Doing;
use crate::store::StateStore;

/// Folds every row that `source` holds, once, and gives the token from which the live stream goes on.
///
/// Aggregates and progress are committed together, so a bootstrap that was killed or cancelled goes on where it stood when it is run
/// again; one that is complete gives its token at once. To fold again on purpose, set [`Options::anew`].
///
/// # Errors
/// `Cancelled` if it was told to stop; what is permanent of source and store; the first record that is refused, if the options say so.
pub async fn run<T, V, M, S, O>(
    pipeline: &Pipeline<T, V, M, S>,
    source: &O,
    options: Options,
) -> Result<HandoffToken>
where
    T: 'static,
    V: Borrow<M::Input> + PartialEq + Send + 'static,
    M: Monoid,
    S: StateStore + Clone,
    O: Source,
{
    let summary = drive(pipeline, source, &options, Doing::Bootstrap, None).await?;
    match (summary.ended, summary.token) {
        (Ended::Complete, Some(token)) => Ok(token),
        (Ended::Complete, None) => Err(Error::new(
            ErrorKind::Internal,
            "a bootstrap is complete and has no token",
        )),
        _ => Err(Error::new(
            ErrorKind::Cancelled,
            "the bootstrap was stopped before its end",
        )
        .with("pipeline", pipeline.name())
        .hint("run it again: it goes on where it stopped")),
    }
}
