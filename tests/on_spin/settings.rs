//! Variables that cannot be what is meant: who set them is told which, and that once.

use serde_json::json;
use servers::redis::Redis;

use crate::harness::client::PASSWORD;
use crate::harness::http;
use crate::harness::platform::{Application, OPERATOR_TOKEN, Platform, own_manifest};

/// What is answered to the same request twice, which needs the store or Redis, and what is said in the log.
async fn told(variable: &'static str, path: &str, body: &str) -> (String, String) {
    let redis = Redis::start();
    let application = tokio::task::spawn_blocking(move || {
        // Nobody is there: what is asked for is refused before anybody looks.
        let mysql = "mysql://app:secret@127.0.0.1:1/app";
        let more = ["--variable", variable, "--idle-instance-timeout", "60s"];
        Application::start(Platform::StandIn, &own_manifest(), mysql, &redis.url(), &more)
    });
    let application = application.await.expect("started");
    let bearer = format!("Bearer {OPERATOR_TOKEN}");
    let mut answers = Vec::new();
    for _ in 0..2 {
        let answer = http::at(
            &application.url,
            "POST",
            path,
            body.to_owned(),
            &[("authorization", &bearer)],
        )
        .await;
        let error = answer.json();
        assert_eq!(
            (answer.status, &error["code"]),
            (503, &json!("unavailable")),
            "{answer:?}"
        );
        assert_eq!(error["retryable"], true);
        answers.push(answer.text);
    }
    assert_eq!(answers[0], answers[1]);
    let log = application.log();
    assert!(!log.contains("secret") && !answers[0].contains("secret"), "{log}");
    (answers.swap_remove(0), log)
}

async fn told_of_the_store(variable: &'static str) -> String {
    let account = json!({ "name": "ann", "password": PASSWORD }).to_string();
    told(variable, "/v1/login/register", &account).await.1
}

async fn told_of_redis(variable: &'static str) -> (String, String) {
    let users = json!({ "users": ["1"] }).to_string();
    told(variable, "/v1/route/route-message", &users).await
}

#[track_caller]
fn assert_once(log: &str, text: &str) {
    assert_eq!(log.matches(text).count(), 1, "{text} is not once in {log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_of_the_database_that_spin_cannot_use_is_told_with_its_variable() {
    let log = told_of_the_store("mysql_url=mariadb://app:secret@127.0.0.1/app").await;
    assert_once(
        &log,
        "the variable `mysql_url` must begin with `mysql://`, not with `mariadb://`",
    );
    let log = told_of_the_store("mysql_url=mysql://app:secret@127.0.0.1/app?require_ssl=true").await;
    assert_once(
        &log,
        "the variable `mysql_url` says `require_ssl`, which Spin passes over",
    );
    let log = told_of_the_store("mysql_connections_max=none").await;
    assert_once(
        &log,
        "the variable `mysql_connections_max` must be a number of connections",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_of_redis_that_spin_cannot_use_is_told_with_its_variable() {
    let (answer, log) = told_of_redis("redis_url=valkey://:secret@127.0.0.1").await;
    let must = "the variable `redis_metadata_url` must begin with `redis://` or `rediss://`, not with `valkey://`";
    assert!(answer.contains(must), "{answer}");
    assert_once(&log, must);
    // With TLS it is let through. The stand-in goes no further.
    let (answer, log) = told_of_redis("redis_url=rediss://:secret@127.0.0.1:1").await;
    assert!(answer.contains("this stand-in has no TLS"), "{answer}");
    assert!(!log.contains("allowed_outbound_hosts"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_the_manifest_does_not_allow_is_told_with_its_variable() {
    let text = std::fs::read_to_string(own_manifest()).expect("the manifest");
    let text = text.replace("\"rediss://*:*\", ", "").replace("source = \"", &source());
    let folder = crate::harness::node::Folder::new();
    let file = folder.path().join("spin.toml");
    std::fs::write(&file, text).expect("the manifest is written");
    let started = tokio::task::spawn_blocking(move || {
        let (mysql, redis) = ("mysql://127.0.0.1:1/app", "rediss://127.0.0.1:1");
        Application::start(Platform::StandIn, &file, mysql, redis, &[])
    });
    let application = started.await.expect("started");
    let bearer = format!("Bearer {OPERATOR_TOKEN}");
    let users = json!({ "users": ["1"] }).to_string();
    let headers = [("authorization", bearer.as_str())];
    let answer = http::at(&application.url, "POST", "/v1/route/route-message", users, &headers).await;
    assert_eq!(answer.status, 503, "{}", answer.text);
    let must = "the variable `redis_metadata_url` has no address that may be reached: `allowed_outbound_hosts`";
    assert!(
        answer.text.contains(must) && answer.text.contains("rediss://HOST:PORT"),
        "{}",
        answer.text
    );
    assert_once(&application.log(), must);
}

/// The composed components by absolute paths.
fn source() -> String {
    format!("source = \"{}/", crate::harness::manifest::root().display())
}
