//! Generations: built beside each other, served one at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use headwater_core::ErrorKind;
use headwater_fold::store::{StateReader, StateStore, Taken};
use serde_json::{Value, json};

use super::StoreHarness;
use super::model::{Changes, Held, add, all_time, check, commit, fold, merge, scan, served, take};

fn is_building(progress: Option<Value>) -> Taken {
    Taken {
        progress,
        is_building: true,
    }
}

/// Folds of another definition are built from nothing, while what is served answers as before; the commit that serves them swaps at
/// once. `anew` does so for the same folds.
pub async fn a_generation_is_built_beside_the_one_that_is_served<H: StoreHarness>(harness: &H) {
    let mut store = harness.store();
    let (old, new) = ([fold("a"), fold("b")], [fold("c")]);
    take(&mut store, &old).await;
    let first = Changes::append(&["x", "y"], "old");
    add(&mut store, 0, &first).await;
    add(&mut store, 1, &first).await;
    commit(&mut store, &json!("old"), true).await;
    let mut held = Held::new();
    merge(&mut held, &first);

    assert_eq!(take(&mut store, &new).await, is_building(None));
    let second = Changes::append(&["x", "z"], "new");
    for turn in 0..3 {
        add(&mut store, 0, &second).await;
        commit(&mut store, &json!(["new", turn]), false).await;
        check(&store, 0, &held, &json!("old")).await;
        check(&store, 1, &held, &json!("old")).await;
        let reader = store.reader().expect("a reader");
        assert_eq!(served(&reader).await.folds, old);
        let written = reader.written().await.expect("it can be read");
        assert_eq!(written, Some(json!(["new", turn])), "what is built");
    }
    commit(&mut store, &json!("new"), true).await;
    let mut held = Held::new();
    for _ in 0..3 {
        merge(&mut held, &second);
    }
    check(&store, 0, &held, &json!("new")).await;
    let reader = store.reader().expect("a reader");
    assert_eq!(served(&reader).await.folds, new);

    let taken = store.take_over(&new, true).await.expect("taken over");
    assert_eq!(taken, is_building(None), "anew");
    check(&store, 0, &held, &json!("new")).await;
    add(&mut store, 0, &first).await;
    commit(&mut store, &json!("anew"), true).await;
    let mut held = Held::new();
    merge(&mut held, &first);
    check(&store, 0, &held, &json!("anew")).await;
    drop((store, reader));
    let mut store = harness.store();
    let taken = take(&mut store, &new).await;
    assert_eq!(
        (taken.progress, taken.is_building),
        (Some(json!("anew")), false)
    );
    check(&store, 0, &held, &json!("anew")).await;
}

/// A build goes on where it was, also where it was begun `anew` and is asked for so again; for other folds it is given up, and nothing
/// of it is found in theirs.
pub async fn a_build_goes_on_and_is_given_up_for_other_folds<H: StoreHarness>(harness: &H) {
    let mut store = harness.store();
    let folds = [fold("a")];
    take(&mut store, &folds).await;
    commit(&mut store, &json!("served"), true).await;
    let part = Changes::append(&["x"], "part,");
    let mut held = Held::new();
    for turn in 0..4 {
        let taken = store
            .take_over(&folds, turn != 2)
            .await
            .expect("taken over");
        let before = (turn > 0).then(|| json!(turn - 1));
        assert_eq!(taken, is_building(before), "turn {turn}");
        add(&mut store, 0, &part).await;
        merge(&mut held, &part);
        commit(&mut store, &json!(turn), false).await;
        check(&store, 0, &Held::new(), &json!("served")).await;
        drop(store);
        store = harness.store();
    }
    // Other folds, twice: each time from nothing.
    for name in ["b", "c"] {
        let taken = take(&mut store, &[fold(name)]).await;
        assert_eq!(taken, is_building(None), "{name}");
        add(&mut store, 0, &Changes::append(&["y"], name)).await;
        commit(&mut store, &json!(name), false).await;
    }
    let taken = store.take_over(&folds, true).await.expect("taken over");
    assert_eq!(taken, is_building(None), "the first build was given up");
    commit(&mut store, &json!("empty"), true).await;
    check(&store, 0, &Held::new(), &json!("empty")).await;
}

/// Folds that fit what is served go on with it, whatever was built meanwhile; and what was built is gone.
pub async fn what_is_served_can_be_gone_on_with<H: StoreHarness>(harness: &H) {
    let mut store = harness.store();
    let (old, new) = ([fold("a")], [fold("b")]);
    take(&mut store, &old).await;
    let mut held = Held::new();
    let changes = Changes::append(&["x", "y"], "1");
    add(&mut store, 0, &changes).await;
    merge(&mut held, &changes);
    commit(&mut store, &json!(1), true).await;
    take(&mut store, &new).await;
    add(&mut store, 0, &Changes::append(&["x", "given up"], "2")).await;
    commit(&mut store, &json!(2), false).await;
    drop(store);
    let mut store = harness.store();
    let taken = take(&mut store, &old).await;
    assert_eq!((taken.progress, taken.is_building), (Some(json!(1)), false));
    add(&mut store, 0, &changes).await;
    merge(&mut held, &changes);
    commit(&mut store, &json!(3), false).await;
    check(&store, 0, &held, &json!(3)).await;
    assert_eq!(take(&mut store, &new).await, is_building(None));
    commit(&mut store, &json!(4), true).await;
    check(&store, 0, &Held::new(), &json!(4)).await;
}

/// Whoever asks about a generation that is not served any more is told so, rather than answered from another.
pub async fn an_answer_of_a_generation_that_has_gone_is_cancelled<H: StoreHarness>(harness: &H) {
    let mut store = harness.store();
    take(&mut store, &[fold("a")]).await;
    add(&mut store, 0, &Changes::append(&["x"], "old")).await;
    commit(&mut store, &json!("old"), true).await;
    let reader = store.reader().expect("a reader");
    let before = served(&reader).await;
    take(&mut store, &[fold("b")]).await;
    add(&mut store, 0, &Changes::append(&["x"], "new")).await;
    let found = reader.get_many(&before, 0, &[all_time("x")]).await;
    let (progress, found) = found.expect("it is served still");
    assert_eq!(
        (progress, found),
        (json!("old"), vec![Some(b"old".to_vec())])
    );
    commit(&mut store, &json!("new"), true).await;
    let asked = reader.get_many(&before, 0, &[all_time("x")]).await;
    let error = asked.expect_err("it has gone");
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error:?}");
    let scanned = scan(&reader, &before, 0, (None, None)).await;
    let error = scanned.expect_err("it has gone");
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error:?}");
    let now = served(&reader).await;
    assert_ne!(now.generation, before.generation);
    let (progress, _) = scan(&reader, &now, 0, (None, None)).await.expect("a scan");
    assert_eq!(progress, json!("new"));
}

/// While the writer commits and builds anew, each answer is of one commit: all places stand where its progress says.
pub async fn answers_beside_the_writer_are_of_one_commit<H: StoreHarness>(harness: &H) {
    let folds = [fold("a")];
    let keys = ["x", "y", "z"];
    let mut store = harness.store();
    take(&mut store, &folds).await;
    commit(&mut store, &json!(0), true).await;
    let reader = store.reader().expect("a reader");
    let stop = Arc::new(AtomicBool::new(false));
    let reading = tokio::spawn({
        let stop = Arc::clone(&stop);
        async move {
            let (mut answers, mut last) = (0, 0);
            while !stop.load(Ordering::Relaxed) || answers == 0 {
                let served = served(&reader).await;
                let places = keys.map(all_time);
                let asked = match answers % 2 {
                    0 => reader.get_many(&served, 0, &places).await,
                    _ => scan(&reader, &served, 0, (None, None))
                        .await
                        .map(|(progress, found)| {
                            let found: Vec<_> =
                                found.into_iter().map(|entry| Some(entry.bytes)).collect();
                            (
                                progress,
                                if found.is_empty() {
                                    vec![None; 3]
                                } else {
                                    found
                                },
                            )
                        }),
                };
                let (progress, found) = match asked {
                    Err(error) if error.kind() == ErrorKind::Cancelled => continue,
                    asked => asked.expect("an answer"),
                };
                let progress = progress.as_u64().expect("a number");
                assert!(progress >= last, "{progress} was answered after {last}");
                last = progress;
                let length = usize::try_from(progress).expect("a small number");
                let wanted = (length > 0).then(|| vec![b'.'; length]);
                assert_eq!(found, vec![wanted; 3], "at {progress}");
                answers += 1;
            }
        }
    });
    for number in 1..60 {
        if number % 20 == 0 {
            store.take_over(&folds, true).await.expect("taken over");
            for _ in 1..number {
                add(&mut store, 0, &Changes::append(&keys, ".")).await;
            }
        }
        // One place after the other, so that a step seen in parts is seen.
        for key in keys {
            add(&mut store, 0, &Changes::append(&[key], ".")).await;
        }
        commit(&mut store, &json!(number), number % 20 == 0).await;
        tokio::task::yield_now().await;
    }
    stop.store(true, Ordering::Relaxed);
    reading.await.expect("every answer was of one commit");
}
