//! Labels of ENUM and SET beyond three-byte UTF-8, which information_schema shows as question marks.

use headwater_core::engine::Mode;
use headwater_servers::Flavor;

use crate::harness::{Host, database, on_every_server, shorts, start};

const TABLE: &str = "CREATE DATABASE d CHARACTER SET utf8mb4; USE d;
    CREATE TABLE t (id INT PRIMARY KEY, `e``1` ENUM('?', '😀', 'it''s 🎉?', 'é') NOT NULL, s SET('a', '🎉', '?'),
                    l ENUM('ü', '?') CHARACTER SET latin1, u ENUM('x', '𝄞') CHARACTER SET utf16);
    INSERT INTO t VALUES (1, '😀', 'a,🎉,?', '?', '𝄞'), (2, '?', '?', 'ü', 'x');";
const MORE: &str = "INSERT INTO d.t VALUES (3, 'it''s 🎉?', '🎉', '?', '𝄞'); UPDATE d.t SET `e``1` = 'é' WHERE id = 1";
const FOLLOWS: [&str; 2] = [
    r#"insert t {"id":3,"e`1":"it's 🎉?","s":["🎉"],"l":"?","u":"𝄞"}"#,
    r#"update t {"id":1,"e`1":"é","s":["a","🎉","?"],"l":"?","u":"𝄞"},"old":{"e`1":"😀"}"#,
];

/// Events in short, without the escapes for characters of two UTF-16 units.
fn plain(lines: &[String]) -> Vec<String> {
    let plain = |line: String| {
        line.replace(r"\uD83D\uDE00", "😀")
            .replace(r"\uD83C\uDF89", "🎉")
            .replace(r"\uD834\uDD1E", "𝄞")
    };
    shorts(lines).into_iter().map(plain).collect()
}

async fn labels_that_the_server_shows_as_question_marks_are_themselves(flavor: Flavor) {
    let server = start(flavor, &["--binlog-row-metadata=MINIMAL"]);
    server.admin(TABLE);
    let run = server.run(database("d")).mode(Mode::Both);
    run.go().await.ok();
    server.admin(MORE);
    let lines = plain(&run.go().await.ok());
    assert_eq!(
        lines[..2],
        [
            r#"bootstrap t {"id":1,"e`1":"😀","s":["a","🎉","?"],"l":"?","u":"𝄞"}"#,
            r#"bootstrap t {"id":2,"e`1":"?","s":["?"],"l":"ü","u":"x"}"#,
        ]
    );
    assert_eq!(lines[2..], FOLLOWS);
}

async fn the_labels_of_the_log_go_before_those_that_are_known(flavor: Flavor) {
    let server = start(flavor, &[]);
    server.admin(TABLE);
    let run = server.run(database("d"));
    let mut token = run.token_now().await;
    let mut known = token.definitions.to_string();
    for label in ["😀", "🎉", "𝄞"] {
        assert!(known.contains(label), "{known}");
        known = known.replace(label, "?");
    }
    token.definitions = serde_json::from_str(&known).unwrap();
    server.admin(MORE);
    assert_eq!(plain(&run.afresh().from(&token).go().await.ok()), FOLLOWS);
}

on_every_server!(
    labels_that_the_server_shows_as_question_marks_are_themselves,
    the_labels_of_the_log_go_before_those_that_are_known,
);
