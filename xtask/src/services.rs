//! `cargo xtask services`: the three shared servers, started, stopped, and told of.

use headwater_servers::{Error, Flavor, Result, install, installed, services};

use crate::misused;

/// Runs `services up | down | status | env`.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] | ["up"] => {
            install_missing()?;
            Flavor::ALL.into_iter().try_for_each(up)
        }
        ["down"] => Flavor::ALL.into_iter().try_for_each(down),
        ["status"] => Flavor::ALL.into_iter().try_for_each(status),
        ["env"] => Flavor::ALL.into_iter().try_for_each(env),
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
    std::thread::scope(|scope| {
        let fetching: Vec<_> = missing
            .into_iter()
            .map(|flavor| scope.spawn(move || install(flavor)))
            .collect();
        fetching
            .into_iter()
            .try_for_each(|thread| match thread.join() {
                Ok(installed) => installed.map(drop),
                Err(_) => Err(Error::new("getting a server ended in a panic")),
            })
    })
}

fn up(flavor: Flavor) -> Result<()> {
    let service = services::up(flavor)?;
    let how = match (service.pid, service.started) {
        (None, _) => "from the environment",
        (Some(_), true) => "started",
        (Some(_), false) => "runs already",
    };
    println!("{:<14} {:<36} {how}", flavor.name(), shown(&service));
    Ok(())
}

fn down(flavor: Flavor) -> Result<()> {
    let how = if services::down(flavor)? {
        "stopped"
    } else {
        "did not run"
    };
    println!("{:<14} {how}", flavor.name());
    Ok(())
}

fn status(flavor: Flavor) -> Result<()> {
    match services::find(flavor)? {
        Some(service) => println!("{:<14} {}", flavor.name(), shown(&service)),
        None => println!("{:<14} not running", flavor.name()),
    }
    Ok(())
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
