//! The properties that a Kafka starts with: one node, loopback only, small topics of its own, short sessions.

use std::fmt::Write as _;
use std::path::Path;

use super::instance::KafkaOptions;

/// The cluster's id: fixed, so that formatting twice is formatting once.
pub(super) const CLUSTER: &str = "MkU3OEVBNTcwNTJENDM2Qg";

/// The text of `server.properties` for ports of clients, broker and controller; what the caller wants comes last, so that it
/// overrides the rest.
pub(super) fn properties(folder: &Path, ports: [u16; 3], options: &KafkaOptions) -> String {
    let [clients, broker, controller] = ports;
    let protocol = match options.protocol.as_str() {
        "" => "PLAINTEXT",
        other => other,
    };
    let data = folder.join("data");
    let data = data.display();
    let mut text = format!(
        "\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=CLIENT://127.0.0.1:{clients},BROKER://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=CLIENT://127.0.0.1:{clients},BROKER://127.0.0.1:{broker}
listener.security.protocol.map=CLIENT:{protocol},BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=BROKER
controller.listener.names=CONTROLLER
log.dirs={data}
num.partitions=3
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
broker.heartbeat.interval.ms=300
broker.session.timeout.ms=3000
num.network.threads=2
num.io.threads=2
log.cleaner.dedupe.buffer.size=16777216
"
    );
    for line in &options.properties {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{line}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_of_the_caller_comes_after_the_defaults() {
        let text = properties(
            Path::new("x"),
            [1, 2, 3],
            &KafkaOptions {
                protocol: "SASL_PLAINTEXT".into(),
                ..KafkaOptions::with(&["num.partitions=9"])
            },
        );
        assert!(text.ends_with("\nnum.partitions=9\n"), "{text}");
        assert!(text.contains("CLIENT:SASL_PLAINTEXT,"), "{text}");
    }
}
