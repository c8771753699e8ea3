//! Moving from Maxwell.

use std::fs;

use super::command::run_in;
use super::server::{server, shop};

#[test]
fn maxwells_configuration_becomes_one_with_which_a_run_streams() {
    let url = shop("moved");
    let address = url.rsplit_once('@').unwrap().1;
    let (host, rest) = address.split_once(':').unwrap();
    let port = rest.split('/').next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let properties = format!(
        "host={host}\nport={port}\nuser=root\nproducer=file\noutput_file=events.jsonl\noutput_xoffset=false\n\
         filter=exclude: *.*, include: moved.users\n"
    );
    fs::write(folder.path().join("config.properties"), properties).unwrap();
    let moved = run_in(folder.path(), &["from-maxwell", "config.properties"]);
    assert_eq!(moved.code, 0, "{moved:?}");
    assert!(moved.err.contains("taken    filter"), "{moved:?}");
    fs::write(folder.path().join("shop.yaml"), &moved.out).unwrap();
    let words = ["run", "--config", "shop.yaml", "--until", "now"];
    let first = run_in(folder.path(), &words);
    assert_eq!(first.code, 0, "{first:?}");
    server()
        .sql("UPDATE moved.users SET name='Ada L.' WHERE id=1; DELETE FROM moved.orders")
        .unwrap();
    let second = run_in(folder.path(), &words);
    assert_eq!(second.code, 0, "{second:?}");
    let events = fs::read_to_string(folder.path().join("events.jsonl")).unwrap();
    assert_eq!(events.lines().count(), 1, "{events}");
    assert!(
        events.contains("\"type\":\"update\"") && events.contains("Ada L."),
        "{events}"
    );
}

#[test]
fn what_cannot_be_honoured_is_told_with_an_exit_code_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("p"), "javascript=f.js\nuser=a\n").unwrap();
    let lost = run_in(folder.path(), &["from-maxwell", "p"]);
    assert_eq!(lost.code, 1, "{lost:?}");
    assert!(lost.err.contains("CANNOT   javascript"), "{lost:?}");
    assert!(
        lost.out.contains("user: \"a\""),
        "the rest is printed: {lost:?}"
    );
    let none = run_in(folder.path(), &["from-maxwell", "nowhere"]);
    assert_eq!(none.code, 2, "{none:?}");
    assert!(
        none.out.is_empty() && none.err.contains("nowhere"),
        "{none:?}"
    );
    fs::write(folder.path().join("bad"), "a=\\u1\n").unwrap();
    let bad = run_in(folder.path(), &["from-maxwell", "bad"]);
    assert_eq!(bad.code, 2, "{bad:?}");
    assert!(bad.err.contains("line 1"), "{bad:?}");
}
