//! A component that floods what all share: the log, the metrics, the store, the cache.

use std::time::Instant;

use serde_json::json;

use super::{Scene, harm, infested};
use crate::harness::http;

#[tokio::test]
async fn a_flood_of_lines_leaves_a_log_that_can_be_read() {
    let mut scene = Scene::set(&infested()).await;
    let before = scene.node.log().len();
    let begun = Instant::now();
    scene
        .meanwhile(async |_, mallory| {
            for (lines, length) in [(100_000, 10), (1_000, 4_000_000)] {
                // Whether it comes to its end in time is its own affair.
                let _ = mallory
                    .call("hostile.flood-log", json!({ "lines": lines, "length": length }))
                    .await;
            }
        })
        .await;
    let written = scene.node.log().len() - before;
    // A hundred lines a second, of four KiB at most, and what the host says to each.
    let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap() + 2;
    assert!(
        written > 0 && written < seconds * 100 * 4_400,
        "{written} bytes in {seconds} s"
    );
    scene.recovers().await;
}

#[tokio::test]
async fn a_flood_of_metrics_leaves_those_of_others_readable() {
    let mut scene = Scene::set(&infested()).await;
    scene
        .meanwhile(async |_, mallory| {
            for (series, length) in [(300, 4_000_000), (50_000, 10)] {
                let params = json!({ "series": series, "length": length });
                let _ = mallory.call("hostile.flood-metrics", params).await;
            }
        })
        .await;
    let token = scene.node.operator_token();
    let metrics = http::get(&scene.node, "/admin/metrics", Some(&token)).await;
    assert_eq!(metrics.status, 200);
    assert!(metrics.text.contains("test_hostile_flood"), "some of it was counted");
    assert!(
        metrics
            .text
            .contains("mpim_telemetry_dropped_total{function=\"hostile\"}")
    );
    assert!(metrics.text.len() < 4 << 20, "{} bytes", metrics.text.len());
    scene.recovers().await;
}

#[tokio::test]
async fn a_component_cannot_speak_for_another_in_the_metrics() {
    let mut scene = Scene::set(&infested()).await;
    for (label, value) in [
        ("function", "send"),
        ("function ", "send"),
        ("", "x"),
        ("a\"} 1\nforged{b=\"", "x"),
    ] {
        let params = json!({ "name": "mpim_invokes_total", "label": label, "value": value });
        scene
            .mallory
            .call("hostile.forge-metric", params)
            .await
            .expect("counted");
    }
    let token = scene.node.operator_token();
    let metrics = http::get(&scene.node, "/admin/metrics", Some(&token)).await.text;
    for line in metrics
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        let labels = labels(line);
        let mut names: Vec<&str> = labels.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), labels.len(), "a label twice: {line}");
        let ours = line.ends_with(" 1000000");
        assert!(!ours || labels.contains(&("function", "hostile")), "{line}");
    }
    assert!(metrics.lines().any(|line| line.ends_with(" 1000000")), "it was counted");
    scene.recovers().await;
}

/// The labels of a line in the text format of Prometheus, whose values have neither quotes nor commas.
fn labels(line: &str) -> Vec<(&str, &str)> {
    let Some((_, rest)) = line.split_once('{') else {
        return Vec::new();
    };
    let (labels, _) = rest
        .rsplit_once('}')
        .unwrap_or_else(|| panic!("not a line of metrics: {line}"));
    let pair = |label| -> (&str, &str) {
        let (name, value) = str::split_once(label, '=').unwrap_or_else(|| panic!("not a label: {line}"));
        (name, value.trim_matches('"'))
    };
    labels.split(',').map(pair).collect()
}

#[tokio::test]
async fn a_query_for_everything_is_refused_by_the_store() {
    let mut scene = Scene::set(&infested()).await;
    scene
        .meanwhile(async |_, mallory| {
            assert_eq!(
                mallory.call("hostile.big-sql-result", json!({ "rows": "100" })).await,
                Ok(json!("100"))
            );
            let error = harm(mallory, "big-sql-result", &json!({ "rows": "1000000000" })).await;
            assert!(
                error.message.contains("overloaded") || error.message.contains("Overloaded"),
                "{error:?}"
            );
        })
        .await;
    scene.recovers().await;
}

#[tokio::test]
async fn a_query_without_end_is_stopped_with_its_deadline() {
    let mut scene = Scene::set(&infested()).await;
    scene
        .meanwhile(async |_, mallory| {
            let error = harm(mallory, "slow-sql", &json!({})).await;
            let stopped = error.code == "unavailable" || error.message.contains("deadline");
            assert!(stopped, "{error:?}");
        })
        .await;
    scene.recovers().await;
}

#[tokio::test]
async fn a_component_that_fills_the_cache_fills_its_bound() {
    let mut scene = Scene::set(&infested().set("component.hostile.tool.mpim.deadline_ms", 5_000)).await;
    scene
        .meanwhile(async |_, mallory| {
            let within = json!({ "entries": 1_000, "length": 1_000_000 });
            assert_eq!(mallory.call("hostile.fill-cache", within).await, Ok(json!(1_000)));
            let error = harm(mallory, "fill-cache", &json!({ "entries": 1, "length": 4_000_000 })).await;
            assert_eq!((error.code.as_str(), error.retryable), ("invalid", false));
        })
        .await;
    scene.recovers().await;
}
