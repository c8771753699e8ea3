//! Commits whose answers are lost, and commits that come late.

use std::sync::Arc;
use std::time::Duration;

use headwater_fold::store::{StateStore, Step};
use headwater_redis::RedisStore;
use headwater_servers::redis::{Redis, RedisFlavor, RedisOptions as ServerOptions};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::kills::{Append, Held, folds, held, options, step};

/// Long against what the test's machine may be busy with.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a way does with what is on it.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Does {
    #[default]
    Pass,
    /// Questions are lost, and the connection with them.
    CutQuestions,
    /// Answers are lost, and the connection with them.
    CutAnswers,
    /// Questions wait.
    Hold,
}

#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    does: Does,
    holds: bool,
    /// Answers passed since the way last changed what it does.
    answers_after: u32,
}

#[derive(Debug, Clone)]
struct Way(Arc<watch::Sender<Seen>>);

impl Way {
    async fn to(port: u16) -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let way = Self(Arc::default());
        let ways = way.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                tokio::spawn(ways.clone().pass(near, far));
            }
        });
        (way, url)
    }

    async fn pass(self, near: TcpStream, far: TcpStream) {
        let (mut from_near, mut to_near) = near.into_split();
        let (mut from_far, mut to_far) = far.into_split();
        let forth = async {
            let mut bytes = vec![0; 64 * 1024];
            while let Ok(read @ 1..) = from_near.read(&mut bytes).await {
                let mut seen = self.0.subscribe();
                let does = seen.borrow().does;
                if does == Does::CutQuestions {
                    return;
                }
                if does == Does::Hold {
                    self.0.send_modify(|seen| seen.holds = true);
                    seen.wait_for(|seen| seen.does != Does::Hold).await.unwrap();
                }
                if to_far.write_all(&bytes[..read]).await.is_err() {
                    return;
                }
            }
            // Nothing more is asked; what was asked is answered.
            let _ = to_far.shutdown().await;
            std::future::pending::<()>().await;
        };
        let back = async {
            let mut bytes = vec![0; 64 * 1024];
            while let Ok(read @ 1..) = from_far.read(&mut bytes).await {
                let does = self.0.borrow().does;
                self.0.send_modify(|seen| seen.answers_after += 1);
                if does == Does::CutAnswers {
                    return;
                }
                // Nobody may be there any more to hear it.
                let _ = to_near.write_all(&bytes[..read]).await;
            }
        };
        tokio::select! { () = forth => {}, () = back => {} }
    }

    fn now(&self, does: Does) {
        self.0.send_modify(|seen| {
            *seen = Seen {
                does,
                ..Seen::default()
            };
        });
    }

    async fn until(&self, holds: impl FnMut(&Seen) -> bool) {
        let mut seen = self.0.subscribe();
        let waiting = seen.wait_for(holds);
        drop(
            tokio::time::timeout(PATIENCE, waiting)
                .await
                .unwrap()
                .unwrap(),
        );
    }
}

/// Whether a commit was made is told by taking over, when question or answer was lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_became_of_a_commit_without_an_answer_is_told_by_taking_over() {
    for flavor in RedisFlavor::ALL {
        let server = Redis::start(flavor, &ServerOptions::default()).unwrap();
        let (way, url) = Way::to(server.port()).await;
        let mut store = RedisStore::new(options(&url)).unwrap();
        store.take_over(&folds(), false).await.unwrap();
        let mut model = Held::new();
        let deltas = Append::new([1, 2, 3], "0,");
        step(&mut store, &deltas, &json!(0)).await.unwrap();
        deltas.to(&mut model);
        let mut progress = json!(0);
        for turn in 1..5 {
            let deltas = Append::new([1, 2, turn], &format!("{turn},"));
            store.merge(0, &deltas).await.unwrap();
            let is_made = turn % 2 == 0;
            way.now(if is_made {
                Does::CutAnswers
            } else {
                Does::CutQuestions
            });
            let asked = json!(turn);
            let committing = Step {
                progress: &asked,
                serve: false,
                keep_from_s: &[],
            };
            let error = store.commit(committing).await.unwrap_err();
            assert!(error.is_temporary(), "{error:?}");
            way.now(Does::Pass);
            let taken = store.take_over(&folds(), false).await.unwrap();
            if is_made {
                deltas.to(&mut model);
                progress = asked;
            }
            assert_eq!(
                taken.progress.as_ref(),
                Some(&progress),
                "{flavor:?}, {turn}"
            );
            assert_eq!(held(&store).await, (progress.clone(), model.clone()));
        }
    }
}

/// A commit that was given up on its way comes to the server after its writer has taken over anew: it changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_comes_late_changes_nothing() {
    let server = Redis::start(RedisFlavor::Redis, &ServerOptions::default()).unwrap();
    let (way, url) = Way::to(server.port()).await;
    let mut late = RedisStore::new(options(&url)).unwrap();
    late.take_over(&folds(), false).await.unwrap();
    let first = Append::new([1, 2], "first,");
    step(&mut late, &first, &json!("first")).await.unwrap();
    late.merge(0, &Append::new([1, 9], "late,")).await.unwrap();
    way.now(Does::Hold);
    let asked = json!("late");
    let committing = Step {
        progress: &asked,
        serve: false,
        keep_from_s: &[],
    };
    tokio::select! {
        done = late.commit(committing) => panic!("it was held: {done:?}"),
        () = way.until(|seen| seen.holds) => {}
    }
    let mut store = RedisStore::new(options(&server.url())).unwrap();
    let taken = store.take_over(&folds(), false).await.unwrap();
    assert_eq!(taken.progress, Some(json!("first")));
    way.now(Does::Pass);
    way.until(|seen| seen.answers_after > 0).await;
    let second = Append::new([2, 3], "second,");
    step(&mut store, &second, &json!("second")).await.unwrap();
    let mut model = Held::new();
    first.to(&mut model);
    second.to(&mut model);
    assert_eq!(held(&store).await, (json!("second"), model));
}
