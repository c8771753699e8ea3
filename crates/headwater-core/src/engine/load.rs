//! Waiting for the load of the source: between two chunks it is measured, and while it is above the limits of a bootstrap (or
//! cannot be measured) nothing of that one is read. The stream flows on: a measurement is on its way beside it.

use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::chunk::{Of, Wanted};
use crate::load::{GAUGES, Gauge, LoadLimits, Measured};
use crate::progress::{LoadWait, Progress};
use crate::source::Source;

/// A measurement that takes longer is given up: the load is not known then.
const MEASURED_WITHIN: Duration = Duration::from_secs(30);

type Measuring<'a> = Pin<Box<dyn Future<Output = Vec<Measured>> + Send + 'a>>;

/// What could be read next, with the load above which it is not.
pub(super) struct Candidate<P> {
    pub(super) wanted: Wanted<P>,
    pub(super) limits: LoadLimits,
}

/// The load as it was measured last, and who waits because of it.
pub(super) struct LoadWatch<'a> {
    interval: Duration,
    progress: Arc<Progress>,
    measuring: Option<Measuring<'a>>,
    /// What is measured, or is being.
    asked: LoadLimits,
    measured: Vec<Measured>,
    at: Option<Instant>,
    waits: Vec<(Of, String)>,
    /// Whether something is held back, if only until the next measurement.
    holds: bool,
    /// What was said to be not known.
    unknown: HashSet<(Gauge, Option<String>)>,
}

impl<'a> LoadWatch<'a> {
    pub(super) fn new(interval: Duration, progress: &Arc<Progress>) -> Self {
        Self {
            interval,
            progress: Arc::clone(progress),
            measuring: None,
            asked: LoadLimits::default(),
            measured: Vec::new(),
            at: None,
            waits: Vec::new(),
            holds: false,
            unknown: HashSet::new(),
        }
    }

    /// Those of `open` that the load lets through. Begins to measure where what is known is too old.
    pub(super) fn let_through<S: Source>(
        &mut self,
        source: &'a S,
        mut open: Vec<Candidate<S::Position>>,
    ) -> Vec<Wanted<S::Position>> {
        let none = LoadLimits::default();
        let asked = (open.iter()).fold(none, |asked, one| asked.or(one.limits));
        if asked.is_none() {
            self.forget();
            return open.into_iter().map(|one| one.wanted).collect();
        }
        if self.is_known(&asked) {
            self.judge(&open);
            open.retain(|one| !self.waits.iter().any(|(of, _)| *of == one.wanted.of));
            self.holds = !self.waits.is_empty();
        } else {
            if self.measuring.is_none() {
                self.asked = asked;
                self.measuring = Some(Box::pin(measure(source, asked)));
            }
            open.retain(|one| one.limits.is_none());
            self.holds = true;
        }
        open.into_iter().map(|one| one.wanted).collect()
    }

    /// Whether all that is asked was measured a short while ago.
    fn is_known(&self, asked: &LoadLimits) -> bool {
        let is_recent = self.at.is_some_and(|at| at.elapsed() < self.interval);
        let is_asked =
            |gauge: &Gauge| asked.of(*gauge).is_none() || self.asked.of(*gauge).is_some();
        is_recent && self.measuring.is_none() && GAUGES.iter().all(is_asked)
    }

    /// Waits until something may be read that was not to be before: from `not_before` on, once the load was measured, or when it
    /// is to be measured again. While a chunk is read there is no `not_before`, and only what is being measured is waited for.
    /// Cancel-safe.
    pub(super) async fn changed(&mut self, not_before: Option<Instant>) {
        let Some(not_before) = not_before else {
            return self.measured().await;
        };
        let now = Instant::now();
        // What is due already waits for a boundary of the log.
        let due = self.due().filter(|due| *due > now);
        let Some(at) = Some(not_before).filter(|at| *at > now).or(due) else {
            return self.measured().await;
        };
        tokio::select! {
            () = self.measured() => {}
            () = tokio::time::sleep_until(at) => {}
        }
    }

    /// Takes what is being measured. Cancel-safe; pending as long as nothing is.
    async fn measured(&mut self) {
        let Some(measuring) = &mut self.measuring else {
            return std::future::pending().await;
        };
        let measured = measuring.as_mut().await;
        self.measuring = None;
        self.at = Some(Instant::now());
        self.say_unknown(&measured);
        self.progress.set_load(measured.clone());
        self.measured = measured;
    }

    /// When to look again, where something is held back.
    fn due(&self) -> Option<Instant> {
        let at = self.at.filter(|_| self.holds && self.measuring.is_none());
        at.map(|at| at + self.interval)
    }

    /// Finds out who waits, and says who begins to and who goes on.
    fn judge<P>(&mut self, open: &[Candidate<P>]) {
        let mut waits: Vec<(Of, String)> = Vec::new();
        for one in open {
            let of = one.wanted.of;
            if let Some(why) = one.limits.exceeded_by(&self.measured)
                && !waits.iter().any(|(known, _)| *known == of)
            {
                waits.push((of, why));
            }
        }
        for (of, why) in &waits {
            if !self.waits.iter().any(|(known, _)| known == of) {
                tracing::info!("{of} waits for the load of the source: {why}");
            }
        }
        for (of, _) in &self.waits {
            let is_open = open.iter().any(|one| one.wanted.of == *of);
            if is_open && !waits.iter().any(|(known, _)| known == of) {
                tracing::info!("{of} goes on: {}", in_words(&self.measured));
            }
        }
        self.show(waits);
    }

    fn show(&mut self, waits: Vec<(Of, String)>) {
        if waits != self.waits {
            self.waits = waits;
            let waits = self.waits.iter().map(|(of, why)| LoadWait {
                id: match of {
                    Of::Bootstrap(id) => Some(*id),
                    Of::FirstCopy => None,
                },
                why: why.clone(),
            });
            self.progress.set_load_waits(waits.collect());
        }
    }

    /// Nobody wants to know.
    fn forget(&mut self) {
        self.holds = false;
        if self.at.take().is_some() {
            self.measured.clear();
            self.progress.set_load(Vec::new());
        }
        self.measuring = None;
        self.show(Vec::new());
    }

    /// Each thing that is not known is told once, until it is known again.
    fn say_unknown(&mut self, measured: &[Measured]) {
        for one in measured {
            let known = (one.gauge, one.of.clone());
            match &one.value {
                Ok(_) => {
                    if self.unknown.remove(&known) {
                        tracing::info!("{} is known again: {one}", one.what());
                    }
                }
                Err(_) => {
                    if self.unknown.insert(known) {
                        self.progress.notice(format!(
                            "{one}: what has a limit for it waits until it is known"
                        ));
                    }
                }
            }
        }
    }
}

impl Drop for LoadWatch<'_> {
    fn drop(&mut self) {
        self.forget();
    }
}

fn in_words(measured: &[Measured]) -> String {
    let words: Vec<String> = measured.iter().map(ToString::to_string).collect();
    words.join("; ")
}

/// Every gauge that is asked for, be it known or not.
async fn measure<S: Source>(source: &S, asked: LoadLimits) -> Vec<Measured> {
    let measured = tokio::time::timeout(MEASURED_WITHIN, source.load(&asked)).await;
    let (mut measured, why) = match measured {
        Ok(Ok(measured)) => (measured, "the source does not say".to_owned()),
        Ok(Err(error)) => (Vec::new(), error.in_one_line()),
        Err(_) => {
            let seconds = MEASURED_WITHIN.as_secs();
            (
                Vec::new(),
                format!("the source did not answer within {seconds} s"),
            )
        }
    };
    for gauge in GAUGES {
        let is_missing = !measured.iter().any(|one| one.gauge == gauge);
        if asked.of(gauge).is_some() && is_missing {
            measured.push(Measured {
                gauge,
                of: None,
                value: Err(why.clone()),
            });
        }
    }
    measured
}
