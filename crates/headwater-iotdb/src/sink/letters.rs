//! What becomes of refused rows: dead letters, or the end of the run.

use std::sync::{Mutex, PoisonError};

use headwater_core::batch::Image;
use headwater_core::clock;
use headwater_core::dead_letters::{DeadLetters, Letter};
use headwater_core::{Error, ErrorKind, Result};
use serde_json::{Map, Value};

use super::keys;
use crate::config::{OnError, SeriesType};
use crate::mapping::Plan;
use crate::tablet::Tablet;

/// Where refused rows go.
#[derive(Debug)]
pub(crate) struct Letters {
    name: String,
    file: Option<Mutex<DeadLetters>>,
}

impl Letters {
    pub(crate) fn open(name: String, on_error: &OnError) -> Result<Self> {
        let file = match on_error {
            OnError::Stop => None,
            OnError::DeadLetters(path) => Some(Mutex::new(DeadLetters::open(path)?)),
        };
        Ok(Self { name, file })
    }

    /// A row that could not be turned into points.
    pub(crate) fn about_row(&self, kind: &str, image: &Image<'_>, reason: String) -> Result<()> {
        self.keep(&Letter::about(&self.name, kind, image, reason))
    }

    /// Rows that IoTDB refused.
    pub(crate) fn about_tablet(&self, tablet: &Tablet, plan: &Plan, reason: &str) -> Result<()> {
        for row in 0..tablet.len() {
            let mut data = Map::new();
            data.insert("device".to_owned(), Value::from(&*tablet.target));
            data.insert("time".to_owned(), tablet.time(row).into());
            for (at, name) in plan.names.iter().enumerate() {
                let kind = plan.layout.columns[at].series_type;
                data.insert(name.clone(), value(tablet.value(row, at), kind));
            }
            self.keep(&Letter {
                at_s: clock::now_s(),
                sink: self.name.clone(),
                table: plan.source.clone(),
                kind: "write".to_owned(),
                key: keys::read(plan, tablet.key(row)),
                reason: reason.to_owned(),
                data,
            })?;
        }
        Ok(())
    }

    fn keep(&self, letter: &Letter) -> Result<()> {
        match &self.file {
            Some(file) => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                let (table, key) = (&letter.table, serde_json::json!(letter.key));
                tracing::warn!(%table, %key, "a row goes to the dead letters: {}", letter.reason);
                file.push(letter)
            }
            None => Err(Error::new(ErrorKind::SinkRejected, "a row cannot be written to IoTDB")
                .with("table", &letter.table)
                .with("key", Value::Object(letter.key.clone()))
                .with("reason", &letter.reason)
                .hint("mend the row or the mapping, or let such rows go to a file: iotdb.on_error: dead_letters")),
        }
    }

    /// All letters so far are on the disk.
    pub(crate) fn sync(&self) -> Result<()> {
        match &self.file {
            Some(file) => file.lock().unwrap_or_else(PoisonError::into_inner).sync(),
            None => Ok(()),
        }
    }
}

fn value(bytes: Option<&[u8]>, kind: SeriesType) -> Value {
    fn number<const N: usize>(bytes: &[u8]) -> [u8; N] {
        bytes.try_into().unwrap_or([0; N])
    }
    let Some(bytes) = bytes else {
        return Value::Null;
    };
    match kind {
        SeriesType::Boolean => Value::Bool(bytes == [1]),
        SeriesType::Int32 | SeriesType::Date => i32::from_be_bytes(number(bytes)).into(),
        SeriesType::Int64 | SeriesType::Timestamp => i64::from_be_bytes(number(bytes)).into(),
        SeriesType::Float => f64::from(f32::from_be_bytes(number(bytes))).into(),
        SeriesType::Double => f64::from_be_bytes(number(bytes)).into(),
        SeriesType::Text | SeriesType::String | SeriesType::Blob => {
            String::from_utf8_lossy(bytes).into()
        }
    }
}
