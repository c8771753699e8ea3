//! What turns a batch into the bytes of a file.

use headwater_core::batch::Batch;

/// An encoding of events as lines.
///
/// The whole batch is encoded, in order, each event whole and with its line end: a sink never sees half an event.
pub trait Encode: Send + 'static {
    /// Appends the events of `batch` to `out`. What `out` holds already stays.
    fn encode(&mut self, batch: &Batch, out: &mut Vec<u8>);
}

impl Encode for headwater_format::maxwell::Encoder {
    fn encode(&mut self, batch: &Batch, out: &mut Vec<u8>) {
        // Rows that have no event in this format are not the sink's concern.
        let _counts = self.encode_batch(batch, out);
    }
}
