//! The server's settings, the user's privileges, and whether a lock, a view and a dump can really be had.

use headwater_core::Result;

use super::{Finding, variable};
use crate::client::Connection;
use crate::config::ConnectOptions;
use crate::live::probe_dump;
use crate::schema::{TableDefinition, TableFacts};
use crate::snapshot::control::Control;
use crate::snapshot::sql::quoted_table;
use crate::source::MysqlSource;

/// Logs kept for less than this are said to be short.
const RETENTION_S: u64 = 24 * 3600;

pub(super) async fn check(control: &mut Control, findings: &mut Vec<Finding>) -> Result<()> {
    let mariadb = control.is_mariadb();
    let connection = &mut control.connection;
    let mut want = async |name: &str, wanted: &str, mend: &str| -> Result<()> {
        let Some(found) = variable(connection, name).await? else {
            return Ok(());
        };
        findings.push(if found.eq_ignore_ascii_case(wanted) {
            Finding::ok(name, found)
        } else {
            Finding::failed(name, found).expected(wanted).mend(mend)
        });
        Ok(())
    };
    want(
        "log_bin",
        "ON",
        "restart the server with --log-bin --server-id=1 (it cannot be turned on while it runs)",
    )
    .await?;
    want(
        "binlog_format",
        "ROW",
        "SET GLOBAL binlog_format = 'ROW' -- and reconnect the applications: sessions keep theirs",
    )
    .await?;
    want("binlog_row_image", "FULL", "SET GLOBAL binlog_row_image = 'FULL' -- and reconnect the applications: sessions keep theirs").await?;
    metadata(&mut control.connection, findings).await?;
    partial_json(&mut control.connection, findings).await?;
    server_id(&mut control.connection, findings).await?;
    if mariadb {
        findings.push(Finding::ok("gtid", "MariaDB's, by domain"));
    } else {
        gtid(control.gtid_mode, findings);
    }
    if control.rules.keeps_letter_case_only() {
        findings.push(Finding::warning("lower_case_table_names", "2").expected(
            "tables named in the letter case that the server shows, here and in DDL: this setting is not tested",
        ));
    }
    retention(&mut control.connection, mariadb, findings).await?;
    filters(control, findings).await?;
    clock(&mut control.connection, findings).await
}

async fn metadata(connection: &mut Connection, findings: &mut Vec<Finding>) -> Result<()> {
    let found = variable(connection, "binlog_row_metadata")
        .await?
        .unwrap_or_default();
    findings.push(if found.eq_ignore_ascii_case("FULL") {
        Finding::ok("binlog_row_metadata", found)
    } else {
        Finding::warning("binlog_row_metadata", found)
            .expected("FULL is better: definitions are then in the log, and need not be followed through DDL")
            .mend("SET GLOBAL binlog_row_metadata = 'FULL'")
    });
    Ok(())
}

async fn partial_json(connection: &mut Connection, findings: &mut Vec<Finding>) -> Result<()> {
    let found = variable(connection, "binlog_row_value_options")
        .await?
        .unwrap_or_default();
    if found.to_ascii_uppercase().contains("PARTIAL_JSON") {
        findings.push(
            Finding::failed("binlog_row_value_options", found)
                .expected("empty: partial updates of JSON are not supported yet")
                .mend("SET GLOBAL binlog_row_value_options = ''"),
        );
    }
    Ok(())
}

async fn server_id(connection: &mut Connection, findings: &mut Vec<Finding>) -> Result<()> {
    let found = variable(connection, "server_id").await?.unwrap_or_default();
    findings.push(if found == "0" {
        Finding::failed("server_id", found)
            .expected("any number but 0")
            .mend("SET GLOBAL server_id = 1")
    } else {
        Finding::ok("server_id", found)
    });
    Ok(())
}

fn gtid(on: bool, findings: &mut Vec<Finding>) {
    findings.push(if on {
        Finding::ok("gtid_mode", "ON")
    } else {
        Finding::warning("gtid_mode", "OFF")
            .expected("ON is better: positions then hold across servers, and a copy needs no lock")
            .mend("SET GLOBAL enforce_gtid_consistency = ON; SET GLOBAL gtid_mode = OFF_PERMISSIVE; SET GLOBAL gtid_mode = ON_PERMISSIVE; SET GLOBAL gtid_mode = ON")
    });
}

async fn retention(
    connection: &mut Connection,
    mariadb: bool,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    let seconds = variable(connection, "binlog_expire_logs_seconds").await?;
    let seconds = seconds
        .and_then(|text| text.parse::<u64>().ok())
        .unwrap_or(0);
    let days = variable(connection, "expire_logs_days").await?;
    let days = days
        .and_then(|text| text.parse::<f64>().ok())
        .unwrap_or(0.0);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "days of a log's life, and the cast saturates"
    )]
    let kept = seconds.max((days * 86_400.0) as u64);
    let mend = if mariadb {
        "SET GLOBAL expire_logs_days = 7"
    } else {
        "SET GLOBAL binlog_expire_logs_seconds = 604800"
    };
    findings.push(match kept {
        0 => Finding::ok("log retention", "kept until purged by hand"),
        kept if kept < RETENTION_S => Finding::warning("log retention", format!("{kept} s"))
            .expected("at least a day: a stream that stands still for longer has to copy again")
            .mend(mend),
        kept => Finding::ok("log retention", format!("{} h", kept / 3600)),
    });
    Ok(())
}

/// What a server leaves out of its log.
async fn filters(control: &mut Control, findings: &mut Vec<Finding>) -> Result<()> {
    // Without a log there is nothing to leave out: log_bin has said so.
    let Ok(status) = control.current_status().await else {
        return Ok(());
    };
    for (name, found) in status {
        if !found.is_empty() {
            findings.push(
                Finding::warning(name, found).expected(
                    "changes that this filter leaves out of the log are not in the stream",
                ),
            );
        }
    }
    let connection = &mut control.connection;
    for name in ["log_replica_updates", "log_slave_updates"] {
        if variable(connection, name)
            .await?
            .is_some_and(|found| found == "OFF")
        {
            findings.push(
                Finding::warning(name, "OFF")
                    .expected("ON if this server is a replica: what it receives is not in its log otherwise")
                    .mend(format!("restart the server with --{}", name.replace('_', "-"))),
            );
            break;
        }
    }
    Ok(())
}

async fn clock(connection: &mut Connection, findings: &mut Vec<Finding>) -> Result<()> {
    let text = connection
        .query_scalar("SELECT UNIX_TIMESTAMP()")
        .await?
        .unwrap_or_default();
    let theirs = text.parse::<u64>().unwrap_or(0);
    let apart = headwater_core::clock::now_s().abs_diff(theirs);
    findings.push(if apart <= 5 {
        Finding::ok("clock", "agrees with this machine's")
    } else {
        Finding::warning("clock", format!("{apart} s apart from this machine's"))
            .expected("lag is measured between the two: set both by NTP")
    });
    Ok(())
}

pub(super) async fn check_privileges(
    control: &mut Control,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    let mariadb = control.is_mariadb();
    let grants = control.connection.query("SHOW GRANTS").await?;
    let text: Vec<String> = grants
        .rows
        .iter()
        .filter_map(|row| row.as_str(0))
        .filter(|line| line.contains(" ON *.* "))
        .map(str::to_ascii_uppercase)
        .collect();
    let user = control
        .connection
        .query_scalar("SELECT CURRENT_USER()")
        .await?
        .unwrap_or_default();
    let account = user
        .split_once('@')
        .map_or_else(|| user.clone(), |(name, host)| format!("'{name}'@'{host}'"));
    let has = |privileges: &[&str]| {
        text.iter().any(|line| {
            line.contains("ALL PRIVILEGES")
                || privileges.iter().any(|privilege| line.contains(privilege))
        })
    };
    let needed: [(&str, &[&str]); 2] = [
        (
            "REPLICATION SLAVE",
            &["REPLICATION SLAVE", "REPLICATION REPLICA"],
        ),
        if mariadb {
            ("BINLOG MONITOR", &["BINLOG MONITOR", "REPLICATION CLIENT"])
        } else {
            ("REPLICATION CLIENT", &["REPLICATION CLIENT"])
        },
    ];
    for (privilege, names) in needed {
        findings.push(if has(names) {
            Finding::ok(format!("privilege {privilege}"), "granted")
        } else {
            Finding::failed(format!("privilege {privilege}"), "not granted")
                .expected("needed to read the log")
                .mend(format!("GRANT {privilege} ON *.* TO {account}"))
        });
    }
    Ok(())
}

/// Takes the lock that a copy would take, and gives it back at once.
pub(super) async fn try_lock(
    control: &mut Control,
    definitions: &[(TableDefinition, TableFacts)],
    findings: &mut Vec<Finding>,
) {
    let mariadb = control.is_mariadb();
    let gtid_mode = control.gtid_mode;
    let connection = &mut control.connection;
    let bounded = connection
        .execute("SET SESSION lock_wait_timeout = 2")
        .await;
    let global = connection.execute("FLUSH TABLES WITH READ LOCK").await;
    let unlocked = connection.execute("UNLOCK TABLES").await;
    let error = match (bounded, global, unlocked) {
        (Ok(_), Ok(_), Ok(_)) => {
            findings.push(Finding::ok(
                "cut",
                "exact, by a global read lock of milliseconds",
            ));
            return;
        }
        (Err(error), _, _) | (_, Err(error), _) | (_, _, Err(error)) => error,
    };
    if mariadb {
        findings.push(Finding::ok(
            "cut",
            "exact and lock-free; several readers take a cut each, for lack of RELOAD",
        ));
        return;
    }
    let tables: Vec<String> = definitions
        .iter()
        .map(|(definition, _)| format!("{} READ", quoted_table(&definition.name)))
        .collect();
    let locked = connection
        .execute(&format!("LOCK TABLES {}", tables.join(", ")))
        .await;
    let unlocked = connection.execute("UNLOCK TABLES").await;
    findings.push(match (locked, unlocked, gtid_mode) {
        (Ok(_), Ok(_), _) => Finding::ok("cut", "exact, by read locks on the tables for a moment"),
        (_, _, true) => Finding::ok("cut", "exact by key, by marks and without any lock"),
        _ => Finding::failed("cut", error.to_string())
            .expected("a lock for a moment, or GTIDs")
            .mend("GRANT RELOAD ON *.* TO CURRENT_USER -- or GRANT LOCK TABLES ON the database, or turn on gtid_mode"),
    });
}

/// Opens a view as a reader would.
pub(super) async fn try_view(options: &ConnectOptions, findings: &mut Vec<Finding>) {
    let opened = async {
        let mut connection = Connection::connect(options).await?;
        connection
            .execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            .await?;
        connection
            .execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
            .await?;
        connection.execute("ROLLBACK").await?;
        connection.close().await;
        Ok::<(), headwater_core::Error>(())
    };
    findings.push(match opened.await {
        Ok(()) => Finding::ok("view", "a consistent snapshot opens"),
        Err(error) => Finding::failed("view", error.to_string()),
    });
}

/// Asks for the log as a stream would.
pub(super) async fn try_dump(
    source: &MysqlSource,
    control: &mut Control,
    findings: &mut Vec<Finding>,
) {
    let opened = async {
        let position = control.current_position().await?;
        probe_dump(&source.settings, &position).await?;
        Ok::<_, headwater_core::Error>(position)
    };
    findings.push(match opened.await {
        Ok(position) => Finding::ok(
            "log",
            format!(
                "can be read; its end is {}:{}",
                position.file, position.offset
            ),
        ),
        Err(error) => {
            let mut finding = Finding::failed("log", error.to_string());
            if let Some(hint) = error.hint_text() {
                finding = finding.expected(hint);
            }
            finding
        }
    });
}
