//! What is asked and answered, whatever the door.

use headwater_core::progress::{LoadWait, Phase};
use headwater_core::{Error, ErrorKind};
use serde_json::{Value, json};

use super::shapes::wrong;
use super::stand_in::{Said, Served};
use crate::control::openapi;
use crate::control::routes::ROUTES;

const ORDERS: &str = r#"{"tables":["shop.orders"]}"#;

/// Checks an answer against the document.
fn check(document: &Value, method: &str, path: &str, said: &Said) {
    let operation = &document["paths"][path][method.to_ascii_lowercase()];
    let response = &operation["responses"][said.status.to_string()];
    assert!(
        response.is_object(),
        "{method} {path} is not said to answer {said:?}"
    );
    let content = response["content"].as_object().unwrap();
    let (kind, content) = content.iter().next().unwrap();
    assert!(
        said.head.contains(&format!("content-type: {kind}")),
        "{said:?}"
    );
    if kind == "application/json" {
        let problem = wrong(document, &content["schema"], &said.json(), "");
        assert_eq!(problem, None, "{method} {path}: {said:?}");
    }
}

#[tokio::test]
async fn every_request_of_the_openapi_file_is_answered_as_it_says() {
    let served = Served::start(None).await;
    let counters = served.progress.counters();
    counters.retried(&Error::new(ErrorKind::Connection, "gone").hint("wait"));
    counters.read_up_to(None);
    counters.saved(5);
    let document = openapi::generate();
    let asks = [
        ("POST", "/bootstraps", ORDERS, 201),
        (
            "POST",
            "/bootstraps",
            r#"{"tables":["shop.*"],"where":"id > 5","comment":"x","limits":{"rows_per_s":5,"load":{"threads_running":20}},"origin":"me","not_before_s":4000000000}"#,
            201,
        ),
        ("POST", "/bootstraps", r#"{"tables":["crm.*"]}"#, 404),
        ("POST", "/bootstraps", "{", 400),
        ("GET", "/bootstraps", "", 200),
        ("GET", "/bootstraps/{id}", "", 200),
        (
            "PATCH",
            "/bootstraps/{id}",
            r#"{"state":"paused","limits":{"bytes_per_s":1000}}"#,
            200,
        ),
        (
            "PATCH",
            "/bootstraps/{id}",
            r#"{"limits":{"load":{"history_length":5,"replica_lag_s":0}}}"#,
            200,
        ),
        ("PATCH", "/bootstraps/{id}", r#"{"state":"running"}"#, 200),
        ("PATCH", "/bootstraps/{id}", "{}", 400),
        // This run folds nothing.
        ("GET", "/folds/{fold}", "", 404),
        ("GET", "/folds/{fold}/{key}", "", 404),
        ("GET", "/status", "", 200),
        ("GET", "/metrics", "", 200),
        ("GET", "/ready", "", 200),
        ("GET", "/health", "", 200),
        ("DELETE", "/bootstraps/{id}", "", 200),
        ("DELETE", "/bootstraps/{id}", "", 409),
        ("PATCH", "/bootstraps/{id}", r#"{"state":"paused"}"#, 409),
    ];
    for (method, path, body, status) in asks {
        let said = served.ask(method, &path.replace("{id}", "1"), body).await;
        assert_eq!(said.status, status, "{method} {path} {body}: {said:?}");
        check(&document, method, path, &said);
    }
    for route in &ROUTES {
        let is_asked = asks
            .iter()
            .any(|(method, path, ..)| (*method, *path) == (route.method.as_str(), route.path));
        assert!(is_asked, "{} {} is not tested", route.method, route.path);
        // What has a number in its path knows when there is no such thing.
        if route.path.contains("{id}") {
            let body = if route.method == "PATCH" {
                r#"{"state":"paused"}"#
            } else {
                ""
            };
            let said = served
                .ask(route.method.as_str(), "/bootstraps/77", body)
                .await;
            assert_eq!(said.status, 404, "{said:?}");
            check(&document, route.method.as_str(), route.path, &said);
        }
    }
    served.plane.stop().await;
}

#[tokio::test]
async fn what_is_not_in_the_openapi_file_is_not_answered() {
    let served = Served::start(None).await;
    let document = openapi::generate();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            if operations.get(method.to_ascii_lowercase()).is_none() {
                let said = served.ask(method, &path.replace("{id}", "1"), "").await;
                assert_eq!(said.status, 405, "{method} {path}: {said:?}");
                assert!(said.head.contains("allow: "), "{said:?}");
            }
        }
    }
    for path in [
        "/",
        "/bootstrap",
        "/bootstraps/",
        "/bootstraps/x",
        "/bootstraps/-1",
        "/metrics/",
        "/bootstraps/1/x",
    ] {
        let said = served.ask("GET", path, "").await;
        assert_eq!(
            (said.status, &said.json()["error"]["kind"]),
            (404, &json!("not-found")),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_bootstrap_is_shown_with_its_progress() {
    let served = Served::start(None).await;
    let new = served
        .ask(
            "POST",
            "/bootstraps",
            r#"{"tables":["shop.*"],"where":"id > 5","not_before_s":7,"limits":{"load":{"threads_running":20}}}"#,
        )
        .await;
    assert!(new.head.contains("location: /bootstraps/1"), "{new:?}");
    let wait = LoadWait {
        id: Some(1),
        why: "threads running 42, limit 20".to_owned(),
    };
    served.progress.set_load_waits(vec![wait]);
    let shown = served.ask("GET", "/bootstraps/1", "").await.json();
    for (member, value) in [
        ("id", json!(1)),
        ("state", json!("running")),
        ("asked_for", json!(["shop.*"])),
        ("where", json!("id > 5")),
        ("rows", json!(80)),
        ("rows_estimated", json!(200)),
        ("percent", json!(40)),
        ("not_before_s", json!(7)),
        ("limits", json!({"load": {"threads_running": 20}})),
        ("waits", json!("threads running 42, limit 20")),
    ] {
        assert_eq!(shown[member], value, "{shown}");
    }
    assert_eq!(shown["tables"][1]["table"], "shop.users");
    let status = served.ask("GET", "/status", "").await.json();
    assert_eq!(status["bootstraps"], json!([shown]));
    assert_eq!(
        (&status["phase"], &status["ready"]),
        (&json!("streaming"), &json!(true))
    );
    let metrics = served.ask("GET", "/metrics", "").await.body;
    assert!(
        metrics.contains("headwater_bootstrap_rows{id=\"1\"} 80\n"),
        "{metrics}"
    );
    assert!(
        metrics.contains("headwater_bootstrap_waits{id=\"1\"} 1\n"),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_wrong_body_is_refused_with_what_to_do() {
    let served = Served::start(None).await;
    for (body, words) in [
        ("", "body"),
        ("[]", "body"),
        (
            r#"{"tables":["shop.*"],"wher":"x"}"#,
            "unknown field `wher`",
        ),
        (
            r#"{"tables":["shop.*"],"limits":{"rows":5}}"#,
            "unknown field `rows`",
        ),
        (
            r#"{"tables":["shop.*"],"limits":{"rows_per_s":0}}"#,
            "never end",
        ),
        (r#"{"tables":["shop.*"],"limits":{"rows_per_s":-1}}"#, "-1"),
        (r#"{"tables":["shop.*"],"where":" "}"#, "condition is empty"),
        (r#"{"tables":[]}"#, "no table"),
        (
            r#"{"tables":["orders"]}"#,
            "`orders` is not a table's full name",
        ),
    ] {
        let said = served.ask("POST", "/bootstraps", body).await;
        let error = &said.json()["error"];
        assert_eq!(said.status, 400, "{said:?}");
        assert!(
            error["message"].as_str().unwrap().contains(words),
            "{body}: {error}"
        );
        assert!(
            error["hint"].is_string() && error["kind"].is_string(),
            "{error}"
        );
    }
    let large = format!(r#"{{"tables":["shop.{}"]}}"#, "x".repeat(70_000));
    let said = served.ask("POST", "/bootstraps", &large).await;
    assert_eq!(said.status, 413, "{said:?}");
}

#[tokio::test]
async fn ready_is_said_once_rows_flow_and_not_while_they_do_not() {
    let served = Served::start(None).await;
    for (phase, status) in [
        (Phase::Starting, 503),
        (Phase::Copying, 200),
        (Phase::CatchingUp, 200),
        (Phase::Streaming, 200),
        (Phase::Waiting, 503),
        (Phase::Ended, 503),
    ] {
        served.progress.set_phase(phase);
        let said = served.ask("GET", "/ready", "").await;
        assert_eq!(said.status, status, "{phase:?}");
        let readiness = said.json();
        assert_eq!(readiness["phase"], phase.name());
        assert_eq!(readiness["reason"].is_string(), status == 503, "{said:?}");
        assert_eq!(served.ask("GET", "/health", "").await.status, 200);
    }
}

#[tokio::test]
async fn a_password_in_a_failure_is_not_in_the_status() {
    let served = Served::start(None).await;
    let error = Error::new(ErrorKind::Connection, "cannot reach mysql://u:hunter2@h/d");
    served.progress.counters().retried(&error);
    let said = served.ask("GET", "/status", "").await;
    assert!(
        said.body.contains("cannot reach") && !said.body.contains("hunter2"),
        "{said:?}"
    );
}
