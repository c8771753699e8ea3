//! How far the end of the log is: asked of the server now and then, on a connection of its own, so that the stream never
//! waits for the answer. A user that may not ask has no such number.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use headwater_core::Result;
use tokio::task::JoinHandle;

use crate::client::Connection;
use crate::config::ConnectOptions;
use crate::position::{BinlogPosition, compare_names};

/// How often the server is asked.
const ASKED_EVERY: Duration = Duration::from_secs(5);

/// The log's files in order, each with its bytes.
type Files = Vec<(String, u64)>;

/// The end of the log, as it was last told.
#[derive(Debug)]
pub(super) struct LogEnd {
    files: Arc<Mutex<Option<Files>>>,
    asking: JoinHandle<()>,
}

impl Drop for LogEnd {
    fn drop(&mut self) {
        self.asking.abort();
    }
}

impl LogEnd {
    /// Begins to ask.
    pub(super) fn ask(options: ConnectOptions) -> Self {
        let files = Arc::new(Mutex::new(None));
        let told = Arc::clone(&files);
        let asking = tokio::spawn(async move {
            loop {
                if let Err(error) = keep_asking(&options, &told).await
                    && !error.is_temporary()
                {
                    tracing::debug!(
                        "the log's files are not told, so its end is not known: {error}"
                    );
                    return;
                }
                tokio::time::sleep(ASKED_EVERY).await;
            }
        });
        Self { files, asking }
    }

    /// Bytes of the log between `position` and its end, if that is known.
    pub(super) fn bytes_after(&self, position: &BinlogPosition) -> Option<u64> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.as_ref().map(|files| bytes_after(files, position))
    }
}

async fn keep_asking(options: &ConnectOptions, told: &Mutex<Option<Files>>) -> Result<()> {
    let mut connection = Connection::connect(options).await?;
    loop {
        let found = connection.query("SHOW BINARY LOGS").await?.rows;
        let file = |row: &crate::client::TextRow| Some((row.as_str(0)?.to_owned(), row.u64(1)?));
        let files: Files = found.iter().filter_map(file).collect();
        *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(files);
        tokio::time::sleep(ASKED_EVERY).await;
    }
}

fn bytes_after(files: &Files, position: &BinlogPosition) -> u64 {
    let left = files
        .iter()
        .map(|(file, bytes)| match compare_names(file, &position.file) {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Equal => bytes.saturating_sub(position.offset),
            std::cmp::Ordering::Greater => *bytes,
        });
    left.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_the_rest_of_a_file_and_all_later_ones() {
        let files: Files = [("b.999999", 100), ("b.1000000", 70), ("b.1000001", 7)]
            .map(|(file, bytes)| (file.to_owned(), bytes))
            .into();
        let at = |file: &str, offset| BinlogPosition {
            file: file.to_owned(),
            offset,
            gtid_set: None,
            gtid: None,
        };
        assert_eq!(bytes_after(&files, &at("b.999999", 4)), 96 + 77);
        assert_eq!(bytes_after(&files, &at("b.1000000", 70)), 7);
        // Asked before the last rows were written.
        assert_eq!(bytes_after(&files, &at("b.1000001", 9)), 0);
    }
}
