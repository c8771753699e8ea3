//! Servers that are killed, and servers that come back with less than they had.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use headwater_core::{ErrorKind, Result};
use headwater_fold::place::Place;
use headwater_fold::store::{Deltas, FoldInfo, Merged, StateReader, StateStore, Step, Taken};
use headwater_redis::{RedisOptions, RedisStore};
use headwater_servers::redis::{Redis, RedisFlavor, RedisOptions as ServerOptions};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

pub(crate) type Held = BTreeMap<Place, Vec<u8>>;

/// A text that is appended at some places.
pub(crate) struct Append(Vec<Place>, String);

impl Append {
    pub(crate) fn new(keys: impl IntoIterator<Item = u8>, text: &str) -> Self {
        let mut places: Vec<Place> = keys
            .into_iter()
            .map(|key| Place::new(i64::from(key % 3) * 60, &[key]))
            .collect();
        places.sort();
        places.dedup();
        Self(places, text.to_owned())
    }

    pub(crate) fn to(&self, held: &mut Held) {
        for place in &self.0 {
            let bytes = held.entry(place.clone()).or_default();
            bytes.extend_from_slice(self.1.as_bytes());
        }
    }
}

impl Deltas for Append {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn place(&self, at: usize) -> &Place {
        &self.0[at]
    }

    fn merge(&self, _: usize, stored: Option<&[u8]>, out: &mut Vec<u8>) -> Result<Merged> {
        out.extend_from_slice(stored.unwrap_or_default());
        out.extend_from_slice(self.1.as_bytes());
        Ok(Merged::Put)
    }
}

pub(crate) fn folds() -> Vec<FoldInfo> {
    vec![FoldInfo {
        name: "appended".to_owned(),
        definition: json!({}),
    }]
}

pub(crate) fn options(url: &str) -> RedisOptions {
    RedisOptions::from_url(&format!("{url}?name=test")).unwrap()
}

pub(crate) async fn step(store: &mut RedisStore, deltas: &Append, progress: &Value) -> Result<()> {
    store.merge(0, deltas).await?;
    let step = Step {
        progress,
        serve: true,
        keep_from_s: &[],
    };
    store.commit(step).await
}

pub(crate) async fn held(store: &RedisStore) -> (Value, Held) {
    held_by(store).await
}

pub(crate) async fn held_by<S: StateStore>(store: &S) -> (Value, Held) {
    let reader = store.reader().unwrap();
    let served = reader.served().await.unwrap().unwrap();
    let mut held = Held::new();
    let mut each = |entry: headwater_fold::store::Entry| {
        held.insert(entry.place, entry.bytes);
        Ok(())
    };
    let progress = reader.scan(&served, 0, (None, None), &mut each).await;
    (progress.unwrap(), held)
}

/// Takes over as soon as the server is there again.
async fn take_over(store: &mut RedisStore) -> Taken {
    for _ in 0..12_000 {
        match store.take_over(&folds(), false).await {
            Ok(taken) => return taken,
            Err(error) => assert!(error.is_temporary(), "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the server stayed away for two minutes");
}

/// Kills the server again and again while steps are committed: what was answered is there, what was not is there as a whole or not at
/// all, and nothing counts twice.
async fn every_answered_step_outlives_kills(flavor: RedisFlavor, step_bytes_max: usize, seed: u64) {
    let mut server = Redis::start(flavor, &ServerOptions::default()).unwrap();
    let mut options = options(&server.url());
    options.step_bytes_max = step_bytes_max;
    let killed = Arc::new(AtomicBool::new(false));
    let steps = Arc::new(AtomicU32::new(0));
    let killing = std::thread::spawn({
        let (killed, steps) = (killed.clone(), steps.clone());
        move || {
            let mut random = StdRng::seed_from_u64(seed);
            for _ in 0..8 {
                // So that each kill but the last is felt by the step that comes before the next.
                let before = steps.load(Ordering::Relaxed);
                while steps.load(Ordering::Relaxed) == before {
                    std::thread::sleep(Duration::from_millis(1));
                }
                std::thread::sleep(Duration::from_millis(random.random_range(20..300)));
                server.kill().unwrap();
                server.restart().unwrap();
            }
            killed.store(true, Ordering::Relaxed);
            server
        }
    });
    let mut random = StdRng::seed_from_u64(seed + 1);
    let mut store = RedisStore::new(options).unwrap();
    let (mut model, mut progress) = (Held::new(), None);
    assert_eq!(take_over(&mut store).await.progress, None);
    let (mut turn, mut failures) = (0, 0);
    while !killed.load(Ordering::Relaxed) {
        turn += 1;
        let keys: Vec<u8> = (0..200).map(|_| random.random_range(0..60)).collect();
        let deltas = Append::new(keys, &format!("{turn},"));
        let asked = Some(json!(turn));
        let done = step(&mut store, &deltas, &json!(turn)).await;
        let found = match done {
            Ok(()) => {
                steps.fetch_add(1, Ordering::Relaxed);
                asked.clone()
            }
            Err(error) => {
                failures += 1;
                assert!(error.is_temporary(), "{error:?}");
                assert!(error.hint_text().is_some(), "{error:?}");
                take_over(&mut store).await.progress
            }
        };
        if found == asked {
            deltas.to(&mut model);
            progress = found;
        } else {
            assert_eq!(found, progress, "seed {seed}: an answered step has gone");
        }
    }
    let server = killing.join().unwrap();
    assert!(failures > 0, "seed {seed}: no kill was felt");
    let taken = take_over(&mut store).await;
    assert_eq!(taken.progress, progress);
    let (found, state) = held(&store).await;
    assert_eq!((Some(found), state), (progress, model), "seed {seed}");
    drop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answered_step_outlives_kills_of_redis() {
    every_answered_step_outlives_kills(RedisFlavor::Redis, 1 << 20, 7).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_staged_step_outlives_kills_of_valkey() {
    every_answered_step_outlives_kills(RedisFlavor::Valkey, 500, 8).await;
}

/// A server came back as it was some steps ago: the writer is told, writes nothing over it, and goes on from where it stands.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_went_back_is_noticed() {
    let settings = ServerOptions::with(&[["appendonly", "no"]]);
    let mut server = Redis::start(RedisFlavor::Redis, &settings).unwrap();
    for keeps_some in [true, false] {
        let mut store = RedisStore::new(options(&server.url())).unwrap();
        store.take_over(&folds(), true).await.unwrap();
        let first = Append::new([1, 2, 3], "first,");
        step(&mut store, &first, &json!("first")).await.unwrap();
        let mut connection = redis::Client::open(server.url())
            .unwrap()
            .get_connection()
            .unwrap();
        let command = if keeps_some { "SAVE" } else { "PING" };
        redis::cmd(command).exec(&mut connection).unwrap();
        let second = Append::new([2, 3, 4], "second,");
        step(&mut store, &second, &json!("second")).await.unwrap();
        if !keeps_some {
            server.kill().unwrap();
            std::fs::remove_file(server.folder().join("data/dump.rdb")).unwrap();
        }
        server.kill().unwrap();
        server.restart().unwrap();
        // The connection is found broken first, whatever is asked.
        let error = step(&mut store, &first, &json!("lost")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SinkUnavailable, "{error:?}");
        let taken = store.take_over(&folds(), false).await.unwrap();
        assert_eq!(taken.progress, keeps_some.then(|| json!("first")));
        step(&mut store, &second, &json!("again")).await.unwrap();
        let mut model = Held::new();
        if keeps_some {
            first.to(&mut model);
        }
        second.to(&mut model);
        assert_eq!(held(&store).await, (json!("again"), model));
    }
}

/// The same without a broken connection: the server's data goes back under a writer that is connected.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_went_back_under_its_writer_is_not_written_to() {
    let server = Redis::start(RedisFlavor::Redis, &ServerOptions::default()).unwrap();
    let mut store = RedisStore::new(options(&server.url())).unwrap();
    store.take_over(&folds(), false).await.unwrap();
    let deltas = Append::new([1, 2], "x");
    let mut model = Held::new();
    for _ in 0..5 {
        step(&mut store, &deltas, &json!(1)).await.unwrap();
        deltas.to(&mut model);
    }
    let mut connection = redis::Client::open(server.url())
        .unwrap()
        .get_connection()
        .unwrap();
    let mut back = |field: &str, by: i64| {
        let mut command = redis::cmd("HINCRBY");
        command.arg("{headwater:test}").arg(field).arg(by);
        command.exec(&mut connection).unwrap();
    };
    for (field, by) in [("commits", -1), ("staged", 1), ("epoch", -1)] {
        back(field, by);
        let error = step(&mut store, &deltas, &json!(2)).await.unwrap_err();
        assert_eq!(
            error.kind(),
            ErrorKind::SinkUnavailable,
            "{field}: {error:?}"
        );
        let taken = store.take_over(&folds(), false).await.unwrap();
        assert_eq!(taken.progress, Some(json!(1)), "{field}");
        // Between what was read and what is written, too.
        store.merge(0, &deltas).await.unwrap();
        back(field, by);
        let committing = Step {
            progress: &json!(2),
            serve: true,
            keep_from_s: &[],
        };
        let error = store.commit(committing).await.unwrap_err();
        assert_eq!(
            error.kind(),
            ErrorKind::SinkUnavailable,
            "{field}: {error:?}"
        );
        store.take_over(&folds(), false).await.unwrap();
    }
    assert_eq!(held(&store).await, (json!(1), model));
}

/// A replica may become what is written to: it is waited for, and said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_is_told_and_waited_for() {
    for flavor in RedisFlavor::ALL {
        let server = Redis::start(flavor, &ServerOptions::default()).unwrap();
        let client = redis::Client::open(server.url()).unwrap();
        let mut connection = client.get_connection().unwrap();
        let mut follow = |host: &str, port: &str| {
            let mut command = redis::cmd("REPLICAOF");
            command.arg(host).arg(port).exec(&mut connection).unwrap();
        };
        follow("127.0.0.1", "1");
        let mut store = RedisStore::new(options(&server.url())).unwrap();
        let error = store.take_over(&folds(), false).await.unwrap_err();
        assert!(error.is_temporary(), "{error:?}");
        assert!(
            error.hint_text().unwrap().contains("is a replica"),
            "{error:?}"
        );
        follow("NO", "ONE");
        take_over(&mut store).await;
    }
}

/// A Redis that is away, wants a password, or drops keys: what is said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_will_not_do_is_told_with_what_to_do() {
    let mut settings =
        ServerOptions::with(&[["maxmemory", "100mb"], ["maxmemory-policy", "allkeys-lru"]]);
    settings.password = "secret".to_owned();
    let mut server = Redis::start(RedisFlavor::Valkey, &settings).unwrap();
    let without = server.url().replace(":secret@", "");
    let wrong = server.url().replace("secret", "hidden");
    let cases = [
        (server.url(), ErrorKind::Prerequisite),
        (without, ErrorKind::Authentication),
        (wrong, ErrorKind::Authentication),
    ];
    for (url, kind) in cases {
        let mut store = RedisStore::new(options(&url)).unwrap();
        let error = store.take_over(&folds(), false).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error:?}");
        assert!(error.hint_text().is_some(), "{error:?}");
        let said = format!("{error:?} {error}");
        assert!(
            !said.contains("secret") && !said.contains("hidden"),
            "{said}"
        );
    }
    server.kill().unwrap();
    let mut store = RedisStore::new(options(&server.url())).unwrap();
    let error = store.take_over(&folds(), false).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SinkUnavailable, "{error:?}");
    assert!(error.hint_text().is_some(), "{error:?}");
}
