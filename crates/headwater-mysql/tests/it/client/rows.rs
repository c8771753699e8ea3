//! The binary protocol: rows as the bytes they arrived in.

use headwater_core::ErrorKind;
use headwater_mysql::client::{Connection, OkInfo};

use super::{Server, on_every_server};

on_every_server!(
    rows_are_the_bytes_behind_the_leading_zero,
    a_statement_without_rows_streams_none,
    a_million_rows_arrive,
    rows_of_many_megabytes_are_joined,
    a_row_may_end_at_a_fragment_s_end,
    a_packet_beyond_the_bound_is_refused,
    an_error_among_rows_leaves_the_connection_usable,
    a_fill_can_be_dropped,
    raw_packets_carry_the_binlog,
);

/// All rows of a statement.
async fn all(connection: &mut Connection, sql: &str) -> Vec<Vec<u8>> {
    let statement = connection.prepare(sql).await.unwrap();
    let mut found = Vec::new();
    let mut rows = connection.start_rows(&statement).await.unwrap();
    while rows.fill().await.unwrap() {
        while let Some(row) = rows.next_buffered().unwrap() {
            found.push(row.to_vec());
        }
    }
    assert!(rows.end().is_some());
    assert!(!rows.fill().await.unwrap() && rows.next_buffered().unwrap().is_none());
    connection.close_statement(statement).await.unwrap();
    found
}

async fn rows_are_the_bytes_behind_the_leading_zero(server: &Server) {
    let mut connection = server.root().await;
    let sql = "CREATE TABLE shop.kinds (id INT UNSIGNED PRIMARY KEY, s VARCHAR(20) NOT NULL, t TINYINT, \
               d DATE, b BLOB) CHARACTER SET latin1";
    connection.execute(sql).await.unwrap();
    let sql = "INSERT INTO shop.kinds VALUES (7, 'naïve', NULL, '2024-02-29', X'00FF'), (8, '', -1, NULL, '')";
    connection.execute(sql).await.unwrap();
    connection
        .execute("SET character_set_results = NULL")
        .await
        .unwrap();
    let sql = "SELECT * FROM shop.kinds ORDER BY id";
    let statement = connection.prepare(sql).await.unwrap();
    assert_eq!(statement.params, 0);
    let names: Vec<_> = statement
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    assert_eq!(names, ["id", "s", "t", "d", "b"]);
    let types: Vec<_> = statement
        .columns
        .iter()
        .map(|column| column.column_type)
        .collect();
    assert_eq!(types, [3, 253, 1, 10, 252]);
    let [id, s, t, _, b] = &statement.columns[..] else {
        panic!("five columns")
    };
    assert!(id.is_unsigned() && !t.is_unsigned());
    assert_eq!(
        (s.collation, b.collation),
        (8, 63),
        "latin1 as it is stored, and binary"
    );
    assert_eq!(
        (s.schema.as_str(), s.table.as_str(), s.org_name.as_str()),
        ("shop", "kinds", "s")
    );
    let rows = all(&mut connection, sql).await;
    // The bitmap (two bits of offset: NULL in the third column is bit 4), then the values.
    assert_eq!(
        rows[0],
        b"\x10\x07\0\0\0\x05na\xEFve\x04\xE8\x07\x02\x1D\x02\0\xFF"
    );
    assert_eq!(rows[1], b"\x20\x08\0\0\0\0\xFF\0");
}

async fn a_statement_without_rows_streams_none(server: &Server) {
    let mut connection = server.root().await;
    let statement = connection.prepare("SET @a = 1").await.unwrap();
    let mut rows = connection.start_rows(&statement).await.unwrap();
    assert!(rows.columns().is_empty() && rows.next_buffered().unwrap().is_none());
    assert!(!rows.fill().await.unwrap());
    assert_eq!(
        rows.end().map(|end| end.affected_rows),
        Some(OkInfo::default().affected_rows)
    );
    assert!(
        all(&mut connection, "SELECT 1 FROM DUAL WHERE FALSE")
            .await
            .is_empty()
    );
    let with = connection.prepare("SELECT ?").await.unwrap();
    assert_eq!(with.params, 1);
    let error = connection.start_rows(&with).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(connection.is_usable());
}

/// A statement of 10 to the power of `digits` rows: a number each, as eight bytes.
pub(crate) fn numbers(digits: u32) -> String {
    let ten = "SELECT 0 AS n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 \
               UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9";
    let tables: Vec<_> = (0..digits)
        .map(|digit| format!("({ten}) AS d{digit}"))
        .collect();
    let sum: Vec<_> = (0..digits)
        .map(|digit| format!("d{digit}.n * {}", 10u64.pow(digit)))
        .collect();
    format!(
        "SELECT CAST({} AS UNSIGNED) AS n FROM {}",
        sum.join(" + "),
        tables.join(", ")
    )
}

async fn a_million_rows_arrive(server: &Server) {
    for options in [
        server.tcp("root", "", "ssl-mode=disabled"),
        server.tcp("root", "", "ssl-mode=required"),
        server.unix("root", "", ""),
    ] {
        let mut connection = Connection::connect(&options).await.unwrap();
        let statement = connection.prepare(&numbers(6)).await.unwrap();
        let mut rows = connection.start_rows(&statement).await.unwrap();
        let (mut count, mut sum) = (0u64, 0u64);
        while rows.fill().await.unwrap() {
            while let Some(row) = rows.next_buffered().unwrap() {
                count += 1;
                sum += u64::from_le_bytes(row[1..].try_into().unwrap());
            }
        }
        assert_eq!((count, sum), (1_000_000, 499_999_500_000));
    }
}

async fn rows_of_many_megabytes_are_joined(server: &Server) {
    let mut connection = server.root().await;
    for megabytes in [1, 20, 40] {
        let size = megabytes << 20;
        let sql = format!(
            "SELECT REPEAT('ab', {}) AS a, 'end' AS b UNION ALL SELECT 'x', 'y'",
            size / 2
        );
        let rows = all(&mut connection, &sql).await;
        assert_eq!(rows.len(), 2);
        // The bitmap, and the length: 0xFD and three bytes, or 0xFE and eight.
        let value = &rows[0][if megabytes < 16 { 5 } else { 10 }..];
        assert!(value.starts_with(b"abab") && value.ends_with(b"abab\x03end"));
        assert_eq!(value.len(), size + 4);
        assert_eq!(rows[1], b"\0\x01x\x01y");
        let text = connection
            .query_scalar(&format!("SELECT REPEAT('c', {size})"))
            .await
            .unwrap();
        assert_eq!(text.unwrap().len(), size);
    }
}

async fn a_row_may_end_at_a_fragment_s_end(server: &Server) {
    let mut connection = server.root().await;
    // A row is 0x00, one byte of bitmap, and the value with four bytes of length: together 16 MiB less one, at which
    // an empty fragment follows, and around that.
    for bytes in (1 << 24) - 9..(1 << 24) - 4 {
        let sql = format!("SELECT REPEAT('q', {bytes}) AS q UNION ALL SELECT 'after'");
        let rows = all(&mut connection, &sql).await;
        assert_eq!((rows.len(), rows[0].len()), (2, bytes + 5));
        assert_eq!(rows[1], b"\0\x05after");
    }
}

async fn a_packet_beyond_the_bound_is_refused(server: &Server) {
    let options = server.tcp("root", "", "max-packet-bytes=100000");
    let mut connection = Connection::connect(&options).await.unwrap();
    assert_eq!(
        all(&mut connection, "SELECT REPEAT('a', 99000)")
            .await
            .len(),
        1
    );
    for size in [100_001, 30 << 20] {
        let mut connection = Connection::connect(&options).await.unwrap();
        let error = connection
            .query(&format!("SELECT REPEAT('a', {size})"))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(!connection.is_usable());
    }
}

async fn an_error_among_rows_leaves_the_connection_usable(server: &Server) {
    let mut connection = server.root().await;
    let failing = format!(
        "SELECT n, IF(n = 60000, (SELECT 1 UNION SELECT 2), 0) FROM ({}) AS numbers",
        numbers(5)
    );
    let statement = connection.prepare(&failing).await.unwrap();
    let mut rows = connection.start_rows(&statement).await.unwrap();
    let mut count = 0;
    let error = loop {
        match rows.next_buffered() {
            Ok(Some(_)) => count += 1,
            Ok(None) => assert!(rows.fill().await.unwrap(), "the rows ended well"),
            Err(error) => break error,
        }
    };
    assert!(count > 0 && count < 100_000, "{count}");
    assert!(!rows.fill().await.unwrap() && rows.next_buffered().unwrap().is_none());
    assert!(error.to_string().contains("1242"), "{error}");
    assert_eq!(connection.last_server_error().unwrap().code, 1242);
    assert_eq!(
        connection
            .query_scalar("SELECT 5")
            .await
            .unwrap()
            .as_deref(),
        Some("5")
    );
}

async fn a_fill_can_be_dropped(server: &Server) {
    let mut connection = server.root().await;
    let sql = format!(
        "SELECT n, SLEEP(n MOD 250 = 249) FROM ({}) AS numbers",
        numbers(3)
    );
    let statement = connection.prepare(&sql).await.unwrap();
    let mut rows = connection.start_rows(&statement).await.unwrap();
    let (mut count, mut dropped) = (0, 0);
    loop {
        let patience = std::time::Duration::from_millis(20);
        match tokio::time::timeout(patience, rows.fill()).await {
            Err(_) => dropped += 1,
            Ok(more) => {
                if !more.unwrap() {
                    break;
                }
            }
        }
        while rows.next_buffered().unwrap().is_some() {
            count += 1;
        }
    }
    assert_eq!(count, 1000);
    assert!(dropped > 5, "{dropped}");
}

async fn raw_packets_carry_the_binlog(server: &Server) {
    const COM_REGISTER_SLAVE: u8 = 0x15;
    const COM_BINLOG_DUMP: u8 = 0x12;
    const NON_BLOCKING: u16 = 1;
    let mut connection = server.root().await;
    connection
        .execute("CREATE TABLE IF NOT EXISTS shop.logged (a INT)")
        .await
        .unwrap();
    let log = connection.query("SHOW BINARY LOGS").await.unwrap();
    let file = log.rows[0].get("Log_name").unwrap().to_owned();
    let checksum = "SET @master_binlog_checksum = 'CRC32', @source_binlog_checksum = 'CRC32'";
    connection.execute(checksum).await.unwrap();
    connection
        .execute("SET @mariadb_slave_capability = 4")
        .await
        .unwrap();
    let mut register = 4711u32.to_le_bytes().to_vec();
    register.extend_from_slice(&[0; 3 + 2 + 4 + 4]);
    connection
        .command(COM_REGISTER_SLAVE, &register)
        .await
        .unwrap();

    let mut dump = 4u32.to_le_bytes().to_vec();
    dump.extend_from_slice(&NON_BLOCKING.to_le_bytes());
    dump.extend_from_slice(&4711u32.to_le_bytes());
    dump.extend_from_slice(file.as_bytes());
    connection
        .send_command(COM_BINLOG_DUMP, &dump)
        .await
        .unwrap();
    let mut types = Vec::new();
    'events: loop {
        connection.fill().await.unwrap();
        while let Some(packet) = connection.next_packet().unwrap() {
            match packet[0] {
                0x00 => types.push(packet[5]),
                0xFE => break 'events,
                _ => panic!("{:?}", Connection::server_error(packet)),
            }
        }
    }
    assert_eq!(types[0], 4, "a rotate event comes first: {types:?}");
    assert!(types.contains(&15), "a format description event: {types:?}");
    assert!(types.contains(&2), "the statement: {types:?}");

    // A log that is not there.
    let mut connection = server.root().await;
    let mut dump = dump[..10].to_vec();
    dump.extend_from_slice(b"nothing.000009");
    connection
        .send_command(COM_BINLOG_DUMP, &dump)
        .await
        .unwrap();
    let error = loop {
        connection.fill().await.unwrap();
        match connection.next_packet().unwrap() {
            Some(packet) if packet[0] == 0xFF => break Connection::server_error(packet),
            _ => {}
        }
    };
    assert_eq!(error.kind(), ErrorKind::ExpiredPosition, "{error:?}");
}
