//! How long a sink may take once a run was told to stop: a broker that is away must not keep the process for as long as it is
//! away.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, ErrorKind, Result};

/// What is left of the time that a sink has. It counts only what the sink is waited for, so that a reader that is slow to end
/// takes nothing of it.
#[derive(Debug)]
pub(super) struct Patience {
    stop: CancellationToken,
    left: Duration,
}

impl Patience {
    /// So long in all, from when `stop` is cancelled.
    pub(super) fn new(stop: CancellationToken, within: Duration) -> Self {
        Self { stop, left: within }
    }

    /// Waits for the sink. Given up, `answer` is dropped in the middle: the sink must not be used after that.
    ///
    /// # Errors
    /// The sink's own; `Cancelled` if it took too long.
    pub(super) async fn wait<T>(&mut self, answer: impl Future<Output = Result<T>>) -> Result<T> {
        let mut since = None;
        let lost = async {
            self.stop.cancelled().await;
            since = Some(Instant::now());
            tokio::time::sleep(self.left).await;
        };
        let answered = tokio::select! {
            biased;
            answered = answer => Some(answered),
            () = lost => None,
        };
        if let Some(since) = since {
            self.left = self.left.saturating_sub(since.elapsed());
        }
        answered.unwrap_or_else(|| {
            self.left = Duration::ZERO;
            Err(Error::new(
                ErrorKind::Cancelled,
                "the sink did not answer in the time that a stop leaves it",
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn within_s(patience: &mut Patience, seconds: u64) -> Result<()> {
        let answer = async {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Ok(())
        };
        patience.wait(answer).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_sink_has_all_the_time_until_the_stop_and_then_so_much_in_all() {
        let stop = CancellationToken::new();
        let mut patience = Patience::new(stop.clone(), Duration::from_secs(10));
        within_s(&mut patience, 3_600).await.unwrap();
        stop.cancel();
        within_s(&mut patience, 6).await.unwrap();
        // Somebody else is waited for.
        tokio::time::sleep(Duration::from_secs(60)).await;
        within_s(&mut patience, 3).await.unwrap();
        let begin = Instant::now();
        let lost = within_s(&mut patience, 3).await.unwrap_err();
        assert_eq!(lost.kind(), ErrorKind::Cancelled);
        assert!(begin.elapsed() < Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_in_the_middle_of_a_wait_begins_the_count() {
        let stop = CancellationToken::new();
        let mut patience = Patience::new(stop.clone(), Duration::from_secs(10));
        let begin = Instant::now();
        let late = async {
            tokio::time::sleep(Duration::from_secs(100)).await;
            stop.cancel();
        };
        let (lost, ()) = tokio::join!(within_s(&mut patience, 3_600), late);
        assert_eq!(lost.unwrap_err().kind(), ErrorKind::Cancelled);
        assert_eq!(begin.elapsed().as_secs(), 110);
    }
}
