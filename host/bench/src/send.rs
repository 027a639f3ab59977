//! One-to-one messages from end to end: the sender's frame, the store, the receiver's frame, its acknowledgement, the
//! sender's receipt.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;
use client::accounts::resume;
use client::error::Error;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::account::Account;
use crate::failure::Failure;
use crate::figures::Figures;
use crate::latencies::Latencies;
use crate::pair::{self, Heard, LEAST_BYTES, Run, Sent, Turn};
use crate::record::Point;
use crate::subject::Subject;
use crate::terms::Terms;

const LOOK: Duration = Duration::from_millis(200);
/// So long without anything that happens, and the run has stalled.
const PATIENCE: Duration = Duration::from_secs(30);
/// Messages of each pair, when as many are sent as are answered.
const MESSAGES: u32 = 400;
/// How long a load is offered, where the number of messages is not said.
const OFFERED_S: f64 = 10.0;

/// One-to-one messages from end to end, with receipts.
///
/// Each pair is a sender and a receiver. A message is in flight until its sender has the receipt that it was delivered.
/// Latency counts from sending to the receiver's frame; with `--rate` from when the message was due, however late it
/// was sent.
///
/// Of the server, and of each process of `--cpu-of`, a message's time on processors, context switches (voluntary and
/// involuntary, of all threads that live to the end) and bytes for storage are told.
#[derive(Debug, Args)]
pub(crate) struct Send {
    /// Pairs of users.
    #[arg(long, value_name = "N", default_value_t = 50)]
    pairs: u32,
    /// Messages of each pair; 400, or with --rate those of ten seconds, when absent.
    #[arg(long, value_name = "N")]
    messages: Option<u32>,
    /// Messages of a pair that are in flight at a time.
    #[arg(long, value_name = "N", default_value_t = 16)]
    in_flight: usize,
    /// Bytes of a message.
    #[arg(long, value_name = "N", default_value_t = 64)]
    bytes: usize,
    /// Messages of all pairs that are offered in a second, one load after the other; as many as are answered when
    /// absent.
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = rate)]
    rate: Vec<f64>,
    #[command(flatten)]
    terms: Terms,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if rate > 0.0 && f64::is_finite(rate) => Ok(rate),
        _ => Err("a number above 0 is wanted".to_owned()),
    }
}

/// Measures and reports.
pub(crate) async fn run(send: Send) -> Result<(), Failure> {
    let terms = &send.terms;
    let subject = Subject::begin(terms, send.pairs * 2, |_, _| Ok(())).await?;
    let settings = Figures::default()
        .with("pairs", f64::from(send.pairs))
        .with("in_flight", send.in_flight as f64)
        .with("bytes", send.bytes as f64);
    let mut record = terms.record("send", settings);
    let shape = |messages| Shape {
        messages: send.messages.unwrap_or(messages),
        in_flight: send.in_flight,
        bytes: send.bytes,
        rate: None,
    };
    let offered = |rate: f64| Shape {
        rate: Some(rate),
        ..shape((rate * OFFERED_S / f64::from(send.pairs.max(1))).ceil() as u32)
    };
    let shapes = match send.rate.is_empty() {
        true => vec![shape(MESSAGES)],
        false => send.rate.iter().copied().map(offered).collect(),
    };
    for shape in shapes {
        let point = match shape.rate {
            None => Point::named("as many as are answered"),
            Some(rate) => Point::along(format!("{rate} offered in a second"), "offered_per_s", rate),
        };
        let point = point.with("messages_per_pair", f64::from(shape.messages));
        let once = async |run: &str| once(&shape, run, &subject, &subject.accounts).await;
        record.rows.push(terms.runs.row(point, once).await?);
    }
    terms.runs.tell(record)
}

/// What all pairs do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) messages: u32,
    pub(crate) in_flight: usize,
    pub(crate) bytes: usize,
    /// Messages of all pairs together in a second.
    pub(crate) rate: Option<f64>,
}

/// One run: two accounts that follow each other are a pair.
pub(crate) async fn once(
    shape: &Shape,
    name: &str,
    subject: &Subject,
    accounts: &[Account],
) -> Result<Figures, Failure> {
    if shape.bytes < LEAST_BYTES {
        return Err(Failure::other(format!("a message has at least {LEAST_BYTES} bytes")));
    }
    let pairs = u32::try_from(accounts.len() / 2).unwrap_or(u32::MAX);
    let all = f64::from(pairs) * f64::from(shape.messages);
    let mut clients = Vec::new();
    for account in accounts {
        clients.push(resume(subject.address(), &account.grant.token).await?);
    }
    let every = shape.rate.map(|rate| Duration::from_secs_f64(f64::from(pairs) / rate));
    let meter = subject.meter();
    let run = Arc::new(Run {
        name: name.to_owned(),
        begins: Instant::now(),
        messages: shape.messages,
        in_flight: shape.in_flight,
        bytes: shape.bytes,
        every,
        moved: AtomicU64::new(0),
        over: watch::Sender::new(false),
    });
    let mut working = JoinSet::new();
    let mut clients = clients.into_iter();
    let mut turns = Vec::new();
    for (number, pair) in (0..).zip(accounts.chunks_exact(2)) {
        let (Some(sender), Some(receiver), [_, to]) = (clients.next(), clients.next(), pair) else {
            break;
        };
        // Not all at the same moment.
        let turn = Turn {
            offset: every.map_or(Duration::ZERO, |every| every * number / pairs),
            ..Turn::default()
        };
        turns.push(turn.clone());
        let (to, sending, hearing) = (to.grant.user, Arc::clone(&run), Arc::clone(&run));
        working.spawn(async move { pair::send(sending, sender, to, turn).await.map(Done::Sent) });
        working.spawn(async move { pair::hear(hearing, receiver).await.map(Done::Heard) });
    }
    let bells = every.map(|every| {
        let run = Arc::clone(&run);
        std::thread::spawn(move || pair::ring(&run, every, &turns))
    });
    let done = watch_over(&run, working).await;
    run.over.send_replace(true);
    if bells.is_some_and(|bells| bells.join().is_err()) {
        return Err(Failure::other("the load was not offered to its end"));
    }
    let done = done?;
    let mut figures = figures(all, &done);
    meter.cpu(&mut figures, all);
    meter.activity(&mut figures, all);
    meter.stored(&mut figures, all);
    Ok(figures)
}

/// What a task leaves.
#[derive(Debug)]
enum Done {
    Sent(Sent),
    Heard(Heard),
}

/// Waits for all, or until nothing moves any more, and ends them: what did not come by then is lost.
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
                    run.over.send_replace(true);
                }
            }
        }
    }
}

fn figures(all: f64, done: &[Done]) -> Figures {
    let (mut latencies, mut answers) = (Latencies::default(), Latencies::default());
    let (mut accepted, mut delivered, mut repeated, mut turned_away) = (0, 0, 0, 0);
    let [mut last_answer, mut last_frame, mut last_receipt] = [Duration::ZERO; 3];
    for done in done {
        match done {
            Done::Sent(sent) => {
                accepted += sent.accepted;
                turned_away += sent.turned_away;
                answers.add(&sent.answers);
                last_answer = last_answer.max(sent.last_answer);
                last_receipt = last_receipt.max(sent.last_receipt);
            }
            Done::Heard(heard) => {
                delivered += heard.delivered;
                repeated += heard.repeats;
                latencies.add(&heard.latencies);
                last_frame = last_frame.max(heard.last);
            }
        }
    }
    let rate = |count: u64, last: Duration| count as f64 / last.as_secs_f64().max(1e-9);
    let mut figures = Figures::default()
        .with("accepted_per_s", rate(accepted, last_answer))
        .with("delivered_per_s", rate(delivered, last_frame))
        .with("receipts_per_s", rate(delivered, last_receipt));
    figures.latencies("", &latencies);
    figures.latencies("answer_", &answers);
    figures
        .with("lost", all - delivered as f64)
        .with("repeated", repeated as f64)
        .with("turned_away", turned_away as f64)
}
