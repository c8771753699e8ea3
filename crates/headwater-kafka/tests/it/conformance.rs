//! The suites that every sink must pass.

use headwater_kafka::{ExactlyOnce, KafkaSink};
use headwater_servers::kafka;
use headwater_testkit::conformance::sink::{self, SinkHarness};
use headwater_testkit::oracle::{Event, Keys, from_json_lines};

use super::support;

struct Target {
    topic: String,
    exactly_once: Option<ExactlyOnce>,
}

impl Target {
    fn new() -> Self {
        Self {
            topic: support::fresh("conformance"),
            exactly_once: None,
        }
    }

    fn exactly_once() -> Self {
        let id = support::fresh("conformance");
        Self {
            topic: id.clone(),
            exactly_once: Some(ExactlyOnce::new(id)),
        }
    }
}

impl SinkHarness for Target {
    type Sink = KafkaSink;

    fn sink(&self) -> KafkaSink {
        let mut options = support::options(&self.topic, 1);
        options.exactly_once.clone_from(&self.exactly_once);
        support::sink(options)
    }

    fn events(&self) -> Vec<Event> {
        let keys = Keys::from([("shop.numbers".to_owned(), vec!["id".to_owned()])]);
        let records = support::read(&kafka::shared().unwrap(), &self.topic);
        let lines: Vec<String> = records.into_iter().filter_map(|read| read.value).collect();
        from_json_lines(&lines.join("\n"), &keys).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kafka_sink_keeps_the_contract_of_sinks() {
    sink::rows_before_a_barrier_are_durable_and_in_order(&Target::new()).await;
    sink::a_durable_write_is_durable(&Target::new()).await;
    sink::barriers_add_nothing(&Target::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_exactly_once_it_keeps_the_contract_of_sinks_that_keep_the_checkpoint() {
    sink::rows_and_checkpoint_are_committed_together(&Target::exactly_once()).await;
    sink::what_is_not_committed_is_never_seen(&Target::exactly_once()).await;
    sink::a_newcomer_fences_off_who_was_there(&Target::exactly_once()).await;
}
