//! Whether what differs is a difference, or something that a stream brings late. A place is looked at again on both sides, until
//! it is the same on both, or has not changed on either for long enough.

use std::collections::{BTreeMap, HashSet};

use headwater_core::Result;
use headwater_core::views::Views;
use tokio::time::{Duration, Instant};

use super::content::{Place, PlaceId, Places};
use super::judge::judge;
use super::takers::Chosen;
use super::target::Wanted;
use super::{ColumnDifference, Comparing, Difference, Kind, Reason, merged};

/// How many times as long as a place has to stand still it is looked at.
pub(super) const PATIENCE: u32 = 4;
const WAIT_MIN: Duration = Duration::from_millis(200);
const WAIT_MAX: Duration = Duration::from_secs(2);

/// A place that differs, and since when both sides of it are as they are.
struct Seen {
    place: Place,
    since: Instant,
}

/// The time between two looks.
pub(super) async fn wait(settle: Duration) {
    tokio::time::sleep((settle / 4).clamp(WAIT_MIN, WAIT_MAX)).await;
}

impl<V: Views, F: FnMut(Difference) + Send> Comparing<'_, V, F> {
    /// Decides on places that differ.
    pub(super) async fn settle(&mut self, suspects: Places) -> Result<()> {
        let begun = Instant::now();
        let seen = |(id, place)| {
            (
                id,
                Seen {
                    place,
                    since: begun,
                },
            )
        };
        let mut open: BTreeMap<PlaceId, Seen> = suspects.into_iter().map(seen).collect();
        let settle = self.how.settle;
        loop {
            let is_decided = |seen: &Seen| seen.since.elapsed() >= settle;
            let all = std::mem::take(&mut open);
            for (id, seen) in all {
                if is_decided(&seen) {
                    self.decide(id, &seen.place);
                } else {
                    open.insert(id, seen);
                }
            }
            if open.is_empty() {
                return Ok(());
            }
            if begun.elapsed() >= settle * PATIENCE {
                self.report.unsettled += open.len() as u64;
                return Ok(());
            }
            wait(settle).await;
            let mut found = self.again(open.keys()).await?;
            let now = Instant::now();
            open.retain(|id, seen| {
                let Some(place) = found.remove(id) else {
                    return false;
                };
                if seen.place != place {
                    (seen.place, seen.since) = (place, now);
                }
                true
            });
        }
    }

    /// What still differs of these places.
    async fn again(&self, places: impl Iterator<Item = &PlaceId>) -> Result<Places> {
        let mut by_device: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        let mut chosen = HashSet::new();
        for (device, time) in places {
            by_device.entry(device.clone()).or_default().push(*time);
            chosen.insert((device.clone(), *time));
        }
        let times = by_device.values().flatten();
        let ranges = merged(times.map(|time| (*time, *time)).collect());
        self.contents(Chosen::Places(chosen), Wanted::Places(by_device), &ranges)
            .await
    }

    /// Counts a difference that is no failure.
    pub(super) fn explain(&mut self, reason: Reason) {
        let mut counts = Reason::ALL.iter().zip(&mut self.report.explained);
        if let Some((_, count)) = counts.find(|(known, _)| **known == reason) {
            *count += 1;
        }
    }

    fn decide(&mut self, (device, time): PlaceId, place: &Place) {
        let Some(verdict) = judge(place, self.rules()) else {
            return;
        };
        if let Some(reason) = verdict.reason {
            self.explain(reason);
        } else {
            if self.is_enough() {
                self.report.not_looked_at += 1;
                return;
            }
            *match verdict.kind {
                Kind::Differs => &mut self.report.differs,
                Kind::Missing => &mut self.report.missing,
                Kind::Extra => &mut self.report.extra,
            } += 1;
        }
        let (plan, fields) = (&self.context.plan, &self.context.fields);
        let columns = verdict.fields.iter().map(|(field, source, iotdb)| {
            let at = fields[*field];
            let series_type = plan.layout.columns[at].series_type;
            ColumnDifference {
                name: plan.names[at].clone(),
                source: source.as_ref().map(|held| held.json(series_type)),
                iotdb: iotdb.as_ref().map(|held| held.json(series_type)),
            }
        });
        let row = place.rows.first().map(|row| row.key.clone());
        let key = row.or_else(|| place.refused.clone());
        (self.tell)(Difference {
            table: self.report.table.clone(),
            kind: verdict.kind,
            reason: verdict.reason,
            key: key.filter(|key| !key.is_empty()),
            device,
            time: Some(time),
            columns: columns.collect(),
        });
    }
}
