//! From rows to records: topic, partition, key, value, headers, tombstones; and what is done with an event that is too large.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use headwater_core::batch::{ChangeKind, Row};
use headwater_core::schema::SchemaId;
use headwater_core::{Error, ErrorKind, Result};
use headwater_format::maxwell::key::{self, Of};
use headwater_format::maxwell::partition::partition;
use headwater_format::maxwell::topic::Template;
use headwater_format::maxwell::{Encoded, Encoder, fallback};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::client::TopicInfo;
use crate::config::{Header, KafkaOptions, TooLarge};
use crate::records::{Record, Records};

/// What a record takes beside its key, value and headers, at most: the batch's head and its own lengths.
const RECORD_OVERHEAD_BYTES: usize = 61 + 40;

/// Routes kept; beyond that they are looked up anew.
const ROUTES_MAX: usize = 4_096;

/// The encoder of a sink, with the topics it knows.
pub(super) struct Routes {
    pub(super) encoder: Encoder,
    topics: Vec<TopicInfo>,
    names: Arc<Vec<Arc<str>>>,
    by_name: HashMap<Arc<str>, usize>,
    by_schema: HashMap<(SchemaId, ChangeKind), Route>,
    random: StdRng,
    scratch: Vec<u8>,
}

/// Where rows of one kind of one definition go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route {
    topic: usize,
    dead_letters: Option<usize>,
}

/// What is known of where a row goes.
pub(super) enum Found {
    /// Its topics are known.
    Route(Route),
    /// These have to be asked for first.
    Ask(Vec<String>),
    /// It has no event in this format.
    NoEvent,
}

impl Routes {
    pub(super) fn new(encoder: Encoder) -> Self {
        Self {
            encoder,
            topics: Vec::new(),
            names: Arc::default(),
            by_name: HashMap::new(),
            by_schema: HashMap::new(),
            random: StdRng::from_os_rng(),
            scratch: Vec::new(),
        }
    }

    /// Forgets the topics: they may be others now.
    pub(super) fn forget(&mut self) {
        self.topics.clear();
        self.names = Arc::default();
        self.by_name.clear();
        self.by_schema.clear();
    }

    pub(super) fn add(&mut self, name: &str, info: TopicInfo) {
        let name: Arc<str> = name.into();
        if let Some(&place) = self.by_name.get(&name) {
            self.topics[place] = info;
            return;
        }
        self.by_name.insert(Arc::clone(&name), self.topics.len());
        self.topics.push(info);
        Arc::make_mut(&mut self.names).push(name);
    }

    pub(super) fn names(&self) -> &Arc<Vec<Arc<str>>> {
        &self.names
    }

    /// Where `row` goes.
    #[inline]
    pub(super) fn find(&mut self, row: Row<'_>, options: &KafkaOptions) -> Found {
        match self.by_schema.get(&(row.schema_id(), row.kind())) {
            Some(route) => Found::Route(*route),
            None => self.look_up(row, options),
        }
    }

    #[cold]
    fn look_up(&mut self, row: Row<'_>, options: &KafkaOptions) -> Found {
        let Some(event_type) = self.encoder.type_of(row) else {
            return Found::NoEvent;
        };
        let template = match row.kind() {
            ChangeKind::Ddl => options.ddl_topic.as_ref(),
            ChangeKind::Bootstrap | ChangeKind::BootstrapStart | ChangeKind::BootstrapComplete => {
                options.bootstrap_topic.as_ref()
            }
            ChangeKind::Insert | ChangeKind::Update | ChangeKind::Delete | ChangeKind::Truncate => {
                None
            }
        };
        let schema = row.schema();
        let name = |template: &Template, event_type| {
            template.name(&schema.name.database, &schema.name.table, event_type)
        };
        let topic = name(template.unwrap_or(&options.topic), event_type);
        let dead_letters = match &options.too_large {
            TooLarge::Stop => None,
            // The type is empty there, as Maxwell has it.
            TooLarge::DeadLetter(template) => Some(name(template, "")),
        };
        let wanted = std::iter::once(&topic).chain(&dead_letters);
        let unknown = wanted.filter(|name| !self.by_name.contains_key(name.as_str()));
        let unknown: Vec<String> = unknown.cloned().collect();
        if !unknown.is_empty() {
            return Found::Ask(unknown);
        }
        let place = |name: &str| self.by_name.get(name).copied();
        let route = Route {
            topic: place(&topic).unwrap_or_default(),
            dead_letters: dead_letters.as_deref().and_then(place),
        };
        if self.by_schema.len() >= ROUTES_MAX {
            self.by_schema.clear();
        }
        // Changes of definitions are of several types, which the topic's name may hold.
        if row.kind() != ChangeKind::Ddl {
            self.by_schema.insert((row.schema_id(), row.kind()), route);
        }
        Found::Route(route)
    }

    /// Appends the records of `row`.
    ///
    /// # Errors
    /// `SinkRejected` for an event that is too large, if that is to end the run.
    pub(super) fn encode(
        &mut self,
        row: Row<'_>,
        route: Route,
        options: &KafkaOptions,
        out: &mut Records,
    ) -> Result<()> {
        if options.tombstones && key::is_changed(row) {
            self.tombstone(row, Of::Before, route, options, out);
        }
        let key = self.key(row, Of::Row, options, out);
        let start = out.bytes.len();
        if self.encoder.encode_row(row, &mut out.bytes) == Encoded::Nothing {
            out.bytes.truncate(key.start);
            return Ok(());
        }
        let value = start..out.bytes.len();
        let headers = self.headers(row, options, out);
        let header_bytes: usize = (out.headers.get(headers.clone()).into_iter().flatten())
            .map(|(name, value)| name.len() + value.len() + 10)
            .sum();
        let bytes = key.len() + value.len() + header_bytes + RECORD_OVERHEAD_BYTES;
        let limit = self.limit(route.topic);
        let record = if bytes <= limit {
            Record {
                topic: route.topic,
                partition: self.partition(row, Of::Row, route.topic, options),
                key: key.clone(),
                value: Some(value),
                headers,
            }
        } else {
            out.headers.truncate(headers.start);
            out.bytes.truncate(start);
            let size = TooLargeEvent { bytes, limit };
            self.too_large(row, route, options, key.clone(), size, out)?
        };
        out.list.push(record);
        if options.tombstones
            && row.kind() == ChangeKind::Delete
            && !row.schema().primary_key.is_empty()
        {
            let partition = self.partition(row, Of::Row, route.topic, options);
            out.list.push(Record {
                topic: route.topic,
                partition,
                key,
                value: None,
                headers: 0..0,
            });
        }
        Ok(())
    }

    /// The record in place of an event that is too large.
    #[cold]
    fn too_large(
        &mut self,
        row: Row<'_>,
        route: Route,
        options: &KafkaOptions,
        key: Range<usize>,
        size: TooLargeEvent,
        out: &mut Records,
    ) -> Result<Record> {
        let name = |topic: usize| self.names.get(topic).map_or("", |name| name);
        let mut text = Vec::new();
        fallback::push(&mut text, row, fallback::TOO_LARGE);
        let refused = |hint: &'static str| {
            Error::new(
                ErrorKind::SinkRejected,
                "an event is larger than its topic takes",
            )
            .with("row", String::from_utf8_lossy(&text).into_owned())
            .with("topic", name(route.topic))
            .with("bytes", size.bytes)
            .with("the topic takes", size.limit)
            .hint(hint)
        };
        let Some(topic) = route.dead_letters else {
            return Err(refused(
                "raise the topic's `max.message.bytes` (and its consumers' limits), or set `record_too_large: dead_letter` with a \
                 `dead_letter_topic`, then start again; it goes on here",
            ));
        };
        if key.len() + text.len() + RECORD_OVERHEAD_BYTES > self.limit(topic) {
            return Err(refused(
                "its key alone is larger than the dead-letter topic takes: raise `max.message.bytes` of both topics",
            ));
        }
        tracing::warn!(
            table = %row.schema().name,
            topic = name(route.topic),
            bytes = size.bytes,
            bytes_max = size.limit,
            "an event is too large: a dead letter takes its place"
        );
        let value = out.appended(|bytes| bytes.extend_from_slice(&text));
        Ok(Record {
            topic,
            partition: self.partition(row, Of::Row, topic, options),
            key,
            value: Some(value),
            headers: 0..0,
        })
    }

    fn tombstone(
        &mut self,
        row: Row<'_>,
        of: Of,
        route: Route,
        options: &KafkaOptions,
        out: &mut Records,
    ) {
        let key = self.key(row, of, options, out);
        let partition = self.partition(row, of, route.topic, options);
        out.list.push(Record {
            topic: route.topic,
            partition,
            key,
            value: None,
            headers: 0..0,
        });
    }

    fn key(
        &mut self,
        row: Row<'_>,
        of: Of,
        options: &KafkaOptions,
        out: &mut Records,
    ) -> Range<usize> {
        let random = &mut self.random;
        out.appended(|bytes| key::push(bytes, row, options.key_format, of, || random.random()))
    }

    fn partition(&mut self, row: Row<'_>, of: Of, topic: usize, options: &KafkaOptions) -> i32 {
        let count = self.topics.get(topic).map_or(1, |topic| topic.partitions);
        self.scratch.clear();
        let random = &mut self.random;
        options
            .partition_by
            .push_text(&mut self.scratch, row, of, || random.random());
        partition(options.partition_hash.of(&self.scratch), count)
    }

    fn limit(&self, topic: usize) -> usize {
        let topic = self.topics.get(topic);
        topic.map_or(usize::MAX, |topic| topic.message_bytes_max)
    }

    fn headers(&self, row: Row<'_>, options: &KafkaOptions, out: &mut Records) -> Range<usize> {
        let start = out.headers.len();
        for header in &options.headers {
            let transaction = row.transaction();
            let (name, value) = match header {
                Header::Database => ("database", Some(row.schema().name.database.to_string())),
                Header::Table => ("table", Some(row.schema().name.table.to_string())),
                Header::Type => ("type", self.encoder.type_of(row).map(str::to_owned)),
                Header::Ts => ("ts", Some(row.timestamp_s().to_string())),
                Header::Xid => {
                    let xid = transaction.and_then(|known| known.xid);
                    ("xid", xid.map(|xid| xid.to_string()))
                }
                Header::Gtid => {
                    let gtid = transaction.and_then(|known| known.gtid.as_deref());
                    ("gtid", gtid.map(str::to_owned))
                }
            };
            if let Some(value) = value {
                let range = out.appended(|bytes| bytes.extend_from_slice(value.as_bytes()));
                out.headers.push((name, range));
            }
        }
        start..out.headers.len()
    }
}

/// How large an event is, and how large it may be.
#[derive(Debug, Clone, Copy)]
struct TooLargeEvent {
    bytes: usize,
    limit: usize,
}
