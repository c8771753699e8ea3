//! What a cache in front of the store saves, in bytes that the server sends.

use headwater_fold::place::Place;
use headwater_fold::store::{Cached, Deltas, Merged, StateStore, Step};
use headwater_redis::RedisStore;
use headwater_servers::redis::{Redis, RedisFlavor, RedisOptions as ServerOptions};
use serde_json::json;

use crate::kills::{folds, options};

const PLACES: u64 = 20;
const AGGREGATE_BYTES: u64 = 10_000;
const STEPS: u64 = 10;

/// Aggregates of some kilobytes, as sketches are, each changed a little by each step.
struct Sketches(Vec<Place>);

impl Deltas for Sketches {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn place(&self, at: usize) -> &Place {
        &self.0[at]
    }

    fn merge(
        &self,
        _: usize,
        stored: Option<&[u8]>,
        out: &mut Vec<u8>,
    ) -> headwater_core::Result<Merged> {
        let changed = stored.map_or(0, |stored| stored[0] + 1);
        out.resize(usize::try_from(AGGREGATE_BYTES).unwrap(), changed);
        Ok(Merged::Put)
    }
}

fn sent_bytes(server: &Redis) -> u64 {
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_connection().unwrap();
    let mut asked = redis::cmd("INFO");
    let info: String = asked.arg("stats").query(&mut connection).unwrap();
    let mut lines = info.lines();
    let sent = lines.find_map(|line| line.strip_prefix("total_net_output_bytes:"));
    sent.unwrap().parse().unwrap()
}

/// What the server sends in some steps over the same places, after the first.
async fn sent_with(cache_bytes: usize) -> u64 {
    let server = Redis::start(RedisFlavor::Redis, &ServerOptions::default()).unwrap();
    let store = RedisStore::new(options(&server.url())).unwrap();
    let mut store = Cached::new(store, cache_bytes);
    store.take_over(&folds(), false).await.unwrap();
    let places = (0..PLACES).map(|number| Place::new(0, &number.to_be_bytes()));
    let deltas = Sketches(places.collect());
    let mut before = 0;
    for number in 0..=STEPS {
        store.merge(0, &deltas).await.unwrap();
        let step = Step {
            progress: &json!(number),
            serve: true,
            keep_from_s: &[],
        };
        store.commit(step).await.unwrap();
        if number == 0 {
            before = sent_bytes(&server);
        }
    }
    let sent = sent_bytes(&server) - before;
    // Each step counted, whoever remembered.
    let (_, held) = crate::kills::held_by(&store).await;
    assert_eq!(held.len() as u64, PLACES);
    let last = u8::try_from(STEPS).unwrap();
    assert!(held.values().all(|bytes| bytes[0] == last), "{held:?}");
    sent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_the_cache_is_not_read_again() {
    let read = STEPS * PLACES * AGGREGATE_BYTES;
    let (without, too_small, with) = (
        sent_with(0).await,
        sent_with(50_000).await,
        sent_with(1 << 20).await,
    );
    assert!(without > read, "{without} of {read}");
    assert!(too_small > read, "{too_small} of {read}");
    assert!(with < read / 50, "{with} of {read}");
}
