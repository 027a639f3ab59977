//! The terms of every benchmark: which server, how often, and how it is told.

use clap::Args;

use super::figures::Figures;
use super::machine::{Machine, Versions};
use super::process::Process;
use super::record::{Place, Record, Row};
use super::{now, unique};
use crate::cli::address::Address;
use crate::cli::{Failure, print};

/// The arguments that all benchmarks share.
#[derive(Debug, Clone, Args)]
pub(super) struct Terms {
    /// Where the server is; one of its own, on embedded storage, when absent.
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<Address>,
    /// Arguments of `mpim up` for a server of its own, divided by spaces.
    #[arg(
        long,
        value_name = "ARGS",
        conflicts_with = "url",
        allow_hyphen_values = true,
        default_value = ""
    )]
    up: String,
    /// One more process whose time on processors is told, such as mariadb=4711.
    #[arg(long, value_name = "NAME=PID")]
    pub(super) cpu_of: Vec<Process>,
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
    pub(super) fn up(&self) -> Vec<String> {
        self.up.split_whitespace().map(str::to_owned).collect()
    }

    /// Whether a server of its own keeps its data in a file of its own.
    pub(super) fn is_embedded(&self) -> bool {
        let networked = |argument: &String| argument == "--mysql" || argument.starts_with("--mysql=");
        self.url.is_none() && !self.up().iter().any(networked) && std::env::var_os("MPIM_MYSQL_URL").is_none()
    }

    /// A manifest other than the bundled one.
    pub(super) fn app(&self) -> Vec<String> {
        let up = self.up();
        let mut arguments = up.iter();
        match arguments.find(|argument| argument.starts_with("--app")) {
            Some(app) if app == "--app" => [Some(app), arguments.next()].into_iter().flatten().cloned().collect(),
            app => app.into_iter().cloned().collect(),
        }
    }

    fn durability(&self) -> &'static str {
        match (self.is_embedded(), self.app().is_empty()) {
            (true, true) => "embedded store (SQLite with a write-ahead log), synchronous=full",
            (true, false) => "embedded store (SQLite with a write-ahead log), synchronous as the manifest says",
            (false, _) => "that of the server's storage, see the notes",
        }
    }

    /// Measures one row: runs that warm up, and runs that count. `once` gets a name that no other run has.
    pub(super) async fn row(
        &self,
        place: Place,
        mut once: impl AsyncFnMut(&str) -> Result<Figures, Failure>,
    ) -> Result<Row, Failure> {
        let (mut warm_up, mut runs) = (Vec::new(), Vec::new());
        for _ in 0..self.warm_up {
            warm_up.push(once(&unique()).await?);
        }
        for _ in 0..self.repeat {
            runs.push(once(&unique()).await?);
        }
        let row = Row::new(place, warm_up, runs);
        self.say(&row.to_string())?;
        Ok(row)
    }

    /// What a person reads meanwhile.
    pub(super) fn say(&self, text: &str) -> Result<(), Failure> {
        match self.json {
            true => Ok(()),
            false => print(text),
        }
    }

    /// A record of nothing yet.
    pub(super) fn record(&self, benchmark: &str, settings: Figures) -> Record {
        Record {
            benchmark: benchmark.to_owned(),
            measured_at_s: 0,
            machine: Machine::this(),
            versions: Versions::this(),
            server: match &self.url {
                Some(url) => format!("{url}, started by somebody else"),
                None => format!("mpim up {}", self.up).trim_end().to_owned(),
            },
            durability: self.durability().to_owned(),
            notes: self.note.clone(),
            settings,
            rows: Vec::new(),
        }
    }

    /// Prints what a machine reads, if that is wanted.
    pub(super) fn tell(&self, mut record: Record) -> Result<(), Failure> {
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
