//! The stories of clusters again and again, each round with a new seed, until the time is over; and a table of what
//! they tell. It reads the line that a story prints in the end, and refuses to know what a story is.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::cargo;
use crate::workspace::{Failure, Workspace};

const MINUTES: u64 = 10;
/// How the line of a story begins.
const STORY: &str = "story=";
/// What is added up over the rounds of a story; of the gap the longest is taken.
const SUMS: [&str; 7] = [
    "accepted",
    "delivered",
    "duplicates_on_wire",
    "duplicates_shown",
    "out_of_order",
    "lost",
    "turned_away",
];
const GAP: &str = "longest_gap_ms";

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Soak {
    minutes: u64,
    /// Only stories whose names contain this.
    filter: String,
}

impl Soak {
    /// Reads `[--minutes N] [FILTER]`; none is wrong usage.
    pub(crate) fn read(arguments: &[String]) -> Option<Self> {
        let mut soak = Self {
            minutes: MINUTES,
            filter: "cluster::".to_owned(),
        };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                "--minutes" => soak.minutes = rest.next()?.parse().ok()?,
                filter if !filter.starts_with('-') => soak.filter = format!("cluster::{filter}"),
                _ => return None,
            }
        }
        Some(soak)
    }

    /// Tells stories until the time is over. A story that fails is a failure, once all rounds were told.
    pub(crate) fn run(&self, workspace: &Workspace) -> Result<(), Failure> {
        let end = Instant::now() + Duration::from_secs(self.minutes * 60);
        let mut table = Table::default();
        let mut seed = first_seed();
        loop {
            table.rounds += 1;
            println!("round {}, MPIM_SEED={seed}", table.rounds);
            self.round(workspace, seed, &mut table)?;
            seed = seed.wrapping_add(1);
            if Instant::now() >= end {
                break;
            }
        }
        print!("{}", table.text());
        match table.failed.as_slice() {
            [] => Ok(()),
            failed => Err(Failure(format!("stories failed:\n  {}", failed.join("\n  ")))),
        }
    }

    fn round(&self, workspace: &Workspace, seed: u64, table: &mut Table) -> Result<(), Failure> {
        let mut command = cargo::command(workspace);
        command.args(["test", "--release", "--package", "mpim", "--test", "stories", "--"]);
        command.args([&self.filter, "--nocapture", "--test-threads=1"]);
        command.env("MPIM_SEED", seed.to_string()).stdout(Stdio::piped());
        run(&mut command, |line| {
            println!("{line}");
            table.read(line, seed);
        })
    }
}

/// Runs a command and gives each line that it prints. A command that ends with an error has said why.
fn run(command: &mut Command, mut line: impl FnMut(&str)) -> Result<(), Failure> {
    let cannot = |error: std::io::Error| Failure(format!("the stories cannot be run: {error}"));
    let mut child = command.spawn().map_err(cannot)?;
    if let Some(out) = child.stdout.take() {
        BufReader::new(out)
            .lines()
            .map_while(Result::ok)
            .for_each(|text| line(&text));
    }
    child.wait().map_err(cannot).map(|_| ())
}

/// Another one each time.
fn first_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_secs() % 1_000_000 * 1000
}

/// What the stories told.
#[derive(Debug, Default)]
struct Table {
    rounds: u64,
    stories: BTreeMap<String, Row>,
    failed: Vec<String>,
    /// The test whose output is read.
    story: String,
}

#[derive(Debug, Default)]
struct Row {
    told: u64,
    sums: [u64; SUMS.len()],
    gap_ms: u64,
}

impl Table {
    /// Takes a line that a story, or the program that runs them, has printed.
    fn read(&mut self, line: &str, seed: u64) {
        // What a story prints follows its name, and how it ended follows that.
        if let Some((name, _)) = line.strip_prefix("test ").and_then(|line| line.split_once(" ... ")) {
            name.clone_into(&mut self.story);
        }
        if let Some((_, figures)) = line.split_once(STORY) {
            self.add(figures);
        } else if line == "FAILED" || line.ends_with("... FAILED") {
            self.failed.push(format!("{} MPIM_SEED={seed}", self.story));
        }
    }

    fn add(&mut self, figures: &str) {
        let mut words = figures.split_whitespace();
        let Some(story) = words.next() else { return };
        let row = self.stories.entry(story.to_owned()).or_default();
        row.told += 1;
        for (name, figure) in words.filter_map(|word| word.split_once('=')) {
            let figure: u64 = figure.parse().unwrap_or(0);
            if name == GAP {
                row.gap_ms = row.gap_ms.max(figure);
            }
            let sums = SUMS.iter().zip(&mut row.sums);
            sums.filter(|(sum, _)| **sum == name)
                .for_each(|(_, sum)| *sum += figure);
        }
    }

    fn text(&self) -> String {
        let mut text = format!("{:24}{:>6}", "story", "told");
        SUMS.iter().for_each(|name| text += &format!("{name:>20}"));
        text += &format!("{GAP:>20}\n");
        for (story, row) in &self.stories {
            text += &format!("{story:24}{:>6}", row.told);
            row.sums.iter().for_each(|sum| text += &format!("{sum:>20}"));
            text += &format!("{:>20}\n", row.gap_ms);
        }
        text + &format!("{} rounds, {} failures\n", self.rounds, self.failed.len())
    }
}

#[cfg(test)]
mod tests {
    use super::{Soak, Table};

    #[test]
    fn time_and_filter_are_read_and_the_rest_is_wrong() {
        let read = |text: &str| Soak::read(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        let soak = |minutes, filter: &str| {
            Some(Soak {
                minutes,
                filter: filter.to_owned(),
            })
        };
        assert_eq!(read(""), soak(10, "cluster::"));
        assert_eq!(read("--minutes 3 redis"), soak(3, "cluster::redis"));
        assert_eq!((read("--minutes"), read("--hours 3")), (None, None));
    }

    #[test]
    fn rounds_of_a_story_are_added_up_and_failures_kept_with_their_seeds() {
        let mut table = Table::default();
        table.read("story=cut seed=1 accepted=10 lost=0 longest_gap_ms=70 turned_away=2", 1);
        table.read(
            "test cluster::cut ... story=cut seed=2 accepted=5 lost=1 longest_gap_ms=30 turned_away=0",
            2,
        );
        table.read("FAILED", 2);
        table.read("test cluster::freeze ... FAILED", 2);
        table.read("test cluster::kill ... ok", 2);
        let row = table.stories.get("cut");
        assert_eq!(
            row.map(|row| (row.told, row.sums, row.gap_ms)),
            Some((2, [15, 0, 0, 0, 0, 1, 2], 70))
        );
        assert_eq!(
            table.failed,
            ["cluster::cut MPIM_SEED=2", "cluster::freeze MPIM_SEED=2"]
        );
        assert!(table.text().lines().nth(1).is_some_and(|line| line.starts_with("cut")));
    }
}
