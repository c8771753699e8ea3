//! Sending what a lane has gathered: deletes, then tablets in calls of bounded size. What passes is tried again; what is refused
//! for good is taken apart until the rows that cause it are found.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use headwater_core::{Error, ErrorKind, Result};
use tokio::time::Instant;

use super::counts::{Counts, Of};
use super::deletes::{Gathered, What};
use super::letters::Letters;
use super::pending::{Delete, Load, Slot};
use super::ways::{Way, Ways, named};
use crate::client::{Session, Status};
use crate::config::{IotdbOptions, Model};
use crate::error::{self, Verdict};
use crate::mapping::Plan;
use crate::tablet::Tablet;

/// How often a refusal that may pass is tried again.
const UNSURE_TRIES: u32 = 5;

/// Sends for one lane.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) ways: Ways,
    pub(crate) options: Arc<IotdbOptions>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) letters: Arc<Letters>,
    /// Whether this session wrote what was not flushed since. Only kept where flushes are asked for.
    pub(crate) is_unflushed: Arc<AtomicBool>,
}

/// Is told the bytes of each call that was answered.
pub(crate) type Answered<'a> = dyn Fn(usize) + Sync + 'a;

/// What a call ended with, once it did not have to be tried again.
#[derive(Debug)]
enum Answer {
    Done(Status),
    Refused(Status),
}

/// What is sent in one call.
enum Call<'a> {
    Tablets(&'a [Tablet]),
    Table(&'a Tablet),
    Points(&'a [String], i64),
    Statement(&'a str),
    /// Writes nothing: says that the session still is what it was.
    Ping,
}

impl Call<'_> {
    async fn send(&self, session: &mut Session, is_aligned: bool) -> Result<Status> {
        match self {
            Self::Tablets(tablets) => session.insert_tablets(tablets, is_aligned).await,
            Self::Table(tablet) => session.insert_into_table(tablet).await,
            Self::Points(paths, time) => session.delete_points(paths, *time).await,
            Self::Statement(statement) => session.execute(statement).await,
            Self::Ping => session.ping().await,
        }
    }
}

/// Has everything that was acknowledged written to files.
const FLUSH: &str = "FLUSH";

/// What is asked of a lane before what it wrote is called durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Confirm {
    /// Have IoTDB flush.
    Flush,
    /// Say that the server which took this lane's writes is the one that flushed: the session has outlived the flush.
    Ping,
}

impl Sender {
    /// Sends everything, and tells the bytes of each call that was answered. When this returns, IoTDB has it, or the dead letters
    /// do.
    pub(crate) async fn send(&mut self, load: Load, answered: &Answered<'_>) -> Result<()> {
        let (deletes, slots) = (load.deletes, load.slots);
        for gathered in self.options.model.gathered(&deletes) {
            self.delete_together(&deletes, &gathered).await?;
        }
        match self.options.model {
            Model::Tree { .. } => self.tablets(slots, answered).await,
            Model::Table { .. } => self.tables(slots, answered).await,
        }
    }

    /// Does what a flush takes. See [`Confirm`].
    pub(crate) async fn confirm(&mut self, what: Confirm) -> Result<()> {
        let call = match what {
            Confirm::Flush => Call::Statement(FLUSH),
            Confirm::Ping if !self.is_unflushed() => return Ok(()),
            Confirm::Ping => Call::Ping,
        };
        if let Answer::Refused(status) = self.call(call).await? {
            return Err(Error::new(
                ErrorKind::SinkRejected,
                "IoTDB refuses to flush",
            )
            .with("IoTDB says", status.text())
            .hint("grant the account MAINTAIN (in the table model: use an administrator), or set iotdb.flush_at_checkpoint: false"));
        }
        self.is_unflushed.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn is_unflushed(&self) -> bool {
        self.is_unflushed.load(Ordering::Relaxed)
    }

    /// Deletes with as few calls as it takes; where these are refused, one by one.
    async fn delete_together(&mut self, deletes: &[Delete], gathered: &Gathered) -> Result<()> {
        if gathered.deletes.len() > 1 {
            let call = match &gathered.what {
                What::Points(paths, time) => Call::Points(paths, *time),
                What::Rows(statement) => Call::Statement(statement),
            };
            self.counts.add(Of::DeleteCalls, 1);
            if matches!(self.call(call).await?, Answer::Done(_)) {
                return Ok(());
            }
        }
        for &at in &gathered.deletes {
            self.delete(&deletes[at]).await?;
        }
        Ok(())
    }

    async fn delete(&mut self, delete: &Delete) -> Result<()> {
        let mut answer = self.delete_once(delete).await?;
        if let Answer::Refused(status) = &answer
            && lacks_table(status)
        {
            // Before its first row there is no table. Asked for nothing but that one, the server would also say so of a table
            // that a node which has just started does not know yet, and points would stay.
            let statement = delete.plan.create_table();
            self.call(Call::Statement(&statement)).await?;
            answer = self.delete_once(delete).await?;
        }
        match answer {
            Answer::Done(_) => Ok(()),
            Answer::Refused(status) if is_missing(&status) => Ok(()),
            // A delete that is refused would leave what must not stay.
            Answer::Refused(status) => Err(Error::new(
                ErrorKind::SinkRejected,
                "IoTDB refuses to delete points",
            )
            .with("table", &delete.plan.source)
            .with("device", &delete.device)
            .with("time", delete.time)
            .with("IoTDB says", status.text())
            .hint("see what IoTDB says; with iotdb.policy.delete: ignore nothing is deleted for deleted rows")),
        }
    }

    async fn delete_once(&mut self, delete: &Delete) -> Result<Answer> {
        self.counts.add(Of::DeleteCalls, 1);
        match delete.plan.table() {
            None => {
                let paths = delete.plan.paths(&delete.device, delete.columns.as_deref());
                self.call(Call::Points(&paths, delete.time)).await
            }
            Some(table) => {
                let statement = crate::mapping::delete_row(table, &delete.device, delete.time);
                self.call(Call::Statement(&statement)).await
            }
        }
    }

    /// The tree model: tablets of many devices in a call.
    async fn tablets(&mut self, slots: Vec<Slot>, answered: &Answered<'_>) -> Result<()> {
        for (way, slots) in self.ways.parted(slots) {
            self.tablets_over(way, slots, answered).await?;
        }
        Ok(())
    }

    async fn tablets_over(
        &mut self,
        way: Way,
        slots: Vec<Slot>,
        answered: &Answered<'_>,
    ) -> Result<()> {
        let mut call: Vec<Tablet> = Vec::new();
        let mut plans: Vec<Arc<Plan>> = Vec::new();
        let mut size = 0;
        for mut slot in slots {
            slot.tablet.finish();
            for piece in slot.tablet.into_pieces(self.options.tablet_bytes_max) {
                if piece.is_empty() {
                    continue;
                }
                if size > 0 && size + piece.size_bytes() > self.options.tablet_bytes_max {
                    self.write(way, &call, &plans).await?;
                    call.clear();
                    plans.clear();
                    answered(size);
                    size = 0;
                }
                size += piece.size_bytes();
                call.push(piece);
                plans.push(slot.plan.clone());
            }
        }
        if call.is_empty() {
            return Ok(());
        }
        self.write(way, &call, &plans).await
    }

    /// Writes tablets in one call; where that is refused, in halves, until the tablets are found that are. What IoTDB answers for
    /// the parts of a refused call is by region, and in their order, not in that of the tablets.
    async fn write(&mut self, way: Way, tablets: &[Tablet], plans: &[Arc<Plan>]) -> Result<()> {
        let mut open = vec![(0, tablets.len())];
        while let Some((from, to)) = open.pop() {
            let part = &tablets[from..to];
            if let Answer::Done(status) = self.call_over(way, Call::Tablets(part)).await? {
                let devices = part.iter().map(|tablet| &*tablet.target);
                self.learn(devices.enumerate(), &status);
                self.wrote(part);
            } else if let [tablet] = part {
                self.isolate(tablet, &plans[from]).await?;
            } else {
                let half = from + (to - from) / 2;
                open.push((half, to));
                open.push((from, half));
            }
        }
        Ok(())
    }

    /// The table model: a call for each table.
    async fn tables(&mut self, slots: Vec<Slot>, answered: &Answered<'_>) -> Result<()> {
        let mut open: Vec<Slot> = Vec::new();
        for mut slot in slots {
            slot.tablet.finish();
            let found = open
                .iter_mut()
                .find(|found| found.plan.number == slot.plan.number);
            match found {
                Some(found) if found.tablet.size_bytes() < self.options.tablet_bytes_max => {
                    found.tablet.append(&slot.tablet);
                }
                Some(found) => {
                    let full = std::mem::replace(found, slot);
                    self.table(full, answered).await?;
                }
                None => open.push(slot),
            }
        }
        for slot in open {
            self.table(slot, answered).await?;
        }
        Ok(())
    }

    async fn table(&mut self, slot: Slot, answered: &Answered<'_>) -> Result<()> {
        for piece in slot.tablet.into_pieces(self.options.tablet_bytes_max) {
            if piece.is_empty() {
                continue;
            }
            match self.call(Call::Table(&piece)).await? {
                Answer::Done(_) => self.wrote(std::slice::from_ref(&piece)),
                Answer::Refused(_) => self.isolate(&piece, &slot.plan).await?,
            }
            answered(piece.size_bytes());
        }
        Ok(())
    }

    /// Finds the rows of a tablet that are refused. Where the first and the last are, for another reason than their age, the
    /// others would be too: their device or a type is at fault.
    async fn isolate(&mut self, tablet: &Tablet, plan: &Arc<Plan>) -> Result<()> {
        let mut parts = vec![(0, tablet.len())];
        let mut is_first = true;
        while let Some((from, to)) = parts.pop() {
            let part = tablet.part(from, to);
            let status = match self.one(&part).await? {
                Answer::Done(_) => {
                    self.wrote(std::slice::from_ref(&part));
                    continue;
                }
                Answer::Refused(status) => status,
            };
            if to - from == 1 {
                self.refuse(&part, plan, &status)?;
                continue;
            }
            if std::mem::take(&mut is_first) && self.refuses_ends(tablet).await? {
                self.refuse(tablet, plan, &status)?;
                return Ok(());
            }
            let half = from + (to - from) / 2;
            parts.push((half, to));
            parts.push((from, half));
        }
        Ok(())
    }

    async fn refuses_ends(&mut self, tablet: &Tablet) -> Result<bool> {
        const OUT_OF_TTL: i32 = 607;
        for row in [0, tablet.len() - 1] {
            match self.one(&tablet.part(row, row + 1)).await? {
                Answer::Refused(status) if first_code(&status) != OUT_OF_TTL => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    async fn one(&mut self, tablet: &Tablet) -> Result<Answer> {
        match self.options.model {
            Model::Tree { .. } => self.call(Call::Tablets(std::slice::from_ref(tablet))).await,
            Model::Table { .. } => self.call(Call::Table(tablet)).await,
        }
    }

    fn wrote(&self, tablets: &[Tablet]) {
        let rows: usize = tablets.iter().map(Tablet::len).sum();
        let points = tablets.iter().map(Tablet::points).sum();
        self.counts.add(Of::Rows, rows as u64);
        self.counts.add(Of::Points, points);
    }

    fn refuse(&self, tablet: &Tablet, plan: &Plan, status: &Status) -> Result<()> {
        self.letters.about_tablet(tablet, plan, &status.text())?;
        self.counts.add(Of::Refused, tablet.len() as u64);
        Ok(())
    }

    /// Notes the nodes that IoTDB named for devices, each with its place in the call. Where flushes are asked for, they are not
    /// gone to: what is flushed is the node that the lane stays with.
    fn learn<'a>(&mut self, devices: impl Iterator<Item = (usize, &'a str)>, status: &Status) {
        for (at, device) in devices {
            let Some(node) = named(status, at) else {
                continue;
            };
            self.counts.add(Of::Redirects, 1);
            if !self.options.flush_at_checkpoint {
                self.ways.learn(device, node);
            }
        }
    }

    async fn call(&mut self, call: Call<'_>) -> Result<Answer> {
        self.call_over(Way::Home, call).await
    }

    /// Calls until there is an answer that stays. A server that is away, busy or read-only costs nothing but time.
    async fn call_over(&mut self, way: Way, call: Call<'_>) -> Result<Answer> {
        let is_aligned = matches!(self.options.model, Model::Tree { is_aligned: true });
        let mut since: Option<Instant> = None;
        let mut unsure = 0;
        loop {
            let answered = match self.ways.connection(way).session().await {
                Ok(session) => call.send(session, is_aligned).await,
                Err(error) => Err(error),
            };
            let error = match answered {
                Ok(status) if status.is_success() => {
                    self.ways.connection(way).succeeded();
                    if self.options.flush_at_checkpoint {
                        self.is_unflushed.store(true, Ordering::Relaxed);
                    }
                    return Ok(Answer::Done(status));
                }
                Ok(status) => match Verdict::of(&status) {
                    Verdict::Refused => return Ok(Answer::Refused(status)),
                    Verdict::Unsure if unsure >= UNSURE_TRIES => {
                        return Ok(Answer::Refused(status));
                    }
                    Verdict::Stop => return Err(error::of_status(&status)),
                    Verdict::Unsure => {
                        unsure += 1;
                        error::of_status(&status)
                    }
                    Verdict::LogIn => {
                        self.ways.connection(way).forget();
                        error::of_status(&status)
                    }
                    Verdict::Retry => error::of_status(&status),
                },
                Err(error) if error.is_temporary() => {
                    self.ways.failed(way);
                    error
                }
                Err(error) => return Err(error),
            };
            if self.is_unflushed() && self.ways.connection(way).is_lost() {
                return Err(error.with(
                    "written again",
                    "what was not flushed, from the last checkpoint",
                ));
            }
            let since = *since.get_or_insert_with(Instant::now);
            let away = since.elapsed();
            if away >= self.options.unavailable_for_max {
                return Err(error.with("tried for", format!("{away:.0?}")));
            }
            self.counts.add(Of::Retries, 1);
            let wait = self.ways.connection(way).failed();
            if wait >= Duration::from_secs(1) {
                tracing::warn!(again_in = ?wait, "IoTDB is waited for: {error}");
            } else {
                tracing::debug!(again_in = ?wait, "IoTDB is tried again: {error}");
            }
            tokio::time::sleep(wait).await;
        }
    }
}

fn first_code(status: &Status) -> i32 {
    let failed = status.parts.iter().find(|part| !part.is_success());
    failed.unwrap_or(status).code
}

/// Whether what should be deleted is not there at all.
fn is_missing(status: &Status) -> bool {
    const MISSING: [i32; 4] = [500, 508, 550, 616];
    MISSING.contains(&first_code(status))
}

/// Whether a statement names a table that is not there. IoTDB 2.0.1 has no code of its own for that: 701 is any fault of a
/// statement.
fn lacks_table(status: &Status) -> bool {
    let message = status.message.as_deref().unwrap_or_default();
    status.code == 701 && message.starts_with("Table ") && message.ends_with("not found")
}
