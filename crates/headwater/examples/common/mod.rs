//! What each example needs and none is about.

use headwater::{CancellationToken, Error, ErrorKind, Result};

/// The words on the command line; the first lines of the example say which.
pub(crate) fn arguments<const N: usize>() -> Result<[String; N]> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    words.try_into().map_err(|words: Vec<String>| {
        Error::new(
            ErrorKind::Configuration,
            format!("{} words were given, and {N} are needed", words.len()),
        )
        .hint("the first lines of the example say which")
    })
}

pub(crate) fn stop_at_ctrl_c() -> CancellationToken {
    let stop = CancellationToken::new();
    let told = stop.clone();
    tokio::spawn(async move {
        let _ = tokio::signal::ctrl_c().await;
        told.cancel();
    });
    stop
}
