//! What the manifest says of a function, as a component that says nothing else: it exports `mpim:spin/function`.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;
use toml::Value;

use crate::manifest::Function;

/// As the adapter reads it.
#[derive(Debug, Serialize)]
struct Settings<'a> {
    name: &'a str,
    cache_space: &'a str,
    config: BTreeMap<&'a str, String>,
}

/// Where the text begins in the memory; before it are its offset and its length.
const OFFSET: u32 = 16;
const PAGE: usize = 64 * 1024;

/// The component for a function of this name.
pub(crate) fn component(name: &str, function: &Function) -> Result<Vec<u8>> {
    let settings = Settings {
        name,
        cache_space: function.cache_space.as_deref().unwrap_or(name),
        config: function
            .config
            .iter()
            .map(|(key, value)| (key.as_str(), text(value)))
            .collect(),
    };
    let json = serde_json::to_string(&settings)?;
    let pages = (json.len() + OFFSET as usize).div_ceil(PAGE);
    let head = [OFFSET.to_le_bytes(), u32::try_from(json.len())?.to_le_bytes()].concat();
    let text = format!(
        r#"(component
            (core module $said
                (memory (export "memory") {pages})
                (data (i32.const 0) "{}")
                (data (i32.const {OFFSET}) "{}")
                (func (export "settings") (result i32) i32.const 0))
            (core instance $said (instantiate $said))
            (alias core export $said "memory" (core memory $memory))
            (alias core export $said "settings" (core func $said-settings))
            (func $settings (result string)
                (canon lift (core func $said-settings) (memory $memory) string-encoding=utf8))
            (instance $function (export "settings" (func $settings)))
            (export "mpim:spin/function@0.1.0" (instance $function)))"#,
        escaped(&head),
        escaped(json.as_bytes()),
    );
    Ok(wat::parse_str(text)?)
}

/// A value as the function reads it.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn escaped(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
}
