//! Several nodes, of which some are dead or die; and TLS.

use std::time::Duration;

use headwater_core::batch::Batch;
use headwater_core::sink::{Durability, Sink};
use headwater_servers::iotdb::{Iotdb, IotdbOptions as ServerOptions};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::{
    clean, compare, expected, history, open, options, options_at, points, push, replay, schema,
};
use crate::config::{Address, DeletePolicy, Model, TlsOptions};
use crate::sink::IotdbSink;

fn address(text: &str) -> Address {
    let (host, port) = text.rsplit_once(':').unwrap();
    Address {
        host: host.to_owned(),
        port: port.parse().unwrap(),
    }
}

/// A way to a server that is passable until it is cut, as a node that dies.
async fn way(to: String, cut: CancellationToken) -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = address(&listener.local_addr().unwrap().to_string());
    tokio::spawn(async move {
        while let Some(Ok((mut near, _))) = cut.run_until_cancelled(listener.accept()).await {
            let (to, cut) = (to.clone(), cut.clone());
            tokio::spawn(async move {
                let Ok(mut far) = TcpStream::connect(to).await else {
                    return;
                };
                let passing = tokio::io::copy_bidirectional(&mut near, &mut far);
                let _ = cut.run_until_cancelled(passing).await;
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_dead_or_dies_is_left_for_the_next() {
    let (name, model) = ("node_dies", Model::Tree { is_aligned: true });
    let mut options = options(&model, name);
    options.policy.delete = DeletePolicy::Delete;
    options.unavailable_for_max = Duration::from_secs(600);
    clean(&options, name).await;
    let server = options.nodes.remove(0);
    let cut = CancellationToken::new();
    let dying = way(server.to_string(), cut.clone()).await;
    options.nodes = vec![address("127.0.0.1:1"), dying.clone(), server.clone()];
    let mut random = StdRng::seed_from_u64(3);
    let history = history(&mut random, 600);
    let mut sink = IotdbSink::new(options.clone()).unwrap();
    open(&mut sink).await;
    replay(&mut sink, &mut random, &history[..300]).await;
    cut.cancel();
    replay(&mut sink, &mut random, &history[300..]).await;
    let expected = expected(&history, options.policy, &model);
    while TcpStream::connect((dying.host.as_str(), dying.port))
        .await
        .is_ok()
    {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    options.nodes = vec![server];
    compare(&points(&options, name).await, &expected, "three nodes");
    assert!(sink.counts().counted().retries > 0, "no node was left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_tls_is_written_to_by_who_trusts_its_certificate() {
    let settings = ServerOptions {
        tls: true,
        ..ServerOptions::default()
    };
    let server = tokio::task::spawn_blocking(move || Iotdb::start(&settings));
    let server = server.await.unwrap().unwrap();
    let (name, model) = ("tls", Model::Tree { is_aligned: true });
    let mut options = options_at(&server.address(), &model, name);
    options.tls = Some(TlsOptions {
        ca: Some(server.certificate()),
    });
    let history = history(&mut StdRng::seed_from_u64(1), 100);
    let mut sink = IotdbSink::new(options.clone()).unwrap();
    open(&mut sink).await;
    let schema = schema("readings");
    let mut batch = Batch::new();
    for (before, after) in &history {
        push(&mut batch, &schema, before.as_ref(), after.as_ref());
    }
    sink.write(&batch, Durability::Durable).await.unwrap();
    let expected = expected(&history, options.policy, &model);
    compare(&points(&options, name).await, &expected, "over TLS");

    options.tls = Some(TlsOptions { ca: None });
    let mut stranger = IotdbSink::new(options.clone()).unwrap();
    let error = stranger.open(None).await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
    options.tls = None;
    options.call_timeout = Duration::from_secs(5);
    let mut plain = IotdbSink::new(options).unwrap();
    plain.open(None).await.unwrap_err();
}
