//! The source that the settings name.

use headwater_core::Result;
use headwater_mysql::schema::Selection as Tables;
use headwater_mysql::{MysqlSource, Settings as MysqlSettings};

use crate::config::{Selection, SourceSettings, misused};

/// A source with these settings. Nothing is connected yet.
pub(super) fn open(settings: &SourceSettings) -> Result<MysqlSource> {
    Ok(MysqlSource::new(mysql_settings(settings)?))
}

/// The same for a run, whose events may want more of the log than rows.
pub(super) fn open_for_events(
    settings: &SourceSettings,
    events: &headwater_format::maxwell::Options,
) -> Result<MysqlSource> {
    Ok(MysqlSource::new(MysqlSettings {
        with_gtid: events.output_gtid_position,
        with_query: events.output_row_query,
        ..mysql_settings(settings)?
    }))
}

fn mysql_settings(settings: &SourceSettings) -> Result<MysqlSettings> {
    let conditions = settings.conditions.iter();
    Ok(MysqlSettings {
        conditions: conditions
            .map(|condition| (condition.table.clone(), condition.sql.clone()))
            .collect(),
        server_id: settings.server_id,
        ..MysqlSettings::new(settings.connect.clone(), tables(&settings.selection)?)
    })
}

fn tables(selection: &Selection) -> Result<Tables> {
    let databases = || selection.databases.iter().map(|name| name.as_str().into());
    match (selection.databases.is_empty(), selection.tables.is_empty()) {
        (true, true) => Ok(Tables::All),
        (false, true) => Ok(Tables::Databases(databases().collect())),
        (true, false) => Ok(Tables::Tables(selection.tables.clone())),
        (false, false) => Err(misused(
            "whole databases and single tables of others cannot be mixed in one run",
            "name the tables one by one, or take whole databases only",
        )),
    }
}
