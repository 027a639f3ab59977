//! The servers that all tests share, and what tests need to wait.

use std::fmt::Debug;
use std::future::Future;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use config::{RedisServerSettings, RedisTopology};
use tokio::time::Instant;

use servers::redis::{Cluster, Redis, Replicated};

/// Longer than any case takes, also on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a case to its end, on a runtime of its own.
pub fn run(case: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        tokio::time::timeout(PATIENCE, case).await.expect("a case that ends");
    });
}

/// Asks until the answer is as expected: a copy may be a little behind, and times to live pass by themselves.
pub async fn soon<T: PartialEq + Debug, F: Future<Output = T>>(expected: T, mut ask: impl FnMut() -> F) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let answer = ask().await;
        if answer == expected {
            return;
        }
        assert!(Instant::now() < deadline, "{answer:?} instead of {expected:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Settings of a server, with keys that no other test has.
pub fn settings(urls: Vec<String>, topology: RedisTopology) -> RedisServerSettings {
    static TESTS: AtomicU32 = AtomicU32::new(0);
    RedisServerSettings {
        urls,
        topology,
        prefix: format!("test{}:", TESTS.fetch_add(1, Ordering::Relaxed)),
        // A machine that compiles beside the tests is slow now and then.
        response_timeout_ms: 5_000,
        ..RedisServerSettings::default()
    }
}

/// The shared single server.
pub fn single_settings() -> RedisServerSettings {
    static SERVER: OnceLock<Redis> = OnceLock::new();
    let server = SERVER.get_or_init(Redis::start);
    settings(vec![server.url()], RedisTopology::Single)
}

/// The shared master with its replica.
pub fn replicated_settings() -> RedisServerSettings {
    static SERVERS: OnceLock<Replicated> = OnceLock::new();
    let servers = SERVERS.get_or_init(Replicated::start);
    settings(servers.urls(), RedisTopology::Replicated)
}

/// The shared cluster.
pub fn cluster_settings() -> RedisServerSettings {
    static NODES: OnceLock<Cluster> = OnceLock::new();
    let nodes = NODES.get_or_init(Cluster::start);
    settings(nodes.urls(), RedisTopology::Cluster)
}
