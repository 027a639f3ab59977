//! Requests that touch every function, and what is answered to them, with what differs from run to run made alike: ids by
//! the order in which they show, times, tokens.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::harness::client::PASSWORD;
use crate::harness::dice::Dice;
use crate::harness::http;

/// A platform while the requests are made to it.
struct Told<'a> {
    url: &'a str,
    /// What was answered, made alike.
    answers: Vec<String>,
    seen: HashMap<String, usize>,
}

impl Told<'_> {
    /// Makes a request; its answer as JSON.
    async fn ask(&mut self, path: &str, body: impl Into<String>, token: Option<&str>) -> Value {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
        self.ask_with("POST", path, body, &headers).await
    }

    async fn ask_with(&mut self, verb: &str, path: &str, body: impl Into<String>, headers: &[(&str, &str)]) -> Value {
        let body = body.into();
        let answer = http::at(self.url, verb, &format!("/v1/{path}"), body.clone(), headers).await;
        // What comes in pieces stalls on Spin.
        assert!(answer.is_measured, "{verb} {path}");
        let text = self.alike(&answer.text);
        let body = self.alike(&body);
        let (status, kind) = (answer.status, answer.content_type);
        self.answers
            .push(format!("{verb} {path} {body}\n  {status} {kind} {text}"));
        serde_json::from_str(&answer.text).unwrap_or(Value::Null)
    }

    /// A text without what differs from run to run.
    fn alike(&mut self, text: &str) -> String {
        let mut alike = String::new();
        let mut word = String::new();
        for letter in text.chars().chain(['\0']) {
            if letter.is_ascii_alphanumeric() {
                word.push(letter);
                continue;
            }
            alike.push_str(&self.word(&word));
            word.clear();
            alike.extend(Some(letter).filter(|letter| *letter != '\0'));
        }
        alike
    }

    fn word(&mut self, word: &str) -> String {
        let digits = word.bytes().all(|byte| byte.is_ascii_digit());
        let hexadecimal = word.bytes().all(|byte| byte.is_ascii_hexdigit());
        match word.len() {
            13 if digits => "TIME".to_owned(),
            64 if hexadecimal => "TOKEN".to_owned(),
            15..=20 if digits => {
                let next = self.seen.len();
                format!("ID{}", self.seen.entry(word.to_owned()).or_insert(next))
            }
            _ => word.to_owned(),
        }
    }

    /// Registers and logs in; the user and the token.
    async fn enter(&mut self, name: &str) -> (String, String) {
        let account = json!({ "name": name, "password": PASSWORD });
        self.ask("login/register", account.to_string(), None).await;
        let login = json!({ "name": name, "password": PASSWORD, "device": "phone", "device_class": "mobile" });
        let grant = self.ask("login/login", login.to_string(), None).await;
        let text = |key: &str| grant[key].as_str().unwrap_or_default().to_owned();
        (text("user"), text("token"))
    }
}

/// Makes the requests of a whole acquaintance. Gives what was answered.
pub(super) async fn tell(url: &str, operator: &str) -> Vec<String> {
    let mut told = Told {
        url,
        answers: Vec::new(),
        seen: HashMap::new(),
    };
    let (ann, ann_token) = told.enter("ann of the script").await;
    let (bob, bob_token) = told.enter("bob of the script").await;
    let (ann_is, bob_is) = (Some(ann_token.as_str()), Some(bob_token.as_str()));
    told.enter("ann of the script").await;
    for (path, body) in [
        (
            "login/login",
            json!({ "name": "ann of the script", "password": "another one", "device": "x" }),
        ),
        ("login/register", json!({ "name": "x", "password": "short" })),
        ("login/register", json!({ "name": "", "password": PASSWORD })),
        ("login/verify", json!({ "token": "no such token" })),
        ("login/verify", json!({ "token": bob_token })),
        ("login/logout", json!({})),
        ("login/check-sessions", json!({ "connections": [] })),
        ("presence/count-online", json!({})),
    ] {
        told.ask(path, body.to_string(), None).await;
    }
    // The login above has taken her session: the policy is to kick.
    told.ask("login/sessions", "{}", ann_is).await;
    let grant = json!({ "name": "ann of the script", "password": PASSWORD, "device": "desk", "device_class": "desk" });
    let grant = told.ask("login/login", grant.to_string(), None).await;
    let ann_token = grant["token"].as_str().unwrap_or_default().to_owned();
    let ann_is = Some(ann_token.as_str());

    let hello = json!({ "to": bob, "client_id": "1", "content": "hello \u{1F44B} \"quoted\"" });
    let sent = told.ask("send/send-message", hello.to_string(), ann_is).await;
    told.ask("send/send-message", hello.to_string(), ann_is).await;
    let (message, conversation) = (&sent["message"], &sent["conversation"]);
    for (path, body, token) in [
        (
            "send/send-message",
            json!({ "to": bob, "client_id": "1", "content": "another" }),
            ann_is,
        ),
        (
            "send/send-message",
            json!({ "to": "1", "client_id": "2", "content": "x" }),
            ann_is,
        ),
        (
            "send/send-message",
            json!({ "to": ann, "client_id": "2", "content": "x" }),
            ann_is,
        ),
        (
            "send/send-message",
            json!({ "to": bob, "client_id": "", "content": "x" }),
            ann_is,
        ),
        (
            "send/send-message",
            json!({ "to": bob, "client_id": "3", "content": "" }),
            ann_is,
        ),
        (
            "send/send-message",
            json!({ "to": bob, "client_id": "4", "content": "now", "priority": "urgent", "qos": "at_most_once" }),
            ann_is,
        ),
        ("send/status", json!({ "messages": [message, "1"] }), ann_is),
        ("pull-offline/pull", json!({ "since": 0, "limit": 1 }), bob_is),
        ("pull-offline/pull", json!({ "since": "0" }), bob_is),
        ("pull-offline/conversations", json!({}), bob_is),
        ("send/ack", json!({ "messages": [message], "cursor": "1" }), bob_is),
        (
            "send/mark-read",
            json!({ "conversation": conversation, "up_to": "1" }),
            bob_is,
        ),
        ("send/status", json!({ "messages": [message] }), ann_is),
        ("pull-offline/history", json!({ "conversation": conversation }), bob_is),
        (
            "pull-offline/history",
            json!({ "conversation": conversation, "before": "2", "limit": 10 }),
            bob_is,
        ),
        ("pull-offline/history", json!({ "conversation": "1" }), bob_is),
        ("send/recall", json!({ "message": message }), bob_is),
        ("send/recall", json!({ "message": message }), ann_is),
        ("send/recall", json!({ "message": message }), ann_is),
        ("pull-offline/history", json!({ "conversation": conversation }), ann_is),
        ("contacts/request", json!({ "user": bob }), ann_is),
        ("contacts/list", json!({}), ann_is),
        ("contacts/accept", json!({ "user": ann }), bob_is),
        ("contacts/list", json!({}), bob_is),
        ("presence/get-status", json!({ "user": bob }), ann_is),
        ("presence/batch-get-status", json!({ "users": [bob, ann, "1"] }), ann_is),
        ("contacts/find", json!({ "name": "Bob of the Script" }), ann_is),
        ("contacts/users", json!({ "users": [ann, bob, "1"] }), ann_is),
        ("contacts/block", json!({ "user": ann }), bob_is),
        ("contacts/blocked", json!({}), bob_is),
        (
            "send/send-message",
            json!({ "to": bob, "client_id": "5", "content": "x" }),
            ann_is,
        ),
        ("contacts/unblock", json!({ "user": ann }), bob_is),
        (
            "send/send-message",
            json!({ "to": bob, "client_id": "6", "content": "again" }),
            ann_is,
        ),
        ("route/get-connections", json!({ "user": bob }), ann_is),
    ] {
        told.ask(path, body.to_string(), token).await;
    }

    let made = told
        .ask("groups/create", json!({ "name": "all" }).to_string(), ann_is)
        .await;
    let group = &made["id"];
    for (path, body, token) in [
        ("groups/join", json!({ "group": group }), bob_is),
        ("groups/join", json!({ "group": group }), bob_is),
        ("groups/info", json!({ "group": group }), bob_is),
        ("groups/members", json!({ "group": group }), bob_is),
        ("groups/mine", json!({}), bob_is),
        (
            "send/send-group-message",
            json!({ "group": group, "client_id": "7", "content": "to all" }),
            ann_is,
        ),
        (
            "send/send-group-message",
            json!({ "group": "1", "client_id": "8", "content": "to all" }),
            ann_is,
        ),
        ("group-pull/pull", json!({ "group": group, "since": "0" }), bob_is),
        ("group-pull/unread", json!({}), bob_is),
        (
            "group-pull/set-cursor",
            json!({ "group": group, "cursor": "1" }),
            bob_is,
        ),
        ("pull-offline/conversations", json!({}), bob_is),
        (
            "groups/set-role",
            json!({ "group": group, "user": bob, "role": "admin" }),
            ann_is,
        ),
        ("groups/remove", json!({ "group": group, "user": ann }), bob_is),
        ("groups/transfer", json!({ "group": group, "user": bob }), ann_is),
        ("groups/leave", json!({ "group": group }), ann_is),
        ("groups/members", json!({ "group": group }), bob_is),
        ("groups/members", json!({ "group": group }), ann_is),
        ("login/logout", json!({}), bob_is),
        ("login/sessions", json!({}), bob_is),
    ] {
        told.ask(path, body.to_string(), token).await;
    }
    edges(&mut told, operator, &ann, ann_is).await;
    told.answers
}

/// What is no call, or none that may be made.
async fn edges(told: &mut Told<'_>, operator: &str, ann: &str, ann_is: Option<&str>) {
    for body in [
        "",
        "{",
        "[]",
        "null",
        "7",
        "{\"since\":}",
        "{\"since\":-1}",
        "{\"since\":\"x\"}",
        "{\"since\":1.5}",
    ] {
        told.ask("pull-offline/pull", body, ann_is).await;
    }
    for body in [
        r#"{"since":0,"limit":4294967296}"#,
        r#"{"since":18446744073709551616}"#,
        r#"{"since":"0","more":1}"#,
        r#"{"since":null}"#,
    ] {
        told.ask("pull-offline/pull", body, ann_is).await;
    }
    for body in [
        json!({ "to": "1", "client_id": "x", "content": "x", "priority": "great" }),
        json!({ "to": "1", "client_id": "x", "content": 1 }),
        json!({ "to": true, "client_id": "x", "content": "x" }),
        json!({ "to": "1", "client_id": "x", "content": "x", "qos": {} }),
        json!({ "to": "1", "client_id": "x", "content": "x".repeat(70_000) }),
    ] {
        told.ask("send/send-message", body.to_string(), ann_is).await;
    }
    told.ask("send/ack", json!({ "messages": "1" }).to_string(), ann_is)
        .await;
    told.ask("send/no-such-method", "{}", ann_is).await;
    told.ask("send/no-such-method", "{}", None).await;
    told.ask("send/retry-pending", "{}", ann_is).await;
    told.ask("send/send-message", "{}", None).await;
    told.ask("send/send-message", "{}", Some("no such token")).await;
    told.ask_with("GET", "send/ack", "", &[]).await;
    let operator = format!("Bearer {operator}");
    let bearer = [("authorization", operator.as_str())];
    let stale = json!({ "node": "nobody", "alive": [] }).to_string();
    told.ask_with("POST", "route/clean-stale", stale, &bearer).await;
    told.ask_with(
        "POST",
        "route/route-message",
        json!({ "users": [ann] }).to_string(),
        &bearer,
    )
    .await;
    told.ask_with("POST", "login/sessions", "{}", &bearer).await;
    let caller = json!({ "user": ann, "session": "1", "device": "d" }).to_string();
    for caller in [caller.as_str(), "anonymous", "nobody", "{}", r#"{"user":"1"}"#] {
        let headers = [("authorization", operator.as_str()), ("mpim-caller", caller)];
        told.ask_with("POST", "groups/mine", "{}", &headers).await;
        told.ask_with("POST", "route/clean-stale", "{}", &headers).await;
        told.ask_with("POST", "groups/mine", "{}", &[("mpim-caller", caller)])
            .await;
    }
}

/// Requests at random, seeded. Gives what was answered.
pub(super) async fn nonsense(url: &str, seed: u64) -> Vec<String> {
    let mut told = Told {
        url,
        answers: Vec::new(),
        seen: HashMap::new(),
    };
    let (_, token) = told.enter(&format!("dice {seed}")).await;
    let mut dice = Dice::new(seed);
    for _ in 0..150 {
        let path = METHODS[below(&mut dice, METHODS.len())];
        let mut params = serde_json::Map::new();
        for _ in 0..below(&mut dice, 5) {
            let key = KEYS[below(&mut dice, KEYS.len())];
            params.insert(key.to_owned(), value(&mut dice, 2));
        }
        let mut body = Value::Object(params).to_string();
        if below(&mut dice, 8) == 0 {
            let at = body.floor_char_boundary(below(&mut dice, body.len()));
            body.truncate(at);
        }
        let token = (below(&mut dice, 6) > 0).then_some(token.as_str());
        told.ask(path, body, token).await;
    }
    told.answers
}

const METHODS: [&str; 14] = [
    "login/verify",
    "presence/get-status",
    "presence/batch-get-status",
    "send/send-message",
    "send/send-group-message",
    "send/ack",
    "send/mark-read",
    "send/status",
    "pull-offline/pull",
    "pull-offline/history",
    "group-pull/pull",
    "contacts/request",
    "groups/info",
    "groups/members",
];

const KEYS: [&str; 16] = [
    "user",
    "users",
    "to",
    "group",
    "client_id",
    "content",
    "priority",
    "qos",
    "messages",
    "cursor",
    "conversation",
    "since",
    "limit",
    "before",
    "token",
    "up_to",
];

/// A number from 0 up to, and without, the last.
fn below(dice: &mut Dice, last: usize) -> usize {
    usize::try_from(dice.between(0, last as u64)).expect("small")
}

fn value(dice: &mut Dice, depth: usize) -> Value {
    match below(dice, if depth == 0 { 9 } else { 11 }) {
        0 => Value::Null,
        1 => json!(below(dice, 2) == 0),
        2 => json!(below(dice, 1000)),
        3 => json!(-1),
        4 => json!(1.5),
        5 => json!(u64::MAX),
        6 => json!(below(dice, 1000).to_string()),
        7 => json!("urgent"),
        8 => json!("ü\u{0}\"\\"),
        9 => Value::Array((0..below(dice, 3)).map(|_| value(dice, depth - 1)).collect()),
        _ => json!({ "a": value(dice, depth - 1) }),
    }
}
