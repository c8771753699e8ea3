//! Runs of the engine in this process, on a real server: what went out, line by line, in Maxwell's JSON.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use headwater_core::batch::Batch;
use headwater_core::bootstrap::{self, Bootstrap};
use headwater_core::engine::{self, Mode, Options, Start, Summary, Until};
use headwater_core::position::HandoffToken;
use headwater_core::progress::{Phase, Progress};
use headwater_core::retry::Backoff;
use headwater_core::schema::TableName;
use headwater_core::sink::{Capabilities, Durability, MemoryCheckpoint, Receipt, Sink};
use headwater_core::{Error, ErrorKind, Result};
use headwater_format::maxwell::{self, Encoder};
use headwater_mysql::client::Connection;
use headwater_mysql::config::ConnectOptions;
use headwater_mysql::schema::Selection;
use headwater_mysql::{MysqlSource, Settings, trigger};
use headwater_servers::{Flavor, Instance};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server that a test runs on.
pub(crate) trait Host {
    /// Runs SQL as administrator; fails with what the server said.
    fn try_admin(&self, sql: &str) -> std::result::Result<String, String>;
    fn url(&self, user: &str, password: &str, database: &str) -> String;

    /// Runs SQL as administrator; panics with what the server said.
    fn admin(&self, sql: &str) -> String {
        self.try_admin(sql)
            .unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    fn options(&self, user: &str, password: &str) -> ConnectOptions {
        let url = format!("{}?ssl-mode=disabled", self.url(user, password, ""));
        let mut options = ConnectOptions::from_url(&url).unwrap();
        options.allow_public_key_retrieval = true;
        options
    }

    /// A run on this server, as administrator.
    fn run(&self, selection: Selection) -> Run {
        Run::new(Settings::new(self.options("root", ""), selection))
    }

    /// A connection whose sessions take any value.
    async fn connect(&self, database: &str) -> Connection {
        let mut options = self.options("root", "");
        options.database = Some(database.to_owned());
        let mut connection = Connection::connect(&options).await.unwrap();
        connection
            .execute("SET time_zone = '+00:00', sql_mode = ''")
            .await
            .unwrap();
        connection
    }
}

impl Host for Instance {
    fn try_admin(&self, sql: &str) -> std::result::Result<String, String> {
        Self::sql(self, sql).map_err(|error| error.to_string())
    }
    fn url(&self, user: &str, password: &str, database: &str) -> String {
        Self::url(self, user, password, database)
    }
}

/// A private server with options of its own.
pub(crate) fn start(flavor: Flavor, extra: &[&str]) -> Instance {
    Instance::start(flavor, &headwater_servers::Options::with(extra)).unwrap()
}

/// All tables of one database.
pub(crate) fn database(name: &str) -> Selection {
    Selection::Databases(vec![name.into()])
}

pub(crate) fn table(database: &str, name: &str) -> Selection {
    Selection::Tables(vec![TableName::new(database, name)])
}

/// Executes statements on a connection one by one.
pub(crate) async fn execute(connection: &mut Connection, statements: &[&str]) {
    for sql in statements {
        connection
            .execute(sql)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
}

/// What has gone out, shared by sink and test.
#[derive(Debug, Clone, Default)]
pub(crate) struct Output(Arc<Mutex<Vec<u8>>>);

impl Output {
    pub(crate) fn lines(&self) -> Vec<String> {
        let bytes = self.0.lock().unwrap();
        String::from_utf8(bytes.clone())
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect()
    }
}

/// A sink in memory, which cuts back to the checkpoint's mark as a file does.
struct Collect {
    output: Output,
    encoder: Encoder,
    /// Batches with rows that it still takes; none: all.
    takes: Option<u32>,
}

impl Sink for Collect {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            idempotent: false,
            rewinds: true,
            replaces_by_key: true,
            keeps_checkpoint: false,
            counts_rows: false,
            batch_bytes_max: 64 << 20,
        }
    }
    fn name(&self) -> String {
        "memory".into()
    }
    async fn open(&mut self, mark: Option<&Value>) -> Result<()> {
        let length = mark.and_then(Value::as_u64).unwrap_or(0);
        self.output
            .0
            .lock()
            .unwrap()
            .truncate(usize::try_from(length).unwrap());
        Ok(())
    }
    async fn write(&mut self, batch: &Batch, durability: Durability) -> Result<Receipt> {
        if !batch.is_empty()
            && let Some(left) = &mut self.takes
        {
            if *left == 0 {
                return Err(Error::new(
                    ErrorKind::SinkRejected,
                    "the test's sink takes no more",
                ));
            }
            *left -= 1;
        }
        let mut output = self.output.0.lock().unwrap();
        self.encoder.encode_batch(batch, &mut output);
        Ok(match durability {
            Durability::Accepted => Receipt::Accepted,
            Durability::Durable => Receipt::Durable(output.len().into()),
        })
    }
}

/// A run to be made, again and again on the same checkpoint and output.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) settings: Settings,
    pub(crate) options: Options,
    pub(crate) format: maxwell::Options,
    pub(crate) store: MemoryCheckpoint,
    pub(crate) output: Output,
    /// Batches after which the sink fails for good.
    pub(crate) takes: Option<u32>,
}

/// How a run ended, and what is out.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) lines: Vec<String>,
    pub(crate) result: Result<Summary>,
}

impl Done {
    pub(crate) fn token(&self) -> HandoffToken {
        let summary = self
            .result
            .as_ref()
            .unwrap_or_else(|error| panic!("{error:?}"));
        summary.token.clone().unwrap()
    }

    /// The lines of a run that succeeded.
    pub(crate) fn ok(self) -> Vec<String> {
        if let Err(error) = self.result {
            panic!("{error:?}\nafter\n{}", self.lines.join("\n"));
        }
        self.lines
    }

    pub(crate) fn error(self) -> Error {
        match self.result {
            Ok(summary) => panic!("no error: {summary:?}\n{}", self.lines.join("\n")),
            Err(error) => error,
        }
    }
}

impl Run {
    pub(crate) fn new(settings: Settings) -> Self {
        let options = Options {
            until: Until::Now,
            checkpoint_interval: Duration::from_millis(50),
            retry: Backoff {
                first: Duration::from_millis(50),
                longest: Duration::from_secs(2),
                attempts_max: Some(20),
            },
            ..Options::default()
        };
        Self {
            settings,
            options,
            format: maxwell::Options::default(),
            store: MemoryCheckpoint::default(),
            output: Output::default(),
            takes: None,
        }
    }

    pub(crate) fn mode(mut self, mode: Mode) -> Self {
        self.options.mode = mode;
        self
    }

    /// Bootstraps may be asked for by rows of `maxwell.bootstrap` that address `client`.
    pub(crate) fn asked_by(mut self, client: &str) -> Self {
        self.settings.trigger = Some(trigger::table());
        self.options.trigger = Some(trigger::asking(client));
        self
    }

    pub(crate) fn from(mut self, token: &HandoffToken) -> Self {
        self.options.mode = Mode::Cdc;
        self.options.start = Start::Token(token.clone());
        self
    }

    /// The same, with neither checkpoint nor output.
    pub(crate) fn afresh(&self) -> Self {
        let (store, output) = (MemoryCheckpoint::default(), Output::default());
        Self {
            store,
            output,
            ..self.clone()
        }
    }

    /// Starts it beside the test.
    pub(crate) fn start(&self) -> Running {
        let progress = Arc::new(Progress::default());
        let stop = CancellationToken::new();
        let (control, commands) = bootstrap::control();
        let source = MysqlSource::new(self.settings.clone());
        let sink = Collect {
            output: self.output.clone(),
            encoder: Encoder::new(self.format.clone()),
            takes: self.takes,
        };
        let (store, options) = (Arc::new(self.store.clone()), self.options.clone());
        let ended = Arc::new(Mutex::new(String::new()));
        let task = tokio::spawn({
            let (progress, stop, ended) = (Arc::clone(&progress), stop.clone(), Arc::clone(&ended));
            async move {
                let result =
                    engine::run(&source, sink, store, options, progress, stop, commands).await;
                *ended.lock().unwrap() = format!("{result:?}");
                result
            }
        });
        Running {
            output: self.output.clone(),
            control,
            progress,
            stop,
            task,
            ended,
        }
    }

    /// Starts it for as long as the test wants.
    pub(crate) fn follow(&self) -> Running {
        let mut run = self.clone();
        run.options.until = Until::Forever;
        run.start()
    }

    /// Runs to the end.
    pub(crate) async fn go(&self) -> Done {
        self.start().end().await
    }

    /// A token for the end of the log.
    pub(crate) async fn token_now(&self) -> HandoffToken {
        self.afresh().mode(Mode::Cdc).go().await.token()
    }
}

/// A run that goes on beside the test.
#[derive(Debug)]
pub(crate) struct Running {
    /// Asks for bootstraps.
    pub(crate) control: bootstrap::Control,
    pub(crate) output: Output,
    pub(crate) progress: Arc<Progress>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<Result<Summary>>,
    /// How it ended, for a test that did not expect that.
    ended: Arc<Mutex<String>>,
}

impl Running {
    /// Waits until something is true of the lines that are out.
    pub(crate) async fn until(&self, what: &str, is_true: impl Fn(&[String]) -> bool) {
        let began = tokio::time::Instant::now();
        loop {
            let lines = self.output.lines();
            if is_true(&lines) {
                return;
            }
            if self.task.is_finished() {
                let ended = self.ended.lock().unwrap();
                panic!("before {what}: {ended}\n{}", lines.join("\n"));
            }
            assert!(
                began.elapsed() < PATIENCE,
                "in vain for {what}:\n{}",
                lines.join("\n")
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until it follows the log.
    pub(crate) async fn streams(&self) {
        self.until("it streams", |_| self.progress.phase() == Phase::Streaming)
            .await;
    }

    /// Waits until so many bootstraps were asked for and all are over.
    pub(crate) async fn bootstraps_over(&self, count: usize) -> Vec<Bootstrap> {
        let list = || self.progress.bootstraps();
        self.until("the bootstraps are over", |_| {
            list().len() == count && list().iter().all(|found| found.state.is_over())
        })
        .await;
        list().to_vec()
    }

    /// Waits for a number of lines.
    pub(crate) async fn lines(&self, count: usize) {
        self.until(&format!("{count} lines"), |lines| lines.len() >= count)
            .await;
    }

    /// Waits for a line with this in it.
    pub(crate) async fn line_with(&self, part: &str) {
        self.until(part, |lines| lines.iter().any(|line| line.contains(part)))
            .await;
    }

    pub(crate) async fn stop(self) -> Done {
        self.stop.cancel();
        self.end().await
    }

    /// Waits for the end.
    pub(crate) async fn end(self) -> Done {
        let result = tokio::time::timeout(PATIENCE, self.task).await;
        let lines = self.output.lines();
        let result =
            result.unwrap_or_else(|_| panic!("the run does not end:\n{}", lines.join("\n")));
        Done {
            lines,
            result: result.unwrap(),
        }
    }
}

/// An event without what differs from run to run: type, table, and all from `data` on.
pub(crate) fn short(line: &str) -> String {
    let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    format!(
        "{} {} {}",
        event["type"].as_str().unwrap(),
        event["table"].as_str().unwrap(),
        data(line)
    )
}

/// The raw text of `data`, and of `old` after it.
pub(crate) fn data(line: &str) -> &str {
    let parts = line.split_once("\"data\":");
    let (_, rest) = parts.unwrap_or_else(|| panic!("no data: {line}"));
    rest.strip_suffix('}').unwrap()
}

/// Events in short.
pub(crate) fn shorts(lines: &[String]) -> Vec<String> {
    lines.iter().map(|line| short(line)).collect()
}

/// One test for each server.
macro_rules! on_every_server {
    ($($name:ident),* $(,)?) => {
        mod mariadb_10_11 { $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(headwater_servers::Flavor::MariaDb1011).await;
            }
        )* }
        mod mariadb_11_8 { $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(headwater_servers::Flavor::MariaDb118).await;
            }
        )* }
        mod mysql_9_7 { $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(headwater_servers::Flavor::MySql97).await;
            }
        )* }
    };
}
pub(crate) use on_every_server;
