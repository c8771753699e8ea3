//! Apache IoTDB.

use crate::error::{Error, Result};

/// The environment variable that holds the `HOST:PORT` of an IoTDB to use instead of the shared one.
pub const VARIABLE: &str = "HEADWATER_TEST_IOTDB";

/// Where the shared IoTDB is: `HOST:PORT`, user and password `root`.
///
/// # Errors
/// None runs.
pub fn shared() -> Result<String> {
    std::env::var(VARIABLE).map_err(|_| Error::new("no IoTDB runs for tests"))
}
