//! The configuration: a file ([`File`]), the command line over it, and what comes out of both ([`Settings`]).

mod connection;
mod environment;
mod events;
mod file;
mod folds;
mod http;
mod iotdb;
mod kafka;
mod load;
#[cfg(test)]
mod mapping_tests;
pub(crate) mod mask;
mod names;
mod origin;
mod problem;
mod rules;
pub(crate) mod schema;
mod settings;
mod shape;
mod sink;
#[cfg(test)]
mod tests;
mod trigger;
mod yaml;

use std::path::{Path, PathBuf};

use headwater_core::{Error, ErrorKind};
use secrecy::SecretString;
use serde::Deserialize;

pub(crate) use environment::Lookup;
pub(crate) use events::Events;
pub(crate) use file::{File, FilterUpdates, Log, LogFormat, LogLevel};
pub(crate) use folds::{FoldSettings, Passwords, StoreChoice};
#[cfg(test)]
pub(crate) use http::Listen;
pub(crate) use http::{HttpSettings, HttpTls, not_without_tls};
pub(crate) use kafka::Kafka;
pub(crate) use names::{Condition, Selection, table as table_name};
pub(crate) use origin::Origin;
pub(crate) use problem::Refused;
pub(crate) use settings::{
    Settings, SourceSettings, StartAt, file as file_of, fold_settings, iotdb_options,
    kafka_options, sink as sink_of,
};
pub(crate) use sink::SinkChoice;
pub(crate) use trigger::{Asking, TriggerFlags};

use problem::Problem;
use shape::Shaped;

/// Why a command cannot do what it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A file says something impossible.
    Refused(Refused),
    /// Anything else.
    Error(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

/// An error of the configuration with what to do about it.
pub(crate) fn misused(message: impl Into<String>, hint: impl Into<String>) -> Error {
    Error::new(ErrorKind::Configuration, message.into()).hint(hint.into())
}

/// Reads a configuration file.
pub(crate) fn load(path: &Path, lookup: Lookup<'_>) -> Result<File, Failure> {
    let text = text_of(path)?;
    Ok(read(&path.display().to_string(), &text, lookup)?)
}

fn text_of(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|cause| {
        Error::new(
            ErrorKind::Configuration,
            "cannot read the configuration file",
        )
        .with("file", path.display())
        .hint("check the path after --config, and that the file may be read")
        .caused_by(cause)
    })
}

/// The checkpoint that a configuration file names.
pub(crate) fn checkpoint_in(path: &Path, lookup: Lookup<'_>) -> Result<PathBuf, Failure> {
    let found = member_in(path, &["checkpoint"], lookup)?;
    Ok(found.ok_or_else(|| no_checkpoint(path))?.into())
}

/// The store of folds that a configuration file names. The file's secrets are looked at only if that store wants one.
pub(crate) fn fold_store_in(path: &Path, lookup: Lookup<'_>) -> Result<StoreChoice, Failure> {
    let found = member_in(path, &["folds", "store"], lookup)?;
    let text = found.ok_or_else(|| {
        misused(
            "the configuration names no store of folds",
            "add the section `folds`, with `store` and `pipelines`",
        )
        .with("file", path.display())
    })?;
    let store = StoreChoice::parse(&text)?;
    if !store.wants_password() {
        return Ok(store);
    }
    let file = member_in(path, &["folds", "password_file"], lookup)?;
    let password = match (&file, lookup(folds::PASSWORD_VARIABLE)) {
        // Neither is asked for what it does not have to know.
        (Some(_), _) | (None, Some(_)) => None,
        (None, None) => member_in(path, &["folds", "password"], lookup)?,
    };
    let passwords = Passwords {
        file: file.map(PathBuf::from),
        password: password.map(SecretString::from),
    };
    Ok(store.with_password(&passwords, lookup)?)
}

/// Whether rows are folded by what a configuration file says, where no flag says otherwise.
pub(crate) fn is_folding(path: &Path, lookup: Lookup<'_>) -> Result<bool, Failure> {
    let is_there = |names: &[&str]| Ok::<_, Failure>(member_in(path, names, lookup)?.is_some());
    Ok(!is_there(&["sink"])? && is_there(&["folds", "store"])?)
}

/// A text somewhere in a configuration file. Nothing else of the file is looked at: who only asks a running process need not have
/// its secrets.
fn member_in(path: &Path, names: &[&str], lookup: Lookup<'_>) -> Result<Option<String>, Failure> {
    let text = text_of(path)?;
    let refused = |problem| Refused::new(path.display().to_string(), &text, vec![problem]);
    let mut node = yaml::parse(&text).map_err(refused)?;
    for name in names {
        node = node.and_then(|node| node.member(name));
    }
    let Some(mut found) = node else {
        return Ok(None);
    };
    let mut problems = Vec::new();
    environment::substitute(&mut found, lookup, &mut problems);
    if let Some(problem) = problems.pop() {
        return Err(refused(problem).into());
    }
    match found.tree {
        yaml::Tree::Scalar(scalar) if !scalar.text.is_empty() => Ok(Some(scalar.text)),
        _ => Ok(None),
    }
}

fn no_checkpoint(path: &Path) -> Error {
    misused(
        "the configuration names no checkpoint, beside which the running headwater could be found",
        "add `checkpoint: FILE` and start it again, or use HTTP",
    )
    .with("file", path.display())
}

/// Reads a configuration's text. All that is wrong with its form is said at once; if nothing is, all that is wrong with its
/// meaning.
pub(crate) fn read(name: &str, text: &str, lookup: Lookup<'_>) -> Result<File, Refused> {
    let refused = |mut problems: Vec<Problem>| {
        problems.sort_by_key(|problem| problem.at.as_ref().map(|at| at.bytes.start));
        Refused::new(name, text, problems)
    };
    let Some(mut node) = yaml::parse(text).map_err(|problem| refused(vec![problem]))? else {
        return Ok(File::default());
    };
    let mut problems = Vec::new();
    environment::substitute(&mut node, lookup, &mut problems);
    let schema = schema::generate();
    let Shaped { value, places } = shape::check(&node, &schema, &mut problems);
    if !problems.is_empty() {
        return Err(refused(problems));
    }
    // The schema is made from the same types: what passed it can be read.
    let mut file = File::deserialize(value).map_err(|error| {
        let problem = Problem {
            at: None,
            message: format!("this cannot be read: {error}"),
            help: None,
        };
        refused(vec![problem])
    })?;
    let problems = rules::check(&file, &places);
    if problems.is_empty() {
        file.origin = Some(Origin::new(refused(Vec::new()), places));
        Ok(file)
    } else {
        Err(refused(problems))
    }
}
