//! Errors of IoTDB, with what to do about them: the one table from the server's codes to kinds.

use std::time::Duration;

use headwater_core::{Error, ErrorKind, Result};

use crate::client::Status;
use crate::config::Address;

/// What is to be done about a status. The codes are those of apache/iotdb, `TSStatusCode`, 2.0.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may pass: wait, and try again for as long as it takes.
    Retry,
    /// The session is over: log in again.
    LogIn,
    /// It may pass or not: a few attempts, then it is refused.
    Unsure,
    /// No row can be written so: the run ends.
    Stop,
    /// What was sent is refused, and would be again.
    Refused,
}

/// Overload, start and stop, leadership and dispatch, read-only, full disks, memory, quotas by time.
const RETRIED: &[i32] = &[
    203,  // START_UP_ERROR
    204,  // SHUT_DOWN_ERROR
    306,  // DISPATCH_ERROR
    600,  // SYSTEM_READ_ONLY
    602,  // STORAGE_ENGINE_NOT_READY
    606,  // WRITE_PROCESS_REJECT
    610,  // WAL_ERROR
    611,  // DISK_SPACE_INSUFFICIENT
    709,  // MPP_MEMORY_NOT_ENOUGH
    712,  // INTERNAL_REQUEST_TIME_OUT
    713,  // INTERNAL_REQUEST_RETRY_ERROR
    717,  // TOO_MANY_CONCURRENT_QUERIES_ERROR
    719,  // QUERY_EXECUTION_MEMORY_NOT_ENOUGH
    720,  // QUERY_TIMEOUT
    903,  // PARTITION_CACHE_UPDATE_ERROR
    904,  // CONSENSUS_NOT_INITIALIZED
    905,  // REGION_LEADER_CHANGE_ERROR
    906,  // NO_AVAILABLE_REGION_GROUP
    907,  // LACK_PARTITION_ALLOCATION
    1003, // NO_ENOUGH_DATANODE
    1007, // CAN_NOT_CONNECT_DATANODE
    1010, // CAN_NOT_CONNECT_CONFIGNODE
    1701, // NUM_REQUESTS_EXCEEDED
    1704, // NUM_WRITE_REQUESTS_EXCEEDED
    1705, // WRITE_SIZE_EXCEEDED
];

/// Codes that servers give for what passes and for what does not.
const UNSURE: &[i32] = &[
    301, // EXECUTE_STATEMENT_ERROR
    305, // INTERNAL_SERVER_ERROR
    601, // STORAGE_ENGINE_ERROR
    603, // DATAREGION_PROCESS_ERROR
    604, // TSFILE_PROCESSOR_ERROR
    605, // WRITE_PROCESS_ERROR
];

const STOPPED: &[i32] = &[
    201, // INCOMPATIBLE_VERSION
    205, // UNSUPPORTED_SQL_DIALECT
    307, // LICENSE_ERROR
    801, // WRONG_LOGIN_PASSWORD
    803, // NO_PERMISSION
    804, // USER_NOT_EXIST
    811, // NOT_HAS_PRIVILEGE
];

const NOT_LOGIN: i32 = 802;

const EXECUTE_STATEMENT_ERROR: i32 = 301;

/// Whether the node that was asked could not send the rows on to the one that leads them, which is dead or starts. There is no code
/// for it. (apache/iotdb, `AsyncSendPlanNodeHandler.onError`.)
fn is_unsent(status: &Status) -> bool {
    let message = status.message.as_deref().unwrap_or_default();
    message.starts_with("Fail to send plan node")
}

impl Verdict {
    /// Of a status that is not success. Of one with parts: what has to be done first.
    pub(crate) fn of(status: &Status) -> Self {
        if !status.parts.is_empty() {
            let parts = status.parts.iter().filter(|part| !part.is_success());
            let verdicts: Vec<Self> = parts.map(Self::of).collect();
            let order = [Self::Stop, Self::LogIn, Self::Retry, Self::Unsure];
            let first = order.into_iter().find(|verdict| verdicts.contains(verdict));
            return first.unwrap_or(Self::Refused);
        }
        match status.code {
            NOT_LOGIN => Self::LogIn,
            code if STOPPED.contains(&code) => Self::Stop,
            code if RETRIED.contains(&code) || status.need_retry == Some(true) => Self::Retry,
            EXECUTE_STATEMENT_ERROR if is_unsent(status) => Self::Retry,
            code if UNSURE.contains(&code) => Self::Unsure,
            _ => Self::Refused,
        }
    }
}

/// An error unless the status is success.
pub(crate) fn check(status: &Status, operation: &'static str) -> Result<()> {
    if status.is_success() {
        return Ok(());
    }
    Err(of_status(status).during(operation))
}

/// What a status that is not success means.
pub(crate) fn of_status(status: &Status) -> Error {
    let failed = status.parts.iter().find(|part| !part.is_success());
    let code = failed.unwrap_or(status).code;
    let (kind, hint) = match (code, Verdict::of(status)) {
        (801 | 804, _) => (
            ErrorKind::Authentication,
            "see `connections.iotdb.user` and its password",
        ),
        (803 | 811, _) => (
            ErrorKind::Privilege,
            "grant the user WRITE_DATA, WRITE_SCHEMA, READ_DATA and READ_SCHEMA on the paths, and MANAGE_DATABASE to create databases",
        ),
        (_, Verdict::Stop) => (
            ErrorKind::Unsupported,
            "see what IoTDB says; versions from 1.3 and 2.0 on are supported",
        ),
        (_, Verdict::Retry | Verdict::LogIn | Verdict::Unsure) => (
            ErrorKind::SinkUnavailable,
            "IoTDB is overloaded, read-only or starting: see its log; nothing is lost meanwhile",
        ),
        (_, Verdict::Refused) => (ErrorKind::SinkRejected, "see what IoTDB says"),
    };
    Error::new(kind, "IoTDB refuses")
        .with("IoTDB says", status.text())
        .hint(hint)
}

/// No connection.
pub(crate) fn unreachable(address: &Address) -> Error {
    Error::new(ErrorKind::SinkUnavailable, "IoTDB cannot be reached")
        .with("address", address)
        .hint("is its DataNode running, and is this its dn_rpc_address and dn_rpc_port?")
}

/// A connection that broke.
pub(crate) fn broken(address: &Address, cause: std::io::Error) -> Error {
    Error::new(ErrorKind::SinkUnavailable, "the connection to IoTDB broke")
        .with("address", address)
        .hint("is its DataNode running? A frame above its dn_thrift_max_frame_size is answered so, too: lower `iotdb.tablet_bytes_max`")
        .caused_by(cause)
}

/// A call without an answer.
pub(crate) fn unanswered(address: &Address, bytes: usize, after: Duration) -> Error {
    Error::new(ErrorKind::SinkUnavailable, "IoTDB did not answer in time")
        .with("address", address)
        .with("bytes sent", bytes)
        .with("after", format!("{after:?}"))
        .hint("a tablet larger than the queue of its log is never answered: lower `iotdb.tablet_bytes_max`, or give its DataNode more memory")
}
