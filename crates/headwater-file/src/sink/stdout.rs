//! Standard output, or any other stream that cannot be taken back.

use std::fmt;
use std::io::Write;

use headwater_core::batch::Batch;
use headwater_core::sink::{Capabilities, Durability, Receipt, Sink};
use headwater_core::{Error, ErrorKind, Result};
use serde_json::Value;

use crate::config::FileOptions;
use crate::encode::Encode;
use crate::error;
use crate::writer::{self, Output, Writer};

/// Writes events to a stream. Durable is what the stream took; there is no mark, and nothing is taken back.
pub struct StdoutSink<W, E> {
    stream: Option<W>,
    encoder: E,
    options: FileOptions,
    writer: Option<Writer>,
}

impl<W: Write + Send + 'static, E: Encode> StdoutSink<W, E> {
    /// A sink on `stream`, which should have no buffer of its own: it is given long runs, and is flushed after each.
    pub fn new(stream: W, encoder: E, options: FileOptions) -> Self {
        Self {
            stream: Some(stream),
            encoder,
            options,
            writer: None,
        }
    }
}

impl<W, E> fmt::Debug for StdoutSink<W, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StdoutSink").finish_non_exhaustive()
    }
}

impl<W: Write + Send + 'static, E: Encode> Sink for StdoutSink<W, E> {
    fn capabilities(&self) -> Capabilities {
        super::capabilities(false)
    }

    fn name(&self) -> String {
        "stdout".to_owned()
    }

    async fn open(&mut self, mark: Option<&Value>) -> Result<()> {
        if let Some(stream) = self.stream.take() {
            let output = Stream {
                stream,
                is_closed: false,
            };
            self.writer = Some(Writer::start(output, self.options)?);
        }
        match &mut self.writer {
            Some(writer) => writer.open(mark).await,
            None => Err(not_open()),
        }
    }

    async fn write(&mut self, batch: &Batch, durability: Durability) -> Result<Receipt> {
        let writer = self.writer.as_mut().ok_or_else(not_open)?;
        super::write(writer, &mut self.encoder, batch, durability).await
    }
}

fn not_open() -> Error {
    Error::new(ErrorKind::Internal, "the sink is not open").with("sink", "stdout")
}

struct Stream<W> {
    stream: W,
    is_closed: bool,
}

impl<W: Write> Stream<W> {
    fn fail(&mut self, error: std::io::Error) -> Error {
        let error = error::output("stdout", error);
        self.is_closed |= error.kind() == ErrorKind::SinkClosed;
        error
    }
}

impl<W: Write + Send + 'static> Output for Stream<W> {
    fn open(&mut self, mark: Option<&Value>) -> Result<()> {
        if mark.is_some_and(|mark| !mark.is_null()) {
            return Err(Error::new(
                ErrorKind::SinkRejected,
                "the checkpoint was made with another sink, standard output has no mark",
            )
            .with("sink", "stdout")
            .hint("name the same sink as before, or another checkpoint"));
        }
        if self.is_closed {
            return Err(self.fail(std::io::ErrorKind::BrokenPipe.into()));
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let written = writer::write_all(&mut self.stream, bytes);
        written
            .and_then(|()| self.stream.flush())
            .map_err(|error| self.fail(error))
    }

    fn make_durable(&mut self) -> Result<Value> {
        Ok(Value::Null)
    }
}
