//! How an operation is measured: in repetitions of many, by the time that this process spends on processors, and by
//! the time that passes. It refuses to know what is measured.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use crate::cli::{Failure, print};

/// So long at least, and the number of operations that fill a repetition can be told.
const CALIBRATION: Duration = Duration::from_millis(5);

/// Measures one operation after the other, and keeps what it found.
#[derive(Debug)]
pub(super) struct Meter {
    repeat: usize,
    repetition: Duration,
    says: bool,
    only: Option<String>,
    figures: Vec<Figure>,
}

/// What one operation took.
#[derive(Debug, Serialize)]
pub(super) struct Figure {
    name: String,
    /// Of one repetition.
    operations: u32,
    cpu_us: Spread,
    wall_us: Spread,
}

/// Of the repetitions.
#[derive(Debug, Serialize)]
struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

impl Meter {
    /// Repetitions of this length; `says` prints each figure when it is there, `only` measures what has this in its
    /// name.
    pub(super) fn new(repeat: usize, repetition: Duration, says: bool, only: Option<String>) -> Self {
        Self {
            repeat: repeat.max(1),
            repetition,
            says,
            only,
            figures: Vec::new(),
        }
    }

    /// Measures work that does an operation so many times as it is told.
    pub(super) async fn measure<W>(&mut self, name: &str, mut work: impl FnMut(u32) -> W) -> Result<(), Failure>
    where
        W: Future<Output = Result<(), Failure>>,
    {
        if self.only.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
            return Ok(());
        }
        let operations = self.fill(&mut work).await?;
        let (mut cpu, mut wall) = (Vec::new(), Vec::new());
        for _ in 0..self.repeat {
            let (spent, begun) = (process_cpu(), Instant::now());
            work(operations).await?;
            let each = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(operations);
            wall.push(each(begun.elapsed()));
            cpu.push(each(process_cpu().saturating_sub(spent)));
        }
        let figure = Figure {
            name: name.to_owned(),
            operations,
            cpu_us: Spread::of(cpu),
            wall_us: Spread::of(wall),
        };
        if self.says {
            print(&figure.line())?;
        }
        self.figures.push(figure);
        Ok(())
    }

    /// The same for work that waits for nothing.
    pub(super) async fn measure_now(&mut self, name: &str, mut operation: impl FnMut()) -> Result<(), Failure> {
        let work = |operations| {
            (0..operations).for_each(|_| operation());
            std::future::ready(Ok(()))
        };
        self.measure(name, work).await
    }

    /// What was measured.
    pub(super) fn figures(self) -> Vec<Figure> {
        self.figures
    }

    /// How many operations fill a repetition. Warms up what is measured.
    async fn fill<W>(&self, work: &mut impl FnMut(u32) -> W) -> Result<u32, Failure>
    where
        W: Future<Output = Result<(), Failure>>,
    {
        let mut operations: u32 = 1;
        loop {
            let begun = Instant::now();
            work(operations).await?;
            let took = begun.elapsed();
            if took >= CALIBRATION || operations >= u32::MAX / 4 {
                let fit = f64::from(operations) * self.repetition.as_secs_f64() / took.as_secs_f64();
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "clamped to the range"
                )]
                return Ok(fit.clamp(1.0, f64::from(u32::MAX)) as u32);
            }
            operations *= 2;
        }
    }
}

impl Figure {
    fn line(&self) -> String {
        let Self {
            name, cpu_us, wall_us, ..
        } = self;
        format!("{name:<58} cpu {cpu_us} µs, wall {wall_us} µs")
    }
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |index: usize| rounded(values.get(index).copied().unwrap_or_default());
        Self {
            median: at(values.len() / 2),
            least: at(0),
            most: at(values.len().saturating_sub(1)),
        }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = format!("{} ({} to {})", self.median, self.least, self.most);
        write!(out, "{text:<28}")
    }
}

/// To the nanosecond.
fn rounded(value_us: f64) -> f64 {
    (value_us * 1e3).round() / 1e3
}

/// The time that this process has spent on processors.
fn process_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(seconds.unwrap_or_default(), nanos.unwrap_or_default())
}
