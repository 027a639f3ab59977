//! A component does everything that it must not do. It costs its own call, and nobody else anything.
//!
//! While it does its harm two users of the same node chat, and miss nothing.

mod floods;

use std::cell::Cell;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{Client, Manifest, Node, RpcError, http};

/// The most that a node may ever have had resident, whatever a component does.
const RESIDENT_MAX_KIB: u64 = 600 * 1024;
/// The deadline of the component is 500 ms; the rest is for a busy machine.
const ANSWERED_WITHIN: Duration = Duration::from_millis(2_500);
/// Half of the messages between users whose functions harm nobody take less, also on a busy machine.
const CHAT_MEDIAN: Duration = Duration::from_millis(500);
/// And all of them this.
const CHAT_LONGEST: Duration = Duration::from_secs(5);
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
            median < CHAT_MEDIAN && longest < CHAT_LONGEST,
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
        // What is not acknowledged comes again after a while.
        bob.call("send.ack", json!({ "messages": [heard["body"]["id"]] }))
            .await
            .expect("acknowledged");
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
async fn a_function_is_not_blamed_for_a_caller_that_gave_it_no_time() {
    let manifest = infested()
        .set("application.tool.mpim.breaker.open_ms", 3_600_000)
        .set("application.tool.mpim.password.memory_kib", 64 * 1024)
        .set("application.tool.mpim.password.passes", 2);
    let mut scene = Scene::set(&manifest).await;
    scene
        .meanwhile(async |_, mallory| {
            for _ in 1..FAILURES {
                harm(mallory, "drag-down", &json!({ "calls": 64 })).await;
            }
        })
        .await;
    // `login` was called, and could not answer in time.
    let sessions = scene.mallory.call("login.sessions", json!({})).await;
    sessions.expect("the breaker of `login` is closed");
    scene.recovers().await;
}

#[tokio::test]
async fn a_connection_that_stops_what_is_asked_for_many_costs_the_others_nothing() {
    let mut batch = toml::Table::new();
    batch.insert("hostile.hold".to_owned(), "hostile.batch-hold".into());
    let manifest = Manifest::default()
        .function("hostile", "hostile", &["test:hostile/hostile"])
        .set("component.hostile.tool.mpim.safe_to_repeat", vec!["hold"])
        .set("application.tool.mpim.gateway.opened", vec!["hostile.hold"])
        .set("application.tool.mpim.batch.methods", batch)
        .set("application.tool.mpim.breaker.failures", 1000);
    let node = Node::with(&manifest);
    let ann = Client::register(&node, "ann").await;
    http::register(&node, "mallory").await;
    let bomb = http::login(&node, "mallory", "bomb").await;
    for _ in 0..10 {
        let tokens = (0..24).map(|place| if place % 8 == 3 { &bomb } else { &ann.token });
        let crowd = join_all(tokens.map(|token| Client::resume(&node, token))).await;
        for (place, outcome) in crowd.into_iter().enumerate() {
            match (place % 8, outcome) {
                (3, Err(refusal)) => assert_eq!(refusal.code, "internal"),
                (3, Ok(_)) => panic!("a bomb was taken"),
                (_, outcome) => drop(outcome.expect("served")),
            }
        }
    }
    assert!(
        node.log().contains("hostile.batch-hold"),
        "none was asked in one batch with a bomb"
    );
}
