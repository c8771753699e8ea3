//! Connections that cannot be made, or break.

use std::time::Duration;

use headwater_core::ErrorKind;
use headwater_mysql::client::Connection;
use headwater_mysql::config::ConnectOptions;
use headwater_servers::{Flavor, Instance, Options};

use super::rows::numbers;
use super::{Server, on_every_server};

on_every_server!(
    a_stream_dropped_half_way_makes_the_connection_unusable,
    a_session_killed_among_rows_is_a_broken_connection,
    a_silent_server_counts_as_gone_after_the_read_timeout,
);

async fn a_stream_dropped_half_way_makes_the_connection_unusable(server: &Server) {
    let mut connection = server.root().await;
    let statement = connection.prepare(&numbers(5)).await.unwrap();
    let mut rows = connection.start_rows(&statement).await.unwrap();
    assert!(rows.fill().await.unwrap() && rows.next_buffered().unwrap().is_some());
    drop(rows);
    assert!(!connection.is_usable());
    let error = connection.ping().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection);
    assert!(error.is_temporary() && error.hint_text().is_some());
    connection.close().await;

    let mut connection = server.root().await;
    let patience = Duration::from_millis(50);
    let dropped = tokio::time::timeout(patience, connection.execute("DO SLEEP(1)")).await;
    assert!(dropped.is_err() && !connection.is_usable());
}

async fn a_session_killed_among_rows_is_a_broken_connection(server: &Server) {
    let mut connection = server.root().await;
    let id = connection.server().connection_id;
    let statement = connection.prepare(&numbers(7)).await.unwrap();
    let mut rows = connection.start_rows(&statement).await.unwrap();
    assert!(rows.fill().await.unwrap());
    server.root().await.kill(id).await.unwrap();
    let error = loop {
        let step = match rows.next_buffered() {
            Ok(Some(_)) => continue,
            Ok(None) => rows.fill().await,
            Err(error) => Err(error),
        };
        match step {
            Ok(more) => assert!(more, "the rows ended well"),
            Err(error) => break error,
        }
    };
    assert!(error.is_temporary(), "{error:?}");
}

async fn a_silent_server_counts_as_gone_after_the_read_timeout(server: &Server) {
    let mut connection = server.root().await;
    connection.set_read_timeout(Some(Duration::from_millis(100)));
    let error = connection.query("SELECT SLEEP(3)").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
    assert!(error.hint_text().unwrap().contains("read-timeout"));
    assert!(!connection.is_usable());
}

#[tokio::test]
async fn a_server_that_dies_among_rows_is_a_broken_connection() {
    for flavor in Flavor::ALL {
        let mut instance = Instance::start(flavor, &Options::default()).unwrap();
        let options = ConnectOptions::from_url(&instance.admin_url()).unwrap();
        let mut connection = Connection::connect(&options).await.unwrap();
        let statement = connection.prepare(&numbers(7)).await.unwrap();
        let mut rows = connection.start_rows(&statement).await.unwrap();
        assert!(rows.fill().await.unwrap());
        instance.kill().unwrap();
        let error = loop {
            while rows.next_buffered().unwrap().is_some() {}
            match rows.fill().await {
                Ok(more) => assert!(more, "the rows ended well"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::Connection, "{error:?}");
        assert!(!connection.is_usable());
        let error = Connection::connect(&options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connection, "{error:?}");
        let port = instance.port().to_string();
        assert!(
            error.to_string().contains(&port) && error.hint_text().is_some(),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_socket_that_is_not_there_says_so() {
    let options = ConnectOptions::from_url("mysql://u@/?socket=/nowhere/at/all.sock").unwrap();
    let error = Connection::connect(&options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection);
    assert!(
        error.to_string().contains("/nowhere/at/all.sock"),
        "{error}"
    );
    assert!(error.hint_text().unwrap().contains("socket"));
}
