//! The load of the source above which bootstraps wait, and the replicas whose lag is part of it.

use headwater_core::Result;
use headwater_core::load::LoadLimits;
use headwater_mysql::config::{Address, ConnectOptions};
use schemars::JsonSchema;
use serde::Deserialize;

use super::trigger::Bootstrap;

/// Above which load of the source bootstraps wait: whatever of it is not known counts as above. Nothing given: they never do. The
/// stream itself never waits.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Load {
    /// The most statements that run at once (`Threads_running`, as the server counts them: what asks, and readers of its log, too).
    pub(crate) threads_running: Option<u64>,
    /// The longest history list of InnoDB. On MySQL the account needs PROCESS for it.
    pub(crate) history_length: Option<u64>,
    /// How many seconds any of `replicas` may be behind. One that does not replicate, or does not answer, is too far behind.
    pub(crate) replica_lag_s: Option<u64>,
    /// The replicas: `HOST` or `HOST:PORT`, for the account, password and TLS of the source, or a URL of their own
    /// (`mysql://USER:PASSWORD@HOST:PORT`). The account needs REPLICATION CLIENT there (on MariaDB REPLICA MONITOR).
    pub(crate) replicas: Option<Vec<String>>,
    /// How many seconds a measurement counts. 1 if not given.
    #[schemars(range(min = 1, max = 3600))]
    pub(crate) interval_s: Option<u16>,
}

impl Load {
    /// The limits.
    pub(crate) fn limits(&self) -> LoadLimits {
        LoadLimits {
            threads_running: self.threads_running,
            history_length: self.history_length,
            replica_lag_s: self.replica_lag_s,
        }
    }
}

/// The limits that the file has.
pub(crate) fn limits(asking: Option<&Bootstrap>) -> LoadLimits {
    let load = asking.and_then(|asking| asking.load.as_ref());
    load.map(Load::limits).unwrap_or_default()
}

/// How to reach the replicas that the file names.
pub(crate) fn replicas(
    asking: Option<&Bootstrap>,
    source: &ConnectOptions,
) -> Result<Vec<ConnectOptions>> {
    let named = asking.and_then(|asking| asking.load.as_ref()?.replicas.as_ref());
    let named = named.map(Vec::as_slice).unwrap_or_default();
    named.iter().map(|text| replica(text, source)).collect()
}

/// A replica by its address, with the account of the source, or by a URL of its own.
pub(crate) fn replica(text: &str, source: &ConnectOptions) -> Result<ConnectOptions> {
    let mut options = if text.contains("://") {
        let mut options = ConnectOptions::from_url(text)?;
        if options.password.is_none() && options.user == source.user {
            options.password.clone_from(&source.password);
        }
        options
    } else {
        // Whatever a host may look like, an IPv6 address included, is read as a URL has it.
        // What cannot be read is not repeated: it may hold a password.
        let parsed = ConnectOptions::from_url(&format!("mysql://x@{text}/")).map_err(|_| {
            super::misused(
                "this is no address of a replica",
                "write HOST, HOST:PORT, or mysql://USER:PASSWORD@HOST:PORT",
            )
        })?;
        ConnectOptions {
            address: parsed.address,
            ..source.clone()
        }
    };
    options.database = None;
    if let Address::Tcp { host, .. } = &options.address
        && host.contains(',')
    {
        return Err(super::misused(
            format!("`{host}` is more than one replica"),
            "write them as a list, one after each `- `",
        ));
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_has_the_account_of_the_source_unless_its_url_has_its_own() {
        let source =
            ConnectOptions::from_url("mysql://cdc:secret@db1:3306/shop?ssl-mode=required").unwrap();
        for (text, url) in [
            ("db2", "mysql://cdc:***@db2:3306?ssl-mode=required"),
            ("db2:3307", "mysql://cdc:***@db2:3307?ssl-mode=required"),
            ("[::1]:3307", "mysql://cdc:***@[::1]:3307?ssl-mode=required"),
            ("mysql://cdc@db3/x", "mysql://cdc:***@db3:3306"),
            ("mysql://eye:s@db3:1", "mysql://eye:***@db3:1"),
            ("mariadb://eye@db3", "mysql://eye@db3:3306"),
        ] {
            assert_eq!(
                replica(text, &source).unwrap().redacted_url(),
                url,
                "{text}"
            );
        }
        for bad in ["", "db2:x", "db2,db3", "a@b"] {
            assert!(replica(bad, &source).is_err(), "{bad}");
        }
    }
}
