//! `headwater run`, `backfill` and `cdc`: one engine, in three modes.

use std::sync::Arc;
use std::time::Duration;

use headwater_core::bootstrap::{self, Commands};
use headwater_core::counters::SinkCounts;
use headwater_core::engine::{self, Ended, Mode, Start, Summary};
use headwater_core::filter::Updates;
use headwater_core::position::HandoffToken;
use headwater_core::progress::{Phase, Progress};
use headwater_core::sink::{AnySink, CheckpointStore, MemoryCheckpoint, Sink};
use headwater_core::source::Source;
use headwater_core::{Error, ErrorKind, Result, clock};
use headwater_file::{CheckpointFile, FileOptions, FileSink, NullSink, StdoutSink};
use headwater_fold::Monoid;
use headwater_fold::fold::{TakeBack, Typed};
use headwater_fold::refold::RowsOf;
use headwater_fold::sink::{Counts as FoldCounts, FoldOptions};
use headwater_format::maxwell::{self, BootstrapEvents, Encoder};
use headwater_iotdb::{Counts, IotdbSink};
use headwater_kafka::KafkaSink;
use headwater_mysql::MysqlSource;
use headwater_mysql::schema::TableDefinition;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::source;
use crate::config::{FoldSettings, Settings, SinkChoice, SourceSettings, StartAt};
use crate::control::{About, Plane, Watched};
use crate::exit::Exit;
use crate::folds::{self, Reader};
use crate::signals;
use crate::terminal::{self, Console, EventStream};

/// How long a run that was told to stop may go on connecting.
const STOP_WHILE_STARTING: Duration = Duration::from_secs(1);

/// What is said where a stop did not wait for the sink.
const COMES_AGAIN: &str = "what was not acknowledged comes again with the next run";

/// Runs, from the checkpoint or the beginning, to the end or a signal.
pub(crate) async fn run(settings: &Settings, console: &Arc<Console>) -> Result<Exit> {
    until(settings, console, CancellationToken::new()).await
}

/// The same, and to `stop` at the latest.
pub(crate) async fn until(
    settings: &Settings,
    console: &Arc<Console>,
    stop: CancellationToken,
) -> Result<Exit> {
    let source = source::open_for_run(settings);
    let store = store(settings)?;
    announce(settings, store.as_ref())?;
    signals::watch(Arc::clone(console), stop.clone())?;
    let (sink, counts, folds) = match &settings.folds {
        Some(folds) => {
            let (sink, counts, reader) = fold_sink(folds, &source, settings).await?;
            (sink, SinkCounted::Folds(counts), Some(reader))
        }
        None => {
            let (sink, counts) = sink(settings, console)?;
            (
                sink,
                counts.map_or(SinkCounted::Nothing, SinkCounted::Iotdb),
                None,
            )
        }
    };
    let progress = Arc::new(Progress::default());
    progress.counters().set_sink(counts.say());
    let (control, commands) = bootstrap::control();
    let watched = Watched::new(control, Arc::clone(&progress), about(settings)).with_folds(folds);
    let store_path = (settings.folds.as_ref()).and_then(|folds| folds.store.path());
    let plane = Plane::start(
        watched,
        settings.checkpoint.as_deref().or(store_path),
        settings.http.as_ref(),
    )
    .await?;
    let ended = CancellationToken::new();
    let shown = tokio::spawn(terminal::show(
        Arc::clone(console),
        Arc::clone(&progress),
        ended.clone(),
    ));
    let result = tokio::select! {
        result = Box::pin(drive(&source, sink, store, settings, &progress, &stop, commands)) => result.map(Some),
        () = given_up(&progress, &stop) => Ok(None),
    };
    ended.cancel();
    let _ = shown.await;
    plane.stop().await;
    match result? {
        Some(summary) => {
            conclude(settings, console, &summary, &counts);
        }
        None if progress.rows_snapshot() + progress.rows_live() > 0 => {
            tracing::info!("stopped; {COMES_AGAIN}");
        }
        None => tracing::info!("stopped before anything was read"),
    }
    Ok(Exit::Finished)
}

/// Waits until the run was told to stop and still has not got anywhere: nothing is lost by leaving it.
async fn given_up(progress: &Progress, stop: &CancellationToken) {
    stop.cancelled().await;
    loop {
        tokio::time::sleep(STOP_WHILE_STARTING).await;
        if progress.phase() == Phase::Starting {
            return;
        }
    }
}

async fn drive(
    source: &MysqlSource,
    sink: AnySink,
    store: Arc<dyn CheckpointStore>,
    settings: &Settings,
    progress: &Arc<Progress>,
    stop: &CancellationToken,
    commands: Commands,
) -> Result<Summary> {
    headwater_mysql::check::require(source).await?;
    if let (Some(column), Mode::Backfill | Mode::Both) = (&settings.partition_column, settings.mode)
    {
        say_what_is_cut(source, column).await?;
    }
    let start = match &settings.start {
        StartAt::Now => Start::Now,
        StartAt::Token(token) => Start::Token(token.clone()),
        StartAt::Place { file, pos } => Start::Token(token_of_place(source, file, *pos).await?),
    };
    let rows = match row_filter(&settings.source) {
        Some(rows) if source.folds_names().await? => Some(engine::RowFilter {
            filter: rows.filter.folded(),
            ..rows
        }),
        rows => rows,
    };
    let options = engine::Options {
        mode: settings.mode,
        start,
        until: settings.until,
        readers: settings.readers,
        split_rows: settings.split_rows,
        rows,
        trigger: (settings.asking.as_ref())
            .map(|asking| headwater_mysql::trigger::asking(&asking.client)),
        configuration: configuration(settings, &sink.name()),
        checkpoint_interval: settings.checkpoint_interval,
        stop_within: settings.stop_within,
        bootstrap_tables: settings.bootstrap_tables,
        bootstrap_load: settings.source.load,
        load_interval: settings.load_interval,
        run_name: format!("run-{}", clock::now_s()),
        ..engine::Options::default()
    };
    engine::run(
        source,
        sink,
        store,
        options,
        Arc::clone(progress),
        stop.clone(),
        commands,
    )
    .await
}

/// The filter, if it has rules.
pub(super) fn row_filter(source: &SourceSettings) -> Option<engine::RowFilter> {
    (!source.filter.is_empty()).then(|| engine::RowFilter {
        filter: source.filter.clone(),
        updates: source.filter_updates,
        text_of: maxwell::push_java_text,
    })
}

/// Pieces are ranges of a table's key, so a column that does not lead the key cannot be what they are cut by.
async fn say_what_is_cut(source: &MysqlSource, column: &str) -> Result<()> {
    let leads = |table: &TableDefinition| {
        let first = table
            .key()
            .first()
            .and_then(|&first| table.columns.get(first));
        first.is_some_and(|first| first.name.to_lowercase() == column.to_lowercase())
    };
    let tables = source.tables().await?;
    let others = tables.iter().filter(|table| !leads(table));
    let others: Vec<String> = others.map(|table| table.name.to_string()).collect();
    if !others.is_empty() {
        tracing::warn!(
            column,
            tables = others.join(" "),
            "mysql.partitioning.column has no effect on tables whose key does not begin with it: their pieces are cut by the key, and a table without one is read in one piece"
        );
    }
    Ok(())
}

/// A place in the log as a token. What the tables were there is not known: they are taken as they are now.
async fn token_of_place(source: &MysqlSource, file: &str, pos: u64) -> Result<HandoffToken> {
    let identity = source.identity().await?;
    let (_, definitions) = source.current().await?;
    if !definitions.is_null() {
        tracing::warn!("the tables are taken to have been at {file}:{pos} what they are now");
    }
    Ok(HandoffToken {
        source: identity,
        position: json!({ "file": file, "offset": pos }),
        definitions,
    })
}

/// What a checkpoint must agree with.
fn configuration(settings: &Settings, sink: &str) -> Value {
    let conditions: Map<String, Value> = (settings.source.conditions.iter())
        .map(|condition| (condition.table.to_string(), condition.sql.clone().into()))
        .collect();
    let mut tables = settings.source.selection.words();
    tables.sort();
    let folds = settings.folds.as_ref();
    let store = folds.and_then(|folds| folds.store.fingerprint());
    let mut configuration = json!({
        "tables": tables,
        "where": conditions,
        "sink": store.unwrap_or_else(|| sink.to_owned()),
        "format": "maxwell",
        "bootstrap_events": match settings.events.bootstrap_events {
            BootstrapEvents::Headwater => "headwater",
            BootstrapEvents::Maxwell => "maxwell",
        },
    });
    if settings.source.filter.looks_at_rows() {
        // Of a table that it includes from now on the rows are copied; of rows that it includes, nobody has them.
        configuration["filter"] = settings.source.filter.to_string().into();
        configuration["filter_updates"] = match settings.source.filter_updates {
            Updates::Split => "split",
            Updates::NewRow => "new_row",
        }
        .into();
    }
    if let Some(kafka) = &settings.kafka {
        // With others, a key's events would be in two places.
        configuration["producer_partition_by"] = format!("{:?}", kafka.partition_by).into();
        configuration["kafka_partition_hash"] = format!("{:?}", kafka.partition_hash).into();
        configuration["kafka_key_format"] = format!("{:?}", kafka.key_format).into();
    }
    configuration
}

fn store(settings: &Settings) -> Result<Arc<dyn CheckpointStore>> {
    let Some(path) = &settings.checkpoint else {
        return Ok(Arc::new(MemoryCheckpoint::default()));
    };
    if let SinkChoice::File(sink) = &settings.sink
        && sink == path
    {
        return Err(Error::new(
            ErrorKind::Configuration,
            "the checkpoint and the sink are the same file",
        )
        .with("file", path.display())
        .hint("give them two names"));
    }
    Ok(Arc::new(CheckpointFile::open(path)?))
}

/// The sink, and what it counts beside the engine.
fn sink(settings: &Settings, console: &Arc<Console>) -> Result<(AnySink, Option<Arc<Counts>>)> {
    let encoder = Encoder::new(settings.events.clone());
    let options = FileOptions {
        // Without a checkpoint nobody comes back to the file.
        sync: settings.checkpoint.is_some(),
        ..FileOptions::default()
    };
    let sink = match &settings.sink {
        SinkChoice::Stdout => {
            let stream = EventStream::open(console).map_err(|cause| {
                Error::new(ErrorKind::Storage, "cannot write to standard output").caused_by(cause)
            })?;
            AnySink::new(StdoutSink::new(stream, encoder, options))
        }
        SinkChoice::File(path) => AnySink::new(FileSink::new(path, encoder, options)),
        SinkChoice::Kafka { .. } => {
            let options = settings.kafka.clone().ok_or_else(|| {
                Error::new(ErrorKind::Internal, "the options of Kafka are missing")
            })?;
            AnySink::new(KafkaSink::new(options, encoder)?)
        }
        SinkChoice::Iotdb => {
            let options = settings.iotdb.clone().ok_or_else(|| {
                Error::new(ErrorKind::Internal, "the options of IoTDB are missing")
            })?;
            let sink = IotdbSink::new(options)?;
            let counts = sink.counts();
            return Ok((AnySink::new(sink), Some(counts)));
        }
        SinkChoice::Folds => {
            return Err(Error::new(
                ErrorKind::Internal,
                "folds have a sink of their own",
            ));
        }
        SinkChoice::Null => AnySink::new(NullSink::new(Some(encoder))),
    };
    Ok((sink, None))
}

/// The sink of folds, what it counts, and what reads its store.
async fn fold_sink(
    folds: &FoldSettings,
    source: &MysqlSource,
    settings: &Settings,
) -> Result<(AnySink, Arc<FoldCounts>, Reader)> {
    let typed = folds::typed(folds, source, &settings.source).await?;
    for one in &typed {
        say_how_taken_back(one);
    }
    let options = FoldOptions {
        anew: settings.rebuild_folds,
        rows: Some(Arc::new(RowsOf::new(source::open_for_run(settings)))),
        ..folds.options.clone()
    };
    folds::open(folds, typed, options)
}

/// What becomes of updates and deletes is said at the start where it is not what one would think.
fn say_how_taken_back(typed: &Typed) {
    let fold = &typed.fold;
    if typed.monoid.laws().invertible {
        return;
    }
    let monoid = typed.monoid.name();
    match fold.take_back {
        TakeBack::Ignore => {
            tracing::warn!(fold = fold.name, %monoid, "rows that are changed or deleted stay in this fold (take_back: ignore)")
        }
        TakeBack::Refold => {
            tracing::info!(fold = fold.name, %monoid, "rows that are changed or deleted have their key read again from the source (take_back: refold)")
        }
        TakeBack::Refuse => {
            tracing::warn!(fold = fold.name, %monoid, "the run ends at the first row that is changed or deleted: this fold cannot take it back (take_back: refuse)")
        }
    }
}

/// What a sink counts beside the engine.
#[derive(Clone)]
enum SinkCounted {
    Nothing,
    Iotdb(Arc<Counts>),
    Folds(Arc<FoldCounts>),
}

impl SinkCounted {
    fn by_word(&self) -> Vec<(&'static str, u64)> {
        match self {
            Self::Nothing => Vec::new(),
            Self::Iotdb(counts) => counts.counted().by_word(),
            Self::Folds(counts) => counts.counted().by_word(),
        }
    }

    fn say(&self) -> SinkCounts {
        let this = self.clone();
        SinkCounts::new(move || this.by_word())
    }
}

/// What the control plane says of the run.
fn about(settings: &Settings) -> About {
    let checkpoint = settings.checkpoint.as_ref();
    let folds = settings.folds.as_ref();
    About {
        env: settings.label.clone(),
        mode: match settings.mode {
            Mode::Backfill => "backfill",
            Mode::Cdc => "cdc",
            Mode::Both => "both",
        },
        server: settings.source.connect.redacted_url(),
        sink: settings.sink.name(),
        checkpoint: checkpoint
            .map(|path| path.display().to_string())
            .or_else(|| folds.map(|folds| folds.store.name())),
    }
}

/// Says what is about to happen.
fn announce(settings: &Settings, store: &dyn CheckpointStore) -> Result<()> {
    let mode = match settings.mode {
        Mode::Backfill => "backfill",
        Mode::Cdc => "cdc",
        Mode::Both => "backfill, then cdc",
    };
    let tables = if settings.source.selection.is_everything() {
        "all".to_owned()
    } else {
        settings.source.selection.words().join(" ")
    };
    let server = settings.source.connect.redacted_url();
    let sink = settings.sink.name();
    match &settings.label {
        Some(env) => tracing::info!(env, mode, server, tables, sink, "headwater starts"),
        None => tracing::info!(mode, server, tables, sink, "headwater starts"),
    }
    if !settings.source.filter.is_empty() {
        tracing::info!(filter = %settings.source.filter, "of these, what the filter includes");
    }
    for remark in &settings.remarks {
        tracing::warn!("{remark}");
    }
    if let Some(kafka) = &settings.kafka
        && let Some(exactly_once) = &kafka.exactly_once
    {
        let transactional_id = &exactly_once.transactional_id;
        tracing::info!(
            transactional_id,
            "exactly once: the checkpoint is kept in Kafka, in one transaction with the events"
        );
        return Ok(());
    }
    if let Some(folds) = &settings.folds {
        let store = folds.store.name();
        tracing::info!(
            store,
            "each row counts once: progress is kept in the store, in one step with the aggregates"
        );
        return Ok(());
    }
    let Some(path) = &settings.checkpoint else {
        tracing::warn!("no --checkpoint: nothing is kept, and the next start begins again");
        return Ok(());
    };
    if store.load()?.is_some() {
        tracing::info!(checkpoint = %path.display(), "going on from the checkpoint");
        if settings.start != StartAt::Now {
            tracing::warn!("the checkpoint wins over the start that was asked for");
        }
    }
    Ok(())
}

fn conclude(settings: &Settings, console: &Console, summary: &Summary, counts: &SinkCounted) {
    match counts {
        SinkCounted::Nothing => {}
        SinkCounted::Iotdb(counts) => say_counts(counts),
        SinkCounted::Folds(counts) => say_folded(counts),
    }
    let (rows, changes) = (summary.rows_snapshot, summary.rows_live);
    match summary.ended {
        Ended::Complete => tracing::info!(rows, changes, "finished"),
        Ended::Stopped => tracing::info!(
            rows,
            changes,
            "stopped; everything that was taken is written"
        ),
        Ended::Abandoned => tracing::warn!(rows, changes, "stopped; {COMES_AGAIN}"),
        Ended::SinkClosed => {
            tracing::info!(rows, changes, "the reader of the output has gone; ended")
        }
    }
    if settings.mode != Mode::Backfill {
        return;
    }
    match (&summary.token, summary.ended) {
        (Some(token), Ended::Complete) => hand_off(settings, console, token),
        (_, Ended::Stopped | Ended::Abandoned) if settings.checkpoint.is_some() => {
            tracing::info!("the copy is not complete: the same command goes on with it");
        }
        _ => {}
    }
}

/// What became of the rows in folds.
fn say_folded(counts: &FoldCounts) {
    let counted = counts.counted();
    tracing::info!(
        added = counted.added,
        taken_back = counted.taken_back,
        unchanged = counted.unchanged,
        ignored = counted.ignored,
        too_old = counted.too_old,
        refused = counted.refused,
        refolded = counted.refolded,
        "folded"
    );
}

/// What became of the rows in IoTDB.
fn say_counts(counts: &Counts) {
    let counted = counts.counted();
    tracing::info!(
        rows = counted.rows,
        points = counted.points,
        nulls = counted.nulls,
        without_a_point = counted.empty,
        refused = counted.refused,
        duplicates = counted.duplicates,
        updates_ignored = counted.ignored_updates,
        deletes_ignored = counted.ignored_deletes,
        deleted = counted.deleted,
        retries = counted.retries,
        "written to IoTDB"
    );
}

/// Prints the token: alone on standard output where no events go there, so that a script can take it.
fn hand_off(settings: &Settings, console: &Console, token: &HandoffToken) {
    const LABEL: &str = "handoff token (for `headwater cdc --from TOKEN`):";
    if settings.sink == SinkChoice::Stdout {
        console.say(&format!("{LABEL} {token}"));
    } else {
        console.say(LABEL);
        super::schema::print(&format!("{token}\n"));
    }
}
