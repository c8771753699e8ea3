//! The section `events`, which is the flags of the same names too, and the encoder's options made of both.

use std::collections::BTreeMap;
use std::path::PathBuf;

use headwater_core::Result;
use headwater_format::maxwell;
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::connection::read_password_file;
use super::file::Secret;
use super::{Lookup, misused};

/// The environment variable that may hold the key for `encrypt`.
const KEY_VARIABLE: &str = "HEADWATER_SECRET_KEY";

/// What an event looks like: Maxwell's JSON, with Maxwell's own options and defaults. The same options on the command line
/// are written `--output-xoffset=false` (or, as Maxwell has them, `--output_xoffset=false`).
#[derive(Debug, Default, Clone, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
#[command(next_help_heading = "Events (the options are Maxwell's)")]
pub(crate) struct Events {
    /// How snapshot rows are told apart: `"type":"bootstrap"` (the default), or Maxwell's own three types.
    #[arg(long, alias = "bootstrap_events", value_name = "FORM")]
    pub(crate) bootstrap_events: Option<BootstrapEvents>,
    /// `xid` and `commit`, and `xoffset` with its own option; true if not given.
    #[arg(long, alias = "output_commit_info", value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    pub(crate) output_commit_info: Option<bool>,
    /// `xoffset`, the row's number within its transaction; true if not given.
    #[arg(long, alias = "output_xoffset", value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    pub(crate) output_xoffset: Option<bool>,
    /// Columns that are NULL; true if not given.
    #[arg(long, alias = "output_nulls", value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    pub(crate) output_nulls: Option<bool>,
    /// `query`, the statement, where the log holds it.
    #[arg(long, alias = "output_row_query", value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    pub(crate) output_row_query: Option<bool>,
    /// Characters of `query` at most; 0, for all, if not given.
    #[arg(long, alias = "row_query_max_length", value_name = "N")]
    pub(crate) row_query_max_length: Option<u32>,
    /// `position`, the place in the log of the row's event, `FILE:OFFSET`.
    #[arg(long, alias = "output_binlog_position", value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    pub(crate) output_binlog_position: Option<bool>,
    /// `server_id`, the server that first executed the transaction.
    #[arg(long, alias = "output_server_id", value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    pub(crate) output_server_id: Option<bool>,
    /// `thread_id`, the connection that executed it.
    #[arg(long, alias = "output_thread_id", value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    pub(crate) output_thread_id: Option<bool>,
    /// Only false: Maxwell's numbers of definitions are those of its own tables, and there are none here.
    #[arg(long, alias = "output_schema_id", value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    pub(crate) output_schema_id: Option<bool>,
    /// `gtid`, the transaction's global id.
    #[arg(long, alias = "output_gtid_position", value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    pub(crate) output_gtid_position: Option<bool>,
    /// `push_ts`, the time at which the event was made, in seconds with six digits behind the point.
    #[arg(long, alias = "output_push_timestamp", value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    pub(crate) output_push_timestamp: Option<bool>,
    /// `primary_key`, the key's values.
    #[arg(long, alias = "output_primary_keys", value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    pub(crate) output_primary_keys: Option<bool>,
    /// `primary_key_columns`, the names of the key's columns.
    #[arg(long, alias = "output_primary_key_columns", value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    pub(crate) output_primary_key_columns: Option<bool>,
    /// Events of tables and databases that are created, altered and dropped.
    #[arg(long, alias = "output_ddl", value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    pub(crate) output_ddl: Option<bool>,
    /// Zero dates as null, instead of as they are stored.
    #[arg(long, alias = "output_null_zerodates", value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    pub(crate) output_null_zerodates: Option<bool>,
    /// The form of names: as they are (`none`, the default), or `underscore_to_camelcase`.
    #[arg(long, alias = "output_naming_strategy", value_name = "FORM")]
    pub(crate) output_naming_strategy: Option<Naming>,
    /// Columns left out of `data` and `old`, in any table: `password, /^tmp_/`. An expression matches whole names.
    #[schemars(length(min = 1))]
    #[arg(long, alias = "exclude_columns", value_name = "COLUMNS")]
    pub(crate) exclude_columns: Option<String>,
    /// Members with the same text in every event: `custom: {region: eu-1}`.
    #[arg(skip)]
    pub(crate) custom: Option<BTreeMap<String, String>>,
    /// A member with the same text in every event. Once for each.
    #[serde(skip)]
    #[arg(long = "custom", value_name = "NAME=TEXT")]
    pub(crate) custom_flags: Vec<String>,
    /// What is encrypted, by AES in CBC mode: `none` (the default), `data` or `all`. It hides, and does not prove that
    /// nobody has changed it.
    #[arg(long, value_name = "WHAT")]
    pub(crate) encrypt: Option<Encrypt>,
    /// The key for `encrypt`: 16, 24 or 32 bytes. Better from a variable (`${NAME}`), `secret_key_file` or
    /// `HEADWATER_SECRET_KEY`.
    #[arg(skip)]
    pub(crate) secret_key: Option<Secret>,
    /// A file that holds the key, in place of `secret_key`.
    #[schemars(length(min = 1))]
    #[arg(long, alias = "secret_key_file", value_name = "FILE")]
    pub(crate) secret_key_file: Option<PathBuf>,
}

/// How snapshot rows are told apart from live ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BootstrapEvents {
    /// `"type":"bootstrap"` for each row.
    Headwater,
    /// `bootstrap-start`, `bootstrap-insert` for each row, `bootstrap-complete`.
    Maxwell,
}

/// The form of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub(crate) enum Naming {
    /// As they are.
    None,
    /// `server_id` becomes `serverId`.
    UnderscoreToCamelcase,
}

/// What is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Encrypt {
    /// Nothing.
    None,
    /// `data` and `old`.
    Data,
    /// The whole event.
    All,
}

impl Events {
    /// What is wrong with a value by itself, with the key it belongs to.
    pub(crate) fn problems(&self) -> Vec<(&'static str, headwater_core::Error)> {
        let mut problems = Vec::new();
        let mut note =
            |key, checked: Result<()>| problems.extend(checked.err().map(|error| (key, error)));
        note("output_schema_id", self.no_schema_id());
        note("exclude_columns", self.columns().map(|_| ()));
        note("custom", self.custom().map(|_| ()));
        if self.secret_key.is_some() && self.secret_key_file.is_some() {
            let twice = misused(
                "both `secret_key` and `secret_key_file` are given",
                "keep one of them",
            );
            note("secret_key_file", Err(twice));
        }
        problems
    }

    fn no_schema_id(&self) -> Result<()> {
        if self.output_schema_id == Some(true) {
            return Err(misused(
                "`output_schema_id` cannot be true: Maxwell's schema_id is the number of a row in its own tables, and Headwater keeps none",
                "leave it out; an event's columns are the table's definition at its place in the log",
            ));
        }
        Ok(())
    }

    fn columns(&self) -> Result<Option<maxwell::Columns>> {
        let parsed = self.exclude_columns.as_deref().map(maxwell::Columns::parse);
        parsed.transpose().map_err(|error| {
            misused(
                format!("`exclude_columns`: {error}"),
                "write names and /expressions/ with commas between them: password, /^tmp_/",
            )
        })
    }

    /// The custom members: those of flags, else those of the file.
    fn custom(&self) -> Result<Option<Vec<(String, String)>>> {
        let mut all: Vec<(String, String)> = Vec::new();
        for flag in &self.custom_flags {
            let Some((name, text)) = flag.split_once('=') else {
                return Err(misused(
                    format!("--custom `{flag}` has no `=`"),
                    "write --custom NAME=TEXT, for example --custom region=eu-1",
                ));
            };
            all.push((name.to_owned(), text.to_owned()));
        }
        if self.custom_flags.is_empty() {
            let Some(written) = &self.custom else {
                return Ok(None);
            };
            all.extend(written.clone());
        }
        for (index, (name, _)) in all.iter().enumerate() {
            if name.is_empty() || maxwell::Options::is_reserved(name) {
                return Err(misused(
                    format!(
                        "`custom` cannot have the name `{name}`: events have a member of that name, or may have"
                    ),
                    "give it another name",
                ));
            }
            if all[..index].iter().any(|(known, _)| known == name) {
                return Err(misused(
                    format!("--custom {name} is given twice"),
                    "keep one of them",
                ));
            }
        }
        Ok(Some(all))
    }

    fn key(&self, file: &Self, lookup: Lookup<'_>) -> Result<Option<SecretString>> {
        if let Some(path) = &self.secret_key_file {
            return read_password_file(path).map(Some);
        }
        if let Some(key) = lookup(KEY_VARIABLE) {
            return Ok(Some(key.into()));
        }
        match &file.secret_key_file {
            Some(path) => read_password_file(path).map(Some),
            None => Ok(file.secret_key.as_ref().map(|secret| secret.0.clone())),
        }
    }

    fn encryption(&self, file: &Self, lookup: Lookup<'_>) -> Result<Option<maxwell::Encryption>> {
        let what = match self.encrypt.or(file.encrypt) {
            Some(Encrypt::Data) => maxwell::Encrypted::Data,
            Some(Encrypt::All) => maxwell::Encrypted::All,
            Some(Encrypt::None) | None => return Ok(None),
        };
        let Some(key) = self.key(file, lookup)? else {
            return Err(misused(
                "`encrypt` has no key",
                "set HEADWATER_SECRET_KEY, or name a file that holds it with --secret-key-file (events.secret_key_file)",
            ));
        };
        let encryption = maxwell::Encryption::new(what, key.expose_secret());
        encryption.map(Some).map_err(|error| {
            misused(
                format!("the key for `encrypt` cannot be used: {error}"),
                "take 16, 24 or 32 ASCII characters, for example what `openssl rand -hex 16` prints",
            )
        })
    }

    /// The encoder's options: these, else those of the file, else Maxwell's defaults.
    ///
    /// # Errors
    /// What is wrong with a value, or a key that is missing.
    pub(super) fn over(&self, file: Option<&Self>, lookup: Lookup<'_>) -> Result<maxwell::Options> {
        let none = Self::default();
        let file = file.unwrap_or(&none);
        if let Some((_, error)) = self.problems().into_iter().next() {
            return Err(error);
        }
        let base = maxwell::Options::default();
        let pick =
            |of: fn(&Self) -> Option<bool>, default: bool| of(self).or(of(file)).unwrap_or(default);
        Ok(maxwell::Options {
            bootstrap_events: match self.bootstrap_events.or(file.bootstrap_events) {
                Some(BootstrapEvents::Maxwell) => maxwell::BootstrapEvents::Maxwell,
                Some(BootstrapEvents::Headwater) | None => maxwell::BootstrapEvents::Headwater,
            },
            output_commit_info: pick(|e| e.output_commit_info, base.output_commit_info),
            output_xoffset: pick(|e| e.output_xoffset, base.output_xoffset),
            output_nulls: pick(|e| e.output_nulls, base.output_nulls),
            output_row_query: pick(|e| e.output_row_query, base.output_row_query),
            output_server_id: pick(|e| e.output_server_id, base.output_server_id),
            output_thread_id: pick(|e| e.output_thread_id, base.output_thread_id),
            output_gtid_position: pick(|e| e.output_gtid_position, base.output_gtid_position),
            output_primary_keys: pick(|e| e.output_primary_keys, base.output_primary_keys),
            output_primary_key_columns: pick(
                |e| e.output_primary_key_columns,
                base.output_primary_key_columns,
            ),
            output_ddl: pick(|e| e.output_ddl, base.output_ddl),
            output_null_zerodates: pick(|e| e.output_null_zerodates, base.output_null_zerodates),
            output_binlog_position: pick(|e| e.output_binlog_position, base.output_binlog_position),
            output_push_timestamp: pick(|e| e.output_push_timestamp, base.output_push_timestamp),
            row_query_max_length: self
                .row_query_max_length
                .or(file.row_query_max_length)
                .map_or(base.row_query_max_length, |length| {
                    usize::try_from(length).unwrap_or(usize::MAX)
                }),
            output_naming_strategy: match self
                .output_naming_strategy
                .or(file.output_naming_strategy)
            {
                Some(Naming::UnderscoreToCamelcase) => maxwell::Naming::UnderscoreToCamelcase,
                Some(Naming::None) | None => maxwell::Naming::None,
            },
            exclude_columns: self.columns()?.or(file.columns()?).unwrap_or_default(),
            custom: self.custom()?.or(file.custom()?).unwrap_or_default(),
            encrypt: self.encryption(file, lookup)?,
        })
    }
}
