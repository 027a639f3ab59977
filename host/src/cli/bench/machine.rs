//! The machine and the versions that stand beside every figure.

use serde::{Deserialize, Serialize};

/// What the kernel says of the machine; empty where it says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Machine {
    pub(super) cores: usize,
    pub(super) cpu: String,
    pub(super) memory_mib: u64,
    pub(super) kernel: String,
}

impl Machine {
    /// This one.
    pub(super) fn this() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let memory_kib = field(&read("/proc/meminfo"), "MemTotal").and_then(|text| {
            let number = text.split_whitespace().next()?;
            number.parse::<u64>().ok()
        });
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            cpu: field(&read("/proc/cpuinfo"), "model name").unwrap_or_default(),
            memory_mib: memory_kib.unwrap_or_default() >> 10,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }
}

/// The first value of a name in a file of lines `name: value`.
fn field(text: &str, name: &str) -> Option<String> {
    let of_name = |line: &str| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    };
    text.lines().find_map(of_name)
}

/// What was measured; empty where it is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Versions {
    pub(super) mpim: String,
    pub(super) rustc: String,
    pub(super) wasmtime: String,
}

impl Versions {
    /// Those of this binary.
    pub(super) fn this() -> Self {
        Self {
            mpim: env!("CARGO_PKG_VERSION").to_owned(),
            rustc: option_env!("MPIM_RUSTC").unwrap_or_default().to_owned(),
            wasmtime: locked("wasmtime").unwrap_or_default().to_owned(),
        }
    }
}

/// The version of a crate that this binary was built with.
fn locked(name: &str) -> Option<&'static str> {
    const LOCK: &str = include_str!("../../../../Cargo.lock");
    let (_, package) = LOCK.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    package.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::{Versions, field};

    #[test]
    fn the_kernel_and_the_lock_file_are_read() {
        let cpu = "processor\t: 0\nmodel name\t: A: B\nmodel name\t: C\n";
        assert_eq!(field(cpu, "model name").as_deref(), Some("A: B"));
        assert!(
            Versions::this()
                .wasmtime
                .starts_with(|digit: char| digit.is_ascii_digit())
        );
    }
}
