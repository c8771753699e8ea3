//! Progress as bars: a line for each table that is being copied, a line for the rest, and then one line for the log.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use headwater_core::clock;
use headwater_core::progress::{Phase, Progress, TableProgress};
use indicatif::{HumanCount, MultiProgress, ProgressBar, ProgressStyle};

use super::Console;
use super::bootstraps;
use super::pace::{Pace, as_f64, duration, rate};

/// The most tables that have a line of their own.
const LINES_MAX: usize = 10;

/// The lines at the end of the terminal.
pub(super) struct Bars {
    all: MultiProgress,
    tables: Vec<ProgressBar>,
    status: ProgressBar,
    paces: HashMap<String, Pace>,
    rest: Pace,
    live: Pace,
}

fn style(template: &str) -> ProgressStyle {
    // A template of ours that cannot be read shows as indicatif's own.
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸ ")
        .tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
}

impl Bars {
    pub(super) fn new(console: &Console) -> Self {
        let all = console.bars.clone();
        let status = all.add(ProgressBar::no_length());
        status.set_style(style("{spinner:.cyan} {wide_msg}"));
        Self {
            all,
            tables: Vec::new(),
            status,
            paces: HashMap::new(),
            rest: Pace::default(),
            live: Pace::default(),
        }
    }

    pub(super) fn tick(&mut self, progress: &Progress) {
        let now = Instant::now();
        match progress.phase() {
            Phase::Starting => self.say("connecting".to_owned()),
            Phase::Copying => self.copying(progress, now),
            Phase::CatchingUp => self.following(progress, now, "catching up"),
            Phase::Streaming => {
                self.drop_tables();
                self.following(progress, now, "live");
            }
            Phase::Waiting => self.say("the server is away; trying again".to_owned()),
            Phase::Ended => self.drop_tables(),
        }
        self.status.tick();
    }

    pub(super) fn clear(mut self) {
        self.drop_tables();
        self.status.finish_and_clear();
        self.all.remove(&self.status);
    }

    fn say(&self, text: String) {
        self.status.set_message(text);
    }

    fn drop_tables(&mut self) {
        for bar in self.tables.drain(..) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
    }

    fn copying(&mut self, progress: &Progress, now: Instant) {
        let tables = progress.tables();
        let (shown, hidden) = choose(&tables);
        let width = shown
            .iter()
            .map(|table| table.name.to_string().chars().count())
            .max();
        let width = width.unwrap_or(0).clamp(8, 40);
        while let Some(bar) = (self.tables.len() > shown.len())
            .then(|| self.tables.pop())
            .flatten()
        {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
        let template = format!("{{prefix:{width}!}} {{bar:24.green/black}} {{wide_msg}}");
        for (index, table) in shown.iter().enumerate() {
            let pace = self.paces.entry(table.name.to_string()).or_default();
            let speed = pace.sample(now, table.rows());
            if let Some(bar) = self.tables.get(index) {
                set(bar, table, speed, &template);
                continue;
            }
            // Set before it is shown, so that it never shows empty.
            let bar = ProgressBar::hidden();
            set(&bar, table, speed, &template);
            self.tables.push(self.all.insert_before(&self.status, bar));
        }
        let rows: u64 = tables.iter().map(|table| table.rows()).sum();
        let estimate: u64 = tables.iter().map(|table| table.estimated_rows).sum();
        let speed = self.rest.sample(now, rows);
        let done = tables.iter().filter(|table| table.is_done()).count();
        let mut text = format!(
            "copying  {done} of {} tables · {} rows · {}",
            tables.len(),
            HumanCount(rows),
            rate(speed)
        );
        if let Some(seconds) = seconds_left(rows, estimate, speed) {
            text.push_str(&format!(" · {} left", duration(seconds)));
        }
        if hidden > 0 {
            text.push_str(&format!(" · {hidden} tables not shown"));
        }
        self.say(text);
    }

    fn following(&mut self, progress: &Progress, now: Instant, what: &str) {
        let rows = progress.rows_live();
        let speed = self.live.sample(now, rows);
        let lag_s = progress.counters().lag_s(clock::now_s()).unwrap_or(0);
        let lag = if speed > 0.0 {
            format!("{} behind", duration(lag_s))
        } else {
            "waiting for changes".to_owned()
        };
        let mut text = format!(
            "{what}  {} · {} changes · {lag}",
            rate(speed),
            HumanCount(rows)
        );
        text.push_str(&bootstraps::words(progress));
        let position = progress.position();
        if !position.is_empty() {
            text.push_str(&format!(" · {position}"));
        }
        self.say(text);
    }
}

/// The tables that get a line: those being read, then those to come, then those that are done, in their order; and how many
/// get none.
fn choose(tables: &[Arc<TableProgress>]) -> (Vec<Arc<TableProgress>>, usize) {
    let hidden = tables.len().saturating_sub(LINES_MAX);
    if hidden == 0 {
        return (tables.to_vec(), 0);
    }
    let rank = |table: &TableProgress| match (table.is_done(), table.rows()) {
        (false, 1..) => 0,
        (false, 0) => 1,
        (true, _) => 2,
    };
    let mut ranked: Vec<_> = tables.iter().enumerate().collect();
    ranked.sort_by_key(|(index, table)| (rank(table), *index));
    ranked.truncate(LINES_MAX);
    ranked.sort_by_key(|(index, _)| *index);
    (
        ranked
            .into_iter()
            .map(|(_, table)| Arc::clone(table))
            .collect(),
        hidden,
    )
}

fn set(bar: &ProgressBar, table: &TableProgress, speed: f64, template: &str) {
    let (position, length) = extent(table);
    bar.set_style(style(template));
    bar.set_prefix(table.name.to_string());
    bar.set_message(words(table, speed));
    bar.set_length(length);
    bar.set_position(position);
}

/// Position and length of a bar. The estimate may be wrong either way.
fn extent(table: &TableProgress) -> (u64, u64) {
    let rows = table.rows();
    if table.is_done() {
        return (rows.max(1), rows.max(1));
    }
    (rows, table.estimated_rows.max(rows + rows / 100 + 1))
}

fn words(table: &TableProgress, speed: f64) -> String {
    let rows = table.rows();
    if table.is_done() {
        return format!("100%  {} rows", HumanCount(rows));
    }
    let share = percent(rows, table.estimated_rows, false);
    let mut text = format!("{share:>3}%  {} rows · {}", HumanCount(rows), rate(speed));
    if let Some(seconds) = seconds_left(rows, table.estimated_rows, speed) {
        text.push_str(&format!(" · {} left", duration(seconds)));
    }
    text
}

/// The share that is done: 100 only if it is really done, for the whole is an estimate.
pub(crate) fn percent(rows: u64, estimate: u64, is_done: bool) -> u64 {
    if is_done {
        return 100;
    }
    if estimate == 0 {
        return 0;
    }
    u64::try_from(u128::from(rows) * 100 / u128::from(estimate)).map_or(99, |share| share.min(99))
}

/// The time left, where it can be said.
pub(crate) fn seconds_left(rows: u64, estimate: u64, speed: f64) -> Option<u64> {
    if speed <= 0.0 || rows == 0 || rows >= estimate {
        return None;
    }
    let seconds = as_f64(estimate - rows) / speed;
    // A minute is 60 s; beyond some days it is no estimate any more.
    (seconds < 1e7).then(|| std::time::Duration::from_secs_f64(seconds).as_secs())
}

/// One bar for one thing that goes on elsewhere.
#[derive(Debug)]
pub(crate) struct Bar(ProgressBar);

impl Bar {
    pub(crate) fn new(console: &Console) -> Self {
        let bar = console.bars.add(ProgressBar::no_length());
        bar.set_style(style("{prefix} {bar:24.green/black} {wide_msg}"));
        Self(bar)
    }

    /// `done` of about `all`, which may be wrong either way.
    pub(crate) fn show(&self, prefix: String, done: u64, all: u64, message: String) {
        self.0.set_prefix(prefix);
        self.0.set_message(message);
        self.0.set_length(all.max(done).max(1));
        self.0.set_position(done);
    }

    pub(crate) fn clear(self) {
        self.0.finish_and_clear();
    }
}
