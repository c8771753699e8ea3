//! `headwater dead-letters`: the rows that a sink refused for good, shown and brought in again.

mod plan;
mod replay;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use headwater_core::dead_letters::{Kept, Settled, walk};
use headwater_core::{Error, ErrorKind, Result};
use headwater_iotdb::config::OnError;

use super::schema::print;
use crate::arguments::{
    DeadLetters, DeadLettersAction, ListLetters, ReplayLetters, Run, Said, Source,
};
use crate::config::{Failure, LogFormat, Lookup, Settings, SinkChoice, misused};
use crate::exit::Exit;

/// Does what is asked for.
pub(crate) async fn run(
    letters: &DeadLetters,
    said: Said,
    format: &mut LogFormat,
    lookup: Lookup<'_>,
) -> Result<Exit, Failure> {
    let config = match &letters.action {
        DeadLettersAction::List(ListLetters { config, .. })
        | DeadLettersAction::Replay(ReplayLetters { config, .. }) => config,
    };
    let settings = settings(config, lookup)?;
    let file = file_of(&settings)?;
    let console = super::console(said, settings.log);
    *format = console.format();
    match &letters.action {
        DeadLettersAction::List(asked) => Ok(list(&file, asked.json)?),
        DeadLettersAction::Replay(asked) => {
            let replayed =
                replay::run(&settings, &file, asked.whole_tables, &Arc::clone(&console)).await;
            Ok(replayed?)
        }
    }
}

/// What `headwater run --config FILE` would do.
fn settings(config: &Path, lookup: Lookup<'_>) -> Result<Settings, Failure> {
    let run = Run {
        rebuild_folds: false,
        source: Source {
            config: Some(config.to_owned()),
            ..Source::default()
        },
        copying: crate::arguments::Copying::default(),
        until: None,
        target: crate::arguments::Target::default(),
    };
    Settings::of_run(&run, lookup)
}

/// The file of dead letters.
fn file_of(settings: &Settings) -> Result<PathBuf> {
    match (&settings.sink, &settings.iotdb) {
        (_, Some(iotdb)) => match &iotdb.on_error {
            OnError::DeadLetters(path) => Ok(path.clone()),
            OnError::Stop => Err(misused(
                "the configuration has no dead letters: a row that is refused ends its run",
                "name a file: iotdb.dead_letters",
            )),
        },
        (SinkChoice::Kafka { .. }, _) => Err(misused(
            "Kafka's dead letters are records of its `dead_letter_topic`, and not in a file",
            "an event that is too large stays so until the topic takes more: raise `max.message.bytes`, then ask for the rows \
             that the records name: headwater bootstrap DATABASE.TABLE --where 'KEY = …'",
        )),
        (sink, _) => Err(misused(
            format!("rows go to {}, which refuses none", sink.name()),
            "only IoTDB has dead letters: name the configuration file of such a run",
        )),
    }
}

/// Gives the letters that are open to `visit`. Says how many are settled, and where the last letter ends.
fn open(file: &Path, mut visit: impl FnMut(Kept) -> Result<()>) -> Result<(usize, u64)> {
    let settled = Settled::of(file)?;
    let mut count = 0;
    let walked = walk(file, |kept| {
        if settled.contains(&kept.place) {
            count += 1;
            return Ok(());
        }
        visit(kept)
    });
    match walked {
        Ok(end) => Ok((count, end)),
        // Nothing was refused yet.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok((0, 0)),
        Err(error) => Err(error),
    }
}

fn list(file: &Path, is_json: bool) -> Result<Exit> {
    let mut count = 0;
    let mut exit = Exit::Finished;
    let (settled, _) = open(file, |kept| {
        count += 1;
        let letter = &kept.letter;
        let line = if is_json {
            serde_json::to_string(letter).map_err(|cause| {
                Error::new(ErrorKind::Internal, "a letter cannot be shown").caused_by(cause)
            })?
        } else {
            format!(
                "{} {} {} {}: {}",
                kept.line,
                letter.table,
                letter.kind,
                serde_json::Value::Object(letter.key.clone()),
                letter.reason
            )
        };
        exit = print(&format!("{line}\n"));
        Ok(())
    })?;
    tracing::info!(file = %file.display(), open = count, settled, "dead letters");
    Ok(exit)
}
