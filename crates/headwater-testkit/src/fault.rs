//! Faults between engine and sink.

use std::time::Duration;

use headwater_core::batch::Batch;
use headwater_core::error::{Error, ErrorKind, Result};
use headwater_core::sink::{Capabilities, Durability, Receipt, Sink};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

/// The chance of each fault at a call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Faults {
    /// The call fails and does nothing.
    pub reject: f64,
    /// The call does what it should, and its answer is lost.
    pub lose_answer: f64,
    /// The call is held back for up to a minute.
    pub hold_back: f64,
    /// The call is slow: up to 300 milliseconds.
    pub slow_down: f64,
}

impl Faults {
    /// No faults.
    pub const NONE: Self = Self {
        reject: 0.0,
        lose_answer: 0.0,
        hold_back: 0.0,
        slow_down: 0.0,
    };

    /// Each with this chance.
    #[must_use]
    pub fn each(chance: f64) -> Self {
        Self {
            reject: chance,
            lose_answer: chance,
            hold_back: chance,
            slow_down: chance,
        }
    }
}

/// A sink with faults.
#[derive(Debug)]
pub struct Faulty<K> {
    sink: K,
    faults: Faults,
    random: StdRng,
}

impl<K: Sink> Faulty<K> {
    /// `sink` with faults drawn from `seed`.
    pub fn new(sink: K, faults: Faults, seed: u64) -> Self {
        Self {
            sink,
            faults,
            random: StdRng::seed_from_u64(seed),
        }
    }

    async fn before(&mut self) -> Result<()> {
        let faults = self.faults;
        if self.random.random_bool(faults.hold_back) {
            let wait = self.random.random_range(1..60);
            tokio::time::sleep(Duration::from_secs(wait)).await;
        }
        if self.random.random_bool(faults.slow_down) {
            let wait = self.random.random_range(1..300);
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
        if self.random.random_bool(faults.reject) {
            return Err(Error::new(
                ErrorKind::SinkUnavailable,
                "rejected, as asked for",
            ));
        }
        Ok(())
    }

    fn after<T>(&mut self, answer: T) -> Result<T> {
        if self.random.random_bool(self.faults.lose_answer) {
            return Err(Error::new(
                ErrorKind::SinkUnavailable,
                "the answer was lost, as asked for",
            ));
        }
        Ok(answer)
    }
}

impl<K: Sink> Sink for Faulty<K> {
    fn capabilities(&self) -> Capabilities {
        self.sink.capabilities()
    }

    fn name(&self) -> String {
        self.sink.name()
    }

    async fn recover(&mut self) -> Result<Option<Value>> {
        self.before().await?;
        let document = self.sink.recover().await?;
        self.after(document)
    }

    async fn commit(&mut self, document: &Value) -> Result<()> {
        self.before().await?;
        self.sink.commit(document).await?;
        self.after(())
    }

    async fn open(&mut self, mark: Option<&Value>) -> Result<()> {
        self.before().await?;
        self.sink.open(mark).await
    }

    async fn write(&mut self, batch: &Batch, durability: Durability) -> Result<Receipt> {
        self.before().await?;
        let receipt = self.sink.write(batch, durability).await?;
        self.after(receipt)
    }
}
