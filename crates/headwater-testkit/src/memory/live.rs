//! The log in memory, being read.

use std::sync::Arc;
use std::time::Duration;

use headwater_core::batch::{self, Batch, RowHead};
use headwater_core::error::Result;
use headwater_core::source::{LiveSource, LiveStep, LogPoint};
use rand::Rng;
use serde_json::Value;

use super::database::{Action, Change, Transaction, push};
use super::source::{At, Streamed, available};
use super::world::{Broken, World};

/// How long a log without news waits before it says so.
const IDLE: Duration = Duration::from_secs(2);

/// A log reader.
#[derive(Debug)]
pub struct Live {
    world: World,
    point: LogPoint<At>,
    target: Option<At>,
    definitions: Option<Value>,
    streamed: Streamed,
}

impl Live {
    pub(super) fn new(world: &World, point: LogPoint<At>, streamed: Streamed) -> Self {
        Self {
            world: world.clone(),
            point,
            target: None,
            definitions: None,
            streamed,
        }
    }

    fn is_at_target(&self) -> bool {
        let broken = self.world.lock().options.broken;
        let spare = u64::from(broken == Broken::OvershootsTarget);
        let at = self.point.position.0;
        // Not amid a transaction, be its beginning at the target or behind it.
        let is_between = self.point.rows_done == 0;
        self.target
            .filter(|_| is_between)
            .is_some_and(|target| at >= target.0 + spare || (at >= target.0 && at == self.end()))
    }

    fn end(&self) -> u64 {
        self.world.lock().database.end()
    }

    /// The next transaction, if the target allows it and it is there.
    fn next_transaction(&self) -> Option<(u64, Transaction)> {
        if self.is_at_target() {
            return None;
        }
        let number = self.point.position.0 + 1;
        let found = self.world.lock().database.transaction(number).cloned();
        found.map(|transaction| (number, transaction))
    }

    /// Appends rows, up to a limit of its own choosing. Says whether anything moved.
    fn append(&mut self, batch: &mut Batch) -> bool {
        let limit = {
            let inner = &mut *self.world.lock();
            inner.random.random_range(1..=inner.options.batch_rows) as u64
        };
        let mut moved = false;
        while let Some((number, transaction)) = self.next_transaction() {
            let chosen: Vec<&Change> = transaction
                .iter()
                .filter(|change| self.streamed.has(&change.schema.name))
                .collect();
            let total = chosen.len() as u64;
            let space = limit.saturating_sub(batch.len() as u64);
            let left = total - self.point.rows_done;
            let fits = left <= space;
            if !fits && !batch.is_empty() {
                break;
            }
            let until = if fits {
                total
            } else {
                self.point.rows_done + space
            };
            self.append_rows(batch, number, &chosen, until);
            moved = true;
            if !fits {
                self.point.rows_done = until;
                break;
            }
            self.point = LogPoint::at(At(number));
            let defines = |change: &Change| {
                matches!(
                    change.action,
                    Action::AddColumn | Action::Create | Action::Drop
                )
            };
            if transaction.iter().any(defines) {
                self.definitions = Some(self.world.lock().database.definitions_at(number));
                break;
            }
        }
        moved
    }

    fn append_rows(&self, batch: &mut Batch, number: u64, chosen: &[&Change], until: u64) {
        let id = batch.add_transaction(batch::Transaction {
            xid: Some(number),
            gtid: Some(Arc::from(format!("0-1-{number}"))),
            server_id: 1,
            ..batch::Transaction::default()
        });
        let rows = (0u64..).zip(chosen);
        for (offset, change) in rows.filter(|(at, _)| (self.point.rows_done..until).contains(at)) {
            let (before, after) = change.action.images();
            let before = before.map(|row| push(batch, row));
            let after = after.map(|row| push(batch, row));
            let schema = batch.add_schema(&change.schema);
            batch.push_row(RowHead {
                kind: change.action.kind(),
                schema,
                transaction: Some(id),
                before,
                after,
                timestamp_s: 1,
                offset,
                last: offset + 1 == chosen.len() as u64,
            });
        }
    }
}

impl LiveSource for Live {
    type Position = At;

    fn set_target(&mut self, target: Option<At>) {
        self.target = target;
    }

    async fn next(&mut self, batch: &mut Batch) -> Result<LiveStep<At>> {
        self.world.step().await;
        available(&self.world, self.point.position)?;
        // It reconnects by itself; seldom it gives up.
        if self.world.random(20) == 0 {
            self.world.lose_connection()?;
        }
        {
            let inner = &mut *self.world.lock();
            let broken = inner.options.broken == Broken::ForgetsRowsDone;
            if broken && inner.random.random_bool(0.2) {
                self.point.rows_done = 0;
            }
        }
        let moved = self.append(batch);
        let waits_to_say = moved && self.world.random(2) == 0;
        if self.is_at_target() && !waits_to_say {
            return Ok(LiveStep::Reached(self.point.clone()));
        }
        if !batch.is_empty() {
            return Ok(LiveStep::Rows(self.point.clone()));
        }
        if !moved {
            self.world.notice_quiet();
            tokio::time::sleep(IDLE).await;
        }
        Ok(LiveStep::Idle(self.point.clone()))
    }

    fn definitions(&mut self) -> Option<Value> {
        self.definitions.take()
    }

    fn acknowledge(&mut self, point: &LogPoint<At>) {
        assert!(
            point.position <= self.point.position,
            "{point:?} is acknowledged, but only {:?} is out",
            self.point
        );
    }

    async fn close(self) {
        self.world.step().await;
    }
}
