//! What scenes of kills have in common: their seed, the user they run as, and how a process is started and dies.

use std::fs;
use std::future::Future;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use headwater_servers::Flavor;
use rand::Rng;
use rand::rngs::StdRng;
use tokio::task::JoinHandle;

use crate::command::headwater;

/// The number that a scene is played by.
pub(crate) fn seed() -> u64 {
    let given = std::env::var("HEADWATER_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    let any = || {
        let soak = std::env::var_os("HEADWATER_SOAK").is_some();
        if soak {
            rand::rng().random()
        } else {
            20_261_121
        }
    };
    given.unwrap_or_else(any)
}

/// The SQL that makes the user `cdc`, who may lock tables or not.
pub(crate) fn privileges(flavor: Flavor, may_lock: bool) -> String {
    let monitor = if flavor == Flavor::MySql97 {
        "REPLICATION CLIENT"
    } else {
        "BINLOG MONITOR"
    };
    let lock = if may_lock {
        "RELOAD, LOCK TABLES, "
    } else {
        ""
    };
    format!(
        "CREATE USER cdc@'%' IDENTIFIED BY 'secret'; GRANT SELECT, {lock}REPLICATION SLAVE, {monitor} ON *.* TO cdc@'%';"
    )
}

/// Plays a scene to its end.
pub(crate) fn play_out(scene: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(scene);
}

/// Writers at work, until they are told to stop.
pub(crate) struct Writing<T> {
    stop: Arc<AtomicBool>,
    running: Vec<JoinHandle<T>>,
}

impl<T: Send + 'static> Writing<T> {
    /// Sets each to work, with what tells it to stop.
    pub(crate) fn begin<W, F>(writers: Vec<W>, work: impl Fn(W, Arc<AtomicBool>) -> F) -> Self
    where
        F: Future<Output = T> + Send + 'static,
    {
        let stop = Arc::new(AtomicBool::new(false));
        let work = |writer| tokio::spawn(work(writer, Arc::clone(&stop)));
        let running = writers.into_iter().map(work).collect();
        Self { stop, running }
    }

    /// Tells them to stop, and waits for what each leaves.
    pub(crate) async fn end(self) -> Vec<T> {
        self.stop.store(true, Ordering::Relaxed);
        let mut left = Vec::new();
        for writer in self.running {
            left.push(writer.await.unwrap());
        }
        left
    }
}

/// The program on the file `config.yaml` of a folder, where its log goes.
pub(crate) fn program(folder: &Path, extra: &[&str]) -> Command {
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(folder.join("log"))
        .unwrap();
    let mut command = headwater();
    command
        .args(["run", "--config", "config.yaml"])
        .args(extra)
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(log);
    command
}

/// How processes of a scene die.
pub(crate) struct Death {
    /// Where they may die by themselves.
    pub(crate) failpoints: &'static [&'static str],
    /// When a failpoint is reached so often, at most.
    pub(crate) hits_max: u32,
    /// How long they live otherwise, in milliseconds.
    pub(crate) life_ms: std::ops::Range<u64>,
}

impl Death {
    /// Starts the program and kills it, at a moment or a failpoint of the random numbers' choice.
    pub(crate) fn of(&self, folder: &Path, random: &mut StdRng, extra: &[&str]) {
        let mut command = program(folder, extra);
        if random.random_bool(0.4) {
            let point = self.failpoints[random.random_range(0..self.failpoints.len())];
            let hit = random.random_range(1..=self.hits_max);
            command.env("HEADWATER_FAILPOINTS", format!("{point}=abort@{hit}"));
        }
        let life = Duration::from_millis(random.random_range(self.life_ms.clone()));
        end_within(&mut command.spawn().unwrap(), life);
    }
}

/// Lets a process end by itself, or kills it when its time is over.
pub(crate) fn end_within(child: &mut Child, life: Duration) -> ExitStatus {
    let until = Instant::now() + life;
    while Instant::now() < until {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap()
}

/// Tests that play scenes, each with its soak.
macro_rules! scenes {
    ($($name:ident, $soak:ident: $scene:expr;)*) => {$(
        #[test]
        fn $name() {
            $crate::kills::play::play_out(play($scene));
        }

        #[test]
        #[ignore = "the full number of kills: cargo xtask soak"]
        fn $soak() {
            $crate::kills::play::play_out(play($scene.soak()));
        }
    )*};
}
pub(crate) use scenes;
