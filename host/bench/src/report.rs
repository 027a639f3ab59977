//! `mpim bench report`: what the other benchmarks told as JSON, on one page of HTML that needs nothing else, and as a
//! table of Markdown. What stands in the files is not trusted: it is escaped wherever it goes.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::failure::Failure;
use crate::machine::Machine;
use crate::plot::plots;
use crate::print::print;
use crate::record::{Record, Row};
use crate::targets::{Held, held};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:64em;margin:2em auto;padding:0 1em;color:#222}\
    table{border-collapse:collapse;margin:.5em 0 1.5em;font-size:13px}\
    td,th{border:1px solid #ddd;padding:.15em .6em;text-align:right}td:first-child,th:first-child{text-align:left}\
    dt{float:left;clear:left;width:8em;color:#777}dd{margin-left:8em}\
    svg{max-width:100%;height:auto;margin:.5em 0}h2{border-top:1px solid #ddd;padding-top:1em}summary{cursor:pointer}";

/// Puts what benchmarks told by `--json` on one page, or into a table.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("form").required(true).multiple(true).args(["output", "markdown"]))]
pub(crate) struct Report {
    /// Files with the JSON of benchmarks.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Writes a page of HTML with plots and every figure.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Prints the medians, with their spread, as tables of Markdown.
    #[arg(long)]
    markdown: bool,
}

/// Reads the files and writes what is wanted.
pub(crate) fn run(report: &Report) -> Result<(), Failure> {
    let mut records = Vec::new();
    for file in &report.files {
        records.extend(read(file)?);
    }
    if let Some(output) = &report.output {
        std::fs::write(output, page(&records)).map_err(|error| told(output, error))?;
    }
    match report.markdown {
        true => print(markdown(&records).trim_end()),
        false => Ok(()),
    }
}

fn told(file: &Path, error: impl std::fmt::Display) -> Failure {
    Failure::other(format!("{}: {error}", file.display()))
}

/// A file may hold several records, one after the other.
fn read(file: &Path) -> Result<Vec<Record>, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| told(file, error))?;
    let records = serde_json::Deserializer::from_str(&text).into_iter::<Record>();
    records.collect::<Result<_, _>>().map_err(|error| told(file, error))
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// What stands beside the figures of a record.
fn circumstances(record: &Record) -> Vec<(&'static str, String)> {
    let (machine, versions) = (&record.machine, &record.versions);
    let mut told = vec![
        ("server", record.server.clone()),
        ("durability", record.durability.clone()),
    ];
    if machine.cores > 0 {
        let Machine {
            cores,
            cpu,
            memory_mib,
            kernel,
        } = machine;
        told.push((
            "machine",
            format!("{cores} cores of {cpu}, {memory_mib} MiB, Linux {kernel}"),
        ));
    }
    let versions = [
        ("mpim", &versions.mpim),
        ("wasmtime", &versions.wasmtime),
        ("rustc", &versions.rustc),
    ];
    let known = versions.iter().filter(|(_, version)| !version.is_empty());
    let known: Vec<String> = known.map(|(name, version)| format!("{name} {version}")).collect();
    told.push(("versions", known.join(", ")));
    let settings: Vec<String> = record
        .settings
        .iter()
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    told.push(("settings", settings.join(", ")));
    told.extend(record.notes.iter().map(|note| ("note", note.clone())));
    told.retain(|(_, text)| !text.is_empty());
    told
}

fn page(records: &[Record]) -> String {
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>mpim: benchmarks</title>\n\
         <style>{STYLE}</style>\n<h1>mpim: benchmarks</h1>\n\
         <p>Medians over the runs that count; thin lines are from the least to the greatest of them. Time on processors \
         is that of one operation. Times of others on the same machine are in every latency.</p>\n"
    );
    html.push_str(&missed(records));
    for record in records {
        let name = escape(&record.benchmark);
        // Writing into a String cannot fail.
        let _ = writeln!(html, "<h2>{name}</h2>\n<dl>");
        for (what, text) in circumstances(record) {
            let _ = writeln!(html, "<dt>{what}</dt><dd>{}</dd>", escape(&text));
        }
        html.push_str("</dl>\n");
        plots(&record.rows).iter().for_each(|svg| html.push_str(svg));
        html.push_str("<details open><summary>Every figure</summary>\n");
        record.rows.iter().for_each(|row| html.push_str(&table(row)));
        html.push_str("</details>\n");
    }
    html.push_str("</html>\n");
    html
}

/// What the figures are meant to reach, and by how much they miss it.
fn missed(records: &[Record]) -> String {
    let held = held(records);
    if held.is_empty() {
        return String::new();
    }
    let mut html = String::from(
        "<h2>Targets</h2>\n<table><tr><th>two cores, shared with the load generator</th><th>target</th><th>measured</th>\
         <th></th></tr>\n",
    );
    for Held {
        what,
        target,
        measured,
        off,
        next,
    } in held
    {
        // Writing into a String cannot fail.
        let _ = writeln!(
            html,
            "<tr><td>{}</td><td>{}</td><td>{measured}</td><td>{}</td></tr>",
            escape(what),
            escape(&target),
            escape(&verdict(off, next))
        );
    }
    html.push_str("</table>\n");
    html
}

/// Whether a target is met; by how much not, and what would help.
fn verdict(off: f64, next: &str) -> String {
    match (off <= 1.0, next) {
        (true, _) => "met".to_owned(),
        (false, "") => format!("missed, {off:.2} times"),
        (false, next) => format!("missed, {off:.2} times; next: {next}"),
    }
}

/// Every figure of a row.
fn table(row: &Row) -> String {
    let mut html = format!("<h3>{}</h3>\n", escape(&row.name));
    let at: Vec<String> = row
        .at
        .iter()
        .map(|(name, value)| format!("{} {value}", escape(name)))
        .collect();
    let _ = writeln!(
        html,
        "<p>{}</p>\n<table><tr><th></th><th>median</th><th>min</th><th>max</th>",
        at.join(", ")
    );
    let runs = (1..=row.runs.len()).map(|number| format!("run {number}"));
    let warm_up = row.warm_up.iter().map(|_| "warm-up".to_owned());
    for head in runs.chain(warm_up) {
        let _ = write!(html, "<th>{head}</th>");
    }
    html.push_str("</tr>\n");
    for (name, median) in row.median.iter() {
        let _ = write!(html, "<tr><td>{}</td><td>{median}</td>", escape(name));
        for figures in [&row.min, &row.max].into_iter().chain(&row.runs).chain(&row.warm_up) {
            let value = figures.of(name).map_or_else(String::new, |value| value.to_string());
            let _ = write!(html, "<td>{value}</td>");
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</table>\n");
    html
}

/// Figures that the tables of a page have, and those for a quick look need not.
fn is_detail(name: &str) -> bool {
    let ends = ["p95_ms", "p999_ms", "max_ms", "_cpu_s_per_1000"];
    name.starts_with("load_") || ends.iter().any(|end| name.ends_with(end))
}

fn cell(text: &str) -> String {
    let harmless = |letter: char| match letter {
        '|' => "\\|".to_owned(),
        '\n' | '\r' => " ".to_owned(),
        other => other.to_string(),
    };
    escape(text).chars().map(harmless).collect()
}

fn markdown(records: &[Record]) -> String {
    let mut text = String::new();
    let held = held(records);
    if !held.is_empty() {
        text.push_str("**targets**\n\n| | target | measured | |\n|---|--:|--:|---|\n");
    }
    for held in &held {
        let verdict = verdict(held.off, held.next);
        // Writing into a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {verdict} |",
            held.what, held.target, held.measured
        );
    }
    if !held.is_empty() {
        text.push('\n');
    }
    for record in records {
        let mut names: Vec<&str> = Vec::new();
        for (name, _) in record.rows.iter().flat_map(|row| row.median.iter()) {
            if !is_detail(name) && !names.contains(&name) {
                names.push(name);
            }
        }
        let _ = writeln!(text, "**{}**\n", cell(&record.benchmark));
        for (what, told) in circumstances(record) {
            let _ = writeln!(text, "- {what}: {}", cell(&told));
        }
        text.push_str(&medians(&record.rows, &names));
        text.push('\n');
    }
    text
}

/// A line for each figure; where there are more rows than figures, a line for each row.
fn medians(rows: &[Row], names: &[&str]) -> String {
    let titles = || rows.iter().map(|row| cell(&row.name));
    let names_told = || names.iter().map(|name| cell(name));
    let turned = rows.len() > names.len();
    let heads: Vec<String> = if turned {
        names_told().collect()
    } else {
        titles().collect()
    };
    let mut text = format!(
        "\n| median (least..greatest) | {} |\n|---|{}\n",
        heads.join(" | "),
        "--:|".repeat(heads.len())
    );
    let mut line = |title: String, values: Vec<String>| {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "| {title} | {} |", values.join(" | "));
    };
    if turned {
        for (row, title) in rows.iter().zip(titles()) {
            line(title, names.iter().map(|name| value(row, name)).collect());
        }
    } else {
        for (name, title) in names.iter().zip(names_told()) {
            line(title, rows.iter().map(|row| value(row, name)).collect());
        }
    }
    text
}

/// The median of a figure, with its spread.
fn value(row: &Row, name: &str) -> String {
    match (row.median.of(name), row.spread(name)) {
        (Some(value), Some((least, most))) if least < most => format!("{value} ({least}..{most})"),
        (Some(value), _) => value.to_string(),
        (None, _) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::{markdown, page};
    use crate::figures::Figures;
    use crate::record::{Point, Record, Row};

    fn hostile() -> Record {
        let runs = [1.0, 2.0, 3.0].map(|value| Figures::default().with("a<b>_ms", value).with("max_ms", value));
        Record {
            benchmark: "<script>".to_owned(),
            notes: vec!["a | b\n<i>".to_owned()],
            rows: vec![Row::new(Point::named("\"row\" <1>"), Vec::new(), runs.into())],
            ..Record::default()
        }
    }

    #[test]
    fn what_stands_in_a_file_cannot_become_a_part_of_the_page() {
        let html = page(&[hostile()]);
        for wrong in ["<script", "<b>", "<i>", "<1>"] {
            assert!(!html.contains(wrong), "{wrong}");
        }
        assert!(html.contains("&lt;script&gt;") && html.contains("<svg"));
    }

    #[test]
    fn a_table_has_medians_with_their_spread() {
        let text = markdown(&[hostile()]);
        assert!(text.contains("| a&lt;b&gt;_ms | 2 (1..3) |"), "{text}");
        assert!(
            !text.contains("max_ms") && text.contains("- note: a \\| b &lt;i&gt;\n"),
            "{text}"
        );
    }

    #[test]
    fn a_table_of_many_rows_has_a_line_for_each() {
        let row = |name: &str| {
            Row::new(
                Point::named(name),
                Vec::new(),
                vec![Figures::default().with("cpu_ns", 5.0)],
            )
        };
        let text = markdown(&[Record {
            rows: vec![row("one"), row("two")],
            ..Record::default()
        }]);
        let table = "| median (least..greatest) | cpu_ns |\n|---|--:|\n| one | 5 |\n| two | 5 |\n";
        assert!(text.contains(table), "{text}");
    }
}
