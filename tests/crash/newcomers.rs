//! Users who register and log in, again and again, until their node dies.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::harness::client::PASSWORD;
use crate::harness::{Client, Node, within};

/// One of them, and what they were answered.
pub(super) struct Newcomer {
    name: String,
    began: bool,
    registered: bool,
    /// Every token that was answered, the last one last.
    tokens: Vec<String>,
    /// Whether a login has no answer.
    in_doubt: bool,
}

/// All of them.
pub(super) struct Newcomers {
    all: Vec<Newcomer>,
    answers: Arc<watch::Sender<u64>>,
}

impl Newcomers {
    /// Users with names of their own for each round.
    pub(super) fn new(round: usize) -> Self {
        let newcomer = |index| Newcomer {
            name: format!("n{round}-{index}"),
            began: false,
            registered: false,
            tokens: Vec::new(),
            in_doubt: false,
        };
        Self {
            all: (0..24).map(newcomer).collect(),
            answers: Arc::new(watch::channel(0).0),
        }
    }

    /// How many calls were answered.
    pub(super) fn answers(&self) -> watch::Receiver<u64> {
        self.answers.subscribe()
    }

    /// Lets everybody come.
    pub(super) fn come(&mut self, node: &Arc<Node>) -> JoinSet<Newcomer> {
        let mut coming = JoinSet::new();
        for mut newcomer in self.all.drain(..) {
            let (node, answers) = (node.clone(), self.answers.clone());
            coming.spawn(async move {
                newcomer.come(&node, &answers).await;
                newcomer
            });
        }
        coming
    }

    /// Takes everybody back.
    pub(super) async fn back(&mut self, mut coming: JoinSet<Newcomer>) {
        while let Some(newcomer) = within("the end of the logins", coming.join_next()).await {
            self.all.push(newcomer.expect("a newcomer does not panic"));
        }
    }

    /// What was answered is there as a whole; what was not is there as a whole, or not at all.
    pub(super) async fn check(&self, node: &Node) {
        for newcomer in &self.all {
            newcomer.check(node).await;
        }
    }
}

impl Newcomer {
    /// Registers, and logs in again and again on connections of their own, until the node is gone.
    async fn come(&mut self, node: &Node, answers: &watch::Sender<u64>) {
        let Some(mut client) = Client::try_connect(node).await else {
            return;
        };
        self.began = true;
        let account = json!({ "name": self.name, "password": PASSWORD });
        let Some(_) = answered(&mut client, "login.register", account).await else {
            return;
        };
        self.registered = true;
        answers.send_modify(|answers| *answers += 1);
        loop {
            self.in_doubt = true;
            let Some(grant) = answered(&mut client, "login.login", self.login()).await else {
                return;
            };
            self.in_doubt = false;
            self.tokens.push(grant["token"].as_str().expect("a token").to_owned());
            answers.send_modify(|answers| *answers += 1);
            match Client::try_connect(node).await {
                Some(next) => client = next,
                None => return,
            }
        }
    }

    fn login(&self) -> Value {
        json!({ "name": self.name, "password": PASSWORD, "device": "phone" })
    }

    async fn check(&self, node: &Node) {
        let mut client = Client::connect(node).await;
        let account = json!({ "name": self.name, "password": PASSWORD });
        match client.call("login.register", account).await {
            Ok(_) => assert!(!self.registered, "{} was registered, and is gone", self.name),
            Err(error) => assert!(self.began && error.code == "already_exists", "{}: {error:?}", self.name),
        }
        if let Some((last, former)) = self.tokens.split_last() {
            for token in former {
                let refused = Client::resume(node, token)
                    .await
                    .err()
                    .expect("a session that was replaced has ended");
                assert_eq!(refused.code, "unauthenticated");
            }
            let resumed = Client::resume(node, last).await.err().map(|error| error.code);
            // The login without an answer has ended this session as well, or has done nothing.
            let replaced = resumed.as_deref() == Some("unauthenticated") && self.in_doubt;
            assert!(resumed.is_none() || replaced, "{}: {resumed:?}", self.name);
        }
        client.call("login.login", self.login()).await.expect("logged in");
        let sessions = client.call("login.sessions", json!({})).await.expect("a list");
        assert_eq!(
            sessions.as_array().expect("a list").len(),
            1,
            "{}: {sessions}",
            self.name
        );
    }
}

/// The result of a call; none when the connection ended first.
async fn answered(client: &mut Client, method: &str, params: Value) -> Option<Value> {
    let id = client.begin(method, params).await;
    loop {
        let frame = client.next().await.ok()?;
        if frame["id"] == id {
            return Some(
                frame
                    .get("result")
                    .unwrap_or_else(|| panic!("{method} is refused: {frame}"))
                    .clone(),
            );
        }
    }
}
