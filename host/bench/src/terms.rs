//! The terms of a benchmark: which server, how often, and how it is told.

use clap::Args;
use client::address::Address;

use crate::failure::Failure;
use crate::figures::Figures;
use crate::machine::{Machine, Stolen, Versions};
use crate::names::{now, unique};
use crate::print::print;
use crate::process::Process;
use crate::record::{Point, Record, Row};

/// What an answered write survives in an embedded store as it is without settings.
pub(crate) const EMBEDDED: &str = "embedded store (SQLite with a write-ahead log), synchronous=full";

/// The arguments that benchmarks of a whole server share.
#[derive(Debug, Clone, Args)]
pub(crate) struct Terms {
    /// Where the server is; one of its own, on embedded storage, when absent.
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<Address>,
    /// Arguments of `mpim up` for a server of its own, divided by spaces.
    #[arg(
        long,
        value_name = "ARGS",
        conflicts_with = "url",
        allow_hyphen_values = true,
        default_value = ""
    )]
    up: String,
    /// One more process whose time on processors is told, and whatever else of the server's, such as mariadb=4711.
    #[arg(long, value_name = "NAME=PID")]
    pub(crate) cpu_of: Vec<Process>,
    #[command(flatten)]
    pub(crate) runs: Runs,
}

/// The arguments of benchmarks that leave no choice of a server: how often, and how it is told.
#[derive(Debug, Clone, Args)]
pub(crate) struct Runs {
    /// What else must be known to believe the figures, such as the durability of networked storage.
    #[arg(long, value_name = "TEXT")]
    note: Vec<String>,
    /// Runs before those that count.
    #[arg(long, value_name = "N", default_value_t = 1)]
    warm_up: usize,
    /// Runs that count.
    #[arg(long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u64).range(1..))]
    repeat: u64,
    /// Prints every figure of every run as JSON.
    #[arg(long)]
    json: bool,
}

impl Terms {
    /// Arguments of `mpim up`.
    pub(crate) fn up(&self) -> Vec<String> {
        self.up.split_whitespace().map(str::to_owned).collect()
    }

    /// Whether a server of its own keeps its data in a file of its own.
    pub(crate) fn is_embedded(&self) -> bool {
        let networked = |argument: &String| argument == "--mysql" || argument.starts_with("--mysql=");
        self.url.is_none() && !self.up().iter().any(networked) && std::env::var_os("MPIM_MYSQL_URL").is_none()
    }

    /// A manifest other than the bundled one.
    pub(crate) fn app(&self) -> Vec<String> {
        let up = self.up();
        let mut arguments = up.iter();
        match arguments.find(|argument| argument.starts_with("--app")) {
            Some(app) if app == "--app" => [Some(app), arguments.next()].into_iter().flatten().cloned().collect(),
            app => app.into_iter().cloned().collect(),
        }
    }

    fn durability(&self) -> &'static str {
        match (self.is_embedded(), self.app().is_empty()) {
            (true, true) => EMBEDDED,
            (true, false) => "embedded store (SQLite with a write-ahead log), synchronous as the manifest says",
            (false, _) => "that of the server's storage, see the notes",
        }
    }

    /// A record of nothing yet.
    pub(crate) fn record(&self, benchmark: &str, settings: Figures) -> Record {
        let server = match &self.url {
            Some(url) => format!("{url}, started by somebody else"),
            None => format!("mpim up {}", self.up).trim_end().to_owned(),
        };
        Record {
            server,
            durability: self.durability().to_owned(),
            ..self.runs.record(benchmark, settings)
        }
    }
}

impl Runs {
    /// Measures one row: runs that warm up, and runs that count. `once` gets a name that no other run has.
    pub(crate) async fn row(
        &self,
        point: Point,
        mut once: impl AsyncFnMut(&str) -> Result<Figures, Failure>,
    ) -> Result<Row, Failure> {
        let mut runs = Vec::new();
        for _ in 0..self.count() {
            let stolen = Stolen::since_now();
            let mut figures = once(&unique()).await?;
            if let Some(percent) = stolen.percent() {
                figures.set("stolen_percent", percent);
            }
            runs.push(figures);
        }
        self.row_of(point, runs)
    }

    /// How many runs a row has, those that warm up included.
    pub(crate) fn count(&self) -> u64 {
        self.repeat.saturating_add(self.warm_up as u64)
    }

    /// The row of all its runs, those that warm up before the others.
    pub(crate) fn row_of(&self, point: Point, mut runs: Vec<Figures>) -> Result<Row, Failure> {
        let counted = runs.split_off(self.warm_up.min(runs.len()));
        let row = Row::new(point, runs, counted);
        self.say(&row.to_string())?;
        Ok(row)
    }

    /// What a person reads meanwhile.
    pub(crate) fn say(&self, text: &str) -> Result<(), Failure> {
        match self.json {
            true => Ok(()),
            false => print(text),
        }
    }

    /// A record of nothing yet, and of no server.
    pub(crate) fn record(&self, benchmark: &str, settings: Figures) -> Record {
        Record {
            benchmark: benchmark.to_owned(),
            machine: Machine::this(),
            versions: Versions::this(),
            notes: self.note.clone(),
            settings,
            ..Record::default()
        }
    }

    /// Prints what a machine reads, if that is wanted.
    pub(crate) fn tell(&self, mut record: Record) -> Result<(), Failure> {
        record.measured_at_s = now().as_secs();
        match self.json {
            true => print(&serde_json::to_string(&record).map_err(Failure::other)?),
            false => record.notes.iter().try_for_each(|note| print(&format!("note: {note}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::Terms;
    use crate::figures::Figures;
    use crate::record::Point;

    #[derive(Parser)]
    struct Alone {
        #[command(flatten)]
        terms: Terms,
    }

    fn terms(arguments: &[&str]) -> Result<Terms, clap::Error> {
        let all = ["bench"].iter().chain(arguments);
        Ok(Alone::try_parse_from(all)?.terms)
    }

    #[test]
    fn rows_are_written_only_into_an_embedded_store_of_its_own() -> Result<(), clap::Error> {
        assert!(!terms(&["--url", "http://127.0.0.1:1"])?.is_embedded());
        for networked in ["--mysql mysql://there/mpim", "--node a --mysql=mysql://there/mpim"] {
            assert!(!terms(&["--up", networked])?.is_embedded(), "{networked}");
        }
        Ok(())
    }

    #[test]
    fn the_manifest_is_found_among_the_arguments() -> Result<(), clap::Error> {
        assert_eq!(
            terms(&["--up", "--node a --app b.toml --redis c"])?.app(),
            ["--app", "b.toml"]
        );
        assert_eq!(terms(&["--up", "--app=b.toml"])?.app(), ["--app=b.toml"]);
        assert!(terms(&[])?.app().is_empty());
        Ok(())
    }

    #[test]
    fn the_first_runs_of_a_row_warm_up() -> Result<(), Box<dyn std::error::Error>> {
        let runs = terms(&["--warm-up", "2", "--repeat", "1", "--json"])?.runs;
        let each = (0..runs.count()).map(|number| Figures::default().with("number", number as f64));
        let row = runs.row_of(Point::named("all"), each.collect()).map_err(|_| "no row")?;
        assert_eq!((row.warm_up.len(), row.runs.len()), (2, 1));
        assert_eq!(row.median.of("number"), Some(2.0));
        Ok(())
    }

    #[test]
    fn wrong_terms_are_refused() {
        for wrong in [
            &["--repeat", "0"][..],
            &["--cpu-of", "redis"],
            &["--url", "a", "--up", "b"],
        ] {
            assert!(terms(wrong).is_err(), "{wrong:?}");
        }
    }
}
