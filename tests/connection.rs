//! Connections: how they are taken up again, how they end, and how many a node holds.

use serde_json::{Value, json};

use crate::harness::raw::Kind;
use crate::harness::{Client, Manifest, Node, Raw, http, within};

fn gateway(settings: &[(&str, i64)]) -> Manifest {
    let set = |manifest: Manifest, (key, value): &(&str, i64)| {
        manifest.set(&format!("application.tool.mpim.gateway.{key}"), *value)
    };
    settings.iter().fold(Manifest::default(), set)
}

async fn say(from: &mut Client, to: &str, content: &str) -> Value {
    let params = json!({ "to": to, "client_id": content, "content": content });
    from.call("send.send-message", params).await.expect("sent")
}

/// The contents of the inbox from a place on, or from the cursor of the device, each with its place.
async fn pull(client: &mut Client, mut since: Option<String>) -> Vec<(String, String)> {
    let mut contents = Vec::new();
    loop {
        let params = since.as_ref().map_or(json!({}), |since| json!({ "since": since }));
        let page = client.call("pull-offline.pull", params).await.expect("a page");
        for entry in page["entries"].as_array().expect("entries") {
            contents.push((text(&entry["cursor"]), text(&entry["message"]["content"])));
        }
        if page["more"] != true {
            return contents;
        }
        since = Some(text(&page["next"]));
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

/// Asks again and again until a user is offline.
async fn until_offline(node: &Node, token: &str, user: &str) {
    within("a user going offline", async {
        while is_online(node, token, user).await {}
    })
    .await;
}

/// Asks over HTTP: who asks needs no connection that would have to answer pings.
async fn is_online(node: &Node, token: &str, user: &str) -> bool {
    let status = http::done(node, "presence", "get-status", &json!({ "user": user }), Some(token)).await;
    status["online"].as_bool().expect("a truth")
}

/// The value of a metric of the node.
async fn metric(node: &Node, name: &str) -> f64 {
    let metrics = http::get(node, "/admin/metrics", Some(&node.operator_token()))
        .await
        .text;
    let values = metrics
        .lines()
        .filter_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
    values.sum()
}

#[tokio::test]
async fn a_resumed_session_goes_on_from_the_cursor_of_its_device_without_gap_or_repeat() {
    let node = Node::start();
    let (mut ann, mut bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let mut seen = Vec::new();
    for number in 1..=5 {
        say(&mut ann, &bob.user, &number.to_string()).await;
        let heard = bob.notified("message").await;
        seen.push((text(&heard["cursor"]), text(&heard["body"]["content"])));
    }
    bob.call("send.ack", json!({ "messages": [], "cursor": "5" }))
        .await
        .expect("acknowledged");
    let (user, token) = (bob.user.clone(), bob.token.clone());
    bob.drop_abruptly();
    for number in 6..=250 {
        say(&mut ann, &user, &number.to_string()).await;
    }
    let mut bob = Client::resume(&node, &token).await.expect("resumed");
    assert_eq!(bob.user, user);
    say(&mut ann, &user, "251").await;
    let heard = bob.notified("message").await;
    assert_eq!(
        (text(&heard["cursor"]), text(&heard["body"]["content"])),
        ("251".to_owned(), "251".to_owned())
    );
    seen.extend(pull(&mut bob, None).await);
    let all: Vec<_> = (1..=251)
        .map(|number: u32| (number.to_string(), number.to_string()))
        .collect();
    assert_eq!(seen, all);
}

/// Two accounts with sessions and without connections: the users and the tokens of both.
async fn two(node: &Node) -> ([String; 2], [String; 2]) {
    let users = [http::register(node, "ann").await, http::register(node, "bob").await];
    let tokens = [
        http::login(node, "ann", "phone").await,
        http::login(node, "bob", "phone").await,
    ];
    (users, tokens)
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_closed_and_is_offline_and_has_no_route() {
    let node = Node::with(&gateway(&[("ping_after_ms", 100), ("silence_max_ms", 300)]));
    let ([_, user], [ann, bob]) = two(&node).await;
    let mut silent = Raw::resume(&node, &bob).await;
    assert_eq!(silent.next().await.expect("a frame").kind, Kind::Ping);
    assert_eq!(silent.closed().await, Some((4003, "heartbeat-lost".to_owned())));
    until_offline(&node, &ann, &user).await;
    let message = json!({ "to": user, "client_id": "1", "content": "are you there" });
    let receipt = http::done(&node, "send", "send-message", &message, Some(&ann)).await;
    assert_eq!(receipt["state"], "created", "nobody to hand it to is known");
    let page = http::done(&node, "pull-offline", "pull", &json!({}), Some(&bob)).await;
    assert_eq!(page["entries"][0]["message"]["content"], "are you there");
}

#[tokio::test]
async fn a_client_that_answers_pings_stays() {
    let node = Node::with(&gateway(&[("ping_after_ms", 50), ("silence_max_ms", 1_000)]));
    let ([_, user], [ann, bob]) = two(&node).await;
    let mut idle = Raw::resume(&node, &bob).await;
    let begun = std::time::Instant::now();
    while begun.elapsed().as_millis() < 2_500 {
        assert_eq!(idle.next().await.expect("a frame").kind, Kind::Ping);
        idle.pong().await;
    }
    assert!(is_online(&node, &ann, &user).await);
    let message = json!({ "to": user, "client_id": "1", "content": "good" });
    let receipt = http::done(&node, "send", "send-message", &message, Some(&ann)).await;
    assert_eq!(receipt["state"], "sending");
    let heard = idle.next_but_pings().await.expect("a frame").json();
    assert_eq!(heard["params"]["body"]["content"], "good");
}

#[tokio::test]
async fn a_client_that_does_not_log_in_is_closed() {
    let node = Node::with(&gateway(&[("login_within_ms", 100)]));
    let mut stranger = Raw::connect(&node).await;
    assert_eq!(stranger.closed().await, Some((1008, "not-logged-in".to_owned())));
}

#[tokio::test]
async fn a_client_that_has_shut_its_direction_is_gone() {
    let node = Node::start();
    let (ann, bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let user = bob.user.clone();
    let mut half = Raw::resume(&node, &bob.token).await;
    bob.drop_abruptly();
    assert!(is_online(&node, &ann.token, &user).await);
    half.shut_write().await;
    assert_eq!(half.closed().await, None);
    until_offline(&node, &ann.token, &user).await;
}

/// A group of three, of whom one does not read what is said. It can be closed in two ways: see the stories.
struct Flood {
    node: Node,
    ann: Client,
    bob: Client,
    group: Value,
    slow: Raw,
    user: String,
    token: String,
    said: Vec<(String, String)>,
}

impl Flood {
    async fn gather(manifest: &Manifest) -> Self {
        let node = Node::with(manifest);
        let (mut ann, bob) = (
            Client::register(&node, "ann").await,
            Client::register(&node, "bob").await,
        );
        let slow = Client::register(&node, "slow").await;
        let (user, token) = (slow.user.clone(), slow.token.clone());
        slow.drop_abruptly();
        let group = ann
            .call("groups.create", json!({ "name": "flood" }))
            .await
            .expect("made")["id"]
            .clone();
        let users = json!([bob.user, user]);
        ann.call("groups.invite", json!({ "group": group, "users": users }))
            .await
            .expect("invited");
        let mut slow = Raw::with_receive_buffer(&node, Some(4096)).await;
        slow.log_in(&token).await;
        Self {
            node,
            ann,
            bob,
            group,
            slow,
            user,
            token,
            said: Vec::new(),
        }
    }

    /// Says something long, which the other reader has at once.
    async fn say(&mut self) {
        assert!(self.said.len() < 5_000, "nothing is too slow for this node");
        let content = format!("{} {}", self.said.len(), "x".repeat(16_000));
        let params = json!({ "group": self.group, "client_id": self.said.len().to_string(), "content": content });
        self.ann.call("send.send-group-message", params).await.expect("sent");
        let heard = self.bob.notified("message").await;
        assert_eq!(heard["body"]["content"], *content, "another reader is not held up");
        self.said.push(((self.said.len() + 1).to_string(), content));
    }

    /// The slow reader is back, and reads.
    async fn finds_everything(mut self) {
        let mut slow = Client::resume(&self.node, &self.token).await.expect("resumed");
        assert!(
            pull(&mut slow, Some("0".to_owned())).await == self.said,
            "the slow reader lacks something"
        );
        assert!(
            pull(&mut self.bob, Some("0".to_owned())).await == self.said,
            "the other reader lacks something"
        );
    }
}

#[tokio::test]
async fn a_reader_that_does_not_keep_up_is_closed_alone_and_finds_everything_in_its_inbox() {
    let mut flood = Flood::gather(&gateway(&[("outbox_max_frames", 32)])).await;
    while metric(&flood.node, "mpim_gateway_slow_consumers_total").await < 1.0 {
        flood.say().await;
    }
    assert_eq!(flood.slow.closed().await, Some((4002, "slow-consumer".to_owned())));
    until_offline(&flood.node, &flood.ann.token, &flood.user).await;
    flood.finds_everything().await;
}

#[tokio::test]
async fn a_reader_that_takes_nothing_at_all_is_closed_although_little_waits_for_it() {
    let mut flood = Flood::gather(&gateway(&[("write_within_ms", 300), ("outbox_max_frames", 100_000)])).await;
    while is_online(&flood.node, &flood.ann.token, &flood.user).await {
        flood.say().await;
    }
    // It took what was in the buffers of the system, and no more.
    let mut heard = 0;
    while let Some(frame) = flood.slow.next().await {
        heard += usize::from(frame.kind == Kind::Text);
    }
    assert!(heard < flood.said.len(), "{heard} of {}", flood.said.len());
    flood.finds_everything().await;
}

#[tokio::test]
async fn a_node_without_room_says_so_and_has_room_again_when_one_leaves() {
    let node = Node::with(&gateway(&[("connections_max", 2)]));
    let (first, _second) = (Client::connect(&node).await, Client::connect(&node).await);
    let refused = Raw::try_connect(&node).await.err().expect("refused");
    assert_eq!(
        (refused.status, refused.content_type.as_str()),
        (503, "application/problem+json")
    );
    assert_eq!(
        (refused.json()["code"].clone(), refused.json()["retryable"].clone()),
        (json!("overloaded"), json!(true))
    );
    first.drop_abruptly();
    within("room", async { while Raw::try_connect(&node).await.is_err() {} }).await;
}

/// What a connection costs: a regression of this bound is one of the node's size.
#[tokio::test]
async fn thousands_of_idle_connections_cost_little_and_hear_everything() {
    const MOST_KIB: f64 = 40.0;
    let room = usize::try_from(file_limit().saturating_sub(500)).expect("fits");
    let count = room.min(2_000);
    assert!(count >= 500, "only {room} files may be open");
    let node = Node::start();
    let (mut ann, bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let mut idle = Vec::new();
    // The first ones make what all share.
    for _ in 0..100 {
        idle.push(Raw::resume(&node, &bob.token).await);
    }
    let before = node.resident_kib();
    while idle.len() < count {
        idle.push(Raw::resume(&node, &bob.token).await);
    }
    let grown = node.resident_kib().saturating_sub(before);
    let each = grown as f64 / (count - 100) as f64;
    eprintln!(
        "{count} idle connections: {each:.1} KiB each, {} KiB in all",
        node.resident_kib()
    );
    assert!(each < MOST_KIB, "an idle connection costs {each:.1} KiB");
    say(&mut ann, &bob.user, "all of you").await;
    for raw in &mut idle {
        let heard = raw.next_but_pings().await.expect("a frame").json();
        assert_eq!(heard["params"]["body"]["content"], "all of you");
    }
    let user = bob.user.clone();
    drop((idle, bob));
    until_offline(&node, &ann.token, &user).await;
}

/// How many files this process, and so its nodes, may have open.
fn file_limit() -> u64 {
    let limits = std::fs::read_to_string("/proc/self/limits").expect("limits");
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .expect("a limit");
    line.split_whitespace()
        .nth(3)
        .and_then(|soft| soft.parse().ok())
        .unwrap_or(u64::MAX)
}
