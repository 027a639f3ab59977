//! A component does everything that it must not do. It costs its own call, and nobody else anything.
//!
//! While it does its harm two users of the same node chat, and miss nothing.

use std::cell::Cell;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{Client, Manifest, Node, RpcError, http};

/// The most that a node may ever have had resident, whatever a component does.
const RESIDENT_MAX_KIB: u64 = 600 * 1024;
/// The deadline of the component is 500 ms; the rest is for a busy machine.
const ANSWERED_WITHIN: Duration = Duration::from_millis(2_500);
/// Between users whose functions harm nobody. Half of it is what a busy machine may need.
const CHAT_WITHIN: Duration = Duration::from_millis(2_000);
const FAILURES: u32 = 3;

/// The application with a component that harms.
fn infested() -> Manifest {
    Manifest::default()
        .function("hostile", "hostile", &["test:hostile/hostile"])
        .set("component.hostile.tool.mpim.deadline_ms", 500)
        .set("component.hostile.tool.mpim.max_sandboxes", 4)
        .set("application.tool.mpim.breaker.failures", i64::from(FAILURES))
        .set("application.tool.mpim.breaker.open_ms", 100)
}

/// A node with two users who chat, and one who calls what harms.
struct Scene {
    node: Node,
    ann: Client,
    bob: Client,
    mallory: Client,
}

impl Scene {
    async fn set(manifest: &Manifest) -> Self {
        let node = Node::with(manifest);
        let ann = Client::register(&node, "ann").await;
        let bob = Client::register(&node, "bob").await;
        let mallory = Client::register(&node, "mallory").await;
        Self {
            node,
            ann,
            bob,
            mallory,
        }
    }

    /// Does something while the two chat, and checks that they noticed nothing.
    async fn meanwhile<T>(&mut self, harm: impl AsyncFnOnce(&Node, &mut Client) -> T) -> T {
        let Self {
            node,
            ann,
            bob,
            mallory,
        } = self;
        let over = Cell::new(false);
        let harm = async {
            let outcome = harm(node, mallory).await;
            over.set(true);
            outcome
        };
        let (outcome, mut took) = tokio::join!(harm, chat(ann, bob, &over));
        took.sort();
        let (median, longest) = (took[took.len() / 2], took[took.len() - 1]);
        assert!(
            median < CHAT_WITHIN / 4 && longest < CHAT_WITHIN,
            "{median:?}, at most {longest:?}"
        );
        outcome
    }

    /// The node lives, never took more memory than it may, and the component works again.
    async fn recovers(mut self) {
        assert_eq!(until_tried(&mut self.mallory).await, Ok(json!(1)));
        assert!(self.node.is_running());
        let peak_kib = self.node.peak_resident_kib();
        assert!(peak_kib < RESIDENT_MAX_KIB, "{peak_kib} KiB");
    }
}

/// Sends from one to the other until it is over, ten messages at least. Gives how long each took.
async fn chat(ann: &mut Client, bob: &mut Client, over: &Cell<bool>) -> Vec<Duration> {
    let mut took = Vec::new();
    while !over.get() || took.len() < 10 {
        let number = took.len().to_string();
        let begun = Instant::now();
        let params = json!({ "to": bob.user, "client_id": number, "content": number });
        ann.call("send.send-message", params).await.expect("sent");
        let heard = bob.notified("message").await;
        took.push(begun.elapsed());
        assert_eq!(heard["body"]["content"], number);
    }
    assert!(bob.heard("message").is_empty(), "each message came once");
    took
}

/// Calls the harmless method until the breaker lets it through.
async fn until_tried(mallory: &mut Client) -> Result<Value, RpcError> {
    loop {
        match mallory.call("hostile.ok", json!({})).await {
            Err(error) if error.code == "unavailable" && error.retryable => tokio::task::yield_now().await,
            other => return other,
        }
    }
}

/// Calls a method that fails, and checks that it does so in time.
async fn harm(mallory: &mut Client, method: &str, params: &Value) -> RpcError {
    let begun = Instant::now();
    let error = mallory
        .call(&format!("hostile.{method}"), params.clone())
        .await
        .expect_err(method);
    assert!(begun.elapsed() < ANSWERED_WITHIN, "{method} took {:?}", begun.elapsed());
    error
}

/// A method whose every call fails with this code, until the breaker opens; then the component works again.
async fn costs_its_own_call(method: &str, params: Value, code: &str, retryable: bool) {
    let mut scene = Scene::set(&infested()).await;
    scene
        .meanwhile(async |_, mallory| {
            for _ in 0..FAILURES {
                let error = harm(mallory, method, &params).await;
                assert_eq!((error.code.as_str(), error.retryable), (code, retryable), "{error:?}");
                assert!(error.message.contains("hostile"), "{}", error.message);
            }
        })
        .await;
    scene.recovers().await;
}

#[tokio::test]
async fn a_trap_costs_its_own_call() {
    costs_its_own_call("trap", json!({}), "internal", false).await;
}

#[tokio::test]
async fn an_endless_loop_ends_with_its_deadline() {
    costs_its_own_call("spin", json!({}), "unavailable", true).await;
}

#[tokio::test]
async fn an_endless_loop_that_never_waits_ends_with_its_deadline() {
    costs_its_own_call("spin-in-one-go", json!({}), "unavailable", true).await;
}

#[tokio::test]
async fn a_component_that_eats_memory_gets_no_more_than_its_share() {
    costs_its_own_call("eat-memory", json!({}), "internal", false).await;
}

#[tokio::test]
async fn an_endless_recursion_costs_its_own_call() {
    costs_its_own_call("recurse", json!({}), "internal", false).await;
}

#[tokio::test]
async fn a_result_of_very_many_texts_is_refused() {
    costs_its_own_call("giant", json!({ "count": 1_000_000, "length": 1 }), "internal", false).await;
}

#[tokio::test]
async fn a_result_that_names_the_same_memory_again_and_again_is_refused() {
    costs_its_own_call(
        "giant",
        json!({ "count": 100_000, "length": 4_000_000 }),
        "internal",
        false,
    )
    .await;
}

#[tokio::test]
async fn results_just_within_the_bound_do_not_fill_the_memory_of_the_node() {
    let mut scene = Scene::set(&infested()).await;
    scene
        .meanwhile(async |node, mallory| {
            // As JSON each would have 42 MB.
            let body = json!({ "count": 7, "length": 1 << 20 }).to_string();
            let token = mallory.token.clone();
            let calls = (0..32).map(|_| http::call(node, "hostile", "giant", body.clone(), Some(&token)));
            for response in join_all(calls).await {
                let problem = response.json();
                assert!(response.status >= 400, "{} bytes", response.text.len());
                assert!(
                    ["too_large", "overloaded", "unavailable"].contains(&problem["code"].as_str().unwrap()),
                    "{problem}"
                );
            }
        })
        .await;
    scene.recovers().await;
}

#[tokio::test]
async fn a_breaker_spares_the_node_a_component_that_only_fails() {
    let manifest = infested().set("application.tool.mpim.breaker.open_ms", 3_600_000);
    let mut scene = Scene::set(&manifest).await;
    scene
        .meanwhile(async |_, mallory| {
            for _ in 0..FAILURES {
                assert_eq!(harm(mallory, "trap", &json!({})).await.code, "internal");
            }
            let refused = harm(mallory, "ok", &json!({})).await;
            assert_eq!((refused.code.as_str(), refused.retryable), ("unavailable", true));
        })
        .await;
    assert!(scene.node.is_running());
}

#[tokio::test]
async fn a_crowd_of_endless_loops_is_turned_away_at_the_door() {
    let manifest = infested()
        .set("component.hostile.tool.mpim.max_sandboxes", 2)
        .set("component.hostile.tool.mpim.waiting_max", 2)
        .set("application.tool.mpim.breaker.failures", 100);
    let mut scene = Scene::set(&manifest).await;
    scene
        .meanwhile(async |node, mallory| {
            let token = mallory.token.clone();
            let calls = (0..20).map(|_| http::call(node, "hostile", "spin", "{}", Some(&token)));
            let mut codes = Vec::new();
            for response in join_all(calls).await {
                let problem = response.json();
                assert_eq!(
                    (response.status, &problem["retryable"]),
                    (503, &json!(true)),
                    "{problem}"
                );
                codes.push(problem["code"].as_str().unwrap().to_owned());
            }
            // Two run at first, two wait; a caller that comes late may find a place again.
            let turned_away = codes.iter().filter(|code| *code == "overloaded").count();
            let ran = codes.iter().filter(|code| *code == "unavailable").count();
            assert!(turned_away >= 8 && ran >= 2, "{codes:?}");
        })
        .await;
    scene.recovers().await;
}

#[tokio::test]
async fn functions_that_call_each_other_too_deep_are_stopped() {
    let manifest = infested()
        .set("component.hostile.tool.mpim.max_sandboxes", 64)
        .set("component.hostile.tool.mpim.deadline_ms", 5_000);
    let mut scene = Scene::set(&manifest).await;
    scene
        .meanwhile(async |_, mallory| {
            assert_eq!(mallory.call("hostile.dive", json!({ "depth": 8 })).await, Ok(json!(8)));
            let error = harm(mallory, "dive", &json!({ "depth": 9 })).await;
            assert_eq!((error.code.as_str(), error.retryable), ("overloaded", true));
            assert!(error.message.contains("8 deep"), "{}", error.message);
        })
        .await;
    scene.recovers().await;
}

#[tokio::test]
async fn a_function_that_waits_for_its_own_sandboxes_ends_with_its_deadline() {
    let manifest = infested().set("component.hostile.tool.mpim.max_sandboxes", 2);
    let mut scene = Scene::set(&manifest).await;
    scene
        .meanwhile(async |_, mallory| {
            let error = harm(mallory, "dive", &json!({ "depth": 5 })).await;
            assert!(
                ["overloaded", "unavailable"].contains(&error.code.as_str()) && error.retryable,
                "{error:?}"
            );
        })
        .await;
    scene.recovers().await;
}

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
            for (series, length) in [(50_000, 10), (300, 4_000_000)] {
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

#[tokio::test]
async fn a_function_is_not_blamed_for_a_caller_that_gave_it_no_time() {
    let manifest = infested().set("application.tool.mpim.breaker.open_ms", 3_600_000);
    let mut scene = Scene::set(&manifest).await;
    scene
        .meanwhile(async |_, mallory| {
            for _ in 1..FAILURES {
                harm(mallory, "drag-down", &json!({ "calls": 30 })).await;
            }
        })
        .await;
    // `contacts` was called, and could not answer in time.
    scene
        .mallory
        .call("contacts.list", json!({}))
        .await
        .expect("its breaker is closed");
    scene.recovers().await;
}
