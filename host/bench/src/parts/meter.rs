//! How an operation is measured: in repetitions of many, by the time that this process spends on processors, and by
//! the time that passes. It refuses to know what is measured.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::failure::Failure;
use crate::figures::Figures;
use crate::record::{Point, Row};
use crate::terms::Runs;

/// So long at least, and the number of operations that fill a repetition can be told.
const CALIBRATION: Duration = Duration::from_millis(5);

/// Measures one operation after the other, and keeps what it found.
#[derive(Debug)]
pub(super) struct Meter {
    runs: Runs,
    repetition: Duration,
    only: Option<String>,
    rows: Vec<Row>,
}

impl Meter {
    /// Repetitions of this length; `only` measures what has this in its name.
    pub(super) fn new(runs: Runs, repetition: Duration, only: Option<String>) -> Self {
        Self {
            runs,
            repetition,
            only,
            rows: Vec::new(),
        }
    }

    /// Measures work that does an operation so many times as it is told.
    pub(super) async fn measure<W>(&mut self, name: &str, work: impl FnMut(u32) -> W) -> Result<(), Failure>
    where
        W: Future<Output = Result<(), Failure>>,
    {
        self.measure_rounds(name, 1, work).await
    }

    /// The same for work that does so many rounds as it is told, each of some operations.
    pub(super) async fn measure_rounds<W>(
        &mut self,
        name: &str,
        of_a_round: u32,
        mut work: impl FnMut(u32) -> W,
    ) -> Result<(), Failure>
    where
        W: Future<Output = Result<(), Failure>>,
    {
        if self.only.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
            return Ok(());
        }
        let rounds = self.fill(&mut work).await?;
        let operations = rounds.saturating_mul(of_a_round);
        let mut runs = Vec::new();
        for _ in 0..self.runs.count() {
            let (spent, begun) = (process_cpu(), Instant::now());
            work(rounds).await?;
            let (wall, cpu) = (begun.elapsed(), process_cpu().saturating_sub(spent));
            let each = |time: Duration| time.as_secs_f64() * 1e9 / f64::from(operations);
            runs.push(Figures::default().with("cpu_ns", each(cpu)).with("wall_ns", each(wall)));
        }
        let point = Point::named(name).with("operations", f64::from(operations));
        self.rows.push(self.runs.row_of(point, runs)?);
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
    pub(super) fn rows(self) -> Vec<Row> {
        self.rows
    }

    /// How many rounds fill a repetition. Warms up what is measured.
    async fn fill<W>(&self, work: &mut impl FnMut(u32) -> W) -> Result<u32, Failure>
    where
        W: Future<Output = Result<(), Failure>>,
    {
        let mut rounds: u32 = 1;
        loop {
            let begun = Instant::now();
            work(rounds).await?;
            let took = begun.elapsed();
            if took >= CALIBRATION || rounds >= u32::MAX / 4 {
                let fit = f64::from(rounds) * self.repetition.as_secs_f64() / took.as_secs_f64();
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "clamped to the range"
                )]
                return Ok(fit.clamp(1.0, f64::from(u32::MAX)) as u32);
            }
            rounds *= 2;
        }
    }
}

/// The time that this process has spent on processors.
fn process_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(seconds.unwrap_or_default(), nanos.unwrap_or_default())
}
