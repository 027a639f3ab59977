//! The machine and the versions that stand beside every figure.

use serde::{Deserialize, Serialize};

/// What the kernel says of the machine; empty where it says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cores: usize,
    pub(crate) cpu: String,
    pub(crate) memory_mib: u64,
    pub(crate) kernel: String,
}

impl Machine {
    /// This one.
    pub(crate) fn this() -> Self {
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

/// Time on processors that the host of a virtual machine gave to others while this one wanted it: figures of runs that
/// differ in it are not those of the same machine.
#[derive(Debug)]
pub(crate) struct Stolen(Option<Ticks>);

/// Ticks of all processors together, since the machine began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ticks {
    all: u64,
    stolen: u64,
}

impl Stolen {
    /// Counts from now on.
    pub(crate) fn since_now() -> Self {
        Self(Ticks::now())
    }

    /// How much of the time of all processors it was; none where the kernel does not say.
    pub(crate) fn percent(&self) -> Option<f64> {
        let (before, now) = (self.0?, Ticks::now()?);
        let all = now.all.checked_sub(before.all).filter(|all| *all > 0)?;
        Some(100.0 * now.stolen.saturating_sub(before.stolen) as f64 / all as f64)
    }
}

impl Ticks {
    fn now() -> Option<Self> {
        Self::read(&std::fs::read_to_string("/proc/stat").ok()?)
    }

    /// Reads the first line: user, nice, system, idle, waiting, interrupts, soft interrupts, stolen; the rest is part of these.
    fn read(stat: &str) -> Option<Self> {
        let line = stat.lines().next()?.strip_prefix("cpu ")?;
        let ticks: Vec<u64> = line
            .split_whitespace()
            .map_while(|tick| tick.parse().ok())
            .take(8)
            .collect();
        Some(Self {
            all: ticks.iter().sum(),
            stolen: *ticks.get(7)?,
        })
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
pub(crate) struct Versions {
    pub(crate) mpim: String,
    pub(crate) rustc: String,
    pub(crate) wasmtime: String,
}

impl Versions {
    /// Those of this binary.
    pub(crate) fn this() -> Self {
        Self {
            mpim: env!("CARGO_PKG_VERSION").to_owned(),
            rustc: option_env!("MPIM_RUSTC").unwrap_or_default().to_owned(),
            wasmtime: locked("wasmtime").unwrap_or_default().to_owned(),
        }
    }
}

/// The version of a crate that this binary was built with.
fn locked(name: &str) -> Option<&'static str> {
    const LOCK: &str = include_str!("../../../Cargo.lock");
    let (_, package) = LOCK.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    package.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::{Ticks, Versions, field};

    #[test]
    fn stolen_time_is_the_eighth_of_the_first_line() {
        let stat = "cpu  10 1 2 30 4 5 6 42 9 9\ncpu0 1 1 1 1 1 1 1 1 0 0\n";
        assert_eq!(Ticks::read(stat), Some(Ticks { all: 100, stolen: 42 }));
        assert_eq!(Ticks::read("cpu 1 2 3\n"), None);
    }

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
