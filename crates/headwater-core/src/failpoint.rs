//! Named places at which a test makes the process die, fail or wait: `sink.written=abort@3,cut.open=sleep_ms@1:500`.
//!
//! The crash tests need a death at an exact place, not near it. A place costs one load while nothing is armed. The text comes
//! from whoever starts the process (the command line reads it from its environment), and so does the way to die: a library
//! does not end the process by itself.
//!
//! | name | place |
//! |---|---|
//! | `sink.written` | all rows of a barrier are written to the file, none of them is synced |
//! | `checkpoint.temporary` | the new checkpoint is whole in its temporary file, not renamed |
//! | `checkpoint.renamed` | the new checkpoint has its name, its folder is not synced |
//! | `bootstrap.requested` | a request of a row of the source is on its way to the checkpoint, the place behind its row is not |
//! | `cut.open` | a cut is open, its rows not yet all out |
//! | `chunk.open` | a view of a chunk is open beside the stream, its rows not yet out |
//! | `kafka.acknowledged` | Kafka has all records of a transaction with its checkpoint, and it is not committed |
//! | `kafka.committed` | a transaction is committed, and nobody but Kafka knows |
//! | `fold.refolding` | rows of keys that are refolded are read, and nothing is made of them yet |
//! | `fold.merged` | all deltas of a step are merged into the store, and none of it is committed |
//! | `fold.committed` | a step is committed, and nobody but the store knows |

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};

/// How to die: [`std::process::abort`], but in tests of the failpoints themselves.
pub type Die = fn() -> !;

/// What is armed. Cheap to clone; empty unless a test asked for something.
#[derive(Debug, Clone, Default)]
pub struct Failpoints(Option<Arc<Armed>>);

#[derive(Debug)]
struct Armed {
    points: Vec<Point>,
    die: Die,
}

#[derive(Debug)]
struct Point {
    name: String,
    action: Action,
    /// The hit at which it acts, from 1. It acts once.
    at: u64,
    hits: AtomicU64,
}

#[derive(Debug, Clone, Copy)]
enum Action {
    Abort,
    Error,
    Sleep(Duration),
}

static PROCESS: OnceLock<Failpoints> = OnceLock::new();

/// Arms the whole process, once, before anything runs.
///
/// # Errors
/// `Internal` if it was armed before.
pub fn install(failpoints: Failpoints) -> Result<()> {
    PROCESS.set(failpoints).map_err(|_| {
        Error::new(
            ErrorKind::Internal,
            "the failpoints of this process are already set",
        )
    })
}

/// What the process was armed with; empty if nothing.
#[must_use]
pub fn installed() -> Failpoints {
    PROCESS.get().cloned().unwrap_or_default()
}

/// Passes the place `name`, with what the process was armed with.
///
/// # Errors
/// `Storage`, if that is what was asked for.
#[inline]
pub fn hit(name: &'static str) -> Result<()> {
    PROCESS.get().map_or(Ok(()), |armed| armed.hit(name))
}

impl Failpoints {
    /// Nothing armed.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// Reads `name=action@hit`, separated by commas: `abort@3` dies at the third hit, `error@1` fails with `Storage`,
    /// `sleep_ms@2:500` holds the thread for 500 milliseconds. A name may stand more than once.
    ///
    /// # Errors
    /// `Configuration`, with what was found and what was expected.
    pub fn parse(text: &str, die: Die) -> Result<Self> {
        let points = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(|part| point(part).ok_or_else(|| refused(part)))
            .collect::<Result<Vec<_>>>()?;
        let is_empty = points.is_empty();
        Ok(Self((!is_empty).then(|| Arc::new(Armed { points, die }))))
    }

    /// Passes the place `name`.
    ///
    /// # Errors
    /// `Storage`, if that is what was asked for.
    #[inline]
    pub fn hit(&self, name: &'static str) -> Result<()> {
        self.0.as_ref().map_or(Ok(()), |armed| armed.hit(name))
    }
}

impl Armed {
    #[cold]
    fn hit(&self, name: &'static str) -> Result<()> {
        // Every point of the name counts the hit before any acts, for the first that acts may not come back.
        let mut due = Vec::new();
        for point in self.points.iter().filter(|point| point.name == name) {
            if point.hits.fetch_add(1, Ordering::Relaxed) + 1 == point.at {
                due.push(&point.action);
            }
        }
        for action in due {
            match *action {
                Action::Abort => (self.die)(),
                Action::Sleep(time) => std::thread::sleep(time),
                Action::Error => {
                    return Err(
                        Error::new(ErrorKind::Storage, "a failpoint was asked to fail")
                            .with("failpoint", name)
                            .hint("this is a test's doing: start without failpoints"),
                    );
                }
            }
        }
        Ok(())
    }
}

fn point(text: &str) -> Option<Point> {
    let (name, rest) = text.split_once('=')?;
    let (action, at) = rest.split_once('@')?;
    let (action, at) = match action {
        "abort" => (Action::Abort, at),
        "error" => (Action::Error, at),
        "sleep_ms" => {
            let (at, time_ms) = at.split_once(':')?;
            let time = Duration::from_millis(time_ms.parse().ok()?);
            (Action::Sleep(time), at)
        }
        _ => return None,
    };
    let at = at.parse().ok().filter(|at| *at > 0)?;
    (!name.is_empty()).then(|| Point {
        name: name.to_owned(),
        action,
        at,
        hits: AtomicU64::new(0),
    })
}

fn refused(part: &str) -> Error {
    Error::new(ErrorKind::Configuration, "this is no failpoint")
        .with("text", format!("`{part}`"))
        .hint("write NAME=abort@HIT, NAME=error@HIT or NAME=sleep_ms@HIT:MILLISECONDS, separated by commas")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn die() -> ! {
        panic!("died")
    }

    #[test]
    fn a_point_acts_at_its_hit_and_only_there() {
        let armed = Failpoints::parse("a=error@2, b=error@1", die).unwrap();
        assert!(armed.hit("a").is_ok());
        assert_eq!(armed.hit("a").unwrap_err().kind(), ErrorKind::Storage);
        assert!(armed.hit("a").is_ok());
        assert!(armed.hit("b").is_err());
        assert!(armed.hit("c").is_ok());
    }

    #[test]
    fn one_name_may_stand_twice() {
        let armed = Failpoints::parse("a=error@1,a=error@2", die).unwrap();
        assert!(armed.hit("a").is_err());
        assert!(armed.hit("a").is_err());
        assert!(armed.hit("a").is_ok());
    }

    #[test]
    #[should_panic(expected = "died")]
    fn abort_dies_the_way_it_was_told() {
        let armed = Failpoints::parse("a=abort@1", die).unwrap();
        armed.hit("a").unwrap();
    }

    #[test]
    fn sleep_holds_the_thread_and_goes_on() {
        let armed = Failpoints::parse("a=sleep_ms@1:20", die).unwrap();
        let start = std::time::Instant::now();
        armed.hit("a").unwrap();
        assert!(start.elapsed() >= Duration::from_millis(20));
    }

    #[test]
    fn nothing_armed_does_nothing() {
        assert!(Failpoints::parse("", die).unwrap().0.is_none());
        assert!(Failpoints::none().hit("a").is_ok());
        assert!(hit("a").is_ok());
        assert!(installed().0.is_none());
    }

    #[test]
    fn what_is_no_failpoint_is_refused() {
        for text in [
            "a",
            "a=abort",
            "a=abort@",
            "a=abort@0",
            "a=abort@x",
            "=abort@1",
            "a=die@1",
            "a=sleep_ms@1",
            "a=sleep_ms@1:x",
        ] {
            let error = Failpoints::parse(text, die).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration, "{text}");
        }
    }
}
