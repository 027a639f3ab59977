//! What running as a component costs: each capability called natively and as a component, on one node, on the same data.
//!
//! Both ways are called in process, from the same thread, over the same backends: a store in SQLite whose writes are
//! synced, and cache, metadata and queue in memory, or MariaDB and Redis where they are named. Natively a call is the code of the component built for this
//! machine, with typed values in and out; what it imports goes straight to the backends (see [`native`]), and what other
//! functions it calls to their native code. As a component it is a call of the host's invoke layer, as the gateway makes it:
//! with its deadline, breaker, sandbox and measures. Windows of both take turns.

mod cases;
mod measure;
mod native;
mod print;
mod stand;

use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use clap::Parser;
use tokio::task::LocalSet;

use cases::{Case, Side};
use measure::{Comparison, Extent, alone, compare};
use stand::Stand;

/// The allocator of the product's binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures capabilities natively against their components.
#[derive(Debug, Parser)]
struct Options {
    /// The folder of the components, as `cargo xtask components` makes it.
    #[arg(long, default_value = "target/components")]
    components: PathBuf,
    /// Where the folder with the data is made; its disk is what writes are synced to.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    data: PathBuf,
    /// The URL of a database, in place of the embedded store.
    #[arg(long)]
    mysql: Option<String>,
    /// The URL of a Redis, in place of what is kept in this process.
    #[arg(long)]
    redis: Option<String>,
    /// Processes whose time is added to that of this one: the servers.
    #[arg(long, value_delimiter = ',', value_name = "PID")]
    cpu_of: Vec<u32>,
    /// Windows of each side.
    #[arg(long, default_value_t = 9)]
    repetitions: usize,
    /// How long a window takes, in milliseconds.
    #[arg(long, default_value_t = 150)]
    window_ms: u64,
    /// Calls under way at once.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 64])]
    abreast: Vec<usize>,
    /// Only cases whose names contain this.
    #[arg(long, default_value = "")]
    only: String,
    /// One side alone, without comparing, for a profiler to look at.
    #[arg(long)]
    side: Option<Side>,
    /// Figures for machines.
    #[arg(long)]
    json: bool,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    telemetry::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let comparisons = LocalSet::new().block_on(&runtime, measured(&options))?;
    if options.side.is_some() {
        return Ok(());
    }
    let (server, durability) = match options.mysql {
        None => ("in one process, on embedded storage", "synchronous=full"),
        // The words by which a report knows what was on servers.
        Some(_) => ("in one process, its store in MySQL", "that of the server"),
    };
    print::comparisons(&comparisons, server, durability, options.json);
    Ok(())
}

async fn measured(options: &Options) -> anyhow::Result<Vec<Comparison>> {
    let stand = Rc::new(Stand::open(options).await?);
    let extent = Extent {
        repetitions: options.repetitions.max(1),
        window: Duration::from_millis(options.window_ms),
    };
    let next = Cell::new(0);
    let mut comparisons = Vec::new();
    for case in cases::all(&stand).await? {
        if !case.name.contains(&options.only) {
            continue;
        }
        let case: Rc<Case> = Rc::new(case);
        for abreast in &options.abreast {
            if !(1..=case.abreast).contains(abreast) {
                continue;
            }
            if let Some(side) = options.side {
                let costs = alone(&stand, &case, side, *abreast, extent, &next).await?;
                print::alone(case.name, *abreast, &costs);
            } else {
                let comparison = compare(&stand, &case, *abreast, extent, &next).await?;
                if !options.json {
                    print::progress(&comparison);
                }
                comparisons.push(comparison);
            }
        }
    }
    Ok(comparisons)
}
