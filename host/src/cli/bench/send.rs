//! One-to-one messages from end to end: the sender's frame, the store, the receiver's frame, its acknowledgement, the
//! sender's receipt.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::pair::{self, Heard, LEAST_BYTES, Run, Sent};
use super::process::{Server, own_cpu};
use crate::cli::accounts::{enter, resume};
use crate::cli::address::Address;
use crate::cli::error::Error;
use crate::cli::latencies::Latencies;
use crate::cli::wire::Grant;
use crate::cli::{Failure, print};

/// Passwords are hashed slowly on purpose: more registrations at once only wait for each other.
const REGISTRATIONS: usize = 8;
const LOOK: Duration = Duration::from_millis(200);
/// So long without anything that happens, and the run has stalled.
const PATIENCE: Duration = Duration::from_secs(30);

/// One-to-one messages from end to end, with receipts.
///
/// Each pair is a sender and a receiver. A message is in flight until its sender has the receipt that it was delivered.
/// Latency counts from sending to the receiver's frame; with `--rate` from when the message was due, however late it
/// was sent.
#[derive(Debug, Args)]
pub(super) struct Send {
    /// Where the server is; one of its own, on embedded storage, when absent.
    #[arg(long, value_name = "URL")]
    url: Option<Address>,
    /// Arguments of `mpim up` for a server of its own, divided by spaces.
    #[arg(
        long,
        value_name = "ARGS",
        conflicts_with = "url",
        allow_hyphen_values = true,
        default_value = ""
    )]
    up: String,
    /// Pairs of users.
    #[arg(long, value_name = "N", default_value_t = 50)]
    pairs: u32,
    /// Messages of each pair.
    #[arg(long, value_name = "N", default_value_t = 400)]
    messages: u32,
    /// Messages of a pair that are in flight at a time.
    #[arg(long, value_name = "N", default_value_t = 16)]
    in_flight: usize,
    /// Bytes of a message.
    #[arg(long, value_name = "N", default_value_t = 64)]
    bytes: usize,
    /// Messages of all pairs that are offered in a second; as many as are answered when absent.
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
    /// Runs that count, after one that does not.
    #[arg(long, value_name = "N", default_value_t = 3)]
    repeat: usize,
    /// Prints the report as JSON.
    #[arg(long)]
    json: bool,
}

/// The report; its fields are the JSON of `--json`.
#[derive(Debug, Serialize)]
struct Report {
    pairs: u32,
    messages: u32,
    in_flight: usize,
    bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    offered_per_s: Option<f64>,
    runs: Vec<Figures>,
    median: Figures,
}

/// What one run gave. Of a median, each figure is its own.
#[derive(Debug, Clone, Default, Serialize)]
struct Figures {
    accepted_per_s: f64,
    delivered_per_s: f64,
    /// From the first call to the last receipt.
    received_per_s: f64,
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    max_ms: f64,
    answer_p50_ms: f64,
    answer_p99_ms: f64,
    lost: f64,
    repeated: f64,
    turned_away: f64,
    /// Time on processors, of a server of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    server_us_per_message: Option<f64>,
    load_us_per_message: f64,
    /// What the files of its store have grown by.
    #[serde(skip_serializing_if = "Option::is_none")]
    stored_bytes_per_message: Option<f64>,
}

/// Measures and reports.
pub(super) async fn run(send: Send) -> Result<(), Failure> {
    if send.bytes < LEAST_BYTES {
        return Err(Failure::other(format!("a message has at least {LEAST_BYTES} bytes")));
    }
    let server = match &send.url {
        Some(_) => None,
        None => {
            let more: Vec<String> = send.up.split_whitespace().map(str::to_owned).collect();
            Some(tokio::task::block_in_place(|| Server::start(&more))?)
        }
    };
    let own = server.as_ref().map(Server::address);
    let address = send.url.as_ref().or(own).ok_or_else(|| Failure::other("no server"))?;
    let grants = register(address, send.pairs * 2).await?;
    let mut runs = Vec::new();
    for number in 0..=send.repeat {
        let figures = once(&send, number, address, &grants, server.as_ref()).await?;
        if !send.json {
            print(&figures.line(if number == 0 { "warm-up" } else { "run" }))?;
        }
        runs.extend((number > 0).then_some(figures));
    }
    let report = Report {
        pairs: send.pairs,
        messages: send.messages,
        in_flight: send.in_flight,
        bytes: send.bytes,
        offered_per_s: send.rate,
        median: Figures::median(&runs),
        runs,
    };
    match send.json {
        true => print(&serde_json::to_string(&report).map_err(Failure::other)?),
        false => print(&report.median.line("median")),
    }
}

async fn register(address: &Address, users: u32) -> Result<Vec<Grant>, Failure> {
    let name = format!("b{}", std::process::id());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let secret = now.map_or(0, |now| now.as_nanos());
    let enter = |index| {
        let (name, password) = (
            format!("{name}-{secret:x}-{index}"),
            format!("{secret:x}-{index}-secret"),
        );
        async move { enter(address, &name, &password, "bench").await }
    };
    Ok(stream::iter(0..users)
        .map(enter)
        .buffered(REGISTRATIONS)
        .try_collect()
        .await?)
}

async fn once(
    send: &Send,
    number: usize,
    address: &Address,
    grants: &[Grant],
    server: Option<&Server>,
) -> Result<Figures, Failure> {
    let mut clients = Vec::new();
    for grant in grants {
        clients.push(resume(address, &grant.token).await?);
    }
    let every = send
        .rate
        .map(|rate| Duration::from_secs_f64(f64::from(send.pairs) / rate));
    let before = (
        server.and_then(Server::cpu),
        own_cpu(),
        server.map(Server::stored_bytes),
    );
    let run = Arc::new(Run {
        name: format!("{}-{number}", std::process::id()),
        begins: Instant::now(),
        messages: send.messages,
        in_flight: send.in_flight,
        bytes: send.bytes,
        every,
        moved: AtomicU64::new(0),
    });
    let mut working = JoinSet::new();
    let mut clients = clients.into_iter();
    for (place, pair) in (0..).zip(grants.chunks_exact(2)) {
        let (Some(sender), Some(receiver), [_, to]) = (clients.next(), clients.next(), pair) else {
            break;
        };
        // Not all at the same moment.
        let offset = every.map_or(Duration::ZERO, |every| every * place / send.pairs);
        let (to, sending, hearing) = (to.user, Arc::clone(&run), Arc::clone(&run));
        working.spawn(async move { pair::send(sending, sender, to, offset).await.map(Done::Sent) });
        working.spawn(async move { pair::hear(hearing, receiver).await.map(Done::Heard) });
    }
    let done = watch_over(&run, working).await?;
    let figures = Figures::of(send, &done);
    let after = (
        server.and_then(Server::cpu),
        own_cpu(),
        server.map(Server::stored_bytes),
    );
    let each = |before: Option<Duration>, after: Option<Duration>| {
        let spent = after?.checked_sub(before?)?;
        Some(round(spent.as_secs_f64() * 1e6 / send.all()))
    };
    let grown = |(before, after): (u64, u64)| round(after.saturating_sub(before) as f64 / send.all());
    Ok(Figures {
        server_us_per_message: each(before.0, after.0),
        load_us_per_message: each(before.1, after.1).unwrap_or_default(),
        stored_bytes_per_message: before.2.zip(after.2).map(grown),
        ..figures
    })
}

/// What a task leaves.
#[derive(Debug)]
enum Done {
    Sent(Sent),
    Heard(Heard),
}

/// Waits for all, or until nothing moves any more: what did not come by then is lost.
async fn watch_over(run: &Run, mut working: JoinSet<Result<Done, Error>>) -> Result<Vec<Done>, Failure> {
    let mut done = Vec::new();
    let mut moved = (0, Instant::now());
    loop {
        tokio::select! {
            ended = working.join_next() => match ended {
                Some(ended) => done.push(ended.map_err(Failure::other)??),
                None => return Ok(done),
            },
            () = sleep(LOOK) => {
                let now = run.moved.load(Ordering::Relaxed);
                if now != moved.0 {
                    moved = (now, Instant::now());
                } else if moved.1.elapsed() >= PATIENCE {
                    return Ok(done);
                }
            }
        }
    }
}

impl Send {
    fn all(&self) -> f64 {
        f64::from(self.pairs) * f64::from(self.messages)
    }
}

impl Figures {
    fn of(send: &Send, done: &[Done]) -> Self {
        let (mut latencies, mut answers) = (Latencies::default(), Latencies::default());
        let mut figures = Self::default();
        let (mut accepted, mut delivered) = (0, 0);
        let mut last = [Duration::ZERO; 3];
        for done in done {
            match done {
                Done::Sent(sent) => {
                    accepted += sent.accepted;
                    figures.turned_away += sent.turned_away as f64;
                    answers.add(&sent.answers);
                    last = [last[0].max(sent.last_answer), last[1], last[2].max(sent.last_receipt)];
                }
                Done::Heard(heard) => {
                    delivered += heard.delivered;
                    figures.repeated += heard.repeats as f64;
                    latencies.add(&heard.latencies);
                    last[1] = last[1].max(heard.last);
                }
            }
        }
        let rate = |count: u64, last: Duration| (count as f64 / last.as_secs_f64().max(1e-9)).round();
        let ms = |latencies: &Latencies, thousandths| latencies.quantile_us(thousandths) as f64 / 1e3;
        Self {
            accepted_per_s: rate(accepted, last[0]),
            delivered_per_s: rate(delivered, last[1]),
            received_per_s: rate(delivered, last[2]),
            p50_ms: ms(&latencies, 500),
            p95_ms: ms(&latencies, 950),
            p99_ms: ms(&latencies, 990),
            p999_ms: ms(&latencies, 999),
            max_ms: ms(&latencies, 1000),
            answer_p50_ms: ms(&answers, 500),
            answer_p99_ms: ms(&answers, 990),
            lost: send.all() - delivered as f64,
            ..figures
        }
    }

    /// Each figure in the middle of those of the runs.
    fn median(runs: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| middle(runs.iter().map(figure).collect());
        let of_some = |figure: fn(&Self) -> Option<f64>| {
            let values: Vec<f64> = runs.iter().filter_map(figure).collect();
            (!values.is_empty()).then(|| middle(values))
        };
        Self {
            accepted_per_s: of(|run| run.accepted_per_s),
            delivered_per_s: of(|run| run.delivered_per_s),
            received_per_s: of(|run| run.received_per_s),
            p50_ms: of(|run| run.p50_ms),
            p95_ms: of(|run| run.p95_ms),
            p99_ms: of(|run| run.p99_ms),
            p999_ms: of(|run| run.p999_ms),
            max_ms: of(|run| run.max_ms),
            answer_p50_ms: of(|run| run.answer_p50_ms),
            answer_p99_ms: of(|run| run.answer_p99_ms),
            lost: of(|run| run.lost),
            repeated: of(|run| run.repeated),
            turned_away: of(|run| run.turned_away),
            server_us_per_message: of_some(|run| run.server_us_per_message),
            load_us_per_message: of(|run| run.load_us_per_message),
            stored_bytes_per_message: of_some(|run| run.stored_bytes_per_message),
        }
    }

    /// For people.
    fn line(&self, what: &str) -> String {
        let server = self
            .server_us_per_message
            .map_or_else(String::new, |us| format!("server {us} µs, "));
        let stored = self
            .stored_bytes_per_message
            .map_or_else(String::new, |bytes| format!("; {bytes} bytes stored"));
        format!(
            "{what:8} accepted {}/s, delivered {}/s, receipts {}/s; latency p50 {} p95 {} p99 {} p99.9 {} max {} ms; \
             answer p50 {} p99 {} ms; lost {}, repeated {}, turned away {}; {server}load {} µs a message{stored}",
            self.accepted_per_s,
            self.delivered_per_s,
            self.received_per_s,
            self.p50_ms,
            self.p95_ms,
            self.p99_ms,
            self.p999_ms,
            self.max_ms,
            self.answer_p50_ms,
            self.answer_p99_ms,
            self.lost,
            self.repeated,
            self.turned_away,
            self.load_us_per_message
        )
    }
}

fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// The one in the middle, the higher of two.
fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
