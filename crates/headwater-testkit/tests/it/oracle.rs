//! The oracle on right streams and wrong ones: each wrong one must be found.

use headwater_testkit::oracle::{
    Began, Delivery, Event, History, Image, Keys, Kind, Oracle, from_json_lines,
};

const ORDERS: &str = "shop.orders";
const NOTES: &str = "shop.notes";

fn row(id: i64, version: i64) -> Image {
    [("id", id), ("version", version)]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), Some(value.to_string())))
        .collect()
}

fn bootstrap(id: i64, version: i64) -> Event {
    Event::new(ORDERS, Kind::Bootstrap, None, Some(row(id, version)))
}

fn insert(id: i64, version: i64) -> Event {
    Event::new(ORDERS, Kind::Insert, None, Some(row(id, version)))
}

fn update(before: (i64, i64), after: (i64, i64)) -> Event {
    let (before, after) = (row(before.0, before.1), row(after.0, after.1));
    Event::new(ORDERS, Kind::Update, Some(before), Some(after))
}

fn delete(id: i64, version: i64) -> Event {
    Event::new(ORDERS, Kind::Delete, Some(row(id, version)), None)
}

fn note(kind: Kind, text: i64) -> Event {
    let image = row(0, text);
    match kind {
        Kind::Delete => Event::new(NOTES, kind, Some(image), None),
        _ => Event::new(NOTES, kind, None, Some(image)),
    }
}

/// Two orders and two equal notes at first; then seven transactions.
fn history() -> History {
    let keys = [
        (ORDERS.to_owned(), vec!["id".to_owned()]),
        (NOTES.to_owned(), Vec::new()),
    ];
    let mut history = History::new(Keys::from(keys));
    history.add_initial(ORDERS, row(1, 10));
    history.add_initial(ORDERS, row(2, 20));
    history.add_initial(NOTES, row(0, 7));
    history.add_initial(NOTES, row(0, 7));
    let changes = [
        (1, update((1, 10), (1, 11))),
        (2, insert(3, 30)),
        (3, update((2, 20), (2, 21))),
        (3, note(Kind::Delete, 7)),
        (4, update((1, 11), (5, 50))),
        (5, delete(3, 30)),
        (6, update((2, 21), (2, 22))),
        (7, insert(3, 31)),
        (7, note(Kind::Insert, 8)),
    ];
    for (position, change) in changes {
        history.push(position, change);
    }
    history
}

/// The right stream of a copy at position 3.
fn right() -> Vec<Event> {
    vec![
        bootstrap(1, 11),
        bootstrap(2, 21),
        bootstrap(3, 30),
        note(Kind::Bootstrap, 7),
        update((1, 11), (5, 50)),
        delete(3, 30),
        update((2, 21), (2, 22)),
        insert(3, 31),
        note(Kind::Insert, 8),
    ]
}

fn is_right(events: &[Event]) -> bool {
    Oracle::new(history())
        .check(events, Delivery::Exact)
        .is_ok()
}

/// The right stream with a change made to it.
fn wrong(change: impl FnOnce(&mut Vec<Event>)) -> Vec<Event> {
    let mut events = right();
    change(&mut events);
    assert_ne!(events, right(), "nothing was changed");
    events
}

#[test]
fn the_right_stream_passes_and_its_cut_is_found() {
    let oracle = Oracle::new(history());
    oracle.check(&right(), Delivery::Exact).unwrap();
    oracle.check(&right(), Delivery::AtLeastOnce).unwrap();
    assert_eq!(oracle.check_global_cut(&right()), Ok(3));
}

#[test]
fn each_key_may_have_a_cut_of_its_own() {
    // Order 2 as of the end, order 1 as of the beginning, order 3 not before its second life.
    let events = vec![
        bootstrap(1, 10),
        note(Kind::Bootstrap, 7),
        note(Kind::Bootstrap, 8),
        update((1, 10), (1, 11)),
        update((1, 11), (5, 50)),
        bootstrap(2, 22),
        bootstrap(3, 31),
    ];
    let oracle = Oracle::new(history());
    oracle.check(&events, Delivery::Exact).unwrap();
    assert!(oracle.check_global_cut(&events).is_err());
}

#[test]
fn a_row_of_another_cut_is_found_by_the_global_check() {
    // Order 2 one change further than the others, its later changes without a fault.
    let events = wrong(|events| {
        events[1] = bootstrap(2, 22);
        events.remove(6);
    });
    let oracle = Oracle::new(history());
    oracle.check(&events, Delivery::Exact).unwrap();
    assert!(oracle.check_global_cut(&events).is_err());
}

#[test]
fn every_event_that_is_lost_is_found() {
    for index in 0..right().len() {
        let events = wrong(|events| drop(events.remove(index)));
        assert!(!is_right(&events), "without event {index}");
    }
}

#[test]
fn every_event_that_comes_twice_is_found() {
    for index in 0..right().len() {
        for place in index..right().len() {
            let events = wrong(|events| events.insert(place + 1, events[index].clone()));
            assert!(!is_right(&events), "event {index} again after {place}");
        }
    }
}

#[test]
fn every_pair_of_one_key_in_the_wrong_order_is_found() {
    // Of keys 1, 2, 3 and 5; a delete and its second life; a note and its copy.
    for (a, b) in [(0, 4), (1, 6), (2, 5), (5, 7), (3, 8)] {
        let events = wrong(|events| events.swap(a, b));
        assert!(!is_right(&events), "{a} and {b} swapped");
    }
}

#[test]
fn a_stale_row_is_found() {
    assert!(!is_right(&wrong(|events| events[1] = bootstrap(2, 20))));
    assert!(!is_right(&wrong(|events| events[0] = bootstrap(1, 10))));
}

#[test]
fn a_row_that_is_ahead_of_its_changes_is_found() {
    assert!(!is_right(&wrong(|events| events[1] = bootstrap(2, 22))));
}

#[test]
fn a_change_from_before_the_cut_is_found() {
    assert!(!is_right(&wrong(
        |events| events.insert(4, update((1, 10), (1, 11)))
    )));
    assert!(!is_right(&wrong(
        |events| events.insert(0, update((1, 10), (1, 11)))
    )));
}

#[test]
fn a_row_that_never_was_is_found() {
    assert!(!is_right(&wrong(|events| events.push(insert(9, 90)))));
    assert!(!is_right(&wrong(
        |events| events.insert(0, bootstrap(9, 90))
    )));
}

#[test]
fn a_changed_key_without_its_delete_is_found() {
    assert!(!is_right(&wrong(|events| events[4] = insert(5, 50))));
}

#[test]
fn a_wrong_kind_or_a_wrong_image_before_is_found() {
    assert!(!is_right(&wrong(|events| events[7] = bootstrap(3, 31))));
    assert!(!is_right(&wrong(|events| events[6] = insert(2, 22))));
    assert!(!is_right(&wrong(
        |events| events[6] = update((2, 20), (2, 22))
    )));
}

#[test]
fn a_row_too_many_without_a_key_is_found() {
    assert!(!is_right(&wrong(
        |events| events.insert(3, note(Kind::Bootstrap, 7))
    )));
}

#[test]
fn a_table_that_nobody_knows_is_found() {
    let foreign = Event::new("shop.other", Kind::Insert, None, Some(row(1, 1)));
    assert!(!is_right(&wrong(|events| events.push(foreign))));
}

#[test]
fn a_stream_without_a_copy_is_every_change_after_its_beginning() {
    let oracle = Oracle::new(history());
    let events: Vec<Event> = right().split_off(4);
    oracle
        .check_history(&events, Delivery::Exact, Began::After(3))
        .unwrap();
    oracle.check_final(&events, Began::After(3)).unwrap();
    for position in [2, 4] {
        assert!(
            oracle
                .check_history(&events, Delivery::Exact, Began::After(position))
                .is_err()
        );
    }
    assert!(
        oracle
            .check_history(&events[1..], Delivery::Exact, Began::After(3))
            .is_err()
    );
}

#[test]
fn repeats_pass_only_where_they_are_allowed() {
    let oracle = Oracle::new(history());
    // The stream died after order 3's delete and went back to its copy, read again at the end.
    let mut repeated = right();
    repeated.splice(6..6, [bootstrap(2, 21), delete(3, 30)]);
    oracle.check(&repeated, Delivery::AtLeastOnce).unwrap();
    assert!(oracle.check(&repeated, Delivery::Exact).is_err());
    // A row that was read, died, and was deleted before it could be read again.
    let mut orphan = right();
    orphan.splice(2..3, []);
    oracle.check(&orphan, Delivery::AtLeastOnce).unwrap();
}

#[test]
fn at_least_once_still_means_that_nothing_is_lost_or_stale() {
    let oracle = Oracle::new(history());
    let is_wrong = |events: &[Event]| oracle.check(events, Delivery::AtLeastOnce).is_err();
    for index in [1, 4, 6, 7] {
        assert!(
            is_wrong(&wrong(|events| drop(events.remove(index)))),
            "without event {index}"
        );
    }
    assert!(
        is_wrong(&wrong(|events| events.push(bootstrap(2, 21)))),
        "older after newer"
    );
    assert!(
        is_wrong(&wrong(|events| events.swap(1, 6))),
        "a copy after its change"
    );
    assert!(
        is_wrong(&wrong(|events| events.push(bootstrap(3, 30)))),
        "a row that is gone"
    );
}

#[test]
fn the_tables_themselves_are_compared_with_the_history() {
    let oracle = Oracle::new(history());
    let orders = vec![row(2, 22), row(3, 31), row(5, 50)];
    let notes = vec![row(0, 7), row(0, 8)];
    let actual = [(ORDERS.to_owned(), orders), (NOTES.to_owned(), notes)];
    oracle.check_tables(&actual.clone().into()).unwrap();
    let [orders, _] = actual;
    assert!(oracle.check_tables(&[orders].into()).is_err());
}

#[test]
fn maxwells_lines_are_read_as_the_same_events() {
    let text = r#"{"database":"shop","table":"orders","type":"bootstrap-start","ts":1,"data":{}}
{"database":"shop","table":"orders","type":"bootstrap","ts":1,"data":{"id":1,"version":11}}
{"database":"shop","table":"orders","type":"update","ts":1,"xid":4,"commit":true,"data":{"id":5,"version":50},"old":{"id":1,"version":11}}
{"database":"shop","table":"orders","type":"update","ts":1,"xid":5,"commit":true,"data":{"id":2,"version":"22"},"old":{"version":21}}
{"database":"shop","table":"other","type":"insert","ts":1,"data":{"id":9}}
{"database":"shop","table":"orders","type":"delete","ts":1,"data":{"id":3,"version":null}}
"#;
    let events = from_json_lines(text, &history().keys).unwrap();
    let mut gone = row(3, 0);
    gone.insert("version".into(), None);
    let expected = [
        bootstrap(1, 11),
        update((1, 11), (5, 50)),
        update((2, 21), (2, 22)),
        Event::new(ORDERS, Kind::Delete, Some(gone), None),
    ];
    assert_eq!(events, expected);
    let torn = from_json_lines("{\"database\":\"shop\"", &history().keys).unwrap_err();
    assert!(torn.to_string().contains("line 1"), "{torn}");
}
