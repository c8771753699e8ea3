//! Bringing refused rows in again. Nothing of a letter is written but what the source has by now: its row is read again as a
//! bootstrap, so that it goes out at its own place in the log, and nothing newer can be overwritten.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use headwater_core::dead_letters::{Settled, walk};
use headwater_core::engine::Mode;
use headwater_core::{Error, ErrorKind, Result, clock, failpoint};
use hyper::Method;
use tokio_util::sync::CancellationToken;

use super::plan::{Left, Part, Plan, plan};
use crate::commands::{run, source};
use crate::config::{Settings, misused};
use crate::control::client::Client;
use crate::control::find;
use crate::control::view::{BootstrapView, Limits, NewBootstrap, State};
use crate::exit::Exit;
use crate::terminal::Console;

/// How often the run is looked at.
const TICK: Duration = Duration::from_millis(100);

/// What was done.
#[derive(Debug, Default)]
struct Done {
    settled: usize,
    rows_read: u64,
    left: Vec<Left>,
}

/// Replays the open letters of `file`.
pub(super) async fn run(
    settings: &Settings,
    file: &Path,
    whole_tables: bool,
    console: &Arc<Console>,
) -> Result<Exit> {
    let mut letters = Vec::new();
    let (_, end) = super::open(file, |mut kept| {
        // Only the key is wanted.
        kept.letter.data.clear();
        letters.push(kept);
        Ok(())
    })?;
    if letters.is_empty() {
        tracing::info!(file = %file.display(), "no dead letter is open");
        return Ok(Exit::Finished);
    }
    let Some(checkpoint) = &settings.checkpoint else {
        return Err(misused(
            "the configuration names no checkpoint, so nothing says how far the stream has come",
            "add `checkpoint: FILE` to it and run with that",
        ));
    };
    let tables = source::open(&settings.source).tables().await?;
    let mut plan = plan(&letters, &tables, whole_tables);
    let mut done = Done {
        left: std::mem::take(&mut plan.left),
        ..Done::default()
    };
    let client = Client::new(find::socket_of(checkpoint));
    let replayed = if plan.parts.is_empty() {
        Ok(())
    } else if find::is_alive(client.socket()) {
        tracing::info!(
            letters = letters.len(),
            "the run that streams reads the rows again"
        );
        replay(&client, file, &plan, &mut done).await
    } else {
        require_checkpoint(settings, checkpoint)?;
        tracing::info!(
            letters = letters.len(),
            "no run streams: going on from its checkpoint, to read the rows again"
        );
        Box::pin(beside_own_run(
            settings, console, &client, file, &plan, &mut done,
        ))
        .await
    };
    let refused = refused_again(file, end, &plan)?;
    conclude(letters.len(), &done, refused);
    replayed?;
    Ok(match (done.left.is_empty(), refused) {
        (true, 0) => Exit::Finished,
        _ => Exit::Failed,
    })
}

/// Says what became of `letters`.
fn conclude(letters: usize, done: &Done, refused: usize) {
    for Left {
        table,
        letters,
        reason,
    } in &done.left
    {
        tracing::error!(%table, letters, "not replayed: {reason}");
    }
    tracing::info!(
        letters,
        rows_read = done.rows_read,
        settled = done.settled,
        refused_again = refused,
        left = letters - done.settled,
        "dead letters replayed"
    );
}

/// Without a run of which the checkpoint is, there is nothing to go on with.
fn require_checkpoint(settings: &Settings, checkpoint: &Path) -> Result<()> {
    if !checkpoint.exists() {
        return Err(Error::new(
            ErrorKind::NotFound,
            "there is no such checkpoint, so nothing says how far the stream has come",
        )
        .with("checkpoint", checkpoint.display())
        .hint(
            "start the run again, which reads everything anew: its rows overwrite what is there",
        ));
    }
    if settings.mode == Mode::Backfill {
        return Err(misused(
            "the file says `mode: backfill`, and a replay has to follow the log to be sure that it overwrites nothing newer",
            "copy again with `headwater backfill` and another checkpoint, which reads every row; or take `mode` out and replay, \
             which follows the log from the backfill's end",
        ));
    }
    Ok(())
}

/// Runs as `headwater run` would for as long as the replay takes.
async fn beside_own_run(
    settings: &Settings,
    console: &Arc<Console>,
    client: &Client,
    file: &Path,
    plan: &Plan,
    done: &mut Done,
) -> Result<()> {
    let stop = CancellationToken::new();
    let mut running = Box::pin(run::until(settings, console, stop.clone()));
    let replaying = async {
        while !find::is_alive(client.socket()) {
            tokio::time::sleep(TICK).await;
        }
        replay(client, file, plan, done).await
    };
    let mut replaying = Box::pin(replaying);
    tokio::select! {
        ended = &mut running => {
            ended?;
            tracing::warn!("stopped before everything was replayed: what is not settled is replayed the next time");
            Ok(())
        }
        replayed = &mut replaying => {
            stop.cancel();
            let ended = running.await;
            replayed?;
            ended.map(|_| ())
        }
    }
}

async fn replay(client: &Client, file: &Path, plan: &Plan, done: &mut Done) -> Result<()> {
    let mut settled = Settled::of(file)?;
    for (at, part) in plan.parts.iter().enumerate() {
        let view = read_again(client, file, part, at).await?;
        done.rows_read += view.rows;
        let failed: Vec<&str> = view.failed_tables().map(|(_, reason)| reason).collect();
        if view.state != State::Done || !failed.is_empty() {
            done.left.push(Left {
                table: part.table.clone(),
                letters: part.places.len(),
                reason: match (failed.first(), &view.reason) {
                    (Some(reason), _) => (*reason).to_owned(),
                    (None, Some(reason)) => reason.clone(),
                    (None, None) => format!("bootstrap {} was {}", view.id, view.state.name()),
                },
            });
            continue;
        }
        failpoint::hit("dead_letters.read")?;
        settled.add(&part.places)?;
        done.settled += part.places.len();
    }
    Ok(())
}

/// Has the run read rows again. What comes back is true of the checkpoint, too: the rows are with the sink for good, or in
/// letters of their own.
async fn read_again(
    client: &Client,
    file: &Path,
    part: &Part,
    number: usize,
) -> Result<BootstrapView> {
    let new = NewBootstrap {
        tables: vec![part.table.to_string()],
        condition: part.condition.clone(),
        at_once: part.condition.is_some(),
        comment: None,
        limits: Limits::default(),
        not_before_s: None,
        origin: Some(format!(
            "dead letters of {}, {} {} {number}",
            file.display(),
            std::process::id(),
            clock::now_us(),
        )),
    };
    let asked = ask(client, &new).await?;
    let mut view = asked.clone();
    while !view.state.is_over() {
        tokio::time::sleep(TICK).await;
        view = client
            .get(&format!("/bootstraps/{}", asked.id))
            .await
            .map_err(gone)?;
    }
    let saved = ask(client, &new).await?;
    if saved.id == asked.id && saved.state.is_over() {
        return Ok(saved);
    }
    Err(Error::new(
        ErrorKind::Internal,
        "the run has forgotten the bootstrap that was asked for",
    )
    .with("id", asked.id)
    .hint("replay once more"))
}

/// Asks; of one origin the run takes only one, so what was not answered in time is asked again.
async fn ask(client: &Client, new: &NewBootstrap) -> Result<BootstrapView> {
    loop {
        match client.send(Method::POST, "/bootstraps", new).await {
            Err(error) if error.kind() == ErrorKind::Timeout => {
                tracing::warn!("the run takes its time (is IoTDB away?); asking again: {error}");
            }
            Err(error) => return Err(gone(error)),
            Ok(view) => return Ok(view),
        }
    }
}

fn gone(error: Error) -> Error {
    if error.kind() != ErrorKind::Connection {
        return error;
    }
    Error::new(
        ErrorKind::Connection,
        "the run ended before everything was replayed",
    )
    .hint("replay again: what is not settled is read once more")
    .caused_by(error)
}

/// Letters about what was asked for that came while it was replayed.
fn refused_again(file: &Path, from: u64, plan: &Plan) -> Result<usize> {
    let mut count = 0;
    walk(file, |kept| {
        let is_new = kept.place.offset >= from;
        count += usize::from(is_new && plan.is_about(&kept.letter));
        Ok(())
    })?;
    Ok(count)
}
