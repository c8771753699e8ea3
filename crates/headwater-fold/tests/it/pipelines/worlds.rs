//! Pipelines in worlds made from seeds: while writers write, processes die anywhere, in a bootstrap and live. In the end each aggregate is
//! what grouping the rows gives.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use headwater_core::engine::Until;
use headwater_core::position::HandoffToken;
use headwater_core::{ErrorKind, Result};
use headwater_fold::live::{self, LiveFrom as _};
use headwater_fold::pipeline::Options;
use headwater_fold::store::Embedded;
use headwater_fold::{bootstrap, monoid};
use headwater_testkit::memory::{self, Cuts, Source, World};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio_util::sync::CancellationToken;

use super::versions;
use crate::seeded::{Running, folder, seeds, world};

/// Seeds of a test in a soak; a tenth of it otherwise.
const SEEDS: u64 = 80;
/// Most steps before a process dies.
const LIFE_STEPS: u64 = 500;
/// Virtual time after which a run is taken for stuck.
const STUCK: Duration = Duration::from_secs(30 * 24 * 3600);

struct Run<'a> {
    world: World,
    store: &'a Path,
    random: StdRng,
}

impl Run<'_> {
    fn options(&mut self, until: Until, stop: &CancellationToken) -> Options {
        let random = &mut self.random;
        let intervals_ms = [20, 100, 500, 5_000, 10_000_000];
        Options {
            commit_interval: Duration::from_millis(
                intervals_ms[random.random_range(0..intervals_ms.len())],
            ),
            pending_bytes_max: [1, 1000, 1 << 20][random.random_range(0..3)],
            readers: random.random_range(1..=3),
            fail_on_error: true,
            until,
            cancel: stop.clone(),
            ..Options::default()
        }
    }

    /// One process: none if it died.
    fn process<A>(
        &mut self,
        until: Until,
        work: impl AsyncFnOnce(Source, Embedded, Options) -> A,
    ) -> Option<A> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let stop = CancellationToken::new();
        let options = self.options(until, &stop);
        let (source, store) = (Source::new(&self.world), Embedded::new(self.store));
        let world = self.world.clone();
        let answer = runtime.block_on(async {
            let stopping = async {
                world.quiet().await;
                stop.cancel();
                std::future::pending::<()>().await;
            };
            tokio::select! {
                biased;
                () = world.died() => None,
                () = tokio::time::sleep(STUCK) => panic!("the run is stuck"),
                () = stopping => None,
                answer = work(source, store, options) => Some(answer),
            }
        });
        drop(runtime);
        if answer.is_none() {
            self.world.revive();
        }
        answer
    }

    fn bootstrap(&mut self) -> Option<Result<HandoffToken>> {
        self.process(Until::Now, async |source, store, options| {
            bootstrap::run(&versions(store), &source, options).await
        })
    }

    fn live(&mut self, token: &HandoffToken, until: Until) -> Option<Result<()>> {
        let token = token.clone();
        self.process(until, async move |source, store, options| {
            let live = source.live_from(token)?;
            live::run(&versions(store), live, options).await.map(drop)
        })
    }

    fn dies_soon(&mut self) {
        let life = self.random.random_range(1..LIFE_STEPS);
        self.world.crash_after(life);
    }

    fn whole(&mut self) {
        let mut token = None;
        for _ in 0..3 {
            self.dies_soon();
            if let Some(Ok(given)) = self.bootstrap() {
                token = Some(given);
                break;
            }
        }
        self.world.revive();
        let token = token.unwrap_or_else(|| {
            loop {
                match self.bootstrap() {
                    Some(Ok(token)) => break token,
                    Some(Err(error)) => assert_eq!(error.kind(), ErrorKind::Cancelled, "{error:?}"),
                    None => panic!("nothing should die here"),
                }
            }
        });
        for _ in 0..3 {
            self.dies_soon();
            if let Some(ended) = self.live(&token, Until::Forever) {
                ended.unwrap();
            }
        }
        self.world.revive();
        self.world.finish();
        self.live(&token, Until::Now).unwrap().unwrap();
    }

    /// What is folded, and what it should be.
    fn judge(&self) {
        let mut groups: BTreeMap<(String, Option<String>), (i64, i128)> = BTreeMap::new();
        for (table, rows) in self.world.contents() {
            let table = table.split_once('.').unwrap().1;
            for row in rows {
                let note = row.get("note").cloned().flatten();
                let group = (table.to_owned(), note);
                let (count, sum) = groups.entry(group).or_default();
                *count += 1;
                *sum += row["version"].as_ref().unwrap().parse::<i128>().unwrap();
            }
        }
        let keys: Vec<_> = groups.keys().cloned().collect();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let answers = versions(Embedded::new(self.store)).answers().unwrap();
        let held = runtime.block_on(answers.get_many(&keys)).unwrap();
        for ((group, expected), held) in groups.iter().zip(held) {
            let (count, sum): (i64, monoid::Wide) = held.value;
            assert_eq!((count, i128::from(sum)), *expected, "{group:?}");
        }
        let all = runtime.block_on(answers.size()).unwrap();
        assert_eq!(all, groups.len(), "groups that should be gone");
    }
}

fn hold(options: &memory::Options) {
    for seed in 0..seeds(SEEDS) {
        let folder = folder();
        let mut run = Run {
            world: World::new(seed, options.clone()),
            store: &folder.path().join("folds.redb"),
            random: StdRng::seed_from_u64(seed ^ 0x5eed),
        };
        let running = Running(seed);
        run.whole();
        run.judge();
        std::mem::forget(running);
    }
}

#[test]
fn pipelines_that_die_anywhere_hold_what_grouping_gives() {
    for cuts in [Cuts::Shared, Cuts::PerReader, Cuts::Marks] {
        hold(&world(cuts));
    }
}

#[test]
#[should_panic(expected = "assertion")]
fn a_position_that_is_taken_too_early_is_found() {
    hold(&memory::Options {
        broken: memory::Broken::PositionBeforeView,
        hot: true,
        ..world(Cuts::Shared)
    });
}
