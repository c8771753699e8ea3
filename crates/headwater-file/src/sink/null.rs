//! The sink that keeps nothing.

use headwater_core::Result;
use headwater_core::batch::Batch;
use headwater_core::sink::{Capabilities, Durability, Receipt, Sink};
use serde_json::Value;

use crate::encode::Encode;

/// Encodes events, or not even that, and drops them: what is left is the cost of everything before the sink.
#[derive(Debug)]
pub struct NullSink<E> {
    encoder: Option<E>,
    out: Vec<u8>,
    bytes: u64,
}

impl<E> NullSink<E> {
    /// With an encoder, events are encoded before they are dropped.
    #[must_use]
    pub fn new(encoder: Option<E>) -> Self {
        Self {
            encoder,
            out: Vec::new(),
            bytes: 0,
        }
    }

    /// Bytes encoded and dropped so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl<E: Encode> Sink for NullSink<E> {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            idempotent: true,
            ..super::capabilities(true)
        }
    }

    fn name(&self) -> String {
        "null".to_owned()
    }

    async fn open(&mut self, _mark: Option<&Value>) -> Result<()> {
        Ok(())
    }

    async fn write(&mut self, batch: &Batch, durability: Durability) -> Result<Receipt> {
        if let Some(encoder) = &mut self.encoder {
            self.out.clear();
            encoder.encode(batch, &mut self.out);
            self.bytes += self.out.len() as u64;
        }
        Ok(match durability {
            Durability::Accepted => Receipt::Accepted,
            Durability::Durable => Receipt::Durable(Value::Null),
        })
    }
}
