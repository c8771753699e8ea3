//! An operator who asks for bootstraps of a run that is killed again and again, pauses, throttles, resumes and aborts them at
//! random, and holds the run to what it answered: a command that was answered outlives every kill.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use super::door::{Answer, Door, Wish};
use super::writers::TABLES;
use super::{CONDITION, DATABASE};

/// Bootstraps that are open at once, at most.
const OPEN_MAX: usize = 4;
/// So many that are over stay listed: of more, the oldest are forgotten.
const LISTED_MIN: usize = 100;
/// Rows that must be out by them while writers write.
const ROWS_MIN: u64 = 2_500;
/// Only a machine that stands still takes longer.
const LIMIT: Duration = Duration::from_secs(300);

/// What must be true of a bootstrap, by the last answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Open,
    Paused,
    Aborted,
    /// A command of which no answer came may be done, or not.
    Unsure,
}

/// How often each command was answered.
#[derive(Debug, Default)]
struct Answered {
    asked: u32,
    asked_again: u32,
    paused: u32,
    resumed: u32,
    throttled: u32,
    aborted: u32,
}

/// A bootstrap, as the run lists it.
#[derive(Debug)]
struct Listed {
    id: u64,
    state: String,
    rows: u64,
    is_amid_a_table: bool,
}

impl Listed {
    fn of(view: &Value) -> Self {
        let state = view["state"].as_str().unwrap().to_owned();
        assert_ne!(state, "failed", "nothing is wrong with any table: {view}");
        let is_amid = |table: &Value| table["done"] == false && table["rows"] != 0;
        let mut tables = view["tables"].as_array().unwrap().iter();
        Self {
            is_amid_a_table: tables.any(is_amid),
            id: view["id"].as_u64().unwrap(),
            state,
            rows: view["rows"].as_u64().unwrap(),
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.state.as_str(), "done" | "aborted")
    }
}

/// What it remembers of one process.
#[derive(Debug, Default)]
struct Life {
    /// Rows of those that were paused before the process was started: they stand still all the time.
    still: Option<BTreeMap<u64, u64>>,
}

/// The operator.
#[derive(Debug)]
pub(super) struct Operator {
    random: StdRng,
    known: BTreeMap<u64, Known>,
    answered: Answered,
    comments: u32,
    last: Option<Vec<String>>,
    /// Rows that were out of each.
    rows: BTreeMap<u64, u64>,
    /// Those that came to their end.
    done: BTreeSet<u64>,
    life: Life,
}

impl Operator {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed ^ 0x6f70_6572),
            known: BTreeMap::new(),
            answered: Answered::default(),
            comments: 0,
            last: None,
            rows: BTreeMap::new(),
            done: BTreeSet::new(),
            life: Life::default(),
        }
    }

    /// Whether every command has had its effect more than once, and rows came. Without that a scene proves nothing.
    pub(super) fn has_done_everything(&self) -> bool {
        let Answered {
            asked,
            asked_again,
            paused,
            resumed,
            throttled,
            aborted,
        } = self.answered;
        let counts = [asked, asked_again, paused, resumed, throttled, aborted];
        counts.iter().all(|count| *count > 1)
            && !self.done.is_empty()
            && self.rows.values().sum::<u64>() >= ROWS_MIN
    }

    /// Does one thing after the other to a process until it is `over`.
    pub(super) fn work(&mut self, door: &Door, over: &AtomicBool) {
        self.life = Life::default();
        while !over.load(Ordering::Relaxed) {
            self.act(door);
            std::thread::sleep(Duration::from_millis(self.random.random_range(0..60)));
        }
    }

    /// The same until every command has had its effect.
    pub(super) fn work_through(&mut self, door: &Door) {
        self.life = Life::default();
        let end = Instant::now() + LIMIT;
        while !self.has_done_everything() {
            assert!(Instant::now() < end, "not everything was done: {self:?}");
            self.act(door);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn act(&mut self, door: &Door) {
        let Some(list) = self.list(door) else { return };
        let mut open: Vec<Listed> = list.into_iter().filter(|one| !one.is_over()).collect();
        let what = self.random.random_range(0..10);
        if open.is_empty() || what < 3 && open.len() < OPEN_MAX {
            self.ask_for_some(door);
            return;
        }
        let one = open.swap_remove(self.random.random_range(0..open.len()));
        match what {
            0..=4 if one.state == "paused" => self.resume(door, one.id),
            0..=5 => {
                self.pause(door, one.id);
            }
            6 | 7 => {
                let rate = (self.random.random_bool(0.7)).then(|| self.rate());
                self.throttle(door, one.id, rate);
            }
            8 => self.abort(door, one.id),
            _ if one.state == "paused" => self.resume(door, one.id),
            _ => {}
        }
    }

    fn rate(&mut self) -> u64 {
        *[200, 1_000, 4_000].choose(&mut self.random).unwrap()
    }

    fn ask_for_some(&mut self, door: &Door) {
        let table = |name: &&str| format!("{DATABASE}.{name}");
        let again = self.last.clone().filter(|_| self.random.random_bool(0.4));
        let is_again = again.is_some();
        let tables = again.unwrap_or_else(|| match self.random.random_range(0..4) {
            0 => vec!["*.*".to_owned()],
            1 => {
                let some = TABLES.choose_multiple(&mut self.random, 2);
                some.map(table).collect()
            }
            _ => TABLES
                .choose(&mut self.random)
                .iter()
                .copied()
                .map(table)
                .collect(),
        });
        let condition = self.random.random_bool(0.3).then_some(CONDITION);
        let rate = self.random.random_bool(0.6).then(|| self.rate());
        if self.ask(door, tables.clone(), condition, rate).is_some() {
            self.answered.asked += 1;
            self.answered.asked_again += u32::from(is_again);
            self.last = Some(tables);
        }
    }

    /// Gives the new bootstrap's number and comment.
    fn ask(
        &mut self,
        door: &Door,
        tables: Vec<String>,
        condition: Option<&'static str>,
        rate: Option<u64>,
    ) -> Option<(u64, String)> {
        self.comments += 1;
        let comment = format!("number {}", self.comments);
        let wish = Wish::New {
            tables,
            condition,
            rate,
            comment: comment.clone(),
        };
        let Answer::Done(view) = door.ask(&wish) else {
            return None;
        };
        let one = Listed::of(&view);
        let newest = self.known.keys().next_back();
        assert!(
            newest.is_none_or(|newest| *newest < one.id),
            "a number was given twice: {view} after {newest:?}"
        );
        self.known.insert(one.id, Known::Open);
        Some((one.id, comment))
    }

    /// Says whether it stands still.
    fn pause(&mut self, door: &Door, id: u64) -> bool {
        let Some((one, _)) = self.change(door, id, &Wish::Pause(id)) else {
            return false;
        };
        // Its last chunk may have been on its way.
        let is_paused = one.state == "paused";
        assert!(is_paused || one.state == "done", "paused: {one:?}");
        if is_paused {
            self.known.insert(id, Known::Paused);
            self.answered.paused += 1;
        }
        is_paused
    }

    fn resume(&mut self, door: &Door, id: u64) {
        if let Some((one, _)) = self.change(door, id, &Wish::Resume(id)) {
            let goes_on = matches!(one.state.as_str(), "waiting" | "running" | "done");
            assert!(goes_on, "resumed: {one:?}");
            self.known.insert(id, Known::Open);
            self.answered.resumed += 1;
        }
    }

    fn throttle(&mut self, door: &Door, id: u64, rate: Option<u64>) {
        let before = self.known.get(&id).copied();
        if let Some((_, view)) = self.change(door, id, &Wish::Throttle(id, rate)) {
            let said = view["limits"]["rows_per_s"].as_u64();
            assert_eq!(said, rate, "throttled: {view}");
            self.answered.throttled += 1;
            if let Some(before) = before {
                self.known.insert(id, before);
            }
        }
    }

    fn abort(&mut self, door: &Door, id: u64) {
        if let Some((one, _)) = self.change(door, id, &Wish::Abort(id)) {
            assert_eq!(one.state, "aborted");
            self.known.insert(id, Known::Aborted);
            self.answered.aborted += 1;
        }
    }

    fn change(&mut self, door: &Door, id: u64, wish: &Wish) -> Option<(Listed, Value)> {
        if let Some(known) = self.known.get_mut(&id) {
            *known = Known::Unsure;
        }
        if let (Some(still), false) = (&mut self.life.still, matches!(wish, Wish::Throttle(..))) {
            still.remove(&id);
        }
        match door.ask(wish) {
            Answer::Done(view) => Some((Listed::of(&view), view)),
            Answer::Over | Answer::Gone => None,
        }
    }

    /// What the run says of all of them, held to what it has answered; none while it says nothing.
    fn list(&mut self, door: &Door) -> Option<Vec<Listed>> {
        let Answer::Done(view) = door.ask(&Wish::List) else {
            return None;
        };
        let list: Vec<Listed> = view["bootstraps"]
            .as_array()
            .unwrap()
            .iter()
            .map(Listed::of)
            .collect();
        if list.is_empty() && !self.known.is_empty() {
            // It has not read its checkpoint yet.
            return None;
        }
        for (id, known) in &self.known {
            let Some(one) = list.iter().find(|one| one.id == *id) else {
                assert!(
                    list.len() >= LISTED_MIN,
                    "{id} ({known:?}) is lost: {list:?}"
                );
                continue;
            };
            let is_kept = match known {
                Known::Open => matches!(one.state.as_str(), "waiting" | "running" | "done"),
                Known::Paused => matches!(one.state.as_str(), "paused" | "done"),
                Known::Aborted => one.state == "aborted",
                Known::Unsure => true,
            };
            assert!(is_kept, "it was answered that it is {known:?}: {one:?}");
        }
        let is_still = |one: &&Listed| {
            one.state == "paused" && self.known.get(&one.id) == Some(&Known::Paused)
        };
        let still = (self.life.still).get_or_insert_with(|| {
            let still = list.iter().filter(is_still);
            still.map(|one| (one.id, one.rows)).collect()
        });
        for one in &list {
            let rows = still.get(&one.id).copied().unwrap_or(one.rows);
            assert_eq!(one.rows, rows, "read while it was paused: {one:?}");
        }
        for one in &list {
            self.rows.insert(one.id, one.rows);
            if one.state == "done" {
                self.done.insert(one.id);
            }
        }
        Some(list)
    }

    /// What the run says, once it says something.
    fn listed(&mut self, door: &Door) -> Vec<Listed> {
        until("the run lists its bootstraps", || self.list(door))
    }

    fn find(&mut self, door: &Door, id: u64) -> Listed {
        let mut all = self.listed(door).into_iter();
        all.find(|one| one.id == id).unwrap()
    }

    /// Nobody writes any more, and the process is not killed: ends what is open, by an abort or at its own end.
    pub(super) fn end_all(&mut self, door: &Door) {
        self.life = Life::default();
        for one in self.listed(door).iter().filter(|one| !one.is_over()) {
            if self.random.random_bool(0.3) {
                self.abort(door, one.id);
            } else {
                self.go_on(door, one.id);
            }
        }
        until("all bootstraps are over", || {
            let list = self.listed(door);
            list.iter().all(Listed::is_over).then_some(())
        });
    }

    fn go_on(&mut self, door: &Door, id: u64) {
        self.throttle(door, id, None);
        self.resume(door, id);
    }

    /// Asks for everything, and pauses that amid a table. Gives its number and the comment of its events.
    pub(super) fn begin_whole(&mut self, door: &Door) -> (u64, String) {
        for rate in [1_000, 400, 100] {
            let asked = || self.ask(door, vec!["*.*".to_owned()], None, Some(rate));
            let (id, comment) = until("it is asked for", asked);
            let mut rows = 0;
            loop {
                rows = until("more is out", || {
                    let one = self.find(door, id);
                    (one.rows > rows || one.is_over()).then_some(one.rows)
                });
                if !self.pause(door, id) {
                    break;
                }
                if self.find(door, id).is_amid_a_table {
                    return (id, comment);
                }
                self.resume(door, id);
            }
        }
        panic!("a bootstrap was over each time before it could be paused amid a table");
    }

    /// Lets it go on in another process, to its end.
    pub(super) fn end_whole(&mut self, door: &Door, id: u64) {
        self.life = Life::default();
        assert_eq!(self.find(door, id).state, "paused");
        // Another one goes past it, while it stands still.
        let one = vec![format!("{DATABASE}.{}", TABLES[0])];
        let asked = || self.ask(door, one.clone(), None, None);
        let (other, _) = until("another is asked for", asked);
        self.await_end(door, other);
        self.go_on(door, id);
        self.await_end(door, id);
    }

    fn await_end(&mut self, door: &Door, id: u64) {
        until("it is done", || {
            (self.find(door, id).state == "done").then_some(())
        });
    }
}

/// Tries until something comes of it.
fn until<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(done) = attempt() {
            return done;
        }
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
