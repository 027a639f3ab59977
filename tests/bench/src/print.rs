//! The figures as a table, or as JSON.

use serde_json::{Value, json};

use crate::measure::{Comparison, Costs, Middle};

/// What a component may cost at most, in terms of native code.
const TARGET: f64 = 1.15;

/// Tells, while it goes on, what was measured.
pub(crate) fn progress(comparison: &Comparison) {
    eprintln!(
        "{} at {}: {} times the CPU time",
        comparison.case,
        comparison.abreast,
        ratio(comparison.cpu_ratio)
    );
}

/// Tells what one side costs.
pub(crate) fn alone(case: &str, abreast: usize, costs: &Costs) {
    println!(
        "{case} at {abreast}: CPU {:.1} µs, {:.1} of it in the calling thread; wall {:.1} µs",
        costs.cpu_us.median, costs.thread_us.median, costs.latency_us.median
    );
}

/// Prints all of them.
pub(crate) fn comparisons(comparisons: &[Comparison], server: &str, durability: &str, json: bool) {
    if json {
        println!("{}", record(comparisons, server, durability));
        return;
    }
    println!(
        "{:37}{:^43}  {:^21}  {:^42}  {:^19}",
        "", "CPU, µs", "of it in the caller", "wall, µs", "calls/s"
    );
    println!(
        "{:29} {:>7}  {:>9} {:>9} {:>20}    {:>9} {:>9}  {:>9} {:>9} {:>20}    {:>9} {:>9}",
        "call",
        "abreast",
        "native",
        "component",
        "ratio",
        "native",
        "component",
        "native",
        "component",
        "ratio",
        "native",
        "component"
    );
    for each in comparisons {
        let (native, component) = (&each.native, &each.component);
        println!(
            "{:29} {:>7}  {:>9.1} {:>9.1} {:>20} {} {:>9.1} {:>9.1}  {:>9.1} {:>9.1} {:>20}    {:>9.0} {:>9.0}",
            each.case,
            each.abreast,
            native.cpu_us.median,
            component.cpu_us.median,
            ratio(each.cpu_ratio),
            if each.cpu_ratio.median > TARGET { '*' } else { ' ' },
            native.thread_us.median,
            component.thread_us.median,
            native.latency_us.median,
            component.latency_us.median,
            ratio(each.latency_ratio),
            native.calls_per_second.median,
            component.calls_per_second.median,
        );
    }
    println!(
        "\nMedians of {} windows of each side, which took turns; ratios are of neighbours, with their quarters. CPU is that \
         of the whole process, threads of the store and servers that were named \
         included; the caller is the one thread of the runtime. A star: more than {TARGET} times the CPU time.",
        comparisons.first().map_or(0, |each| each.repetitions)
    );
}

/// What `mpim bench report` reads: a row for each comparison, the quarters in place of the least and the greatest.
fn record(comparisons: &[Comparison], server: &str, durability: &str) -> Value {
    let rows = comparisons.iter().map(|each| {
        let (native, component) = (&each.native, &each.component);
        let figures = [
            ("cpu_ratio", each.cpu_ratio),
            ("latency_ratio", each.latency_ratio),
            ("native_cpu_us", native.cpu_us),
            ("component_cpu_us", component.cpu_us),
            ("native_latency_us", native.latency_us),
            ("component_latency_us", component.latency_us),
            ("native_calls_per_s", native.calls_per_second),
            ("component_calls_per_s", component.calls_per_second),
        ];
        let of = |read: fn(&Middle) -> f64| {
            let figures = figures
                .iter()
                .map(|(name, middle)| ((*name).to_owned(), read(middle).into()));
            Value::Object(figures.collect())
        };
        json!({
            "name": format!("{}, {} at a time", each.case, each.abreast),
            "at": {"calls": each.calls, "windows": each.repetitions},
            "runs": [],
            "median": of(|middle| middle.median),
            "min": of(|middle| middle.low),
            "max": of(|middle| middle.high),
        })
    });
    json!({
        "benchmark": "native",
        "server": server,
        "durability": durability,
        "notes": ["the least and the greatest are quarters"],
        "rows": rows.collect::<Vec<_>>(),
    })
}

fn ratio(middle: Middle) -> String {
    format!("{:.2} ({:.2}-{:.2})", middle.median, middle.low, middle.high)
}
