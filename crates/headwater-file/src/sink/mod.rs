//! The sinks of this crate.

mod file;
mod mark;
mod null;
mod regular;
mod stdout;

pub(crate) use regular::{folder, sync_folder};

pub use file::FileSink;
pub use null::NullSink;
pub use stdout::StdoutSink;

use headwater_core::Result;
use headwater_core::batch::Batch;
use headwater_core::sink::{Capabilities, Durability, Receipt};

use crate::encode::Encode;
use crate::writer::Writer;

/// A batch is encoded into one buffer, whatever its size; the engine's own bound is the one that counts.
const BATCH_BYTES_MAX: usize = usize::MAX;

fn capabilities(rewinds: bool) -> Capabilities {
    Capabilities {
        idempotent: false,
        rewinds,
        replaces_by_key: true,
        keeps_checkpoint: false,
        counts_rows: false,
        batch_bytes_max: BATCH_BYTES_MAX,
    }
}

/// What every sink with a thread does with a batch.
async fn write(
    writer: &mut Writer,
    encoder: &mut impl Encode,
    batch: &Batch,
    durability: Durability,
) -> Result<Receipt> {
    if !batch.is_empty() {
        writer.write(|out| encoder.encode(batch, out)).await?;
    }
    match durability {
        Durability::Accepted => Ok(Receipt::Accepted),
        Durability::Durable => Ok(Receipt::Durable(writer.make_durable().await?)),
    }
}
