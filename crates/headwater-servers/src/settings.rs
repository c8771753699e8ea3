//! The settings that servers start with: row-based log with full images and metadata, GTID on, small
//! buffers, little waiting for the disk.

use std::path::Path;

use crate::flavor::Flavor;

/// The options of a running server; `extra` comes last, so that it overrides the rest.
pub(crate) fn options(flavor: Flavor, folder: &Path, port: u16, extra: &[String]) -> Vec<String> {
    let mut all = vec![
        format!("--datadir={}", folder.join("data").display()),
        format!("--socket={}", folder.join("s").display()),
        // A MariaDB that starts removes what other servers keep in a folder for temporary files that they share.
        format!("--tmpdir={}", folder.join("tmp").display()),
        format!("--pid-file={}", folder.join("server.pid").display()),
        format!("--port={port}"),
        format!("--server-id={}", flavor.server_id()),
    ];
    let common = [
        "--bind-address=127.0.0.1",
        "--log-bin=binlog",
        "--binlog-format=ROW",
        "--binlog-row-image=FULL",
        "--binlog-row-metadata=FULL",
        "--sync-binlog=0",
        "--innodb-flush-log-at-trx-commit=2",
        "--innodb-buffer-pool-size=64M",
        "--character-set-server=utf8mb4",
        "--default-time-zone=+00:00",
        "--skip-name-resolve",
        "--performance-schema=OFF",
        "--max-connections=300",
        "--max-allowed-packet=256M",
        "--local-infile=1",
    ];
    let own: &[&str] = match flavor.is_mariadb() {
        true => &[
            "--gtid-domain-id=0",
            "--gtid-strict-mode=ON",
            "--log-slave-updates=ON",
            "--expire-logs-days=0",
            "--innodb-log-file-size=64M",
        ],
        false => &[
            "--gtid-mode=ON",
            "--enforce-gtid-consistency=ON",
            "--log-replica-updates=ON",
            "--mysqlx=OFF",
            "--innodb-redo-log-capacity=64M",
            "--secure-file-priv=",
        ],
    };
    all.extend(common.iter().chain(own).map(|&option| option.to_owned()));
    all.extend_from_slice(extra);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_of_the_caller_comes_after_the_defaults() {
        let extra = ["--binlog-row-metadata=MINIMAL".to_owned()];
        for flavor in Flavor::ALL {
            let all = options(flavor, Path::new("/x"), 1, &extra);
            assert_eq!(all.last(), extra.last());
        }
    }
}
