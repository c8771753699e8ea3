//! What a run needs of a server, looked at before it starts: settings, privileges, retention, tables, and what never reaches
//! a row log. Every failed check says the SQL that mends it.

mod columns;
mod duplicates;
mod settings;
mod tables;

use headwater_core::{Error, ErrorKind, Result};

use crate::client::Connection;
use crate::schema::read_definitions;
use crate::snapshot::control::Control;
use crate::source::MysqlSource;

pub use columns::column_types;
pub use duplicates::duplicates;
pub use headwater_core::finding::{Finding, Level};

/// Looks at everything a run of `source` needs. Takes and gives back a lock for a moment, opens a view and a dump.
///
/// # Errors
/// Only when the server cannot be talked to at all; everything else is a finding.
pub async fn check(source: &MysqlSource) -> Result<Vec<Finding>> {
    let options = &source.settings.connect;
    let mut control = Control::connect(options).await?;
    let server = control.connection.server().clone();
    let mut findings = vec![
        Finding::ok(
            "connection",
            format!("{} as {}", options.address, options.user),
        ),
        Finding::ok("version", server.version_text.clone()),
    ];
    settings::check(&mut control, &mut findings).await?;
    settings::check_privileges(&mut control, &mut findings).await?;
    let selection = control.rules.selection(&source.settings.selection);
    match read_definitions(&mut control.connection, &selection).await {
        Ok(definitions) => {
            tables::check(&mut control, &definitions, &mut findings).await?;
            settings::try_lock(&mut control, &definitions, &mut findings).await;
        }
        Err(error) => {
            let mut finding = Finding::failed("tables", error.to_string());
            if let Some(hint) = error.hint_text() {
                finding = finding.expected(hint);
            }
            findings.push(finding);
        }
    }
    settings::try_view(options, &mut findings).await;
    crate::load::check(source, &mut findings).await?;
    settings::try_dump(source, &mut control, &mut findings).await;
    control.close().await;
    Ok(findings)
}

/// Fails with the first check that failed, as a run does before it starts.
///
/// # Errors
/// `Prerequisite` or `Privilege`, with the mending SQL as its hint.
pub async fn require(source: &MysqlSource) -> Result<()> {
    let mut control = Control::connect(&source.settings.connect).await?;
    let mut findings = Vec::new();
    settings::check(&mut control, &mut findings).await?;
    control.close().await;
    let Some(failed) = findings
        .into_iter()
        .find(|finding| finding.level == Level::Failed)
    else {
        return Ok(());
    };
    let mut error = Error::new(
        ErrorKind::Prerequisite,
        format!("{} is {}", failed.name, failed.found),
    )
    .with("needed", failed.expected);
    if let Some(sql) = failed.mend {
        error = error.hint(sql);
    }
    Err(error)
}

/// A server variable; none where the server does not have it.
async fn variable(connection: &mut Connection, name: &str) -> Result<Option<String>> {
    let row = connection
        .query_one(&format!("SHOW GLOBAL VARIABLES LIKE '{name}'"))
        .await?;
    Ok(row.and_then(|row| row.as_str(1).map(str::to_owned)))
}
