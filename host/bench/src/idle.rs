//! Connections that are logged in and idle: what each costs the server in memory, and in time by what keeps it alive.

use std::time::Duration;

use clap::Args;
use client::address::Address;
use futures_util::stream::{self, StreamExt};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep};

use crate::account::Account;
use crate::failure::Failure;
use crate::figures::Figures;
use crate::process::{Process, allow_files};
use crate::quiet::Quiet;
use crate::record::Point;
use crate::subject::{MOST_REGISTERED, Subject};
use crate::terms::Terms;

/// Connections that are being opened at a time.
const ABREAST: usize = 64;
/// Connections that are there before the memory of the server is looked at: what is made once is no part of each.
const BEFORE: usize = 100;
/// After the last connection, before the time of the server is counted.
const SETTLE: Duration = Duration::from_secs(3);
/// Between ends of connections to a server that goes on.
const BETWEEN: Duration = Duration::from_millis(30);
/// Files that a process has open besides.
const OTHER_FILES: u64 = 500;

/// Idle connections: memory, and time on processors of the server for each.
///
/// Each run has a server of its own, since memory that was in use once looks as if it still were; with `--url` there is
/// one for all, whose process `--cpu-of server=PID` names. The window should hold more than one round of pings and of
/// leases, each 30 seconds.
#[derive(Debug, Args)]
pub(crate) struct Idle {
    /// Connections, one number after the other; up to 20,000 from each of 127.0.0.1, 127.0.0.2 and so on.
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "10000")]
    connections: Vec<usize>,
    /// Seconds for which time on processors is counted.
    #[arg(long, value_name = "S", default_value_t = 60)]
    hold: u64,
    #[command(flatten)]
    terms: Terms,
}

/// Measures and reports.
pub(crate) async fn run(idle: Idle) -> Result<(), Failure> {
    let terms = &idle.terms;
    let most = idle.connections.iter().copied().max().unwrap_or_default();
    allow_files(most as u64 + BEFORE as u64 + OTHER_FILES)?;
    let users = |connections: usize| {
        let users = u32::try_from(connections + BEFORE).unwrap_or(u32::MAX);
        match terms.is_embedded() {
            true => users,
            false => users.min(MOST_REGISTERED / 5),
        }
    };
    let settings = Figures::default().with("hold_s", idle.hold as f64);
    let mut record = terms.record("idle", settings);
    if !terms.is_embedded() {
        let note = format!("the connections share {} accounts", users(most));
        record.notes.push(note);
    }
    // A server that compiles keeps memory for that: the first of them all is none that is measured.
    let mut folder = match terms.url {
        Some(_) => None,
        None => Subject::begin(terms, 1, |_, _| Ok(())).await?.end(),
    };
    let mut former: Option<(Subject, Held)> = None;
    for connections in &idle.connections {
        let name = format!("{connections} connections");
        let point = Point::along(name, "connections", *connections as f64);
        let once = async |_: &str| {
            let subject = match former.take() {
                Some((subject, held)) if terms.url.is_some() => {
                    held.release().await;
                    subject
                }
                // The server first: it is spared the ends of all connections at once.
                former => {
                    let former = former.and_then(|(subject, _held)| subject.end());
                    let folder = former.or_else(|| folder.take());
                    Subject::begin_in(terms, folder, users(*connections), |_, _| Ok(())).await?
                }
            };
            let (figures, held) = once(&idle, &subject, *connections).await?;
            former = Some((subject, held));
            Ok(figures)
        };
        record.rows.push(terms.runs.row(point, once).await?);
    }
    if let Some((_, held)) = former.take_if(|_| terms.url.is_some()) {
        held.release().await;
    }
    terms.runs.tell(record)
}

async fn once(idle: &Idle, subject: &Subject, connections: usize) -> Result<(Figures, Held), Failure> {
    let mut held = Held::default();
    held.open(subject.address(), &subject.accounts, 0..BEFORE).await?;
    sleep(SETTLE).await;
    let resident = |process: Option<&Process>| process.and_then(Process::resident_bytes);
    let own = Process::own();
    let before = (resident(subject.server()), resident(Some(&own)));
    let opening = subject.meter();
    let begun = Instant::now();
    held.open(subject.address(), &subject.accounts, BEFORE..BEFORE + connections)
        .await?;
    let took = begun.elapsed().as_secs_f64();
    let mut figures = Figures::default().with("opened_per_s", connections as f64 / took.max(1e-9));
    let mut spent = Figures::default();
    opening.cpu(&mut spent, connections as f64);
    if let Some(us) = spent.of("server_cpu_us") {
        figures.set("open_server_cpu_us", us);
    }
    sleep(SETTLE).await;
    let meter = subject.meter();
    sleep(Duration::from_secs(idle.hold)).await;
    // For one connection and one second.
    meter.cpu(&mut figures, connections as f64 * idle.hold as f64);
    let after = (resident(subject.server()), resident(Some(&own)));
    for (name, before, after) in [("server", before.0, after.0), ("load", before.1, after.1)] {
        if let Some((before, after)) = before.zip(after) {
            let each = after.saturating_sub(before) as f64 / connections.max(1) as f64;
            figures.set(format!("{name}_resident_bytes"), each);
        }
    }
    if let Some(bytes) = after.0 {
        figures.set("server_resident_mib", bytes as f64 / f64::from(1 << 20));
    }
    let mut lost = 0.0;
    while held.tasks.try_join_next().is_some() {
        lost += 1.0;
    }
    figures.set("lost", lost);
    Ok((figures, held))
}

/// Connections that are held.
#[derive(Debug, Default)]
struct Held {
    tasks: JoinSet<()>,
    ends: Vec<AbortHandle>,
}

impl Held {
    async fn open(
        &mut self,
        address: &Address,
        accounts: &[Account],
        numbers: std::ops::Range<usize>,
    ) -> Result<(), Failure> {
        let of = |number: usize| accounts.get(number % accounts.len().max(1));
        let open = |(number, account): (usize, &Account)| {
            let (address, token) = (address.clone(), account.grant.token.clone());
            tokio::spawn(async move { Quiet::connect(&address, &token, number).await })
        };
        let mut opening = stream::iter(numbers.filter_map(|number| Some((number, of(number)?))))
            .map(open)
            .buffer_unordered(ABREAST);
        while let Some(quiet) = opening.next().await {
            let quiet = quiet.map_err(Failure::other)??;
            self.ends.push(self.tasks.spawn(quiet.hold()));
        }
        Ok(())
    }

    /// Ends connections to a server that goes on, not all at once.
    async fn release(self) {
        for some in self.ends.chunks(ABREAST) {
            some.iter().for_each(AbortHandle::abort);
            sleep(BETWEEN).await;
        }
    }
}
