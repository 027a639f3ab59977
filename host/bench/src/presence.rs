//! A network that fails and comes back: many connections dropped at once, and all of them opened again at once, while
//! others watch who is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;
use client::accounts::resume;
use client::error::Error;
use client::frames::{Frame, Notice};
use client::params::Nothing;
use client::records::{Int, PresenceChange};
use client::socket::Client;
use futures_util::stream::{self, StreamExt};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::account::Account;
use crate::failure::Failure;
use crate::figures::Figures;
use crate::process::allow_files;
use crate::quiet::Quiet;
use crate::record::Point;
use crate::subject::Subject;
use crate::terms::Terms;

const LOOK: Duration = Duration::from_millis(20);
/// Longer than any lease lives.
const PATIENCE: Duration = Duration::from_secs(120);
const OTHER_FILES: u64 = 500;

/// A reconnect storm: all connections dropped at once, then all back at once.
///
/// Each user is a contact of one watcher, whose connection stays. The storm begins when everybody is known to be gone;
/// it is over when all are connected again, and when every watcher was told so. It wants an embedded store of its own,
/// into which the contacts are written.
#[derive(Debug, Args)]
pub(crate) struct Presence {
    /// Connections that are dropped.
    #[arg(long, value_name = "N", default_value_t = 5000)]
    connections: u32,
    /// Users whose connections stay, and who are told.
    #[arg(long, value_name = "N", default_value_t = 100)]
    watchers: u32,
    /// Connections that are opened at a time in the storm.
    #[arg(long, value_name = "N", default_value_t = 500)]
    abreast: usize,
    #[command(flatten)]
    terms: Terms,
}

/// Measures and reports.
pub(crate) async fn run(presence: Presence) -> Result<(), Failure> {
    let terms = &presence.terms;
    if !terms.is_embedded() {
        return Err(Failure::other(
            "the contacts can only be written into an embedded store of its own",
        ));
    }
    allow_files(u64::from(presence.connections) + u64::from(presence.watchers) + OTHER_FILES)?;
    let watchers = presence.watchers.max(1);
    let subject = Subject::begin(terms, presence.connections + watchers, |seeding, accounts| {
        let (watchers, watched) = accounts.split_at(accounts.len().min(watchers as usize));
        seeding.contacts(watched.iter().zip(watchers.iter().cycle()))
    })
    .await?;
    let settings = Figures::default()
        .with("watchers", f64::from(watchers))
        .with("abreast", presence.abreast as f64);
    let mut record = terms.record("presence", settings);
    let name = format!("{} connections dropped and back", presence.connections);
    let point = Point::named(name).with("connections", f64::from(presence.connections));
    let once = async |_: &str| once(&presence, &subject, watchers as usize).await;
    record.rows.push(terms.runs.row(point, once).await?);
    terms.runs.tell(record)
}

async fn once(presence: &Presence, subject: &Subject, watchers: usize) -> Result<Figures, Failure> {
    let (watchers, watched) = subject.accounts.split_at(subject.accounts.len().min(watchers));
    let told = Arc::new(Told::default());
    let mut watching = JoinSet::new();
    for watcher in watchers {
        let client = resume(subject.address(), &watcher.grant.token).await?;
        watching.spawn(watch(client, Arc::clone(&told)));
    }
    let first = watched.first().ok_or_else(|| Failure::other("nobody is watched"))?;
    let all = watched.len() as u64;
    let online = connect(presence, subject, watched).await?;
    told.until(Way::Came, all).await;

    let dropping = subject.meter();
    let dropped = Instant::now();
    online.into_iter().for_each(Quiet::abandon);
    let gone = told.until(Way::Went, all).await;
    let mut figures = Figures::default()
        .with("gone_known_s", dropped.elapsed().as_secs_f64())
        .with("gone_untold", gone as f64);
    let mut spent = Figures::default();
    dropping.cpu(&mut spent, all as f64);
    if let Some(us) = spent.of("server_cpu_us") {
        figures.set("gone_server_cpu_us", us);
    }

    told.forget();
    let storm = subject.meter();
    let begun = Instant::now();
    let back = connect(presence, subject, watched).await?;
    figures.set("all_back_s", begun.elapsed().as_secs_f64());
    let untold = told.until(Way::Came, all).await;
    figures.set("back_known_s", begun.elapsed().as_secs_f64());
    figures.set("back_untold", untold as f64);
    storm.cpu(&mut figures, all as f64);

    let mut asking = resume(subject.address(), &first.grant.token).await?;
    let online: Int = asking.call("presence.count-online", &Nothing {}).await?;
    figures.set("online", online.0 as f64 - watchers.len() as f64);
    asking.close().await;
    told.forget();
    back.into_iter().for_each(Quiet::abandon);
    told.until(Way::Went, all).await;
    watching.shutdown().await;
    Ok(figures)
}

/// Opens the connections of these accounts.
async fn connect(presence: &Presence, subject: &Subject, accounts: &[Account]) -> Result<Vec<Quiet>, Failure> {
    let open = |(number, account): (usize, &Account)| {
        let (address, token) = (subject.address().clone(), account.grant.token.clone());
        tokio::spawn(async move { Quiet::connect(&address, &token, number).await })
    };
    let mut opening = stream::iter(accounts.iter().enumerate())
        .map(open)
        .buffer_unordered(presence.abreast.max(1));
    let mut open = Vec::with_capacity(accounts.len());
    while let Some(quiet) = opening.next().await {
        open.push(quiet.map_err(Failure::other)??);
    }
    Ok(open)
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Came,
    Went,
}

/// How many watchers were told of somebody.
#[derive(Debug, Default)]
struct Told {
    came: AtomicU64,
    went: AtomicU64,
}

impl Told {
    fn count(&self, way: Way) -> &AtomicU64 {
        match way {
            Way::Came => &self.came,
            Way::Went => &self.went,
        }
    }

    fn forget(&self) {
        self.came.store(0, Ordering::Relaxed);
        self.went.store(0, Ordering::Relaxed);
    }

    /// Waits until so many were told, and gives how many were not in time.
    async fn until(&self, way: Way, all: u64) -> u64 {
        let begun = Instant::now();
        loop {
            let told = self.count(way).load(Ordering::Relaxed);
            if told >= all || begun.elapsed() >= PATIENCE {
                return all.saturating_sub(told);
            }
            sleep(LOOK).await;
        }
    }
}

async fn watch(mut client: Client, told: Arc<Told>) -> Result<(), Error> {
    loop {
        let text = client.next().await?;
        if let Frame::Notification { name, params } = Frame::read(&text)?
            && name == "presence"
        {
            let change: Notice<PresenceChange> = params.read()?;
            let way = if change.body.online { Way::Came } else { Way::Went };
            told.count(way).fetch_add(1, Ordering::Relaxed);
        }
    }
}
