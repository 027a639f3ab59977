//! Spin, or its stand-in, with the application and its servers. Started once for each platform, and ended with the
//! process of the tests; stories keep apart by the names of their users.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use servers::mariadb::Mariadb;
use servers::redis::Redis;

use crate::harness::client::PASSWORD;
use crate::harness::node::Folder;
use crate::harness::platform::{Application, OPERATOR_TOKEN, Platform, database, migrate, own_manifest};
use crate::harness::{Manifest, Node, http};

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
    _application: Application,
    _redis: Redis,
}

/// The application with servers that a story may harm.
pub(super) struct Alone {
    pub(super) ground: Ground,
    pub(super) mariadb: Mariadb,
    pub(super) redis: Redis,
    _application: Application,
}

impl Alone {
    /// Everything new.
    pub(super) async fn start(platform: Platform) -> Self {
        // What an instance has of a server outlives the server.
        Self::start_with(platform, &["--idle-instance-timeout", "60s"], "").await
    }

    /// Everything new, with more arguments of `spin up`, and statements that `root` runs before.
    pub(super) async fn start_with(platform: Platform, more: &'static [&'static str], sql: &'static str) -> Self {
        let started = tokio::task::spawn_blocking(move || {
            let (mariadb, redis) = (Mariadb::start(), Redis::start());
            mariadb.sql(sql);
            let mysql = mariadb.url("alone");
            let (ground, application) = Ground::of(platform, mysql, &redis, more);
            Self {
                ground,
                mariadb,
                redis,
                _application: application,
            }
        });
        started.await.expect("started")
    }
}

/// An account with a session.
#[derive(Clone)]
pub(super) struct User {
    pub(super) user: String,
    pub(super) token: String,
}

impl User {
    /// Asks the application, as this user.
    pub(super) async fn ask(&self, url: &str, path: &str, body: &Value) -> http::Response {
        let bearer = format!("Bearer {}", self.token);
        http::at(url, "POST", path, body.to_string(), &[("authorization", &bearer)]).await
    }
}

impl Ground {
    /// The application on a platform, for one story.
    pub(super) async fn start(platform: Platform) -> Self {
        static RUNNING: [Mutex<Option<Running>>; 2] = [Mutex::new(None), Mutex::new(None)];
        static STORIES: AtomicU32 = AtomicU32::new(0);
        let started = tokio::task::spawn_blocking(move || {
            let [stand_in, spin] = &RUNNING;
            let running = if platform == Platform::StandIn { stand_in } else { spin };
            let mut running = running.lock().expect("not poisoned");
            running.get_or_insert_with(|| run(platform)).ground.clone()
        });
        Self {
            story: STORIES.fetch_add(1, Ordering::Relaxed),
            ..started.await.expect("started")
        }
    }

    /// The application on new servers, with more arguments of `spin up`.
    fn of(platform: Platform, mysql: String, redis: &Redis, more: &[&str]) -> (Self, Application) {
        migrate(&mysql);
        let application = Application::start(platform, &own_manifest(), &mysql, &redis.url(), more);
        let ground = Self {
            url: application.url.clone(),
            mysql,
            redis: redis.url(),
            story: 0,
        };
        (ground, application)
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
        Node::with_arguments(&Manifest::default(), Arc::new(Folder::new()), &arguments)
    }
}

fn run(platform: Platform) -> Running {
    let redis = Redis::start();
    let (ground, application) = Ground::of(platform, database(), &redis, &[]);
    Running {
        ground,
        _application: application,
        _redis: redis,
    }
}
