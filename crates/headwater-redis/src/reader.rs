//! Answers beside the writer.

use headwater_core::{Error, ErrorKind, Result};
use headwater_fold::place::Place;
use headwater_fold::store::{Catalog, Entry, Served, StateReader};
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, Pipeline, RedisResult};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::client::Server;
use crate::config::RedisOptions;
use crate::keys::{Keys, bucket, bucket_s};

/// How often a scan begins again because a bucket came or went meanwhile.
const SCANS_MAX: u32 = 100;

/// Answers queries from a Redis or a Valkey, whoever writes there.
///
/// A scan holds all of its range in memory: it is read at once, so that it is of one commit.
#[derive(Debug)]
pub struct RedisReader {
    server: Server,
    keys: Keys,
    connection: Mutex<Option<MultiplexedConnection>>,
}

/// A hash: its keys with their values.
type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

impl RedisReader {
    /// What reads the store with these options; the server is asked with the first question.
    ///
    /// # Errors
    /// `Configuration`.
    pub fn new(options: &RedisOptions) -> Result<Self> {
        Ok(Self {
            server: Server::new(options.clone())?,
            keys: Keys::new(&options.name),
            connection: Mutex::default(),
        })
    }

    /// Asks all at once; what the store says of itself is what comes first.
    async fn ask<T: FromRedisValue>(&self, asked: &Pipeline) -> Result<T> {
        let connection = self.connection.lock().await.clone();
        let mut connection = match connection {
            Some(connection) => connection,
            None => {
                let connection = self.server.connect().await?;
                self.connection.lock().await.insert(connection).clone()
            }
        };
        let answer: RedisResult<T> = asked.query_async(&mut connection).await;
        if answer.is_err() {
            *self.connection.lock().await = None;
        }
        answer.map_err(|cause| self.server.failed("reading the store", cause))
    }

    fn asking(&self) -> Pipeline {
        let mut asked = redis::pipe();
        asked.atomic();
        asked.cmd("HGET").arg(self.keys.meta()).arg("catalog");
        asked
    }

    fn catalog(&self, text: Option<Vec<u8>>) -> Result<Catalog> {
        self.server.catalog(&text.unwrap_or_default())
    }
}

impl StateReader for RedisReader {
    async fn served(&self) -> Result<Option<Served>> {
        let (text,): (Option<Vec<u8>>,) = self.ask(&self.asking()).await?;
        Ok(self.catalog(text)?.into_served())
    }

    async fn written(&self) -> Result<Option<Value>> {
        let (text,): (Option<Vec<u8>>,) = self.ask(&self.asking()).await?;
        Ok(self.catalog(text)?.into_written())
    }

    async fn get_many(
        &self,
        served: &Served,
        fold: usize,
        places: &[Place],
    ) -> Result<(Value, Vec<Option<Vec<u8>>>)> {
        let index = self.keys.index(served.generation, fold);
        let mut asked = self.asking();
        for place in places {
            let state = format!("{index}:{}", bucket(place.bucket_s()));
            asked.cmd("HGET").arg(state).arg(place.key());
        }
        let mut answers: Vec<Option<Vec<u8>>> = self.ask(&asked).await?;
        let found = answers.split_off(1);
        let catalog = self.catalog(answers.pop().flatten())?;
        Ok((catalog.into_progress_of(served)?, found))
    }

    async fn scan(
        &self,
        served: &Served,
        fold: usize,
        buckets_s: (Option<i64>, Option<i64>),
        each: &mut (dyn FnMut(Entry) -> Result<()> + Send),
    ) -> Result<Value> {
        let index = self.keys.index(served.generation, fold);
        let from = buckets_s
            .0
            .map_or("-".to_owned(), |from_s| format!("[{}", bucket(from_s)));
        let to = buckets_s
            .1
            .map_or("+".to_owned(), |to_s| format!("({}", bucket(to_s)));
        let mut buckets: Vec<String> = Vec::new();
        for _ in 0..SCANS_MAX {
            let mut asked = self.asking();
            asked.cmd("ZRANGEBYLEX").arg(&index).arg(&from).arg(&to);
            for bucket in &buckets {
                asked.cmd("HGETALL").arg(format!("{index}:{bucket}"));
            }
            let mut answers: Vec<redis::Value> = self.ask(&asked).await?;
            let hashes = answers.split_off(2);
            let now: Vec<String> = self.typed(answers.pop())?;
            let catalog = self.catalog(self.typed(answers.pop())?)?;
            let progress = catalog.into_progress_of(served)?;
            if now != buckets {
                buckets = now;
                continue;
            }
            for (digits, hash) in buckets.iter().zip(hashes) {
                let mut pairs: Pairs = self.typed(Some(hash))?;
                pairs.sort_unstable();
                let bucket_s = bucket_s(digits).unwrap_or_default();
                for (key, bytes) in pairs {
                    let place = Place::new(bucket_s, &key);
                    each(Entry { place, bytes })?;
                }
            }
            return Ok(progress);
        }
        Err(Error::new(
            ErrorKind::SinkUnavailable,
            "the buckets of a fold changed again and again while they were read",
        )
        .hint("ask again"))
    }
}

impl RedisReader {
    fn typed<T: FromRedisValue>(&self, value: Option<redis::Value>) -> Result<T> {
        let typed = T::from_redis_value(value.unwrap_or(redis::Value::Nil));
        typed.map_err(|cause| self.server.failed("reading the store", cause.into()))
    }
}
