//! The figures as a table, or as JSON.

use crate::measure::{Comparison, Middle};

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

/// Prints all of them.
pub(crate) fn comparisons(comparisons: &[Comparison], json: bool) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(comparisons)?);
        return Ok(());
    }
    println!(
        "{:28} {:>7}  {:>9} {:>9} {:>20}  {:>9} {:>9} {:>20}  {:>9} {:>9}",
        "", "", "CPU, µs", "", "", "wall, µs", "", "", "calls/s", ""
    );
    println!(
        "{:28} {:>7}  {:>9} {:>9} {:>20}  {:>9} {:>9} {:>20}  {:>9} {:>9}",
        "call", "abreast", "native", "component", "ratio", "native", "component", "ratio", "native", "component"
    );
    for each in comparisons {
        println!(
            "{:28} {:>7}  {:>9.1} {:>9.1} {:>20}  {:>9.1} {:>9.1} {:>20}  {:>9.0} {:>9.0}{}",
            each.case,
            each.abreast,
            each.native.cpu_us.median,
            each.component.cpu_us.median,
            ratio(each.cpu_ratio),
            each.native.latency_us.median,
            each.component.latency_us.median,
            ratio(each.latency_ratio),
            each.native.calls_per_second.median,
            each.component.calls_per_second.median,
            if each.cpu_ratio.median > TARGET { "  over" } else { "" },
        );
    }
    println!(
        "\nMedians of {} windows of each side, which took turns; ratios are of neighbours, with their quarters. CPU is that \
         of the whole process, threads of the store included. `over`: more than {TARGET} times the CPU time.",
        comparisons.first().map_or(0, |each| each.repetitions)
    );
    Ok(())
}

fn ratio(middle: Middle) -> String {
    format!("{:.2} ({:.2}-{:.2})", middle.median, middle.low, middle.high)
}
