//! What a server's errors mean for a run.

use headwater_core::ErrorKind;
use redis::{RedisError, ServerErrorKind};

/// The kind of an error, and what to do about it.
pub(crate) fn meaning(cause: &RedisError) -> (ErrorKind, &'static str) {
    use redis::ErrorKind as Redis;
    const AWAY: (ErrorKind, &str) = (
        ErrorKind::SinkUnavailable,
        "see that the Redis runs and can be reached; it is tried again",
    );
    const PASSWORD: (ErrorKind, &str) = (
        ErrorKind::Authentication,
        "look at the user and the password of the Redis",
    );
    const REFUSED: (ErrorKind, &str) = (
        ErrorKind::SinkRejected,
        "the Redis refuses what is needed: look at the cause, and at its version (7.0 or newer)",
    );
    // Said of the first command after connecting, without the code of the server's error.
    let text = cause.to_string();
    if text.contains("refused to switch database") {
        return match text.contains("Authentication required") {
            true => PASSWORD,
            false => (
                ErrorKind::Configuration,
                "look at the number of the database in the store's URL: a Redis has 0 to 15 unless it is set otherwise, a cluster only 0",
            ),
        };
    }
    match (cause.kind(), cause.code()) {
        (Redis::AuthenticationFailed, _) | (_, Some("NOAUTH" | "WRONGPASS")) => PASSWORD,
        (Redis::Server(ServerErrorKind::NoPerm), _) => (
            ErrorKind::Privilege,
            "the user needs all commands on the keys that begin with {headwater:",
        ),
        (_, Some("WRONGTYPE")) => (
            ErrorKind::CheckpointForeign,
            "the store's keys hold something else: use another `name`, and the folds are built anew",
        ),
        (_, Some("OOM")) => (
            ErrorKind::SinkUnavailable,
            "the Redis is full: raise its maxmemory; it is tried again",
        ),
        (_, Some("READONLY")) => (
            ErrorKind::SinkUnavailable,
            "this Redis is a replica: name the one that is written to, unless it is to become that; it is tried again",
        ),
        (_, Some("BUSY" | "MISCONF" | "NOREPLICAS")) => AWAY,
        (Redis::InvalidClientConfig, _) => (ErrorKind::Configuration, "look at the store's URL"),
        (
            Redis::Server(ServerErrorKind::ResponseError | ServerErrorKind::CrossSlot)
            | Redis::Extension
            | Redis::UnexpectedReturnType,
            _,
        ) => REFUSED,
        _ => AWAY,
    }
}
