//! Where the time of a process goes: samples that a profiler took of it, counted by the part of the program, or of the
//! kernel, that they are in. The last function counts, not who called it: so each sample is in one part.

use std::collections::BTreeMap;
use std::path::Path;

use clap::Args;

use crate::failure::Failure;
use crate::figures::Figures;
use crate::record::{Point, Row};
use crate::terms::Runs;

/// How many functions are named, those with the most samples.
const FUNCTIONS: usize = 12;

/// Counts what `perf script -F ip,sym,dso` prints of a process, by parts of the program.
#[derive(Debug, Args)]
pub(crate) struct Profile {
    /// What the process did, and the file with the samples.
    #[arg(required = true, value_name = "NAME=FILE")]
    samples: Vec<String>,
    #[command(flatten)]
    runs: Runs,
}

/// Counts and reports.
pub(crate) fn run(profile: &Profile) -> Result<(), Failure> {
    let mut record = profile.runs.record("profile", Figures::default());
    for named in &profile.samples {
        let (name, file) = named
            .rsplit_once('=')
            .ok_or_else(|| Failure::other(format!("{named}: NAME=FILE is wanted")))?;
        let text = read(Path::new(file))?;
        let counted = Counted::of(&text);
        if counted.samples == 0 {
            return Err(Failure::other(format!("{file}: it has no samples")));
        }
        let row = Row::new(Point::named(name), Vec::new(), vec![counted.shares()]);
        profile.runs.say(&row.to_string())?;
        record.rows.push(row);
        record.notes.push(format!("{name}: {}", counted.told()));
    }
    profile.runs.tell(record)
}

fn read(file: &Path) -> Result<String, Failure> {
    // Names of functions may have been cut within a letter.
    let bytes = std::fs::read(file).map_err(|error| Failure::other(format!("{}: {error}", file.display())))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Samples by part, and by function.
#[derive(Debug, Default)]
struct Counted<'a> {
    samples: u64,
    parts: BTreeMap<&'static str, u64>,
    functions: BTreeMap<&'a str, u64>,
}

impl<'a> Counted<'a> {
    fn of(text: &'a str) -> Self {
        let mut counted = Self::default();
        for (function, file) in text.lines().filter_map(sample) {
            counted.samples += 1;
            let part = part(function, file);
            *counted.parts.entry(part).or_default() += 1;
            let function = match part {
                COMPONENTS => COMPONENTS,
                _ => function,
            };
            *counted.functions.entry(function).or_default() += 1;
        }
        counted
    }

    fn percent(&self, count: u64) -> f64 {
        count as f64 * 100.0 / self.samples.max(1) as f64
    }

    fn shares(&self) -> Figures {
        let mut figures = Figures::default().with("samples", self.samples as f64);
        let mut parts: Vec<_> = self.parts.iter().collect();
        parts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for (part, count) in parts {
            figures.set(format!("{part}_share"), self.percent(*count));
        }
        figures
    }

    fn told(&self) -> String {
        let mut functions: Vec<_> = self.functions.iter().collect();
        functions.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let first = functions.into_iter().take(FUNCTIONS);
        let told: Vec<_> = first
            .map(|(function, count)| format!("{} {:.1} %", short(function), self.percent(*count)))
            .collect();
        told.join(", ")
    }
}

/// Function and file of a line: `ADDRESS FUNCTION (FILE)`; none of a line that is no sample.
fn sample(line: &str) -> Option<(&str, &str)> {
    let (rest, file) = line.trim().strip_suffix(')')?.rsplit_once(" (")?;
    let (address, function) = rest.split_once(' ')?;
    let is_address = !address.is_empty() && address.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_address.then(|| (function.trim(), file))
}

/// The code of components, which the profiler finds in no file.
const COMPONENTS: &str = "components";

/// Words in the names of functions of the kernel, and what these do.
const KERNEL: &[(&str, &[&str])] = &[
    (
        "kernel_threads",
        &[
            "task_switch",
            "spin_unlock_irqrestore",
            "futex",
            "schedule",
            "wake",
            "exit_to_user",
            "pick_next",
            "rq_",
            "enqueue_",
            "dequeue_",
            "hrtimer",
            "update_load",
            "update_curr",
        ],
    ),
    (
        "kernel_network",
        &[
            "tcp", "skb", "sock", "inet", "ip_", "net_", "netif", "dev_", "loopback", "nf_", "epoll", "ep_", "eth_",
            "softirq", "napi", "dst_", "fib_", "csum",
        ],
    ),
    (
        "kernel_files",
        &[
            "ext4",
            "jbd2",
            "blk",
            "bio",
            "fsync",
            "virtio",
            "filemap",
            "folio",
            "vfs_",
            "iomap",
            "xas_",
            "pagecache",
            "posix_lock",
        ],
    ),
    (
        "kernel_memory",
        &[
            "page", "mmap", "madvise", "vma", "pte", "pmd", "mm_", "kmem", "slab", "clear_", "zap_",
        ],
    ),
];

/// Words in the names of functions of the program, and what these are of. The first that fits counts: a generic function
/// is of what it is made for.
const PROGRAM: &[(&str, &[&str])] = &[
    ("allocator", &["mi_", "malloc", "__rust_alloc", "realloc"]),
    ("copies", &["memmove", "memcpy", "memset", "memcmp"]),
    ("database_client", &["mysql_async", "mysql_common", "backends::mysql"]),
    ("redis_client", &["redis::", "backends::redis", "keyspace", "combine::"]),
    ("sqlite", &["rusqlite", "backends::sqlite"]),
    (
        "http_websocket",
        &["hyper", "axum", "tungstenite", "http::", "httparse", "tower", "matchit"],
    ),
    ("json", &["serde_json", "::json::", "itoa"]),
    ("wasmtime", &["wasmtime", "cranelift", "wasm_call"]),
    ("tokio", &["tokio", "mio::", "parking_lot"]),
    ("metrics", &["metrics", "quanta", "clock_gettime", "Instant"]),
    (
        "host",
        &[
            "mpim",
            "invoke::",
            "gateway::",
            "runtime::",
            "capabilities::",
            "cluster::",
            "policy::",
            "backends",
            "wire::",
            "dialect",
            "snowflake",
        ],
    ),
];

fn part(function: &str, file: &str) -> &'static str {
    let first = |parts: &'static [(&'static str, &'static [&'static str])]| {
        let has = |words: &&[&str]| words.iter().any(|word| function.contains(word));
        parts.iter().find(|(_, words)| has(words)).map(|(part, _)| *part)
    };
    if file.contains("kernel") || file.ends_with(".ko") {
        return first(KERNEL).unwrap_or("kernel_other");
    }
    if file.contains("/perf-") || file.contains("//anon") || file.contains("JIT") {
        return COMPONENTS;
    }
    match first(PROGRAM) {
        Some(part) => part,
        // What has no path of modules was written in C, and what is left of that is the database.
        None if file.ends_with("/mpim") && !function.contains("::") && function != "[unknown]" => "sqlite",
        None => "other",
    }
}

/// A name without what its types are made of.
fn short(function: &str) -> String {
    const MOST: usize = 60;
    match function.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", function.get(..end).unwrap_or(function)),
        None => function.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Counted, part, sample};

    #[test]
    fn samples_are_counted_by_parts() {
        let text = "  ffff8 tcp_sendmsg ([kernel.kallsyms])\n\n  7f0a1 [unknown] (/tmp/perf-12.map)\n nonsense\n \
                    14b4 <hyper::A as tokio::B>::poll (/usr/bin/mpim)\n 14b5 sqlite3VdbeExec (/usr/bin/mpim)\n";
        let counted = Counted::of(text);
        assert_eq!(counted.samples, 4);
        let parts: Vec<_> = counted.parts.iter().map(|(part, count)| (*part, *count)).collect();
        assert_eq!(
            parts,
            [
                ("components", 1),
                ("http_websocket", 1),
                ("kernel_network", 1),
                ("sqlite", 1)
            ]
        );
        assert_eq!(counted.shares().of("sqlite_share"), Some(25.0));
    }

    #[test]
    fn lines_that_are_no_samples_are_left_out() {
        for line in ["", "mpim 12 [001] 1.5: cpu-clock:", "xyz f (file)", "12 f"] {
            assert_eq!(sample(line), None, "{line}");
        }
        assert_eq!(sample(" 1f f(u8) (b) (file)"), Some(("f(u8) (b)", "file")));
    }

    #[test]
    fn what_is_nowhere_else_is_other() {
        assert_eq!(part("core::ptr::drop_in_place", "/usr/bin/mpim"), "other");
        assert_eq!(part("[unknown]", "[kernel.kallsyms]"), "kernel_other");
    }
}
