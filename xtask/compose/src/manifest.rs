//! What a composition takes from `spin.toml`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use toml::Value;

/// The manifest, as far as it counts here. The host reads the rest, and is strict about it.
#[derive(Debug, Deserialize)]
pub(crate) struct Manifest {
    application: Application,
    /// The functions by name.
    pub(crate) component: BTreeMap<String, Component>,
}

#[derive(Debug, Deserialize)]
struct Application {
    #[serde(default)]
    tool: Tool<ApplicationSettings>,
}

/// A function.
#[derive(Debug, Deserialize)]
pub(crate) struct Component {
    #[serde(default)]
    tool: Tool<Function>,
}

#[derive(Debug, Deserialize)]
#[serde(bound = "T: Default + Deserialize<'de>")]
struct Tool<T> {
    #[serde(default)]
    mpim: T,
}

impl<T: Default> Default for Tool<T> {
    fn default() -> Self {
        Self { mpim: T::default() }
    }
}

#[derive(Debug, Default, Deserialize)]
struct ApplicationSettings {
    #[serde(default)]
    gateway: Gateway,
}

/// What of the edge of our own host is the same here.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub(crate) struct Gateway {
    /// Makes an identity of a token: `FUNCTION.METHOD`.
    pub(crate) verify: Option<String>,
    /// Bytes of a body.
    pub(crate) frame_max_bytes: usize,
    /// Bytes of an answer.
    pub(crate) answer_max_bytes: usize,
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            verify: None,
            frame_max_bytes: 64 * 1024,
            answer_max_bytes: 16 * 1024 * 1024,
        }
    }
}

/// The settings of a function.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Function {
    /// The file of its component alone.
    pub(crate) component: Option<String>,
    /// Interfaces, without their versions, whose methods clients may call.
    pub(crate) public: Vec<String>,
    /// The space of its keys in the cache.
    pub(crate) cache_space: Option<String>,
    /// Its own settings.
    pub(crate) config: BTreeMap<String, Value>,
}

impl Manifest {
    /// Reads a `spin.toml`.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        toml::from_str(&text).with_context(|| path.display().to_string())
    }

    /// The settings of the edge.
    pub(crate) fn gateway(&self) -> &Gateway {
        &self.application.tool.mpim.gateway
    }
}

impl Component {
    /// The settings of the function.
    pub(crate) fn settings(&self) -> &Function {
        &self.tool.mpim
    }
}
