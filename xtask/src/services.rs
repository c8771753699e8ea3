//! `cargo xtask services`: the shared servers, started, stopped, and told of.

use headwater_servers::redis::{self, RedisFlavor};
use headwater_servers::{
    Error, Flavor, Result, SharedService, install, installed, iotdb, kafka, services,
};

use crate::misused;

/// Runs `services up | down | status | env`.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] | ["up"] => {
            install_missing()?;
            Flavor::ALL.into_iter().try_for_each(up)?;
            tell("Kafka", &kafka::up()?);
            tell("IoTDB", &iotdb::up()?);
            for flavor in RedisFlavor::ALL {
                tell(flavor.name(), &redis::up(flavor)?);
            }
            Ok(())
        }
        ["down"] => {
            Flavor::ALL.into_iter().try_for_each(down)?;
            say("Kafka", "", ended(kafka::down()?));
            say("IoTDB", "", ended(iotdb::down()?));
            for flavor in RedisFlavor::ALL {
                say(flavor.name(), "", ended(redis::down(flavor)?));
            }
            Ok(())
        }
        ["status"] => {
            Flavor::ALL.into_iter().try_for_each(status)?;
            tell_status("Kafka", kafka::find()?);
            tell_status("IoTDB", iotdb::find()?);
            for flavor in RedisFlavor::ALL {
                tell_status(flavor.name(), redis::find(flavor)?);
            }
            Ok(())
        }
        ["env"] => {
            Flavor::ALL.into_iter().try_for_each(env)?;
            println!("export {}='{}'", kafka::VARIABLE, kafka::shared()?);
            println!("export {}='{}'", iotdb::VARIABLE, iotdb::shared()?);
            for flavor in RedisFlavor::ALL {
                println!("export {}='{}'", flavor.variable(), redis::shared(flavor)?);
            }
            Ok(())
        }
        _ => Err(misused(&format!(
            "services does not know `{}`",
            words.join(" ")
        ))),
    }
}

/// Gets all servers at once that neither run, nor are installed, nor stand in the environment.
pub(crate) fn install_missing() -> Result<()> {
    let mut missing = Vec::new();
    for flavor in Flavor::ALL {
        if services::find(flavor)?.is_none() && installed(flavor).is_none() {
            eprintln!("getting {} (once, about 50 MB) ...", flavor.name());
            missing.push(flavor);
        }
    }
    let is_kafka_missing = kafka::find()?.is_none() && kafka::installed().is_none();
    if is_kafka_missing {
        eprintln!("getting Kafka {} (once, 54 MB) ...", kafka::VERSION);
    }
    let is_iotdb_missing = iotdb::find()?.is_none() && iotdb::installed().is_none();
    if is_iotdb_missing {
        eprintln!("getting IoTDB {} (once, 105 MB) ...", iotdb::VERSION);
    }
    let mut missing_redis = Vec::new();
    for flavor in RedisFlavor::ALL {
        if redis::find(flavor)?.is_none() && redis::installed(flavor).is_none() {
            eprintln!("getting {} (once, about 40 MB) ...", flavor.name());
            missing_redis.push(flavor);
        }
    }
    std::thread::scope(|scope| {
        let mut fetching: Vec<_> = missing
            .into_iter()
            .map(|flavor| scope.spawn(move || install(flavor).map(drop)))
            .collect();
        if is_kafka_missing {
            fetching.push(scope.spawn(|| kafka::install().map(drop)));
        }
        if is_iotdb_missing {
            fetching.push(scope.spawn(|| iotdb::install().map(drop)));
        }
        for flavor in missing_redis {
            fetching.push(scope.spawn(move || redis::install(flavor).map(drop)));
        }
        fetching
            .into_iter()
            .try_for_each(|thread| match thread.join() {
                Ok(installed) => installed,
                Err(_) => Err(Error::new("getting a server ended in a panic")),
            })
    })
}

fn up(flavor: Flavor) -> Result<()> {
    let service = services::up(flavor)?;
    let how = how(service.pid, service.started);
    say(flavor.name(), &shown(&service), how);
    Ok(())
}

fn tell(name: &str, service: &SharedService) {
    let how = how(service.pid, service.started);
    say(name, &without_password(&service.address), how);
}

/// A URL without user and password.
fn without_password(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://{rest}"),
        _ => url.to_owned(),
    }
}

const fn how(pid: Option<u32>, started: bool) -> &'static str {
    match (pid, started) {
        (None, _) => "from the environment",
        (Some(_), true) => "started",
        (Some(_), false) => "runs already",
    }
}

fn say(name: &str, address: &str, how: &str) {
    if address.is_empty() {
        println!("{name:<14} {how}");
    } else {
        println!("{name:<14} {address:<36} {how}");
    }
}

const fn ended(did_run: bool) -> &'static str {
    if did_run { "stopped" } else { "did not run" }
}

fn down(flavor: Flavor) -> Result<()> {
    say(flavor.name(), "", ended(services::down(flavor)?));
    Ok(())
}

fn status(flavor: Flavor) -> Result<()> {
    match services::find(flavor)? {
        Some(service) => println!("{:<14} {}", flavor.name(), shown(&service)),
        None => println!("{:<14} not running", flavor.name()),
    }
    Ok(())
}

fn tell_status(name: &str, found: Option<SharedService>) {
    match found {
        Some(service) => println!("{name:<14} {}", without_password(&service.address)),
        None => println!("{name:<14} not running"),
    }
}

fn env(flavor: Flavor) -> Result<()> {
    let service = services::find(flavor)?.ok_or_else(|| {
        Error::new(format!("{} does not run", flavor.name())).hint("cargo xtask services up")
    })?;
    println!(
        "export {}='{}'",
        flavor.variable(),
        service.address.own_url()
    );
    Ok(())
}

/// The address without the password.
fn shown(service: &services::Service) -> String {
    service.address.url(&service.address.user, "", "")
}
