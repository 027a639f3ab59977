//! Compiled components, kept on disk: the stories start the same application many times.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

use anyhow::Result;
use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

/// Compiles a component, or takes what was compiled from the same bytes with the same engine.
pub(crate) fn compile(engine: &Engine, source: &Path, folder: Option<&Path>) -> Result<Component> {
    let bytes = std::fs::read(source)?;
    let Some(folder) = folder else {
        return Ok(Component::new(engine, bytes)?);
    };
    let mut compatible = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut compatible);
    let digest: String = Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let file = folder.join(format!("{digest}-{:016x}.spin.cwasm", compatible.finish()));
    if let Some(component) = load(engine, &file) {
        return Ok(component);
    }
    let component = Component::new(engine, bytes)?;
    let partial = file.with_extension(format!("{}.part", std::process::id()));
    std::fs::write(&partial, component.serialize()?)?;
    std::fs::rename(&partial, &file)?;
    Ok(component)
}

#[expect(unsafe_code, reason = "see the proof inside")]
fn load(engine: &Engine, file: &Path) -> Option<Component> {
    // SAFETY: the file must be what `Component::serialize` made. It lies in a folder of this user alone, as the option
    // demands, and came there whole, by renaming. Wasmtime itself refuses one of another version or configuration.
    unsafe { Component::deserialize_file(engine, file) }.ok()
}
