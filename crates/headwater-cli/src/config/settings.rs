//! What a command is to do: the file's values with the command line's over them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use headwater_core::Result;
use headwater_core::engine;
use headwater_core::filter::{Filter, Updates};
use headwater_core::load::LoadLimits;
use headwater_core::position::HandoffToken;
use headwater_format::maxwell;
use headwater_iotdb::IotdbOptions;
use headwater_iotdb::config::Duplicates;
use headwater_kafka::KafkaOptions;
use headwater_mysql::config::ConnectOptions;

use super::file::{File, FilterUpdates, Log, Mode, Mysql, Partitioning, StartupMode};
use super::folds::{self, FoldSettings};
use super::load;
use super::names::{self, Condition, Selection};
use super::origin::Origin;
use super::{
    Asking, Failure, HttpSettings, Lookup, SinkChoice, connection, http, iotdb, kafka,
    load as load_file, misused, trigger,
};
use crate::arguments::{Backfill, Cdc, Copying, Run, Source, Target, Until};

/// Where to read.
#[derive(Debug, Clone)]
pub(crate) struct SourceSettings {
    pub(crate) connect: ConnectOptions,
    pub(crate) selection: Selection,
    pub(crate) conditions: Vec<Condition>,
    /// What of the selection passes.
    pub(crate) filter: Filter,
    pub(crate) filter_updates: Updates,
    pub(crate) server_id: Option<u32>,
    /// The load above which bootstraps wait.
    pub(crate) load: LoadLimits,
    /// The replicas whose lag is part of it.
    pub(crate) replicas: Vec<ConnectOptions>,
}

/// Where the log is followed from, if there is no checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum StartAt {
    /// From now.
    Now,
    /// From a handoff token.
    Token(HandoffToken),
    /// From a place in the log.
    Place { file: String, pos: u64 },
}

/// Everything a run needs.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) source: SourceSettings,
    pub(crate) mode: engine::Mode,
    pub(crate) start: StartAt,
    pub(crate) until: engine::Until,
    pub(crate) readers: usize,
    pub(crate) checkpoint_interval: Duration,
    /// How long a stop waits for the sink.
    pub(crate) stop_within: Duration,
    pub(crate) split_rows: Option<u64>,
    /// The column that the file would have pieces cut by.
    pub(crate) partition_column: Option<String>,
    pub(crate) sink: SinkChoice,
    /// Where `sink` is Kafka.
    pub(crate) kafka: Option<KafkaOptions>,
    /// Where `sink` is IoTDB.
    pub(crate) iotdb: Option<IotdbOptions>,
    pub(crate) folds: Option<FoldSettings>,
    pub(crate) rebuild_folds: bool,
    pub(crate) events: maxwell::Options,
    /// Which rows of the source ask for bootstraps.
    pub(crate) asking: Option<Asking>,
    /// Tables of bootstraps that are read in turn.
    pub(crate) bootstrap_tables: usize,
    /// How long a measurement of the source's load counts.
    pub(crate) load_interval: Duration,
    pub(crate) checkpoint: Option<PathBuf>,
    /// Where to listen for HTTP.
    pub(crate) http: Option<HttpSettings>,
    /// The file's label.
    pub(crate) label: Option<String>,
    /// What has no effect, and should be said.
    pub(crate) remarks: Vec<String>,
    /// What the file says of logs.
    pub(crate) log: Log,
    /// Where the file's values stand.
    pub(crate) origin: Option<Origin>,
}

/// The file that a command names, or an empty one.
pub(crate) fn file(source: &Source, lookup: Lookup<'_>) -> Result<File, Failure> {
    match &source.config {
        Some(path) => load_file(path, lookup),
        None => Ok(File::default()),
    }
}

impl SourceSettings {
    /// Where `headwater check` reads.
    pub(crate) fn of(
        source: &Source,
        file: &File,
        conditions: &[String],
        lookup: Lookup<'_>,
    ) -> Result<Self> {
        let urls = source
            .words
            .iter()
            .filter(|word| crate::arguments::is_url(word));
        if urls.count() > 1 {
            return Err(misused(
                "more than one URL is given",
                "a run reads one server: give one URL, and tables after it",
            ));
        }
        if let (None, None, Some(word)) = (source.url(), &source.config, source.words.first()) {
            return Err(misused(
                format!("`{word}` is no URL"),
                "write the server as mysql://USER@HOST:PORT/DATABASE, then the tables",
            ));
        }
        let connect =
            connection::resolve(source.url(), source.password_file.as_deref(), file, lookup)?;
        let database = connect.database.as_deref();
        let mysql = file.mysql.as_ref();
        let listed = mysql
            .and_then(|mysql| mysql.tables.as_deref())
            .unwrap_or_default();
        let named: Vec<&str> = source.tables().collect();
        let selection = match (named.is_empty(), listed.is_empty()) {
            (false, _) => names::select(named.into_iter(), database)?,
            (true, false) => {
                names::select(listed.iter().map(|table| table.name.as_str()), database)?
            }
            // What is mapped or folded is what is read.
            (true, true) => {
                names::select(iotdb::tables(file).chain(folds::tables(file)), database)?
            }
        };
        let filter = filter(source, file, &selection)?;
        let conditions = merged_conditions(conditions, mysql, &selection, database)?;
        for condition in &conditions {
            if !filter.may_pass(&condition.table) {
                return Err(misused(
                    format!(
                        "a condition bounds {}, which the filter excludes",
                        condition.table
                    ),
                    "leave the condition out, or include the table",
                ));
            }
        }
        let updates = source.filter_updates.or(file.filter_updates);
        Ok(Self {
            selection,
            filter,
            filter_updates: match updates {
                Some(FilterUpdates::NewRow) => Updates::NewRow,
                Some(FilterUpdates::Split) | None => Updates::Split,
            },
            conditions,
            server_id: source.server_id.or(mysql.and_then(|mysql| mysql.server_id)),
            load: load::limits(file.bootstrap.as_ref()),
            replicas: load::replicas(file.bootstrap.as_ref(), &connect)?,
            connect,
        })
    }
}

/// The flag's filter, else the file's.
fn filter(source: &Source, file: &File, selection: &Selection) -> Result<Filter> {
    let text = source.filter.as_deref().or(file.filter.as_deref());
    let filter: Filter = text.unwrap_or_default().parse()?;
    let mut tables = selection.tables.iter();
    let is_all_out = selection.databases.is_empty()
        && !selection.tables.is_empty()
        && !tables.any(|table| filter.may_pass(table));
    if is_all_out {
        return Err(misused(
            format!(
                "the filter excludes every table that is named: {}",
                selection.words().join(" ")
            ),
            "include one of them, or name others",
        ));
    }
    Ok(filter)
}

/// The flags' conditions, and those of the file for tables that have none by flag.
fn merged_conditions(
    flags: &[String],
    mysql: Option<&Mysql>,
    selection: &Selection,
    database: Option<&str>,
) -> Result<Vec<Condition>> {
    let mut all: Vec<Condition> = Vec::new();
    for text in flags {
        let condition = names::condition(text, database)?;
        if all.iter().any(|known| known.table == condition.table) {
            return Err(misused(
                format!("{} has two conditions", condition.table),
                "put them into one --where, with AND or OR between them",
            ));
        }
        if !selection.includes(&condition.table) {
            return Err(misused(
                format!(
                    "--where bounds {}, which is not among the tables",
                    condition.table
                ),
                "name the table after the URL, or leave its --where out",
            ));
        }
        all.push(condition);
    }
    for table in mysql
        .and_then(|mysql| mysql.tables.as_deref())
        .unwrap_or_default()
    {
        let Some(sql) = &table.condition else {
            continue;
        };
        let only = names::select(std::iter::once(table.name.as_str()), database)?;
        for name in only.tables {
            let is_new = !all.iter().any(|known| known.table == name);
            if is_new && selection.includes(&name) {
                all.push(names::of_table(name, sql)?);
            }
        }
    }
    Ok(all)
}

impl Settings {
    /// Of `headwater run`.
    pub(crate) fn of_run(run: &Run, lookup: Lookup<'_>) -> Result<Self, Failure> {
        let file = file(&run.source, lookup)?;
        let mut this = Self::base(&run.source, Some(&run.copying), &run.target, &file, lookup)?;
        this.until = until(run.until);
        this.rebuild_folds = run.rebuild_folds;
        if this.rebuild_folds && this.folds.is_none() {
            return Err(misused(
                "--rebuild-folds means something only where rows are folded",
                "leave it out, or add the section `folds`",
            )
            .into());
        }
        match file.mode {
            Some(Mode::Backfill) => this.mode = engine::Mode::Backfill,
            Some(Mode::Cdc) => this.follow_only(&file)?,
            Some(Mode::Both) | None => {
                this.mode = engine::Mode::Both;
                if startup_mode(&file).is_some_and(|mode| mode != StartupMode::Initial) {
                    this.remarks.push(
                        "mysql.cdc.startup_mode has no effect here: a run copies first and follows the log from there \
                         (it counts for `headwater cdc`, and with `mode: cdc`)"
                            .to_owned(),
                    );
                }
            }
        }
        Ok(this)
    }

    /// Of `headwater backfill`.
    pub(crate) fn of_backfill(backfill: &Backfill, lookup: Lookup<'_>) -> Result<Self, Failure> {
        let file = file(&backfill.source, lookup)?;
        let mut this = Self::base(
            &backfill.source,
            Some(&backfill.copying),
            &backfill.target,
            &file,
            lookup,
        )?;
        this.mode = engine::Mode::Backfill;
        Ok(this)
    }

    /// Of `headwater cdc`.
    pub(crate) fn of_cdc(cdc: &Cdc, lookup: Lookup<'_>) -> Result<Self, Failure> {
        let file = file(&cdc.source, lookup)?;
        let mut this = Self::base(&cdc.source, None, &cdc.target, &file, lookup)?;
        this.until = until(cdc.until);
        match &cdc.from {
            Some(from) => {
                this.mode = engine::Mode::Cdc;
                this.start = start_at(from)?;
            }
            None => this.follow_only(&file)?,
        }
        Ok(this)
    }

    /// The log only, from where the file says.
    fn follow_only(&mut self, file: &File) -> Result<()> {
        self.mode = engine::Mode::Cdc;
        let cdc = file.mysql.as_ref().and_then(|mysql| mysql.cdc.as_ref());
        match startup_mode(file) {
            Some(StartupMode::Initial) => self.mode = engine::Mode::Both,
            Some(StartupMode::Latest) | None => self.start = StartAt::Now,
            Some(StartupMode::Specific) => {
                let place = cdc.and_then(|cdc| cdc.specific.clone());
                let place = place.ok_or_else(|| {
                    misused(
                        "`startup_mode: specific` does not say where",
                        "add `specific:` with `file` and `pos`",
                    )
                })?;
                self.start = StartAt::Place {
                    file: place.file,
                    pos: place.pos,
                };
            }
        }
        Ok(())
    }

    fn base(
        source: &Source,
        copying: Option<&Copying>,
        target: &Target,
        file: &File,
        lookup: Lookup<'_>,
    ) -> Result<Self, Failure> {
        let mut remarks = Vec::new();
        let parts = file
            .mysql
            .as_ref()
            .and_then(|mysql| mysql.partitioning.as_ref());
        let split_rows = parts.and_then(split_rows);
        if parts.is_some() && split_rows.is_none() {
            remarks.push(
                "mysql.partitioning has no effect without all of lower_bound, upper_bound and num"
                    .to_owned(),
            );
        }
        let sink = sink(target, file, &mut remarks)?;
        let kafka = kafka_options(&sink, target, file)?;
        let checkpoint = target
            .checkpoint
            .clone()
            .or_else(|| file.checkpoint.clone());
        if checkpoint.is_some() {
            refuse_a_second_checkpoint(&sink, kafka.as_ref())?;
        }
        let conditions = copying.map_or(&[][..], |copying| &copying.conditions);
        let checkpoint_interval = checkpoint_interval(file, kafka.as_ref())?;
        let readers = copying.and_then(|copying| copying.readers).or(file.readers);
        let events = target.events.over(file.events.as_ref(), lookup)?;
        let source = SourceSettings::of(source, file, conditions, lookup)?;
        let iotdb = iotdb_options(&sink, file, &source, lookup)?;
        let folds = fold_settings(&sink, file, &source, lookup)?;
        let bootstraps = file.bootstrap.as_ref();
        let at_once = bootstraps.and_then(|section| section.tables_at_once);
        let interval_s = bootstraps.and_then(|section| section.load.as_ref()?.interval_s);
        let defaults = engine::Options::default();
        Ok(Self {
            bootstrap_tables: at_once.map_or(defaults.bootstrap_tables, usize::from),
            load_interval: interval_s.map_or(defaults.load_interval, |seconds| {
                Duration::from_secs(seconds.into())
            }),
            source,
            mode: engine::Mode::Both,
            start: StartAt::Now,
            until: engine::Until::Forever,
            readers: readers_of(readers, iotdb.as_ref(), &mut remarks),
            checkpoint_interval,
            stop_within: (file.stop_within_s).map_or(defaults.stop_within, |seconds| {
                Duration::from_secs(seconds.into())
            }),
            partition_column: split_rows.and(parts.and_then(|parts| parts.column.clone())),
            split_rows,
            sink,
            kafka,
            iotdb,
            events,
            // Rows that came again would be counted again.
            asking: match &folds {
                Some(_) => None,
                None => trigger::resolve(&target.trigger, file)?,
            },
            folds,
            rebuild_folds: false,
            checkpoint,
            http: http::resolve(&target.http, file.http.as_ref(), lookup)?,
            label: file.env.clone(),
            remarks,
            log: file.log.unwrap_or_default(),
            origin: file.origin.clone(),
        })
    }
}

/// How many read side by side: one where the order of rows matters, since of several with one place the last is to be written last.
fn readers_of(
    wanted: Option<u16>,
    iotdb: Option<&IotdbOptions>,
    remarks: &mut Vec<String>,
) -> usize {
    let mut mappings = iotdb.iter().flat_map(|iotdb| &iotdb.mappings);
    if !mappings.any(|mapping| mapping.duplicates == Duplicates::Last) {
        return wanted.map_or(engine::Options::default().readers, usize::from);
    }
    if wanted.is_some_and(|readers| readers > 1) {
        remarks.push(
            "readers has no effect: one reads in the key's order, for a mapping with `duplicates: last`"
                .to_owned(),
        );
    }
    1
}

fn until(flag: Option<Until>) -> engine::Until {
    match flag {
        Some(Until::Now) => engine::Until::Now,
        None => engine::Until::Forever,
    }
}

fn startup_mode(file: &File) -> Option<StartupMode> {
    let cdc = file.mysql.as_ref()?.cdc.as_ref()?;
    cdc.startup_mode
}

/// The rows of a split as the migration's bounds would have it.
fn split_rows(parts: &Partitioning) -> Option<u64> {
    let (low, high) = (parts.lower_bound?, parts.upper_bound?);
    Some(high.abs_diff(low).div_ceil(parts.num?).max(1_000))
}

pub(crate) fn sink(target: &Target, file: &File, remarks: &mut Vec<String>) -> Result<SinkChoice> {
    let is_mapped = iotdb::is_mapped(file);
    let chosen = match (&target.sink, &file.sink) {
        (Some(flag), _) => SinkChoice::parse(flag)?,
        (None, Some(written)) => SinkChoice::parse(written)?,
        (None, None) if is_mapped => SinkChoice::Iotdb,
        (None, None) if file.folds.is_some() => SinkChoice::Folds,
        (None, None) => SinkChoice::Stdout,
    };
    if is_mapped && chosen != SinkChoice::Iotdb {
        remarks.push(format!(
            "iotdb.mappings has no effect: rows go to {}",
            chosen.name()
        ));
    }
    Ok(chosen)
}

/// The options of IoTDB, if that is where rows go.
pub(crate) fn iotdb_options(
    sink: &SinkChoice,
    file: &File,
    source: &SourceSettings,
    lookup: Lookup<'_>,
) -> Result<Option<IotdbOptions>> {
    if *sink != SinkChoice::Iotdb {
        return Ok(None);
    }
    iotdb::options(file, source.connect.database.as_deref(), lookup).map(Some)
}

/// The folds, if rows are folded.
pub(crate) fn fold_settings(
    sink: &SinkChoice,
    file: &File,
    source: &SourceSettings,
    lookup: Lookup<'_>,
) -> Result<Option<FoldSettings>> {
    if *sink != SinkChoice::Folds {
        return Ok(None);
    }
    folds::settings(file, source.connect.database.as_deref(), lookup).map(Some)
}

/// The options of Kafka, if that is where events go.
pub(crate) fn kafka_options(
    sink: &SinkChoice,
    target: &Target,
    file: &File,
) -> Result<Option<KafkaOptions>> {
    let SinkChoice::Kafka { brokers, topic } = sink else {
        return Ok(None);
    };
    kafka::options(
        brokers.as_deref(),
        topic.as_deref(),
        &target.kafka,
        file.kafka.as_ref(),
    )
    .map(Some)
}

/// Reads `--from`.
fn start_at(text: &str) -> Result<StartAt> {
    let read;
    let text = match text.strip_prefix('@') {
        None => text,
        Some(path) => {
            read = std::fs::read_to_string(Path::new(path)).map_err(|cause| {
                misused(
                    "cannot read the file of the handoff token",
                    "check the path after --from @",
                )
                .with("file", path)
                .caused_by(cause)
            })?;
            // The line as `headwater backfill` prints it may have a label before the token.
            read.split_whitespace()
                .find(|word| word.starts_with("hw1."))
                .unwrap_or(read.trim())
        }
    };
    if let Some((file, pos)) = text.rsplit_once(':')
        && let Ok(pos) = pos.parse()
        && !file.is_empty()
    {
        return Ok(StartAt::Place {
            file: file.to_owned(),
            pos,
        });
    }
    text.parse::<HandoffToken>()
        .map(StartAt::Token)
        .map_err(|error| {
            misused(
                error.message().to_owned(),
                error.hint_text().unwrap_or_default().to_owned(),
            )
        })
}

/// Where the target keeps the checkpoint, a file would be a second one.
fn refuse_a_second_checkpoint(sink: &SinkChoice, kafka: Option<&KafkaOptions>) -> Result<()> {
    if *sink == SinkChoice::Folds {
        return Err(misused(
            "folds keep the checkpoint in their store, and a checkpoint file is named, too",
            "leave out --checkpoint (`checkpoint`)",
        ));
    }
    if kafka.is_some_and(|kafka| kafka.exactly_once.is_some()) {
        return Err(misused(
            "with `exactly_once` the checkpoint is kept in Kafka, and a checkpoint file is named, too",
            "leave out --checkpoint (`checkpoint`); the `transactional_id` is what names the run",
        ));
    }
    Ok(())
}

/// How often progress is saved.
fn checkpoint_interval(file: &File, kafka: Option<&KafkaOptions>) -> Result<Duration, Failure> {
    let defaults = engine::Options::default();
    let Some(seconds) = file.checkpoint_interval_s else {
        return Ok(defaults.checkpoint_interval);
    };
    let interval = Duration::from_secs(seconds.into());
    let exactly_once = kafka.and_then(|kafka| kafka.exactly_once.as_ref());
    match exactly_once {
        Some(exactly_once) if interval >= exactly_once.transaction_timeout => Err(misused(
            "with `exactly_once` a transaction lasts from checkpoint to checkpoint, and checkpoint_interval_s is not below kafka.transaction_timeout_s",
            "lower checkpoint_interval_s, or raise kafka.transaction_timeout_s (the broker's transaction.max.timeout.ms bounds it)",
        )
        .into()),
        _ => Ok(interval),
    }
}
