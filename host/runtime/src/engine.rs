//! The Wasmtime engine: its configuration, the clock of its epochs, and compiled components, which
//! are cached on disk.
//!
//! It knows components as bytes; what they export and import is read by `component`.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;

use sha2::{Digest, Sha256};
use wasmtime::component::Component;
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use config::{SandboxSettings, ms};

/// The engine, shared by all functions of the process.
pub struct Engine {
    wasm: wasmtime::Engine,
    /// The folder of compiled components; none: nothing is cached.
    cache: Option<PathBuf>,
    _ticker: Ticker,
}

/// A component ready to be linked.
pub struct Compiled {
    /// The code.
    pub component: Component,
    /// The first 16 hex digits of the SHA-256 of the component's bytes.
    pub hash: String,
}

impl Engine {
    /// An engine whose pool holds as many sandboxes as the settings say.
    pub fn new(settings: &SandboxSettings, cache: Option<PathBuf>) -> wasmtime::Result<Self> {
        let mut pool = PoolingAllocationConfig::default();
        pool.total_component_instances(settings.total_max)
            .total_core_instances(settings.total_max.saturating_mul(settings.core_instances_max))
            .total_memories(settings.total_max.saturating_mul(2))
            .total_tables(settings.total_max.saturating_mul(4))
            .total_stacks(settings.total_max.saturating_mul(2))
            .max_core_instances_per_component(settings.core_instances_max)
            .max_memories_per_component(2)
            .max_memory_size(settings.memory_max_mib << 20)
            .linear_memory_keep_resident(settings.keep_resident_bytes)
            // Where the kernel can say which pages were written, only those are made as they were.
            .pagemap_scan(Enabled::Auto)
            .table_keep_resident(8 << 10);
        let mut config = Config::new();
        config
            .wasm_component_model_async(true)
            .epoch_interruption(true)
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        let wasm = wasmtime::Engine::new(&config)?;
        let ticker = Ticker::start(wasm.clone(), settings.epoch_tick_ms)?;
        Ok(Self {
            wasm,
            cache,
            _ticker: ticker,
        })
    }

    /// Wasmtime's own engine.
    pub fn wasm(&self) -> &wasmtime::Engine {
        &self.wasm
    }

    /// Compiles a component, or takes what an earlier run has compiled from the same bytes with the
    /// same engine. A cache that cannot be read or written costs time and a line in the log, no more.
    pub fn compile(&self, bytes: &[u8]) -> wasmtime::Result<Compiled> {
        let digest = hex(&Sha256::digest(bytes));
        let hash = digest.get(..16).unwrap_or(&digest).to_owned();
        let Some(folder) = &self.cache else {
            return Ok(Compiled {
                component: Component::new(&self.wasm, bytes)?,
                hash,
            });
        };
        let file = folder.join(format!("{digest}-{:016x}.cwasm", self.compatibility()));
        if let Some(component) = self.cached(&file) {
            return Ok(Compiled { component, hash });
        }
        let component = Component::new(&self.wasm, bytes)?;
        if let Err(error) = store(folder, &file, &component.serialize()?) {
            tracing::warn!(file = %file.display(), %error, "a compiled component was not cached");
        }
        Ok(Compiled { component, hash })
    }

    /// Differs between engines that cannot run each other's code.
    fn compatibility(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.wasm.precompile_compatibility_hash().hash(&mut hasher);
        hasher.finish()
    }

    fn cached(&self, file: &Path) -> Option<Component> {
        let bytes = std::fs::read(file).ok()?;
        let (digest, code) = bytes.split_at_checked(DIGEST_BYTES)?;
        if Sha256::digest(code).as_slice() != digest {
            tracing::warn!(file = %file.display(), "a cached component is damaged and is compiled again");
            return None;
        }
        deserialize(&self.wasm, code)
    }
}

const DIGEST_BYTES: usize = 32;

#[expect(unsafe_code, reason = "see the proof inside")]
fn deserialize(engine: &wasmtime::Engine, code: &[u8]) -> Option<Component> {
    // SAFETY: the bytes must be what `Component::serialize` made. They come from a folder that this
    // process made for its owner alone, and their digest matches the one written with them, so they
    // are whole. Wasmtime itself refuses those of another version or configuration.
    unsafe { Component::deserialize(engine, code) }.ok()
}

/// Writes beside the file and renames, so that a reader never sees half a file.
fn store(folder: &Path, file: &Path, code: &[u8]) -> std::io::Result<()> {
    create_private(folder)?;
    let mut bytes = Sha256::digest(code).to_vec();
    bytes.extend_from_slice(code);
    let partial = file.with_extension(format!("{}.part", std::process::id()));
    std::fs::write(&partial, bytes)
        .and_then(|()| std::fs::rename(&partial, file))
        // What a full disk took is given back. The first error is the one to tell.
        .inspect_err(|_| drop(std::fs::remove_file(&partial)))
}

/// Makes a folder that only its owner can enter.
pub fn create_private(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            for digit in [byte >> 4, byte & 15] {
                text.extend(char::from_digit(u32::from(digit), 16));
            }
            text
        })
}

/// The thread that advances the epoch, by which running code notices that its deadline has passed.
struct Ticker {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(engine: wasmtime::Engine, every_ms: u64) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new().name("epoch".to_owned()).spawn(move || {
            while stopped.recv_timeout(ms(every_ms)) == Err(RecvTimeoutError::Timeout) {
                engine.increment_epoch();
            }
        })?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the ticker was reported by the thread itself.
            let _ = thread.join();
        }
    }
}

/// Compiles many components at once, on as many threads as there are cores.
pub fn compile_all(
    engine: &Arc<Engine>,
    components: Vec<(String, Vec<u8>)>,
) -> Vec<(String, wasmtime::Result<Compiled>)> {
    std::thread::scope(|scope| {
        let running: Vec<_> = components
            .into_iter()
            .map(|(name, bytes)| (name, scope.spawn(move || engine.compile(&bytes))))
            .collect();
        running
            .into_iter()
            .map(|(name, thread)| {
                let compiled = thread
                    .join()
                    .unwrap_or_else(|_| Err(wasmtime::format_err!("the compiler panicked")));
                (name, compiled)
            })
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_cache_entry_is_compiled_again() {
        let folder = std::env::temp_dir().join(format!("mpim-engine-{}", std::process::id()));
        let engine = Engine::new(&SandboxSettings::default(), Some(folder.clone())).expect("engine");
        let bytes = b"\0asm\x0d\0\x01\0".as_slice();
        let first = engine.compile(bytes).expect("compiles").hash;
        let entry = std::fs::read_dir(&folder)
            .expect("folder")
            .next()
            .expect("an entry")
            .expect("readable")
            .path();
        let mut damaged = std::fs::read(&entry).expect("read");
        *damaged.last_mut().expect("not empty") ^= 1;
        std::fs::write(&entry, damaged).expect("write");
        assert_eq!(engine.compile(bytes).expect("compiles again").hash, first);
        std::fs::remove_dir_all(folder).expect("removed");
    }
}
