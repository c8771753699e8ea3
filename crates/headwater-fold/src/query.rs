//! Answers out of a state store: one key or several, a range of buckets merged through the monoid, the keys with the most. Each answer
//! says how far in the source's log it is true.

use std::collections::BTreeMap;

use headwater_core::{Error, ErrorKind, Result};
use jiff::Timestamp;
use jiff::ToSpan;
use jiff::civil;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fold::Typed;
use crate::monoid::{Aggregate, Monoid};
use crate::place::{ALL_TIME, Place};
use crate::store::{Served, StateReader};
use crate::window::{Window, parse_length_s};

/// Buckets that one question may cover.
pub(crate) const BUCKETS_MAX: usize = 100_000;
/// Keys that one question may name, and that a list of the top ones may hold.
pub const KEYS_MAX: usize = 10_000;

/// What is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Question {
    /// The fold.
    pub fold: String,
    /// The keys; of a fold without a key, none or the empty one.
    pub keys: Vec<String>,
    /// So many keys with the greatest values, instead of keys by name.
    pub top: Option<usize>,
    /// From when, inclusive: a day, a time of the fold's zone, or an instant.
    pub from: Option<String>,
    /// To when: a day, inclusive; or a time or an instant, exclusive.
    pub to: Option<String>,
    /// Say each bucket, too.
    pub by_window: bool,
}

/// What a fold holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "FoldAnswer")]
pub struct Answer {
    /// The fold.
    pub fold: String,
    /// The monoid, with its parameters.
    pub monoid: String,
    /// How far in the source's log it is true.
    pub includes: Includes,
    /// The range of buckets that it covers; absent without a window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
    /// For each key that was asked for, or that is among the top ones.
    pub answers: Vec<KeyAnswer>,
}

/// What an answer includes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "FoldIncludes")]
pub struct Includes {
    /// The place in the source's log: every change before it, none behind it.
    pub position: Value,
    /// Keys that were refolded (`take_back: refold`) may include changes up to here; absent once the position is there.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub refolded_up_to: Value,
    /// When that was stored, in seconds since 1970.
    pub stored_at_s: u64,
}

/// A range of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "FoldRange")]
pub struct Range {
    /// When its first bucket begins.
    pub from: String,
    /// When it ends, exclusive.
    pub to: String,
}

/// The answer for one key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "FoldKeyAnswer")]
pub struct KeyAnswer {
    /// The key.
    pub key: String,
    /// Whether anything is stored for it.
    pub found: bool,
    /// The value, as its monoid shows it.
    pub value: Value,
    /// The buckets that hold something, if they were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<BucketAnswer>,
}

/// The value of one bucket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "FoldBucket")]
pub struct BucketAnswer {
    /// When it begins.
    pub from: String,
    /// Its value.
    pub value: Value,
}

/// Answers a question. `now_s` is seconds since 1970.
///
/// # Errors
/// `NotFound` for a fold that the store has not, or that is not complete yet; `Configuration` for a range that cannot be; the store's.
pub async fn answer<R: StateReader>(reader: &R, question: &Question, now_s: i64) -> Result<Answer> {
    loop {
        let served = reader.served().await?.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "the folds are not complete yet")
                .with("fold", &question.fold)
                .hint("ask again once the rows that were there have been folded (`headwater status` says how far that is), or look whether this is the right store")
        })?;
        match asked(reader, &served, question, now_s).await {
            // Built anew between two looks.
            Err(error) if error.kind() == ErrorKind::Cancelled => {}
            answered => return answered,
        }
    }
}

async fn asked<R: StateReader>(
    reader: &R,
    served: &Served,
    question: &Question,
    now_s: i64,
) -> Result<Answer> {
    let mut folds = served.folds.iter();
    let number = folds
        .position(|fold| fold.name == question.fold)
        .ok_or_else(|| {
            let names: Vec<&str> = served.folds.iter().map(|fold| fold.name.as_str()).collect();
            Error::new(ErrorKind::NotFound, "the store has no such fold")
                .with("fold", &question.fold)
                .with("folds", names.join(", "))
                .hint("ask for one of these")
        })?;
    let typed = Typed::of_info(&served.folds[number])?;
    let span = Span::of(&typed, question, now_s)?;
    let mut found = Found {
        typed: &typed,
        question,
        span: &span,
        now_s,
        keys: BTreeMap::new(),
        forget_at: None,
    };
    let progress = match question.top {
        Some(_) => {
            found.forget_the_least()?;
            let buckets = span.ends();
            let mut each = |entry: crate::store::Entry| found.add(&entry.place, &entry.bytes);
            reader.scan(served, number, buckets, &mut each).await?
        }
        None => {
            let places = found.places()?;
            let (progress, stored) = reader.get_many(served, number, &places).await?;
            for (place, bytes) in places.iter().zip(stored) {
                if let Some(bytes) = bytes {
                    found.add(place, &bytes)?;
                }
            }
            progress
        }
    };
    Ok(Answer {
        fold: question.fold.clone(),
        monoid: typed.monoid.name().into_owned(),
        includes: includes(&progress),
        range: span.shown(),
        answers: found.answers(),
    })
}

pub(crate) fn includes(progress: &Value) -> Includes {
    let checkpoint = &progress["checkpoint"];
    Includes {
        position: checkpoint["log"].clone(),
        refolded_up_to: progress["refold"]["seen"].clone(),
        stored_at_s: checkpoint["written_at_s"].as_u64().unwrap_or_default(),
    }
}

/// Which buckets are asked for.
struct Span {
    zone: TimeZone,
    /// None without a window.
    buckets_s: Option<(Window, i64, i64)>,
}

impl Span {
    fn of(typed: &Typed, question: &Question, now_s: i64) -> Result<Self> {
        let Some(text) = &typed.fold.window else {
            if question.from.is_some() || question.to.is_some() {
                return Err(Error::new(
                    ErrorKind::Configuration,
                    "the fold has no window: it is over all time",
                )
                .with("fold", &question.fold)
                .hint("leave the range out, or give the fold a window, and it is built anew"));
            }
            return Ok(Self {
                zone: TimeZone::UTC,
                buckets_s: None,
            });
        };
        let window = text.window()?;
        let over_s = text.over.as_deref().or(text.keep.as_deref());
        let over_s = over_s.map(parse_length_s).transpose()?;
        let to_s = match &question.to {
            Some(to) => instant_s(to, &window.zone, true)?,
            None => now_s + 1,
        };
        let from_s = match (&question.from, over_s) {
            (Some(from), _) => instant_s(from, &window.zone, false)?,
            (None, Some(over_s)) => window.start_s(to_s.saturating_sub_unsigned(over_s))?,
            (None, None) => {
                return Err(Error::new(ErrorKind::Configuration, "no range is asked for")
                    .with("fold", &question.fold)
                    .hint("say from when: --from 2026-11-01; or give the fold's window `over` or `keep`"));
            }
        };
        Ok(Self {
            zone: window.zone.clone(),
            buckets_s: Some((window, from_s, to_s)),
        })
    }

    fn list(&self) -> Result<Vec<i64>> {
        match &self.buckets_s {
            None => Ok(vec![ALL_TIME]),
            Some((window, from_s, to_s)) => window.buckets_s(*from_s, *to_s, BUCKETS_MAX),
        }
    }

    fn ends(&self) -> (Option<i64>, Option<i64>) {
        match &self.buckets_s {
            None => (None, None),
            Some((_, from_s, to_s)) => (Some(*from_s), Some(*to_s)),
        }
    }

    fn shown(&self) -> Option<Range> {
        let (_, from_s, to_s) = self.buckets_s.as_ref()?;
        Some(Range {
            from: self.show(*from_s),
            to: self.show(*to_s),
        })
    }

    fn show(&self, at_s: i64) -> String {
        match Timestamp::from_second(at_s) {
            Ok(at) => {
                let at = at.to_zoned(self.zone.clone());
                at.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
            }
            Err(_) => at_s.to_string(),
        }
    }
}

/// A day, a local time or an instant, in seconds since 1970. Of a day that ends a range, its end.
fn instant_s(text: &str, zone: &TimeZone, is_end: bool) -> Result<i64> {
    let wrong = || {
        Error::new(ErrorKind::Configuration, format!("`{text}` is no time")).hint(
            "write 2026-11-21, 2026-11-21T12:00:00 in the fold's zone, or 2026-11-21T12:00:00Z",
        )
    };
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(instant.as_second());
    }
    let local = match text.parse::<civil::Date>() {
        Ok(day) if is_end && text.len() == 10 => {
            let next = day
                .checked_add(1.day())
                .map_err(|cause| wrong().caused_by(cause))?;
            next.at(0, 0, 0, 0)
        }
        Ok(day) if text.len() == 10 => day.at(0, 0, 0, 0),
        _ => text
            .parse::<civil::DateTime>()
            .map_err(|cause| wrong().caused_by(cause))?,
    };
    let zoned = zone.to_ambiguous_zoned(local).compatible();
    Ok(zoned
        .map_err(|cause| wrong().caused_by(cause))?
        .timestamp()
        .as_second())
}

/// What was found so far, by key.
struct Found<'a> {
    typed: &'a Typed,
    question: &'a Question,
    span: &'a Span,
    now_s: i64,
    keys: BTreeMap<Box<[u8]>, (Aggregate, Vec<BucketAnswer>)>,
    /// Where a key is found once, so that the least can be forgotten on the way to the top ones: when there are so many.
    forget_at: Option<usize>,
}

/// Keys that are looked through for the top ones at a time, at least.
const RANKED_MIN: usize = 1024;

impl Found<'_> {
    /// The places to look at.
    fn places(&self) -> Result<Vec<Place>> {
        let buckets = self.span.list()?;
        let keys = self.named();
        if keys.len() > KEYS_MAX || keys.len() * buckets.len() > BUCKETS_MAX {
            return Err(Error::new(
                ErrorKind::Configuration,
                "too many keys and buckets are asked for at once",
            )
            .with("keys", keys.len())
            .with("buckets", buckets.len())
            .hint("ask for fewer keys, or a shorter range"));
        }
        let of = |key: &String| -> Vec<Place> {
            let places = buckets
                .iter()
                .map(|bucket_s| Place::new(*bucket_s, key.as_bytes()));
            places.collect()
        };
        Ok(keys.iter().flat_map(of).collect())
    }

    fn named(&self) -> Vec<String> {
        match self.question.keys.as_slice() {
            // The one aggregate of a fold without a key.
            [] => vec![String::new()],
            keys => keys.to_vec(),
        }
    }

    /// Lets go of what will not be among the top ones, if each key is found once.
    fn forget_the_least(&mut self) -> Result<()> {
        let is_once = self.span.list()?.len() <= 1;
        let top = self.question.top.unwrap_or_default().min(KEYS_MAX);
        self.forget_at = is_once.then_some((4 * top).max(RANKED_MIN));
        Ok(())
    }

    /// Forgets all but the top ones.
    fn forget(&mut self) {
        let (monoid, now_us) = (&self.typed.monoid, self.now_s.saturating_mul(1_000_000));
        let keys = std::mem::take(&mut self.keys).into_iter();
        let mut ranked: Vec<_> = keys
            .map(|(key, held)| (size(&monoid.show_at(&held.0, now_us)), key, held))
            .collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        ranked.truncate(self.question.top.unwrap_or_default().min(KEYS_MAX));
        let kept = ranked.into_iter();
        self.keys = kept.map(|(_, key, held)| (key, held)).collect();
    }

    fn add(&mut self, place: &Place, bytes: &[u8]) -> Result<()> {
        if self.forget_at.is_some_and(|most| self.keys.len() >= most) {
            self.forget();
        }
        let monoid = &self.typed.monoid;
        let value = monoid.decode(bytes).map_err(Error::from)?;
        if !self.keys.contains_key(place.key()) {
            let none = (monoid.identity(), Vec::new());
            self.keys.insert(place.key().into(), none);
        }
        let Some((all, windows)) = self.keys.get_mut(place.key()) else {
            return Ok(());
        };
        monoid.combine(all, &value).map_err(Error::from)?;
        if self.question.by_window && place.bucket_s() != ALL_TIME {
            windows.push(BucketAnswer {
                from: self.span.show(place.bucket_s()),
                value: monoid.show(&value),
            });
        }
        Ok(())
    }

    fn answers(mut self) -> Vec<KeyAnswer> {
        let monoid = &self.typed.monoid;
        let now_us = self.now_s.saturating_mul(1_000_000);
        let one = |key: &[u8], held: Option<(Aggregate, Vec<BucketAnswer>)>| {
            let found = held.is_some();
            let (value, windows) = held.unwrap_or_else(|| (monoid.identity(), Vec::new()));
            KeyAnswer {
                key: String::from_utf8_lossy(key).into_owned(),
                found,
                value: monoid.show_at(&value, now_us),
                windows,
            }
        };
        let Some(top) = self.question.top else {
            let keys = self.named();
            let of = |key: String| one(key.as_bytes(), self.keys.remove(key.as_bytes()));
            return keys.into_iter().map(of).collect();
        };
        let all = std::mem::take(&mut self.keys).into_iter();
        let mut all: Vec<KeyAnswer> = all.map(|(key, held)| one(&key, Some(held))).collect();
        all.sort_by(|a, b| {
            size(&b.value)
                .total_cmp(&size(&a.value))
                .then_with(|| a.key.cmp(&b.key))
        });
        all.truncate(top.min(KEYS_MAX));
        all
    }
}

/// What a shown value is ranked by: a number, a number in a text, an estimate; the length of a list.
fn size(value: &Value) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "a rank")]
    match value {
        Value::Number(number) => number.as_f64().unwrap_or(f64::NEG_INFINITY),
        Value::String(text) => text.parse().unwrap_or(f64::NEG_INFINITY),
        Value::Array(list) => list.len() as f64,
        Value::Object(members) => members.values().next().map_or(f64::NEG_INFINITY, size),
        Value::Null | Value::Bool(_) => f64::NEG_INFINITY,
    }
}
