//! Plots of the rows of a benchmark, as SVG. Which figures stand in one plot is read from the units in their names.

use plotters::prelude::*;

use crate::record::Row;

const SIZE: (u32, u32) = (860, 360);
/// Where the names of lines begin.
const NAMES: u32 = 660;
const NAME: i32 = 18;
/// Height of a bar with its words.
const BAR: u32 = 34;
const FONT: &str = "sans-serif";
/// From this ratio on the axis of the rows is logarithmic.
const WIDE: f64 = 20.0;
/// From this ratio on the axis of bars is logarithmic: the least of them could not be seen.
const WIDE_BARS: f64 = 1e3;
/// What logarithms begin with.
const LEAST: f64 = 1e-3;

/// Ends of names, with what a plot of such figures is called, and whether it is logarithmic.
const KINDS: [(&str, &str, bool); 8] = [
    ("_per_s", "in a second", false),
    ("_ms", "milliseconds", true),
    ("_us", "microseconds", false),
    ("_ns", "nanoseconds", true),
    ("_bytes", "bytes", false),
    ("_s", "seconds", false),
    ("_ratio", "ratio", false),
    ("_share", "percent of the samples", false),
];

type Drawn = Result<(), Box<dyn std::error::Error>>;

/// All plots of these rows.
pub(crate) fn plots(rows: &[Row]) -> Vec<String> {
    let mut alongs: Vec<&str> = Vec::new();
    for along in rows.iter().filter_map(|row| row.along.as_deref()) {
        if !alongs.contains(&along) {
            alongs.push(along);
        }
    }
    let (mut plots, mut alone): (Vec<String>, Vec<&Row>) = (Vec::new(), Vec::new());
    alone.extend(rows.iter().filter(|row| row.along.is_none()));
    for along in alongs {
        let points = points(rows, along);
        match points.len() {
            0 | 1 => alone.extend(points.iter().map(|(_, row)| *row)),
            _ => plots.extend(KINDS.iter().filter_map(|kind| lines(along, &points, *kind))),
        }
    }
    plots.extend(KINDS.iter().filter_map(|kind| bars(&alone, *kind)));
    plots
}

/// The rows along a number, in its order, one for each of its values.
fn points<'a>(rows: &'a [Row], along: &str) -> Vec<(f64, &'a Row)> {
    let mut points: Vec<(f64, &Row)> = Vec::new();
    for row in rows.iter().filter(|row| row.along.as_deref() == Some(along)) {
        if let Some(at) = row.at.of(along)
            && points.iter().all(|(known, _)| known.total_cmp(&at).is_ne())
        {
            points.push((at, row));
        }
    }
    points.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    points
}

/// Whether a figure is of a kind: the first whose end it has.
fn is_of(name: &str, end: &str) -> bool {
    let first = KINDS.iter().find(|(end, ..)| name.ends_with(end));
    first.is_some_and(|(first, ..)| *first == end)
}

/// The figures of a kind that any row has.
fn names<'a>(rows: impl Iterator<Item = &'a Row>, end: &str) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in rows.flat_map(|row| row.median.iter()) {
        if is_of(name, end) && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn lines(along: &str, points: &[(f64, &Row)], (end, unit, logarithmic): (&str, &str, bool)) -> Option<String> {
    let names = names(points.iter().map(|(_, row)| *row), end);
    if names.is_empty() {
        return None;
    }
    let mut svg = String::new();
    let wide = points.first()?.0 > 0.0 && points.last()?.0 / points.first()?.0 >= WIDE;
    draw_lines(&mut svg, along, points, &names, Axes { wide, logarithmic }, unit).ok()?;
    Some(svg)
}

/// How values become positions: plotters is given logarithms as if they were numbers.
#[derive(Clone, Copy)]
struct Axes {
    wide: bool,
    logarithmic: bool,
}

fn scaled(value: f64, logarithmic: bool) -> f64 {
    if logarithmic { value.max(LEAST).log10() } else { value }
}

fn label(position: f64, logarithmic: bool) -> String {
    let value = if logarithmic { 10_f64.powf(position) } else { position };
    match value.abs() {
        size if size >= 1e6 => format!("{}M", (value / 1e5).round() / 10.0),
        size if size >= 1e4 => format!("{}k", (value / 1e2).round() / 10.0),
        size if size >= 10.0 => format!("{}", value.round()),
        _ => format!("{}", (value * 1e2).round() / 1e2),
    }
}

/// About how many labels an axis has: one for each power of ten.
fn labels(length: f64, logarithmic: bool) -> usize {
    if logarithmic {
        (length.ceil() as usize + 1).max(4)
    } else {
        8
    }
}

fn draw_lines(svg: &mut String, along: &str, points: &[(f64, &Row)], names: &[&str], axes: Axes, unit: &str) -> Drawn {
    let x = |value: f64| scaled(value, axes.wide);
    let y = |value: f64| scaled(value, axes.logarithmic);
    let values = || {
        points
            .iter()
            .flat_map(|(_, row)| names.iter().filter_map(|name| row.spread(name)))
    };
    let most = values().map(|(_, most)| most).fold(LEAST, f64::max);
    let least = match axes.logarithmic {
        true => values().map(|(least, _)| least.max(LEAST)).fold(most, f64::min),
        false => 0.0,
    };
    let first = points.first().map_or(0.0, |(at, _)| x(*at));
    let last = points.last().map_or(1.0, |(at, _)| x(*at));
    let margin = (last - first).max(LEAST) * 0.03;
    let top = if axes.logarithmic { y(most) + 0.1 } else { most * 1.05 };
    let bottom = if axes.logarithmic { y(least) - 0.1 } else { 0.0 };
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    let (area, legend) = root.split_horizontally(NAMES);
    let mut chart = ChartBuilder::on(&area)
        .margin(8)
        .x_label_area_size(40)
        .y_label_area_size(64)
        .build_cartesian_2d(first - margin..last + margin, bottom..top)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc(along)
        .y_desc(unit)
        .x_labels(labels(last - first, axes.wide))
        .y_labels(labels(top - bottom, axes.logarithmic))
        .x_label_formatter(&|position| label(*position, axes.wide))
        .y_label_formatter(&|position| label(*position, axes.logarithmic))
        .label_style((FONT, 12))
        .axis_desc_style((FONT, 13))
        .draw()?;
    for (number, name) in names.iter().enumerate() {
        let colour = Palette99::pick(number).to_rgba();
        let line = points
            .iter()
            .filter_map(|(at, row)| Some((x(*at), y(row.median.of(name)?))));
        chart.draw_series(LineSeries::new(line, colour.stroke_width(2)).point_size(3))?;
        let spreads = points.iter().filter_map(|(at, row)| {
            let (least, most) = row.spread(name)?;
            Some(PathElement::new([(x(*at), y(least)), (x(*at), y(most))], colour))
        });
        chart.draw_series(spreads)?;
        let y = 20 + NAME * i32::try_from(number)?;
        legend.draw(&PathElement::new([(4, y), (20, y)], colour.stroke_width(2)))?;
        legend.draw(&Text::new((*name).to_owned(), (26, y - 6), (FONT, 12)))?;
    }
    root.present()?;
    Ok(())
}

fn bars(rows: &[&Row], (end, unit, _): (&str, &str, bool)) -> Option<String> {
    let names = names(rows.iter().copied(), end);
    let bars: Vec<(String, f64, (f64, f64))> = names
        .iter()
        .flat_map(|name| rows.iter().map(move |row| (*name, *row)))
        .filter_map(|(name, row)| {
            let value = row.median.of(name)?;
            let words = format!("{name} {value}  ({})", row.name);
            Some((words, value, row.spread(name).unwrap_or((value, value))))
        })
        .collect();
    if bars.is_empty() {
        return None;
    }
    let mut svg = String::new();
    draw_bars(&mut svg, &bars, unit).ok()?;
    Some(svg)
}

fn draw_bars(svg: &mut String, bars: &[(String, f64, (f64, f64))], unit: &str) -> Drawn {
    let count = u32::try_from(bars.len()).unwrap_or(u32::MAX);
    let most = bars.iter().map(|(_, _, (_, most))| *most).fold(LEAST, f64::max);
    let some = bars
        .iter()
        .map(|(_, _, (least, _))| *least)
        .filter(|least| *least > 0.0);
    let least = some.fold(most, f64::min).max(LEAST);
    let wide = most / least >= WIDE_BARS;
    let x = |value: f64| scaled(value, wide);
    let (first, last) = match wide {
        true => (x(least).floor(), x(most) + 0.1),
        false => (0.0, most * 1.05),
    };
    let root = SVGBackend::with_string(svg, (SIZE.0, count.saturating_mul(BAR) + 60)).into_drawing_area();
    let mut chart = ChartBuilder::on(&root)
        .margin(8)
        .x_label_area_size(40)
        .build_cartesian_2d(first..last, f64::from(count)..0.0)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .light_line_style(TRANSPARENT)
        .x_desc(unit)
        .x_labels(labels(last - first, wide))
        .x_label_formatter(&|position| label(*position, wide))
        .label_style((FONT, 12))
        .axis_desc_style((FONT, 13))
        .draw()?;
    for (number, (words, value, (least, most))) in bars.iter().enumerate() {
        let top = number as f64;
        let colour = Palette99::pick(0).mix(0.7);
        let bar = Rectangle::new([(first, top + 0.5), (x(*value).max(first), top + 0.9)], colour.filled());
        chart.draw_series([bar])?;
        chart.draw_series([PathElement::new(
            [(x(*least).max(first), top + 0.7), (x(*most).max(first), top + 0.7)],
            BLACK,
        )])?;
        chart.draw_series([Text::new(words.clone(), (first, top + 0.1), (FONT, 12))])?;
    }
    root.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{is_of, label, plots};
    use crate::figures::Figures;
    use crate::record::{Point, Row};

    fn row(point: Point, value: f64) -> Row {
        let figures = Figures::default()
            .with("p50_ms", value)
            .with("accepted_per_s", value * 10.0);
        Row::new(point, Vec::new(), vec![figures])
    }

    #[test]
    fn rows_in_an_order_are_lines_and_others_are_bars() {
        let ordered = [1.0, 100.0].map(|at| row(Point::along("a", "members", at), at));
        let lines = plots(&ordered);
        assert_eq!(lines.len(), 2);
        assert!(
            lines
                .iter()
                .all(|svg| svg.starts_with("<svg") && svg.contains("members"))
        );
        let alone = plots(&[row(Point::named("<by> & password"), 3.0)]);
        assert_eq!(alone.len(), 2);
        assert!(alone.iter().all(|svg| svg.contains("&lt;by&gt; &amp; password")));
        assert!(plots(&[]).is_empty());
    }

    #[test]
    fn bars_of_very_different_lengths_are_told_in_powers_of_ten() {
        let of = |name: &str, ns: f64| {
            let figures = Figures::default().with("cpu_ns", ns);
            Row::new(Point::named(name), Vec::new(), vec![figures])
        };
        let svg = plots(&[of("short", 20.0), of("long", 1e7)]).concat();
        // On an axis of equal steps every label is in millions.
        assert!(svg.contains("10k") || svg.contains("100k"), "{svg}");
    }

    #[test]
    fn a_figure_is_of_one_kind() {
        assert!(is_of("accepted_per_s", "_per_s") && !is_of("accepted_per_s", "_s"));
        assert!(is_of("server_cpu_us", "_us") && !is_of("server_cpu_s_per_1000", "_s"));
    }

    #[test]
    fn labels_are_short() {
        let labels = [0.5, 12.3, 12_345.0, 2_500_000.0].map(|value| label(value, false));
        assert_eq!(labels, ["0.5", "12", "12.3k", "2.5M"]);
        assert_eq!(label(3.0, true), "1000");
    }
}
