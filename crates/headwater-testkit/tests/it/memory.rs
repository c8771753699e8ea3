//! The suites on what is in memory, and that a world is the same each time.

use std::collections::BTreeMap;

use headwater_testkit::conformance::checkpoint_store::{self, CheckpointStoreHarness};
use headwater_testkit::conformance::sink::{self, SinkHarness};
use headwater_testkit::conformance::source::{self, SourceHarness};
use headwater_testkit::memory::{Keeps, Options, Sink, Source, Store, Target, World};
use headwater_testkit::oracle::{Event, Image, Keys};

struct InMemory {
    world: World,
    source: Source,
}

impl InMemory {
    /// A world whose writers write only when they are asked.
    fn new(seed: u64) -> Self {
        let options = Options {
            transactions: 0,
            rows: 300,
            big_transaction_rows: 200,
            ..Options::default()
        };
        let world = World::new(seed, options);
        let source = Source::new(&world);
        Self { world, source }
    }
}

impl SourceHarness for InMemory {
    type Source = Source;

    fn source(&self) -> &Source {
        &self.source
    }

    async fn change(&self, count: u64) {
        self.world.write(count);
    }

    async fn contents(&self) -> BTreeMap<String, Vec<Image>> {
        self.world.contents()
    }

    fn keys(&self) -> Keys {
        self.world.history().keys
    }
}

#[tokio::test(start_paused = true)]
async fn the_source_keeps_its_contract() {
    for seed in 0..10 {
        let harness = InMemory::new(seed);
        source::a_cut_is_exact(&harness).await;
        source::planned_splits_hold_every_row_once(&harness).await;
        source::a_split_goes_on_from_its_cursor(&harness).await;
        source::keys_are_read_as_splits_are(&harness).await;
        source::the_log_stops_at_its_target(&harness).await;
        source::the_log_goes_on_from_every_point(&harness).await;
        source::a_call_given_up_loses_nothing(&harness, seed).await;
    }
}

struct InMemoryTarget {
    world: World,
    target: Target,
}

impl InMemoryTarget {
    fn new(keeps: Keeps) -> Self {
        let options = Options {
            transactions: 0,
            ..Options::default()
        };
        Self {
            world: World::new(1, options),
            target: Target::new(keeps),
        }
    }
}

impl SinkHarness for InMemoryTarget {
    type Sink = Sink;

    fn sink(&self) -> Sink {
        Sink::new(&self.target, &self.world)
    }

    fn events(&self) -> Vec<Event> {
        self.target.events()
    }
}

#[tokio::test(start_paused = true)]
async fn the_sink_keeps_its_contract() {
    for keeps in [Keeps::Mark, Keeps::Everything] {
        let new = || InMemoryTarget::new(keeps);
        sink::rows_before_a_barrier_are_durable_and_in_order(&new()).await;
        sink::a_durable_write_is_durable(&new()).await;
        sink::barriers_add_nothing(&new()).await;
        sink::what_came_after_the_mark_is_taken_back(&new()).await;
        sink::a_target_that_is_not_empty_is_refused_without_a_mark(&new()).await;
        sink::a_target_that_lost_rows_is_refused(&new(), &new()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_sink_that_keeps_the_checkpoint_keeps_its_contract() {
    let new = || InMemoryTarget::new(Keeps::Checkpoint);
    sink::rows_and_checkpoint_are_committed_together(&new()).await;
    sink::what_is_not_committed_is_never_seen(&new()).await;
    sink::a_newcomer_fences_off_who_was_there(&new()).await;
}

struct InMemoryStore(Store);

impl CheckpointStoreHarness for InMemoryStore {
    type Store = Store;

    fn open(&self) -> headwater_core::Result<Store> {
        Ok(self.0.clone())
    }

    fn damage(&self) -> bool {
        false
    }

    fn bytes(&self) -> Vec<u8> {
        Vec::new()
    }
}

#[test]
fn the_checkpoint_store_keeps_its_contract() {
    let new = || InMemoryStore(Store::new(&World::new(1, Options::default())));
    checkpoint_store::an_empty_store_holds_nothing(&new());
    checkpoint_store::what_was_saved_is_found(&new());
    checkpoint_store::the_last_document_replaces_the_others(&new());
    checkpoint_store::a_damaged_document_is_refused_and_left_alone(&new());
}

#[test]
fn one_seed_makes_one_world() {
    let history = |seed| {
        let world = World::new(seed, Options::default());
        world.finish();
        world.history()
    };
    assert_eq!(history(5).changes, history(5).changes);
    assert_ne!(history(5).changes, history(6).changes);
}
