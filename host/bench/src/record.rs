//! What a benchmark leaves: every figure of every run, and what must stand beside them to be believed. Its fields are
//! the JSON of `--json`, which `bench report` reads.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::figures::{Figures, middle};
use crate::machine::{Machine, Versions};

/// One benchmark.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Its name on the command line.
    pub(crate) benchmark: String,
    /// Seconds since the epoch at its end.
    #[serde(default)]
    pub(crate) measured_at_s: u64,
    #[serde(default)]
    pub(crate) machine: Machine,
    #[serde(default)]
    pub(crate) versions: Versions,
    /// Whose server was measured, and how it was started.
    pub(crate) server: String,
    /// What an answered write survives.
    pub(crate) durability: String,
    #[serde(default)]
    pub(crate) notes: Vec<String>,
    /// The numbers of the command line, the same for all rows.
    #[serde(default)]
    pub(crate) settings: Figures,
    pub(crate) rows: Vec<Row>,
}

/// The runs of one point of a benchmark: one offered load, one size.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// Which of its numbers grows from row to row; none: the rows have no order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) along: Option<String>,
    /// The numbers that make it another row.
    #[serde(default)]
    pub(crate) at: Figures,
    #[serde(default)]
    pub(crate) warm_up: Vec<Figures>,
    pub(crate) runs: Vec<Figures>,
    /// Of a median, of a least and of a greatest each figure is its own.
    pub(crate) median: Figures,
    pub(crate) min: Figures,
    pub(crate) max: Figures,
}

/// What makes a row another one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Point {
    name: String,
    along: Option<&'static str>,
    at: Figures,
}

impl Point {
    /// One among others without an order.
    pub(crate) fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// One in the order of a number.
    pub(crate) fn along(name: impl Into<String>, along: &'static str, value: f64) -> Self {
        Self {
            along: Some(along),
            ..Self::named(name).with(along, value)
        }
    }

    /// One more number.
    #[must_use]
    pub(crate) fn with(self, name: &str, value: f64) -> Self {
        Self {
            at: self.at.with(name, value),
            ..self
        }
    }
}

impl Row {
    /// The row of these runs.
    pub(crate) fn new(point: Point, warm_up: Vec<Figures>, runs: Vec<Figures>) -> Self {
        Self {
            name: point.name,
            along: point.along.map(str::to_owned),
            at: point.at,
            warm_up,
            median: Figures::over(&runs, middle),
            min: Figures::over(&runs, |values| values.first().copied()),
            max: Figures::over(&runs, |values| values.last().copied()),
            runs,
        }
    }

    /// The spread of a figure.
    pub(crate) fn spread(&self, name: &str) -> Option<(f64, f64)> {
        self.min.of(name).zip(self.max.of(name))
    }
}

/// For people: the median of each figure, and its spread.
impl fmt::Display for Row {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}, median of {}:", self.name, self.runs.len())?;
        for (name, value) in self.median.iter() {
            write!(out, "\n  {name:28} {value:>12}")?;
            if let Some((least, most)) = self.spread(name).filter(|(least, most)| least < most) {
                write!(out, "   {least}..{most}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Point, Row};
    use crate::figures::Figures;

    #[test]
    fn a_row_tells_the_median_and_the_spread() {
        let runs = [3.0, 1.0, 2.0].map(|value| Figures::default().with("a_ms", value));
        let row = Row::new(Point::named("as it is"), Vec::new(), runs.into());
        let text = row.to_string();
        assert_eq!(
            text.split_whitespace().collect::<Vec<_>>().join(" "),
            "as it is, median of 3: a_ms 2 1..3"
        );
    }
}
