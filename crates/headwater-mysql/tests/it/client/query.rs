//! The text protocol, and errors of the server.

use headwater_core::ErrorKind;
use headwater_mysql::client::Connection;

use super::{Server, on_every_server};

on_every_server!(
    cells_are_text_or_null,
    statements_say_what_they_did,
    several_results_are_read_to_their_end,
    errors_of_the_server_have_kind_code_and_hint,
    a_session_can_be_killed,
);

async fn cells_are_text_or_null(server: &Server) {
    let mut connection = server.root().await;
    let sql = "SELECT 1 AS a, NULL AS b, '' AS c, 'é😀' AS d, 18446744073709551615 AS e, -5 AS f, \
               REPEAT('x', 300) AS g, REPEAT('y', 70000) AS h UNION ALL SELECT 2, 3, 4, 5, 6, 7, 8, 9";
    let result = connection.query(sql).await.unwrap();
    assert_eq!(result.rows.len(), 2);
    assert_eq!(result.position("E"), Some(4));
    let row = &result.rows[0];
    assert_eq!(
        (row.len(), row.u64(0), row.bytes(1), row.as_str(2)),
        (8, Some(1), None, Some(""))
    );
    assert_eq!(row.get("D"), Some("é😀"));
    assert_eq!(
        (row.u64(4), row.i64(5), row.u64(5)),
        (Some(u64::MAX), Some(-5), None)
    );
    assert_eq!(
        (row.bytes(6).unwrap().len(), row.bytes(7).unwrap().len()),
        (300, 70000)
    );
    assert_eq!(row.bytes(8), None);

    let empty = connection
        .query("SELECT 1 AS a FROM DUAL WHERE FALSE")
        .await
        .unwrap();
    assert_eq!((empty.rows.len(), empty.columns.len()), (0, 1));
    assert!(
        connection
            .query_one("SELECT 1 FROM DUAL WHERE FALSE")
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(connection.query_scalar("SELECT NULL").await.unwrap(), None);
    assert_eq!(
        connection
            .query_scalar("SELECT 'x'")
            .await
            .unwrap()
            .as_deref(),
        Some("x")
    );
    assert!(
        connection
            .query("SET @x = 1")
            .await
            .unwrap()
            .rows
            .is_empty()
    );
}

async fn statements_say_what_they_did(server: &Server) {
    let mut connection = server.root().await;
    let sql = "CREATE TABLE shop.did (id INT AUTO_INCREMENT PRIMARY KEY, b LONGBLOB)";
    connection.execute(sql).await.unwrap();
    let did = connection
        .execute("INSERT INTO shop.did (b) VALUES (1), (2), (3)")
        .await
        .unwrap();
    assert_eq!((did.affected_rows, did.last_insert_id), (3, 1));
    let did = connection.execute("SELECT * FROM shop.did").await.unwrap();
    assert_eq!(did.affected_rows, 0);
    let did = connection
        .execute("SELECT CAST('x' AS SIGNED)")
        .await
        .unwrap();
    assert_eq!(did.warnings, 1);
    // A statement of several fragments.
    let large = "z".repeat((1 << 24) + 5000);
    connection
        .execute(&format!("INSERT INTO shop.did (b) VALUES ('{large}')"))
        .await
        .unwrap();
    let row = connection
        .query_one("SELECT b FROM shop.did WHERE id = 4")
        .await
        .unwrap()
        .unwrap();
    assert!(row.as_str(0) == Some(&large));
    connection.ping().await.unwrap();
    connection.close().await;
}

async fn several_results_are_read_to_their_end(server: &Server) {
    let mut connection = server.root().await;
    let sql = "CREATE PROCEDURE shop.several() BEGIN SELECT 1 AS a; SELECT 2 AS b, 3 AS c; END";
    let empty_first = "CREATE PROCEDURE shop.empty_first() BEGIN SELECT 1 AS a FROM DUAL WHERE FALSE; SELECT 2; END";
    connection.execute(sql).await.unwrap();
    connection.execute(empty_first).await.unwrap();
    assert!(
        connection
            .query("CALL shop.empty_first()")
            .await
            .unwrap()
            .rows
            .is_empty()
    );
    connection.execute("CALL shop.several()").await.unwrap();
    let result = connection.query("CALL shop.several()").await.unwrap();
    assert_eq!((result.columns.len(), result.rows.len()), (1, 1));
    assert_eq!(
        connection
            .query_scalar("SELECT 7")
            .await
            .unwrap()
            .as_deref(),
        Some("7")
    );
    let statement = connection.prepare("CALL shop.several()").await.unwrap();
    // Streams of several results are refused, one way or the other, and never mixed up.
    let mut rows = connection.start_rows(&statement).await.unwrap();
    let error = loop {
        match rows.next_buffered() {
            Ok(Some(_)) => {}
            Ok(None) => assert!(rows.fill().await.unwrap()),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(!connection.is_usable());
}

async fn errors_of_the_server_have_kind_code_and_hint(server: &Server) {
    let mut connection = server.root().await;
    let sql =
        "CREATE TABLE shop.locked (id INT PRIMARY KEY); CREATE USER poor@'%' IDENTIFIED BY 'p';
               GRANT SELECT ON shop.locked TO poor@'%'";
    server.instance.sql(sql).unwrap();
    let mut poor = Connection::connect(&server.tcp("poor", "p", ""))
        .await
        .unwrap();
    let mut other = server.root().await;
    other
        .execute("LOCK TABLES shop.locked WRITE")
        .await
        .unwrap();
    for (as_poor, sql, kind, code, hinted) in [
        (
            false,
            "SELECT * FROM shop.nothing",
            ErrorKind::NotFound,
            1146,
            true,
        ),
        (false, "USE nowhere", ErrorKind::NotFound, 1049, true),
        (false, "SELEC 1", ErrorKind::Unsupported, 1064, false),
        (
            true,
            "FLUSH TABLES WITH READ LOCK",
            ErrorKind::Privilege,
            1227,
            true,
        ),
        (
            true,
            "DELETE FROM shop.locked",
            ErrorKind::Privilege,
            1142,
            true,
        ),
        (true, "USE mysql", ErrorKind::Privilege, 1044, true),
    ] {
        let connection = if as_poor { &mut poor } else { &mut connection };
        for prepared in [false, true] {
            let result = match prepared {
                false => connection.execute(sql).await.map(|_| ()),
                true if sql.starts_with("USE") || sql.starts_with("FLUSH") => continue,
                true => connection.prepare(sql).await.map(|_| ()),
            };
            let error = result.unwrap_err();
            assert_eq!(error.kind(), kind, "{error:?}");
            assert!(error.to_string().contains(&code.to_string()), "{error}");
            assert_eq!(error.hint_text().is_some(), hinted, "{error:?}");
            assert_eq!(connection.last_server_error().unwrap().code, code);
            assert!(connection.is_usable());
        }
    }
    connection
        .execute("SET lock_wait_timeout = 1")
        .await
        .unwrap();
    let error = connection
        .execute("LOCK TABLES shop.locked WRITE")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LockTimeout, "{error:?}");
}

async fn a_session_can_be_killed(server: &Server) {
    let mut victim = server.root().await;
    let mut killer = server.root().await;
    killer.kill(victim.server().connection_id).await.unwrap();
    let error = loop {
        // The server notices at the next command at the latest.
        if let Err(error) = victim.ping().await {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::Connection, "{error:?}");
    let error = loop {
        // The session may take a moment to be gone.
        if let Err(error) = killer.kill(victim.server().connection_id).await {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
}
