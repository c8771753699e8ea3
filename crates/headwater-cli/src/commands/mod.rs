//! The commands.

mod bootstrap;
mod check;
mod dead_letters;
mod from_maxwell;
mod mappings;
mod query;
mod run;
mod schema;
mod source;
mod status;
mod verify;

use std::sync::Arc;

use crate::arguments::{Arguments, Command, Said};
use crate::config::{Failure, Log, LogFormat, LogLevel, Lookup, Settings};
use crate::exit::Exit;
use crate::report;
use crate::terminal::{Console, Wishes};

/// Does what the command line asks for, and tells what went wrong.
pub(crate) async fn execute(arguments: &Arguments, surroundings: Surroundings) -> Exit {
    let mut format = arguments.said.log_format.unwrap_or(LogFormat::Text);
    let done = command(arguments, &surroundings, &mut format).await;
    done.unwrap_or_else(|failure| report::failure(&failure, format))
}

/// What was found before anything began.
#[derive(Debug, Default)]
pub(crate) struct Surroundings {
    /// Why a password could not be taken out of the process list.
    pub(crate) visible: Option<std::io::Error>,
    /// Failpoints that are armed: a test's doing.
    pub(crate) failpoints: Option<String>,
}

async fn command(
    arguments: &Arguments,
    surroundings: &Surroundings,
    format: &mut LogFormat,
) -> Result<Exit, Failure> {
    let lookup: Lookup<'_> = &|name| std::env::var(name).ok();
    let settings = match &arguments.command {
        Command::Check(check) => {
            let file = crate::config::file_of(&check.source, lookup)?;
            let source = crate::config::SourceSettings::of(&check.source, &file, &[], lookup)?;
            let choice = crate::config::sink_of(&check.target, &file, &mut Vec::new())?;
            let kafka = crate::config::kafka_options(&choice, &check.target, &file)?;
            let iotdb = crate::config::iotdb_options(&choice, &file, &source, lookup)?;
            let folds = crate::config::fold_settings(&choice, &file, &source, lookup)?;
            let targets = check::Targets {
                folds: folds.as_ref(),
                kafka: kafka.as_ref(),
                iotdb: iotdb.as_ref(),
                origin: file.origin.as_ref(),
            };
            return check::run(&source, targets, *format).await;
        }
        Command::Run(run) => Settings::of_run(run, lookup)?,
        Command::Backfill(backfill) => Settings::of_backfill(backfill, lookup)?,
        Command::Cdc(cdc) => Settings::of_cdc(cdc, lookup)?,
        Command::Bootstrap(bootstrap) => {
            let console = console(arguments.said, Log::default());
            return bootstrap::run(bootstrap, &console, lookup).await;
        }
        Command::Verify(verify) => {
            let file = crate::config::file_of(&verify.source, lookup)?;
            let prepared = verify::prepare(verify, &file, lookup)?;
            let console = console(arguments.said, file.log.unwrap_or_default());
            *format = console.format();
            return verify::run(&prepared, verify, &console).await;
        }
        Command::DeadLetters(letters) => {
            return dead_letters::run(letters, arguments.said, format, lookup).await;
        }
        Command::Query(query) => return query::run(query, lookup).await,
        Command::Status(status) => return status::run(status, lookup).await,
        Command::FromMaxwell(old) => {
            let console = console(arguments.said, Log::default());
            return from_maxwell::run(&old.file, &console).map_err(Failure::Error);
        }
        Command::Schema(schema) => return Ok(schema::run(schema.what)),
    };
    let console = console(arguments.said, settings.log);
    *format = console.format();
    surroundings.tell();
    if let Some(iotdb) = &settings.iotdb {
        mappings::require(iotdb, &settings.source, settings.origin.as_ref()).await?;
    }
    run::run(&settings, &console).await.map_err(Failure::Error)
}

impl Surroundings {
    fn tell(&self) {
        if let Some(cause) = &self.visible {
            tracing::warn!(
                "the password in the URL can be seen in the process list ({cause}): use HEADWATER_MYSQL_PASSWORD or --password-file"
            );
        }
        if let Some(failpoints) = &self.failpoints {
            tracing::warn!(
                failpoints,
                "HEADWATER_FAILPOINTS is set: this process will fail on purpose. This is for tests only"
            );
        }
    }
}

/// Takes standard error over, as the flags say, else the file.
pub(crate) fn console(said: Said, log: Log) -> Arc<Console> {
    Console::start(Wishes {
        format: said.log_format.or(log.format).unwrap_or(LogFormat::Text),
        level: said.log_level.or(log.level).unwrap_or(LogLevel::Info),
        quiet: said.quiet,
    })
}
