//! TLS and passwords.

use std::fs;

use headwater_core::ErrorKind;
use headwater_core::sink::Sink as _;
use headwater_kafka::KafkaOptions;
use headwater_servers::kafka::{Kafka, KafkaOptions as ServerOptions};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rdkafka::ClientConfig;
use tempfile::TempDir;

use super::support::{accept, barrier, inserts, on, orders, read_with, sink, told};

/// An authority's certificate, and a server's certificate and key that it has signed.
fn certificates(folder: &std::path::Path) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority
        .distinguished_name
        .push(DnType::CommonName, "authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let root = authority.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let mut server = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    server.distinguished_name.push(DnType::CommonName, "broker");
    let server = server.signed_by(&key, &issuer).unwrap();
    fs::write(folder.join("ca.pem"), root.pem()).unwrap();
    let chain = format!("{}{}{}", key.serialize_pem(), server.pem(), root.pem());
    fs::write(folder.join("server.pem"), chain).unwrap();
}

fn server(folder: &std::path::Path) -> Kafka {
    let properties = [
        "ssl.keystore.type=PEM".to_owned(),
        format!("ssl.keystore.location={}", folder.join("server.pem").display()),
        "sasl.enabled.mechanisms=PLAIN".to_owned(),
        "listener.name.client.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
         user_cdc=\"right\";"
            .to_owned(),
    ];
    Kafka::start(&ServerOptions {
        protocol: "SASL_SSL".to_owned(),
        properties: properties.to_vec(),
        ..ServerOptions::default()
    })
    .unwrap()
}

fn properties(folder: &std::path::Path, password: &str) -> Vec<(&'static str, String)> {
    vec![
        ("security.protocol", "SASL_SSL".to_owned()),
        (
            "ssl.ca.location",
            folder.join("ca.pem").display().to_string(),
        ),
        ("sasl.mechanism", "PLAIN".to_owned()),
        ("sasl.username", "cdc".to_owned()),
        ("sasl.password", password.to_owned()),
    ]
}

fn options(server: &Kafka, properties: &[(&'static str, String)]) -> KafkaOptions {
    KafkaOptions {
        properties: properties
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_str().into()))
            .collect(),
        ..on(&server.bootstrap(), "secure", 1)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_and_a_password_let_in_and_a_wrong_one_is_told_and_not_repeated() {
    let folder = TempDir::new().unwrap();
    certificates(folder.path());
    let server = server(folder.path());
    let right = properties(folder.path(), "right");
    let mut sink_ = sink(options(&server, &right));
    sink_.open(None).await.unwrap();
    accept(&mut sink_, &inserts(&orders(), 0..5)).await.unwrap();
    barrier(&mut sink_).await.unwrap();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", server.bootstrap());
    for (name, value) in &right {
        config.set(*name, value);
    }
    assert_eq!(read_with(&config, "secure").len(), 5);

    let wrong = properties(folder.path(), "hunter2");
    let error = sink(options(&server, &wrong)).open(None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication, "{error:?}");
    assert!(!told(&error).contains("hunter2"), "{error:?}");

    // An authority that did not sign the server's certificate.
    let strange = TempDir::new().unwrap();
    certificates(strange.path());
    let untrusted = properties(strange.path(), "right");
    let error = sink(options(&server, &untrusted))
        .open(None)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication, "{error:?}");
    assert!(told(&error).contains("ssl.ca.location"), "{error:?}");
}
