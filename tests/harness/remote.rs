//! Remote functions of a story: with `MPIM_FUNCTIONS_ON=stand-in`, or `=spin`, every node that a story starts is
//! a gateway, and its functions are an application on Spin with a database and a Redis of its own. The same stories then
//! tell what clients see of functions on Spin.

use std::path::Path;
use std::process::Command;

use servers::redis::Redis;

use super::manifest::{Manifest, root};
use super::platform::{Application, OPERATOR_TOKEN, Platform, beside_the_binary, database, migrate};

/// An application on Spin with its servers.
pub struct Remote {
    application: Application,
    mysql: String,
    redis: Redis,
}

/// Where the functions of stories are, unless they are on their nodes.
fn platform() -> Option<Platform> {
    let named = std::env::var("MPIM_FUNCTIONS_ON").ok()?;
    Some(match named.as_str() {
        "stand-in" => Platform::StandIn,
        "spin" => Platform::Spin,
        other => panic!("MPIM_FUNCTIONS_ON={other}: stand-in or spin"),
    })
}

impl Remote {
    /// Composes and starts the application of a manifest, when the stories are told with remote functions.
    pub fn if_wanted(manifest: &Manifest, folder: &Path) -> Option<Self> {
        let platform = platform()?;
        let (mysql, redis) = (database(), Redis::start());
        migrate(&mysql);
        let out = folder.join("spin");
        std::fs::create_dir_all(&out).expect("a folder");
        let file = out.join("spin.toml");
        std::fs::write(&file, manifest.for_spin(&out).text()).expect("the manifest is written");
        let composed = Command::new(beside_the_binary("compose"))
            .current_dir(root())
            .args(["join".as_ref(), file.as_os_str(), out.as_os_str()])
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&composed.stderr);
        assert!(composed.status.success(), "{said}");
        Some(Self {
            application: Application::start(platform, &file, &mysql, &redis.url(), &[]),
            mysql,
            redis,
        })
    }

    /// What a node is told to be the gateway of the application.
    pub fn arguments(&self) -> Vec<String> {
        let redis = self.redis.url();
        let arguments = ["--node", "gateway", "--mysql", &self.mysql, "--redis", &redis];
        let functions = ["--functions", "none", "--remote", &self.application.url];
        let token = ["--remote-token", OPERATOR_TOKEN];
        let all = arguments.iter().chain(&functions).chain(&token);
        all.map(|argument| (*argument).to_owned()).collect()
    }

    /// What the application has said of failures until now.
    pub fn log(&self) -> String {
        self.application.log()
    }
}
