//! Windows of calls, one way and the other by turns, and what they cost.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use rustix::time::{ClockId, clock_gettime};

use crate::cases::{Case, Side};
use crate::stand::Stand;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    /// Windows of each side.
    pub(crate) repetitions: usize,
    /// How long a window shall take.
    pub(crate) window: Duration,
}

/// What one window of one side showed.
#[derive(Debug, Clone)]
struct Window {
    /// CPU time of the process, threads of the store included, and of the servers, for each call.
    cpu_us: f64,
    /// That of the thread that makes the calls.
    thread_us: f64,
    wall_us: f64,
    /// The middle of the latencies.
    latency_us: f64,
}

/// The middle of some windows, and its quarters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Middle {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// One side of a comparison, in microseconds for each call.
#[derive(Debug, Clone)]
pub(crate) struct Costs {
    pub(crate) cpu_us: Middle,
    pub(crate) thread_us: Middle,
    pub(crate) latency_us: Middle,
    pub(crate) calls_per_second: Middle,
}

/// A case at one width.
#[derive(Debug, Clone)]
pub(crate) struct Comparison {
    pub(crate) case: &'static str,
    pub(crate) abreast: usize,
    /// Calls in each window.
    pub(crate) calls: usize,
    pub(crate) repetitions: usize,
    pub(crate) native: Costs,
    pub(crate) component: Costs,
    /// Component over native, of windows that follow each other.
    pub(crate) cpu_ratio: Middle,
    pub(crate) latency_ratio: Middle,
}

/// Compares both sides of a case. `next` is the number of the next call.
pub(crate) async fn compare(
    stand: &Stand,
    case: &Rc<Case>,
    abreast: usize,
    extent: Extent,
    next: &Cell<usize>,
) -> anyhow::Result<Comparison> {
    let calls = fitting(stand, case, abreast, extent, next).await?;
    let (mut native, mut component) = (Vec::new(), Vec::new());
    for repetition in 0..extent.repetitions {
        // Who goes first takes turns, so that what drifts drifts for both.
        let order = match repetition % 2 {
            0 => [Side::Native, Side::Component],
            _ => [Side::Component, Side::Native],
        };
        for side in order {
            let window = window(stand, case, side, abreast, calls, next).await?;
            match side {
                Side::Native => native.push(window),
                Side::Component => component.push(window),
            }
        }
    }
    let ratio = |of: fn(&Window) -> f64| {
        let pairs = native.iter().zip(&component);
        middle(pairs.map(|(native, component)| of(component) / of(native)).collect())
    };
    Ok(Comparison {
        case: case.name,
        abreast,
        calls,
        repetitions: extent.repetitions,
        cpu_ratio: ratio(|window| window.cpu_us),
        latency_ratio: ratio(|window| window.latency_us),
        native: costs(&native),
        component: costs(&component),
    })
}

/// What one side of a case costs, without the other: for a profiler to look at.
pub(crate) async fn alone(
    stand: &Stand,
    case: &Rc<Case>,
    side: Side,
    abreast: usize,
    extent: Extent,
    next: &Cell<usize>,
) -> anyhow::Result<Costs> {
    let calls = fitting(stand, case, abreast, extent, next).await?;
    let mut windows = Vec::new();
    for _ in 0..extent.repetitions {
        windows.push(window(stand, case, side, abreast, calls, next).await?);
    }
    Ok(costs(&windows))
}

/// How many calls make a window; finding out warms both sides up, and checks that they answer alike.
async fn fitting(
    stand: &Stand,
    case: &Rc<Case>,
    abreast: usize,
    extent: Extent,
    next: &Cell<usize>,
) -> anyhow::Result<usize> {
    let few = (2 * abreast).clamp(4, 256).min(case.most);
    let mut slowest: f64 = 0.0;
    for side in [Side::Native, Side::Component, Side::Native, Side::Component] {
        let window = window(stand, case, side, abreast, few, next).await?;
        slowest = window.wall_us;
    }
    let begin = next.replace(next.get() + 2);
    case.prepare(begin..begin + 2).await?;
    let native = case.call(Side::Native, begin).await?;
    let component = case.call(Side::Component, begin + 1).await?;
    ensure!(
        native == component,
        "{}: {native} natively, {component} of the component",
        case.name
    );
    stand.drain().await?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of calls, bounded below"
    )]
    let fitting = (extent.window.as_secs_f64() * 1e6 / slowest.max(0.1)) as usize;
    Ok(fitting.clamp(few, case.most))
}

async fn window(
    stand: &Stand,
    case: &Rc<Case>,
    side: Side,
    abreast: usize,
    calls: usize,
    next: &Cell<usize>,
) -> anyhow::Result<Window> {
    let begin = next.replace(next.get() + calls);
    let numbers = begin..begin + calls;
    case.prepare(numbers.clone()).await?;
    let (thread, cpu, begun) = (own(), process(&stand.servers), Instant::now());
    let mut latencies = if abreast == 1 {
        let mut latencies = Vec::with_capacity(calls);
        for number in numbers {
            let asked = Instant::now();
            case.call(side, number).await?;
            latencies.push(asked.elapsed());
        }
        latencies
    } else {
        side_by_side(case, side, abreast, numbers).await?
    };
    let wall = begun.elapsed();
    let (cpu, thread) = (process(&stand.servers).saturating_sub(cpu), own() - thread);
    stand.drain().await?;
    telemetry::upkeep();
    latencies.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "a number of calls is far smaller than 2^52")]
    let each = |time: Duration| time.as_secs_f64() * 1e6 / calls as f64;
    Ok(Window {
        cpu_us: each(cpu),
        thread_us: each(thread),
        wall_us: each(wall),
        latency_us: latencies
            .get(latencies.len() / 2)
            .map_or(0.0, |latency| latency.as_secs_f64() * 1e6),
    })
}

/// Calls of which so many are always under way.
async fn side_by_side(
    case: &Rc<Case>,
    side: Side,
    abreast: usize,
    numbers: std::ops::Range<usize>,
) -> anyhow::Result<Vec<Duration>> {
    let open = Rc::new(Cell::new(numbers.start));
    let mut lanes = tokio::task::JoinSet::new();
    for _ in 0..abreast {
        let (case, open, end) = (case.clone(), open.clone(), numbers.end);
        lanes.spawn_local(async move {
            let mut latencies = Vec::new();
            while open.get() < end {
                let number = open.replace(open.get() + 1);
                let asked = Instant::now();
                case.call(side, number).await?;
                latencies.push(asked.elapsed());
            }
            anyhow::Ok(latencies)
        });
    }
    let mut latencies = Vec::new();
    while let Some(lane) = lanes.join_next().await {
        latencies.extend(lane??);
    }
    Ok(latencies)
}

/// The time of this process and of the servers.
fn process(servers: &[u32]) -> Duration {
    read(ClockId::ProcessCPUTime) + servers.iter().map(|server| spent(*server)).sum::<Duration>()
}

/// The time of another process: of each of its threads, to the nanosecond, as the scheduler of Linux knows it.
fn spent(process: u32) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{process}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let each = threads.filter_map(|thread| {
        let told = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        told.split(' ').next()?.parse().ok().map(Duration::from_nanos)
    });
    each.sum()
}

fn own() -> Duration {
    read(ClockId::ThreadCPUTime)
}

fn read(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::try_from(time).unwrap_or_default()
}

fn costs(windows: &[Window]) -> Costs {
    let of = |read: fn(&Window) -> f64| middle(windows.iter().map(read).collect());
    Costs {
        cpu_us: of(|window| window.cpu_us),
        thread_us: of(|window| window.thread_us),
        latency_us: of(|window| window.latency_us),
        calls_per_second: of(|window| 1e6 / window.wall_us),
    }
}

fn middle(mut values: Vec<f64>) -> Middle {
    values.sort_by(f64::total_cmp);
    let at = |quarter: usize| {
        let place = values.len().saturating_sub(1) * quarter / 4;
        values.get(place).copied().unwrap_or_default()
    };
    Middle {
        median: at(2),
        low: at(1),
        high: at(3),
    }
}
