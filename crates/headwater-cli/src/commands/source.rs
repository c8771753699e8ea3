//! The source that the settings name.

use headwater_mysql::schema::Selection as Tables;
use headwater_mysql::{MysqlSource, Settings as MysqlSettings};

use crate::config::{Selection, Settings, SourceSettings};

/// A source with these settings. Nothing is connected yet.
pub(super) fn open(settings: &SourceSettings) -> MysqlSource {
    MysqlSource::new(mysql_settings(settings))
}

/// The same for a run, which may want more of the log than rows.
pub(super) fn open_for_run(settings: &Settings) -> MysqlSource {
    let asking = settings.asking.as_ref();
    MysqlSource::new(MysqlSettings {
        with_gtid: settings.events.output_gtid_position,
        with_ddl: settings.events.output_ddl,
        with_query: settings.events.output_row_query,
        with_position: settings.events.output_binlog_position,
        trigger: asking.map(|asking| asking.table.clone()),
        ..mysql_settings(&settings.source)
    })
}

fn mysql_settings(settings: &SourceSettings) -> MysqlSettings {
    let conditions = settings.conditions.iter();
    MysqlSettings {
        conditions: conditions
            .map(|condition| (condition.table.clone(), condition.sql.clone()))
            .collect(),
        server_id: settings.server_id,
        load: settings.load,
        replicas: settings.replicas.clone(),
        ..MysqlSettings::new(
            settings.connect.clone(),
            tables(&settings.selection).filtered(settings.filter.clone()),
        )
    }
}

fn tables(selection: &Selection) -> Tables {
    let databases = selection.databases.iter().map(|name| name.as_str().into());
    let (databases, tables) = (databases.collect::<Vec<_>>(), selection.tables.clone());
    match (databases.is_empty(), tables.is_empty()) {
        (true, true) => Tables::All,
        (false, true) => Tables::Databases(databases),
        (true, false) => Tables::Tables(tables),
        (false, false) => Tables::Both { databases, tables },
    }
}
