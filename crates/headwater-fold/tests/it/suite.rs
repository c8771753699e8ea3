//! The one suite of laws. A case is a monoid, where its inputs come from, and who knows the truth; [`hold`] says which law it breaks.

use std::borrow::Borrow;
use std::cell::Cell;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};

use headwater_fold::monoid::{Moment, Monoid, Refusal, Refused};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRng, TestRunner};

/// One event: added or taken back.
#[derive(Debug, Clone)]
pub(crate) struct Event<I> {
    pub(crate) input: I,
    pub(crate) at: Moment,
    pub(crate) minus: bool,
}

/// Compares a value with the events that it is of.
pub(crate) type Judge<M, I> = fn(&M, &<M as Monoid>::Value, &[&Event<I>]) -> Result<(), String>;

/// Something that has to happen in at least one of the values of a run: else the run has shown less than it claims.
pub(crate) type Reach<M> = (&'static str, fn(&<M as Monoid>::Value) -> bool);

/// A monoid to be held to its laws.
pub(crate) struct Case<M: Monoid, I> {
    pub(crate) monoid: M,
    pub(crate) inputs: BoxedStrategy<I>,
    pub(crate) judge: Judge<M, I>,
    pub(crate) reach: Vec<Reach<M>>,
    /// Whether some input has to be refused in the run.
    pub(crate) refuses: bool,
    /// Most events in one of the three parts.
    pub(crate) events: usize,
    /// Most bytes that a value may say it takes.
    pub(crate) size_max: usize,
    /// Whether the laws have to hold to the last bit: as declared, or because these inputs stay within what is exact.
    pub(crate) exact: bool,
}

impl<M, I> Case<M, I>
where
    M: Monoid,
    I: Borrow<M::Input> + Clone + Debug + 'static,
{
    pub(crate) fn new(
        monoid: M,
        inputs: impl Strategy<Value = I> + 'static,
        judge: Judge<M, I>,
    ) -> Self {
        Self {
            exact: monoid.laws().exact,
            monoid,
            inputs: inputs.boxed(),
            judge,
            reach: Vec::new(),
            refuses: false,
            events: 12,
            size_max: 64 << 10,
        }
    }

    pub(crate) fn reach(mut self, what: &'static str, is: fn(&M::Value) -> bool) -> Self {
        self.reach.push((what, is));
        self
    }

    pub(crate) fn refuses(mut self) -> Self {
        self.refuses = true;
        self
    }

    pub(crate) fn events(mut self, events: usize) -> Self {
        self.events = events;
        self
    }

    pub(crate) fn size_max(mut self, size_max: usize) -> Self {
        self.size_max = size_max;
        self
    }

    pub(crate) fn exactly(mut self) -> Self {
        self.exact = true;
        self
    }

    fn parts(&self) -> impl Strategy<Value = [Vec<Event<I>>; 3]> + use<M, I> {
        let is_invertible = self.monoid.laws().invertible;
        // Few places and times, so that they meet.
        let at = ((0u64..4, 0u64..3), -4_000_000i64..4_000_000);
        let at = at.prop_map(|(order, time_us)| Moment { order, time_us });
        let event = (self.inputs.clone(), at, prop::bool::weighted(0.3));
        let event = event.prop_map(move |(input, at, minus)| Event {
            input,
            at,
            minus: minus && is_invertible,
        });
        let part = vec(event, 0..=self.events).boxed();
        [part.clone(), part.clone(), part]
    }
}

/// What a run has met.
#[derive(Default)]
struct Met {
    refused: Cell<bool>,
    doubled: Cell<bool>,
    reached: Vec<Cell<bool>>,
}

/// How many triples of values a law is tried on. Their choice is fixed: a run is the same everywhere.
const TRIPLES: u32 = 192;

/// Holds a case to every law; the first that is broken is the error.
pub(crate) fn hold<M, I>(case: &Case<M, I>) -> Result<(), String>
where
    M: Monoid,
    I: Borrow<M::Input> + Clone + Debug + 'static,
{
    let config = Config {
        cases: TRIPLES,
        failure_persistence: None,
        max_shrink_iters: 400,
        ..Config::default()
    };
    let met = Met {
        reached: case.reach.iter().map(|_| Cell::new(false)).collect(),
        ..Met::default()
    };
    let seed = TestRng::deterministic_rng(config.rng_algorithm);
    let mut runner = TestRunner::new_with_rng(config, seed);
    let strategy = (
        case.parts(),
        vec(any::<u8>(), 0..48),
        any::<prop::sample::Index>(),
    );
    let outcome = runner.run(&strategy, |(parts, noise, place)| {
        laws(case, &met, &parts)
            .and_then(|values| bytes(case, &values, &noise, place))
            .map_err(TestCaseError::fail)
    });
    outcome.map_err(|error| format!("{}: {error}", case.monoid.name()))?;
    let laws = case.monoid.laws();
    let missing = |what: &str| Err(format!("{}: the run never met {what}", case.monoid.name()));
    if !laws.idempotent && !met.doubled.get() {
        return missing("a value that its double differs from: it seems to be idempotent");
    }
    if case.refuses && !met.refused.get() {
        return missing("an input that is refused");
    }
    for ((what, _), reached) in case.reach.iter().zip(&met.reached) {
        if !reached.get() {
            return missing(what);
        }
    }
    Ok(())
}

fn encoded<M: Monoid>(monoid: &M, value: &M::Value) -> Vec<u8> {
    let mut out = Vec::new();
    monoid.encode(value, &mut out);
    out
}

/// That two values are the same in every respect.
fn same<M: Monoid>(monoid: &M, law: &str, one: &M::Value, two: &M::Value) -> Result<(), String> {
    if one != two {
        return Err(format!("{law}: {one:?} is not {two:?}"));
    }
    if encoded(monoid, one) != encoded(monoid, two) {
        return Err(format!(
            "{law}: {one:?} and {two:?} are equal and have different bytes"
        ));
    }
    Ok(())
}

/// Runs an operation on a value; where it is refused, nothing may have changed.
fn run<M: Monoid>(
    monoid: &M,
    met: &Met,
    value: &mut M::Value,
    operation: impl FnOnce(&mut M::Value) -> Result<(), Refused>,
) -> Result<bool, String> {
    let before = value.clone();
    match operation(value) {
        Ok(()) => Ok(true),
        Err(refused) => {
            met.refused.set(true);
            same(
                monoid,
                "a refused operation changes nothing",
                value,
                &before,
            )?;
            match refused.kind() {
                Refusal::Overflow | Refusal::Unsuitable => Ok(false),
                _ => Err(format!("refused for no reason: {refused}")),
            }
        }
    }
}

fn change<M, I>(monoid: &M, value: &mut M::Value, event: &Event<I>) -> Result<(), Refused>
where
    M: Monoid,
    I: Borrow<M::Input>,
{
    match event.minus {
        false => monoid.add(value, event.input.borrow(), event.at),
        true => monoid.take_back(value, event.input.borrow(), event.at),
    }
}

/// A value with those events that it took.
struct Part<'a, V, I> {
    value: V,
    events: Vec<&'a Event<I>>,
}

/// Folds events, and sees on the way that adding is combining with one.
fn fold<'a, M, I>(
    case: &Case<M, I>,
    met: &Met,
    events: &'a [Event<I>],
) -> Result<Part<'a, M::Value, I>, String>
where
    M: Monoid,
    I: Borrow<M::Input> + Clone + Debug,
{
    let monoid = &case.monoid;
    let mut part = Part {
        value: monoid.identity(),
        events: Vec::new(),
    };
    for event in events {
        let mut single = monoid.identity();
        let is_single = run(monoid, met, &mut single, |value| {
            change(monoid, value, event)
        })?;
        let mut combined = part.value.clone();
        let is_combined = is_single
            && run(monoid, met, &mut combined, |value| {
                monoid.combine(value, &single)
            })?;
        let would = event.minus
            || monoid
                .would_add(&part.value, event.input.borrow(), event.at)
                .is_ok();
        let is_added = run(monoid, met, &mut part.value, |value| {
            change(monoid, value, event)
        })?;
        if is_added && is_combined {
            same(
                monoid,
                "adding is combining with one",
                &part.value,
                &combined,
            )?;
        }
        if would != is_added && !event.minus {
            return Err(format!(
                "would_add is {would} where adding {event:?} is {is_added}"
            ));
        }
        if is_added {
            part.events.push(event);
            if monoid.laws().invertible {
                let opposite = Event {
                    minus: !event.minus,
                    ..event.clone()
                };
                let mut back = part.value.clone();
                let is_back = run(monoid, met, &mut back, |value| {
                    change(monoid, value, &opposite)
                });
                let before = &part.events[..part.events.len() - 1];
                if is_back? {
                    (case.judge)(monoid, &back, before)
                        .map_err(|error| format!("taking back one: {error}"))?;
                }
            }
        }
    }
    (case.judge)(monoid, &part.value, &part.events).map_err(|error| format!("truth: {error}"))?;
    Ok(part)
}

fn laws<M, I>(
    case: &Case<M, I>,
    met: &Met,
    parts: &[Vec<Event<I>>; 3],
) -> Result<Vec<M::Value>, String>
where
    M: Monoid,
    I: Borrow<M::Input> + Clone + Debug,
{
    let monoid = &case.monoid;
    let [a, b, c] = [&parts[0], &parts[1], &parts[2]].map(|events| fold(case, met, events));
    let (a, b, c) = (a?, b?, c?);
    let combined = |one: &M::Value, two: &M::Value| -> Result<Option<M::Value>, String> {
        let mut value = one.clone();
        let is_done = run(monoid, met, &mut value, |value| monoid.combine(value, two))?;
        Ok(is_done.then_some(value))
    };
    let judged = |law: &str, value: &M::Value, events: &[&[&Event<I>]]| {
        (case.judge)(monoid, value, &events.concat()).map_err(|error| format!("{law}: {error}"))
    };
    let mut seen = vec![a.value.clone(), b.value.clone(), c.value.clone()];

    let nothing = monoid.identity();
    if !monoid.is_identity(&nothing) {
        return Err("the identity says that it is none".to_owned());
    }
    for part in [&a, &b, &c] {
        for value in [
            combined(&nothing, &part.value)?,
            combined(&part.value, &nothing)?,
        ] {
            let value = value.ok_or("the identity is refused")?;
            same(monoid, "identity", &value, &part.value)?;
        }
        if monoid.is_identity(&part.value) {
            same(monoid, "only the identity is one", &part.value, &nothing)?;
        }
    }

    let (ab, bc) = (combined(&a.value, &b.value)?, combined(&b.value, &c.value)?);
    if let (Some(ab), Some(ba)) = (&ab, combined(&b.value, &a.value)?)
        && monoid.laws().commutative
    {
        same(monoid, "commutativity", ab, &ba)?;
    }
    let left = ab.as_ref().map_or(Ok(None), |ab| combined(ab, &c.value))?;
    let right = bc.as_ref().map_or(Ok(None), |bc| combined(&a.value, bc))?;
    if let (Some(left), Some(right)) = (&left, &right) {
        let events: [&[_]; 3] = [&a.events, &b.events, &c.events];
        judged("(ab)c", left, &events)?;
        judged("a(bc)", right, &events)?;
        if case.exact {
            same(monoid, "associativity", left, right)?;
        }
    }

    if let Some(twice) = combined(&a.value, &a.value)? {
        if monoid.laws().idempotent {
            same(monoid, "idempotence", &twice, &a.value)?;
        }
        met.doubled.set(met.doubled.get() || twice != a.value);
    }
    inverse(case, met, &a, &b, ab.as_ref())?;
    seen.extend([ab, bc, left, right].into_iter().flatten());
    for value in &seen {
        for ((_, is), reached) in case.reach.iter().zip(&met.reached) {
            reached.set(reached.get() || is(value));
        }
        let (size, length) = (monoid.size_bytes(value), encoded(monoid, value).len());
        if size > case.size_max || 2 * size + 16 < length {
            return Err(format!(
                "{size} bytes in memory, {length} encoded: {value:?}"
            ));
        }
    }
    Ok(seen)
}

fn inverse<M, I>(
    case: &Case<M, I>,
    met: &Met,
    a: &Part<'_, M::Value, I>,
    b: &Part<'_, M::Value, I>,
    ab: Option<&M::Value>,
) -> Result<(), String>
where
    M: Monoid,
    I: Borrow<M::Input> + Clone + Debug,
{
    let monoid = &case.monoid;
    if !monoid.laws().invertible {
        let mut value = a.value.clone();
        let refused = monoid.combine_inverse(&mut value, &b.value);
        same(
            monoid,
            "a refused operation changes nothing",
            &value,
            &a.value,
        )?;
        return match refused.map_err(|refused| refused.kind()) {
            Err(Refusal::NotInvertible) => Ok(()),
            other => Err(format!("not invertible, and taking back is {other:?}")),
        };
    }
    let Some(ab) = ab else { return Ok(()) };
    let mut back = ab.clone();
    if run(monoid, met, &mut back, |value| {
        monoid.combine_inverse(value, &b.value)
    })? {
        (case.judge)(monoid, &back, &a.events).map_err(|error| format!("inverse: {error}"))?;
        if case.exact {
            same(monoid, "inverse", &back, &a.value)?;
        }
    }
    // Taken back before it was added: a delta may be negative.
    let mut delta = monoid.identity();
    if run(monoid, met, &mut delta, |value| {
        monoid.combine_inverse(value, &b.value)
    })? && run(monoid, met, &mut delta, |value| {
        monoid.combine(value, &b.value)
    })? {
        (case.judge)(monoid, &delta, &[]).map_err(|error| format!("negative delta: {error}"))?;
        if case.exact {
            same(monoid, "negative delta", &delta, &monoid.identity())?;
        }
    }
    Ok(())
}

/// Bytes come back as the value they are of; any others are refused, or are the bytes of what they say.
fn bytes<M, I>(
    case: &Case<M, I>,
    values: &[M::Value],
    noise: &[u8],
    place: prop::sample::Index,
) -> Result<(), String>
where
    M: Monoid,
{
    let monoid = &case.monoid;
    let mut tried: Vec<Vec<u8>> = vec![noise.to_vec(), [&[1], noise].concat()];
    for value in values {
        let bytes = encoded(monoid, value);
        let decoded = decoded(monoid, &bytes)?;
        let decoded = decoded.map_err(|refused| format!("own bytes of {value:?}: {refused}"))?;
        same(monoid, "bytes come back", &decoded, value)?;
        if monoid.is_identity(&decoded) != monoid.is_identity(value) {
            return Err(format!(
                "{value:?} is the identity before or after its bytes only"
            ));
        }
        let at = place.index(bytes.len());
        tried.push(bytes[..at].to_vec());
        tried.push([&bytes[..], noise].concat());
        tried.push([&bytes[..], &[0]].concat());
        tried.push([&bytes[..at], noise, &bytes[at..]].concat());
        for change in [1, 0x80, 0xff, noise.first().copied().unwrap_or(2)] {
            let mut changed = bytes.clone();
            changed[at] ^= change;
            tried.push(changed);
        }
        let mut other_version = bytes;
        other_version[0] = other_version[0].wrapping_add(1);
        if monoid.decode(&other_version).is_ok() {
            return Err("bytes of another version are taken".to_owned());
        }
    }
    for bytes in tried {
        let Ok(value) = decoded(monoid, &bytes)? else {
            continue;
        };
        if encoded(monoid, &value) != bytes {
            return Err(format!(
                "{bytes:?} is taken for {value:?}, whose bytes are others"
            ));
        }
        // Whatever was let in can be worked with.
        for other in values.iter().chain([&value]) {
            let mut sum = other.clone();
            let done = catch_unwind(AssertUnwindSafe(|| monoid.combine(&mut sum, &value)));
            done.map_err(|_| format!("combining with {value:?} panics"))?
                .ok();
        }
    }
    Ok(())
}

fn decoded<M: Monoid>(monoid: &M, bytes: &[u8]) -> Result<Result<M::Value, Refused>, String> {
    catch_unwind(AssertUnwindSafe(|| monoid.decode(bytes)))
        .map_err(|_| format!("decoding {bytes:?} panics"))
}
