//! Spin, or its stand-in, with the application and its servers. Started once for each platform, and ended with the
//! process of the tests; stories keep apart by the names of their users.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;
use servers::Watch;
use servers::mariadb::Mariadb;
use servers::redis::Redis;

use crate::harness::client::PASSWORD;
use crate::harness::manifest::root;
use crate::harness::node::{Folder, mpim};
use crate::harness::{Manifest, Node, http};

/// The secret of the operator of these stories.
pub(super) const OPERATOR_TOKEN: &str = "operator-of-these-stories";

/// What runs the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Platform {
    /// A Wasmtime that offers what Spin does.
    StandIn,
    /// The `spin` on the PATH.
    Spin,
}

/// The application on a platform.
#[derive(Clone)]
pub(super) struct Ground {
    /// `http://127.0.0.1:PORT`.
    pub(super) url: String,
    mysql: String,
    redis: String,
    story: u32,
}

/// What is started once.
struct Running {
    ground: Ground,
    _mariadb: Mariadb,
    _redis: Redis,
    _watch: Watch,
}

/// An account with a session.
pub(super) struct User {
    pub(super) user: String,
    pub(super) token: String,
}

impl Ground {
    /// The application on a platform, for one story.
    pub(super) async fn start(platform: Platform) -> Self {
        static RUNNING: [Mutex<Option<Running>>; 2] = [Mutex::new(None), Mutex::new(None)];
        static STORIES: AtomicU32 = AtomicU32::new(0);
        let started = tokio::task::spawn_blocking(move || {
            let [stand_in, spin] = &RUNNING;
            let place = if platform == Platform::StandIn { stand_in } else { spin };
            let mut place = place.lock().expect("not poisoned");
            place.get_or_insert_with(|| run(platform)).ground.clone()
        });
        Self {
            story: STORIES.fetch_add(1, Ordering::Relaxed),
            ..started.await.expect("started")
        }
    }

    /// The name of a user in this story.
    pub(super) fn name(&self, name: &str) -> String {
        format!("{name}{}", self.story)
    }

    /// Registers an account and logs in.
    pub(super) async fn user(&self, name: &str) -> User {
        let account = json!({ "name": self.name(name), "password": PASSWORD });
        let made = http::at(&self.url, "POST", "/v1/login/register", account.to_string(), &[]).await;
        assert_eq!(made.status, 200, "{}", made.text);
        let mut login = account;
        login["device"] = "phone".into();
        let grant = http::at(&self.url, "POST", "/v1/login/login", login.to_string(), &[])
            .await
            .json();
        User {
            user: grant["user"].as_str().expect("a user").to_owned(),
            token: grant["token"].as_str().expect("a token").to_owned(),
        }
    }

    /// What a node of ours is told to share the servers.
    pub(super) fn arguments<'a>(&'a self, name: &'a str) -> Vec<&'a str> {
        vec!["--node", name, "--mysql", &self.mysql, "--redis", &self.redis]
    }

    /// A node without functions, that calls those of the platform.
    pub(super) fn gateway(&self) -> Node {
        let manifest = Manifest::default().set("application.tool.mpim.gateway.renew_every_ms", 1000);
        let name = format!("gateway{}", self.story);
        let mut arguments = self.arguments(&name);
        arguments.extend([
            "--functions",
            "none",
            "--remote",
            &self.url,
            "--remote-token",
            OPERATOR_TOKEN,
        ]);
        Node::with_arguments(&manifest, Arc::new(Folder::new()), &arguments)
    }
}

fn run(platform: Platform) -> Running {
    let mariadb = Mariadb::start();
    let redis = Redis::start();
    let mysql = mariadb.url("on_spin");
    let migrated = mpim()
        .args(["migrate", "--mysql", &mysql])
        .output()
        .expect("the binary runs");
    assert!(
        migrated.status.success(),
        "{}",
        String::from_utf8_lossy(&migrated.stderr)
    );
    let port = servers::free_port();
    let mut command = match platform {
        Platform::StandIn => Command::new(stand_in()),
        Platform::Spin => Command::new("spin"),
    };
    command.arg("up").arg("--from").arg(root().join("spin.toml"));
    command.args(["--listen", &format!("127.0.0.1:{port}")]);
    for variable in [
        format!("mysql_url={mysql}"),
        format!("redis_url={}", redis.url()),
        format!("operator_token={OPERATOR_TOKEN}"),
    ] {
        command.args(["--variable", &variable]);
    }
    let folder = servers::folder("on-spin");
    let log = std::fs::File::create(folder.join("log")).expect("a log");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let watch = Watch::over(child.id(), &folder);
    let mut said = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    while !line.contains("http://") {
        line.clear();
        let read = said.read_line(&mut line).expect("readable");
        let log = || std::fs::read_to_string(folder.join("log")).unwrap_or_default();
        assert!(read > 0, "it did not start: {}", log());
    }
    std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
    // Nobody waits for its end: the watch ends it with this process.
    std::mem::forget(child);
    Running {
        ground: Ground {
            url: format!("http://127.0.0.1:{port}"),
            mysql,
            redis: redis.url(),
            story: 0,
        },
        _mariadb: mariadb,
        _redis: redis,
        _watch: watch,
    }
}

/// The stand-in is built with the tests of the workspace, beside the binary under test.
fn stand_in() -> PathBuf {
    let binary = PathBuf::from(mpim().get_program());
    let stand_in = binary.with_file_name("spin-stand-in");
    assert!(
        stand_in.is_file(),
        "{} is not built: cargo build --release -p spin-stand-in",
        stand_in.display()
    );
    stand_in
}
