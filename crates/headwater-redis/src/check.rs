//! What a run needs of its store, looked at before it starts. Nothing is written, and nobody is fenced off.

use headwater_core::Result;
use headwater_core::finding::Finding;

use crate::client::Server;
use crate::config::RedisOptions;
use crate::habits::{Habits, Keeps};
use crate::keys::Keys;

/// Looks at the server, and at whose store it is; `folds` are the names of those that are to be written.
///
/// # Errors
/// Only when the server cannot be talked to at all; everything else is a finding.
pub async fn check(options: &RedisOptions, folds: &[&str]) -> Result<Vec<Finding>> {
    let server = Server::new(options.clone())?;
    let mut connection = server.connect().await?;
    let habits = Habits::ask(&mut connection).await;
    let shown = format!("{} ({})", options.shown(), habits.version);
    let mut findings = vec![if habits.is_replica {
        Finding::failed("store", format!("{shown}, which is a replica"))
            .expected("a store is written to: name the server that is replicated")
    } else {
        Finding::ok("store", shown)
    }];
    findings.push(when_it_ends(&habits));
    findings.push(when_it_is_full(&habits));
    let catalog = server
        .read_catalog(&mut connection, &Keys::new(&options.name))
        .await;
    let fault = match catalog {
        Ok(catalog) => server.of_others(&catalog, folds),
        Err(error) => Some(error),
    };
    if let Some(fault) = fault {
        let hint = fault.hint_text().unwrap_or_default().to_owned();
        findings.push(Finding::failed("store's folds", fault.to_string()).expected(hint));
    }
    Ok(findings)
}

fn when_it_ends(habits: &Habits) -> Finding {
    const NAME: &str = "store's persistence";
    let keeping = &habits.keeping;
    match habits.keeps {
        Keeps::All | Keeps::Unknown => Finding::ok(NAME, keeping),
        Keeps::UpToSomeTime => Finding::ok(
            NAME,
            format!("{keeping}: one that is killed comes back some steps behind, and the log is read again from there"),
        ),
        Keeps::Nothing => Finding::warning(NAME, keeping)
            .expected("when this Redis ends, all folds are gone: the next run reads the tables again, and queries find nothing until then")
            .mend("redis-cli CONFIG SET appendonly yes   (and in its configuration)"),
    }
}

fn when_it_is_full(habits: &Habits) -> Finding {
    const NAME: &str = "store's memory";
    const MEND: &str =
        "redis-cli CONFIG SET maxmemory-policy noeviction   (and in its configuration)";
    let found = format!("maxmemory-policy {}", habits.policy);
    if habits.drops_now() {
        return Finding::failed(NAME, found)
            .expected("it drops keys when it is full: aggregates would go without a word")
            .mend(MEND);
    }
    if habits.would_drop() {
        return Finding::warning(NAME, found)
            .expected("it drops keys as soon as it has a `maxmemory`, and a run is refused then")
            .mend(MEND);
    }
    let is_known = !habits.policy.is_empty();
    Finding::ok(
        NAME,
        if is_known {
            found
        } else {
            "it does not say".to_owned()
        },
    )
}
