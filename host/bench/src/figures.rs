//! Figures by name, in the order in which they were told. Their units stand last in their names.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::latencies::Latencies;

/// Percentiles that are told of each latency, in thousandths.
const TOLD: [(&str, u64); 5] = [("p50", 500), ("p95", 950), ("p99", 990), ("p999", 999), ("max", 1000)];

/// Figures by name; in JSON an object that keeps their order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Figures(Vec<(String, f64)>);

impl Figures {
    /// Adds one, or changes it. Three decimals are kept.
    pub(crate) fn set(&mut self, name: impl Into<String>, value: f64) {
        let (name, value) = (name.into(), (value * 1e3).round() / 1e3);
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name, value)),
        }
    }

    /// As [`Figures::set`], for a chain.
    #[must_use]
    pub(crate) fn with(mut self, name: impl Into<String>, value: f64) -> Self {
        self.set(name, value);
        self
    }

    /// Adds the percentiles of a latency, under names that begin so.
    pub(crate) fn latencies(&mut self, what: &str, latencies: &Latencies) {
        for (percentile, thousandths) in TOLD {
            let us = latencies.quantile_us(thousandths);
            self.set(format!("{what}{percentile}_ms"), us as f64 / 1e3);
        }
    }

    /// The figure of a name.
    pub(crate) fn of(&self, name: &str) -> Option<f64> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// All, in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// Each figure that any run has, made of its values in those runs, which are in ascending order.
    pub(crate) fn over(runs: &[Self], choose: impl Fn(&[f64]) -> Option<f64>) -> Self {
        let mut over = Self::default();
        for (name, _) in runs.iter().flat_map(Self::iter) {
            if over.of(name).is_none() {
                let mut values: Vec<f64> = runs.iter().filter_map(|run| run.of(name)).collect();
                values.sort_by(f64::total_cmp);
                if let Some(chosen) = choose(&values) {
                    over.set(name, chosen);
                }
            }
        }
        over
    }
}

impl Serialize for Figures {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Figures {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Figures;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object of numbers")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut members: M) -> Result<Figures, M::Error> {
                let mut figures = Figures::default();
                while let Some((name, value)) = members.next_entry::<String, f64>()? {
                    figures.0.push((name, value));
                }
                Ok(figures)
            }
        }
        input.deserialize_map(Members)
    }
}

/// The one in the middle of ascending values, the higher of two.
pub(crate) fn middle(values: &[f64]) -> Option<f64> {
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::{Figures, middle};

    #[test]
    fn figures_keep_their_order_in_json() -> Result<(), serde_json::Error> {
        let figures = Figures::default().with("z_ms", 1.0).with("a_per_s", 2.5);
        let text = serde_json::to_string(&figures)?;
        assert_eq!(text, r#"{"z_ms":1.0,"a_per_s":2.5}"#);
        assert_eq!(serde_json::from_str::<Figures>(&text)?, figures);
        Ok(())
    }

    #[test]
    fn each_figure_is_taken_over_the_runs_that_have_it() {
        let runs = [
            Figures::default().with("a", 3.0),
            Figures::default().with("a", 1.0).with("b", 7.0),
            Figures::default().with("a", 2.0),
        ];
        let expected = Figures::default().with("a", 2.0).with("b", 7.0);
        assert_eq!(Figures::over(&runs, middle), expected);
        assert_eq!(Figures::over(&[], middle), Figures::default());
    }
}
