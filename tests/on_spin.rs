//! The application on Spin: the same component files, composed, behind the same HTTP, on the same servers.
//!
//! Where Spin cannot be installed a stand-in runs the application, which offers exactly what Spin does. The stories of
//! Spin itself are ignored by name, and told by `cargo xtask test` where a `spin` binary is on the PATH.

mod batch;
mod connections;
mod ground;
mod outages;
mod script;
mod settings;

use std::sync::Arc;

use serde_json::json;

use self::ground::Ground;
use crate::harness::dice::Dice;
use crate::harness::node::Folder;
use crate::harness::platform::{OPERATOR_TOKEN, Platform};
use crate::harness::{Client, Manifest, Node, http};

async fn the_same_answers(platform: Platform) {
    let ground = Ground::start(platform).await;
    let node = Node::start();
    let remote = script::tell(&ground.url, OPERATOR_TOKEN).await;
    let local = script::tell(&node.url, &node.operator_token()).await;
    for (local, remote) in local.iter().zip(&remote) {
        assert_eq!(local, remote, "on our host and on the platform");
    }
    assert_eq!(local.len(), remote.len());
}

async fn nonsense_is_answered_alike(platform: Platform) {
    let ground = Ground::start(platform).await;
    let node = Node::start();
    let seed = Dice::seed();
    println!("MPIM_SEED={seed}");
    let remote = script::nonsense(&ground.url, seed).await;
    let local = script::nonsense(&node.url, seed).await;
    for (local, remote) in local.iter().zip(&remote) {
        assert_eq!(local, remote, "on our host and on the platform");
    }
}

async fn clients_of_a_gateway_talk(platform: Platform) {
    let ground = Ground::start(platform).await;
    let gateway = ground.gateway();
    let mut ann = Client::register(&gateway, &ground.name("ann")).await;
    let mut bob = Client::register(&gateway, &ground.name("bob")).await;

    let params = json!({ "to": bob.user, "client_id": "1", "content": "hello" });
    let sent = ann.call("send.send-message", params.clone()).await.expect("accepted");
    let heard = bob.notified("message").await;
    assert_eq!(
        (heard["body"]["content"].as_str(), heard["cursor"].as_str()),
        (Some("hello"), Some("1"))
    );
    let again = ann.call("send.send-message", params).await.expect("a repeat");
    assert_eq!((&again["message"], &again["seq"]), (&sent["message"], &sent["seq"]));
    let ack = json!({ "messages": [sent["message"]], "cursor": "1" });
    bob.call("send.ack", ack).await.expect("acknowledged");
    assert_eq!(ann.notified("receipt").await["body"]["state"], "delivered");
    let read = json!({ "conversation": sent["conversation"], "up_to": "1" });
    bob.call("send.mark-read", read).await.expect("read");
    assert_eq!(ann.notified("receipt").await["body"]["state"], "read");

    let made = ann.call("groups.create", json!({ "name": "all" })).await.expect("made");
    let group = json!({ "group": made["id"] });
    bob.call("groups.join", group).await.expect("joined");
    let params = json!({ "group": made["id"], "client_id": "2", "content": "to all" });
    ann.call("send.send-group-message", params).await.expect("accepted");
    assert_eq!(bob.notified("message").await["body"]["content"], "to all");

    ann.call("contacts.request", json!({ "user": bob.user }))
        .await
        .expect("asked");
    bob.call("contacts.accept", json!({ "user": ann.user }))
        .await
        .expect("accepted");
    assert_eq!(ann.notified("contact").await["body"]["change"], "accepted");
    let name = ground.name("bob");
    let newer = Client::login(&gateway, &name, "other phone", None)
        .await
        .expect("logged in");
    assert_eq!(bob.notified("kicked").await["body"]["reason"], "replaced-by-new-login");
    newer.drop_abruptly();
    while ann.notified("presence").await["body"]["online"] != false {}

    let hidden = ann.call("send.retry-pending", json!({})).await.expect_err("private");
    assert_eq!(hidden.code, "unknown_method");
}

async fn an_operator_calls_the_timers(platform: Platform) {
    let ground = Ground::start(platform).await;
    for path in ["/v1/send/retry-pending", "/v1/presence/keep-last-seen"] {
        let denied = http::at(&ground.url, "POST", path, "{}", &[]).await;
        assert_eq!(denied.status, 404, "{path}");
        let wrong = [("authorization", "Bearer nobody-in-particular")];
        assert_eq!(
            http::at(&ground.url, "POST", path, "{}", &wrong).await.status,
            401,
            "{path}"
        );
        let bearer = format!("Bearer {OPERATOR_TOKEN}");
        let called = http::at(&ground.url, "POST", path, "{}", &[("authorization", &bearer)]).await;
        assert_eq!(called.status, 200, "{path}: {}", called.text);
    }
}

/// Sixteen at a time on one instance, which takes turns with transactions: nobody's batch is another's.
async fn many_at_once_lose_nothing(platform: Platform) {
    let ground = Ground::start(platform).await;
    let (ann, bob) = (ground.user("ann").await, ground.user("bob").await);
    let sending = (0..200).map(|number| {
        let body = json!({ "to": bob.user, "client_id": number.to_string(), "content": "x" });
        let (url, ann) = (&ground.url, &ann);
        async move { ann.ask(url, "/v1/send/send-message", &body).await }
    });
    let answers = futures_util::future::join_all(sending).await;
    let mut seqs: Vec<u64> = answers
        .iter()
        .map(|answer| {
            assert_eq!(answer.status, 200, "{}", answer.text);
            answer.json()["seq"].as_str().expect("a seq").parse().expect("a number")
        })
        .collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=200).collect::<Vec<_>>(), "without gaps or repeats");
    let mut ids: Vec<String> = answers
        .iter()
        .map(|answer| answer.json()["message"].to_string())
        .collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 200);
    let mut since = 0;
    let mut heard = 0;
    while heard < 200 {
        let body = json!({ "since": since.to_string(), "limit": 100 });
        let page = bob.ask(&ground.url, "/v1/pull-offline/pull", &body).await.json();
        let entries = page["entries"].as_array().expect("entries").len();
        assert!(entries > 0, "{page}");
        heard += entries;
        since = page["next"].as_str().expect("a cursor").parse().expect("a number");
    }
    assert_eq!((heard, since), (200, 200));
}

macro_rules! stories {
    ($platform:expr, $($(#[$attribute:meta])* $name:ident: $story:ident)*) => {$(
        $(#[$attribute])*
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            $story($platform).await;
        }
    )*};
}

stories! { Platform::StandIn,
    the_same_requests_have_the_same_answers_as_on_our_host: the_same_answers
    nonsense_has_the_same_answers_as_on_our_host: nonsense_is_answered_alike
    clients_of_our_gateway_talk_by_functions_on_spin: clients_of_a_gateway_talk
    timers_answer_to_the_operator_alone: an_operator_calls_the_timers
    many_requests_at_once_lose_and_mix_up_nothing: many_at_once_lose_nothing
}

stories! { Platform::Spin,
    #[ignore = "spin is not on the PATH"]
    spin_itself_has_the_same_answers_as_our_host: the_same_answers
    #[ignore = "spin is not on the PATH"]
    spin_itself_has_the_same_answers_to_nonsense: nonsense_is_answered_alike
    #[ignore = "spin is not on the PATH"]
    clients_of_our_gateway_talk_by_functions_on_spin_itself: clients_of_a_gateway_talk
    #[ignore = "spin is not on the PATH"]
    timers_on_spin_itself_answer_to_the_operator_alone: an_operator_calls_the_timers
    #[ignore = "spin is not on the PATH"]
    many_requests_at_once_lose_nothing_on_spin_itself: many_at_once_lose_nothing
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_on_spin_and_nodes_of_ours_share_servers() {
    let ground = Ground::start(Platform::StandIn).await;
    let node = Node::with_arguments(
        &Manifest::default(),
        Arc::new(Folder::new()),
        &ground.arguments("whole"),
    );
    let name = ground.name("carl");
    let ann = ground.user("ann").await;
    // Registered on the node, written to from Spin, read on the node.
    let mut carl = Client::register(&node, &name).await;
    let body = json!({ "to": carl.user, "client_id": "1", "content": "from Spin" });
    let sent = ann.ask(&ground.url, "/v1/send/send-message", &body).await;
    assert_eq!(sent.status, 200, "{}", sent.text);
    assert_eq!(carl.notified("message").await["body"]["content"], "from Spin");
    let reply = json!({ "to": ann.user, "client_id": "1", "content": "from the node" });
    carl.call("send.send-message", reply).await.expect("accepted");
    let since = json!({ "since": "0" });
    let page = ann.ask(&ground.url, "/v1/pull-offline/pull", &since).await.json();
    assert_eq!(page["entries"][0]["message"]["content"], "from the node", "{page}");
    // What one of them changes is forgotten by the cache of both.
    let made = carl
        .call("groups.create", json!({ "name": "both" }))
        .await
        .expect("made");
    let group = json!({ "group": made["id"] });
    let join = ann.ask(&ground.url, "/v1/groups/join", &group).await;
    assert_eq!(join.status, 200, "{}", join.text);
    let said = json!({ "group": made["id"], "client_id": "2", "content": "to both" });
    carl.call("send.send-group-message", said).await.expect("accepted");
    let since = json!({ "since": "1" });
    let page = ann.ask(&ground.url, "/v1/pull-offline/pull", &since).await;
    assert!(page.text.contains("to both"), "{}", page.text);
}
