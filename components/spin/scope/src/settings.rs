//! What the function is called and how it is set.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;

use crate::bindings::mpim::spin::function;

/// The settings of the function.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Settings {
    /// Its name.
    pub(crate) name: String,
    /// The space of its keys in the cache.
    cache_space: String,
    /// Its own settings.
    pub(crate) config: BTreeMap<String, String>,
}

/// Those of the function that this instance stands before, read once.
pub(crate) fn get() -> &'static Settings {
    static SETTINGS: OnceLock<Settings> = OnceLock::new();
    // They were written by whoever composed this. A function without a name would share its keys with others.
    #[expect(clippy::expect_used, reason = "nothing may run without them")]
    SETTINGS.get_or_init(|| serde_json::from_str(&function::settings()).expect("settings as they were composed"))
}

/// A name of a set, a lock or a group, apart from those of all other functions.
pub(crate) fn scoped(name: &str) -> String {
    format!("{}/{name}", get().name)
}

/// A key of the cache, in the space of the function.
pub(crate) fn cached(key: &str) -> String {
    format!("{}/{key}", get().cache_space)
}
