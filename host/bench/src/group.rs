//! Messages to groups of many sizes: below the threshold into the inbox of each member, from there on one row, and in
//! both cases a frame for every member that is connected.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;
use client::accounts::{patiently, resume};
use client::address::Address;
use client::error::Error;
use client::frames::Frame;
use client::params::{ByName, Invite, SendGroupMessage};
use client::records::{self, Int};
use client::socket::Client;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::account::Account;
use crate::failure::Failure;
use crate::figures::Figures;
use crate::latencies::Latencies;
use crate::process::allow_files;
use crate::record::{Point, Row};
use crate::subject::{MOST_REGISTERED, Subject};
use crate::terms::Terms;

const LOOK: Duration = Duration::from_millis(20);
/// So long without a delivery, and what did not come is lost.
const PATIENCE: Duration = Duration::from_secs(10);
/// Users of one invitation.
const INVITED: usize = 500;
/// The size that the largest one is compared with.
const SMALL: u32 = 100;
/// Members that are connected, where there are so many.
const ONLINE: u32 = 1000;
const OTHER_FILES: u64 = 500;

/// Messages to groups of many sizes.
///
/// Of each group some members are connected; the first of those send, each waiting for its answer before its next
/// message. The latency is that of the answer. The largest group is also measured with 100 members connected, and
/// compared with the group of 100. Members acknowledge nothing.
#[derive(Debug, Args)]
pub(crate) struct Group {
    /// Members of the groups.
    #[arg(
        long,
        value_name = "N",
        value_delimiter = ',',
        default_value = "10,99,100,1000,10000,100000"
    )]
    sizes: Vec<u32>,
    /// Members of each group that are connected; all of them up to 1,000 when absent.
    #[arg(long, value_name = "N")]
    online: Option<u32>,
    /// Members that send at a time.
    #[arg(long, value_name = "N", default_value_t = 4)]
    senders: u32,
    /// Messages of each sender.
    #[arg(long, value_name = "N", default_value_t = 50)]
    messages: u32,
    /// Bytes of a message.
    #[arg(long, value_name = "N", default_value_t = 64)]
    bytes: usize,
    #[command(flatten)]
    terms: Terms,
}

/// Measures and reports.
pub(crate) async fn run(group: Group) -> Result<(), Failure> {
    let terms = &group.terms;
    let settings = Figures::default()
        .with("senders", f64::from(group.senders))
        .with("messages_per_sender", f64::from(group.messages))
        .with("bytes", group.bytes as f64);
    let mut record = terms.record("group", settings);
    let possible = |size: &u32| terms.is_embedded() || *size <= MOST_REGISTERED;
    let (sizes, left_out): (Vec<u32>, Vec<u32>) = group.sizes.iter().partition(|size| possible(size));
    for size in left_out {
        record.notes.push(format!(
            "a group of {size} is left out: its members cannot be written into a file, and {MOST_REGISTERED} accounts \
             at most are registered"
        ));
    }
    let most = sizes.iter().copied().max().unwrap_or_default();
    // Before the server starts, which inherits it.
    allow_files(u64::from(most.min(group.online.unwrap_or(ONLINE))) + OTHER_FILES)?;
    let mut groups = Vec::new();
    let subject = Subject::begin(terms, most, |seeding, accounts| {
        for size in &sizes {
            let members = accounts.get(..*size as usize).unwrap_or(accounts);
            groups.push((*size, seeding.group(members)?));
        }
        Ok(())
    })
    .await?;
    if groups.is_empty() {
        for size in &sizes {
            groups.push((*size, create(&subject, *size).await?));
        }
    }
    for (size, online) in group.points(&sizes) {
        let Some((_, id)) = groups.iter().find(|(known, _)| *known == size) else {
            continue;
        };
        let name = format!("{size} members, {online} online");
        let point = Point::along(name, "members", f64::from(size)).with("online", f64::from(online));
        let once = async |run: &str| once(&group, &subject, *id, online, run).await;
        record.rows.push(terms.runs.row(point, once).await?);
    }
    if let Some(row) = compared(&record.rows, most) {
        terms.runs.say(&row.to_string())?;
        record.rows.push(row);
    }
    terms.runs.tell(record)
}

impl Group {
    /// Sizes, with how many members are connected.
    fn points(&self, sizes: &[u32]) -> Vec<(u32, u32)> {
        let online = |size: u32| self.online.unwrap_or(ONLINE).min(size);
        let mut points: Vec<(u32, u32)> = sizes.iter().map(|size| (*size, online(*size))).collect();
        let small = points.iter().copied().find(|(size, _)| *size == SMALL);
        let most = sizes.iter().copied().max().unwrap_or_default();
        if let Some((_, online)) = small.filter(|(_, online)| !points.contains(&(most, *online))) {
            points.push((most, online));
        }
        points
    }
}

/// The largest group against that of 100, with as many members connected.
fn compared(rows: &[Row], most: u32) -> Option<Row> {
    let of = |size: u32, online: Option<f64>| {
        rows.iter().find(|row| {
            row.at.of("members") == Some(f64::from(size))
                && online.is_none_or(|online| row.at.of("online") == Some(online))
        })
    };
    let small = of(SMALL, None)?;
    let large = of(most, small.at.of("online")).filter(|_| most > SMALL)?;
    let mut ratios = Figures::default();
    for name in ["server_cpu_us", "p50_ms", "p99_ms"] {
        if let Some((small, large)) = small
            .median
            .of(name)
            .zip(large.median.of(name))
            .filter(|(small, _)| *small > 0.0)
        {
            ratios.set(format!("{name}_ratio"), large / small);
        }
    }
    let name = format!("{most} members against {SMALL}, as many online");
    Some(Row::new(Point::named(name), Vec::new(), vec![ratios]))
}

/// Makes a group of the first accounts through the methods that clients call.
async fn create(subject: &Subject, size: u32) -> Result<Int, Failure> {
    let none = || Failure::other("a group has a member at least");
    let members = subject.accounts.get(..size as usize).ok_or_else(none)?;
    let (owner, others) = members.split_first().ok_or_else(none)?;
    let mut client = resume(subject.address(), &owner.grant.token).await?;
    let made: records::Group = patiently(&mut client, "groups.create", &ByName { name: "bench" }).await?;
    for others in others.chunks(INVITED) {
        let users: Vec<Int> = others.iter().map(|account| account.grant.user).collect();
        let invite = Invite {
            group: made.id,
            users: &users,
        };
        let _: Vec<Int> = patiently(&mut client, "groups.invite", &invite).await?;
    }
    client.close().await;
    Ok(made.id)
}

async fn once(group: &Group, subject: &Subject, id: Int, online: u32, run: &str) -> Result<Figures, Failure> {
    let members = subject.accounts.get(..online as usize).unwrap_or(&subject.accounts);
    let senders = (group.senders as usize).clamp(1, members.len().max(1));
    let clients = connect(subject.address(), members).await?;
    let sent = senders as u64 * u64::from(group.messages);
    let expected = sent * (clients.len() as u64).saturating_sub(1);
    let counted = Arc::new(Counted::default());
    let content = "x".repeat(group.bytes.max(1));
    let meter = subject.meter();
    let begun = Instant::now();
    let (mut sending, mut hearing) = (JoinSet::new(), JoinSet::new());
    for (number, client) in clients.into_iter().enumerate() {
        let counted = Arc::clone(&counted);
        if number >= senders {
            hearing.spawn(hear(client, counted));
            continue;
        }
        let (run, content, messages) = (format!("{run}-{number}"), content.clone(), group.messages);
        sending.spawn(async move {
            let mut sender = Sender { client, counted };
            let latencies = sender.send(id, &run, &content, messages).await?;
            Ok::<_, Error>((latencies, sender))
        });
    }
    let mut latencies = Latencies::default();
    while let Some(sent) = sending.join_next().await {
        let (of_one, sender) = sent.map_err(Failure::other)??;
        latencies.add(&of_one);
        hearing.spawn(hear(sender.client, sender.counted));
    }
    let accepted = begun.elapsed().as_secs_f64();
    let mut moved = (0, Instant::now());
    while counted.all() < expected && moved.1.elapsed() < PATIENCE {
        if counted.all() != moved.0 {
            moved = (counted.all(), Instant::now());
        }
        sleep(LOOK).await;
    }
    let delivered = counted.all();
    let took = counted.last(begun).as_secs_f64();
    let mut figures = Figures::default()
        .with("accepted_per_s", sent as f64 / accepted.max(1e-9))
        .with("deliveries_per_s", delivered as f64 / took.max(1e-9));
    figures.latencies("", &latencies);
    figures.set("lost", expected as f64 - delivered as f64);
    meter.cpu(&mut figures, sent as f64);
    meter.stored(&mut figures, sent as f64);
    if let Some(us) = figures.of("server_cpu_us").filter(|_| delivered > 0) {
        figures.set("server_cpu_us_per_delivery", us * sent as f64 / delivered as f64);
    }
    hearing.shutdown().await;
    Ok(figures)
}

async fn connect(address: &Address, members: &[Account]) -> Result<Vec<Client>, Failure> {
    let mut clients = Vec::new();
    for member in members {
        clients.push(resume(address, &member.grant.token).await?);
    }
    Ok(clients)
}

/// Frames with messages that came to anybody, and when the last did.
#[derive(Debug, Default)]
struct Counted {
    frames: AtomicU64,
    last: std::sync::Mutex<Option<Instant>>,
}

impl Counted {
    fn all(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    /// Counts a frame that is a message.
    fn frame(&self, text: &str) -> Result<(), Error> {
        if let Frame::Notification { name, .. } = Frame::read(text)?
            && name == "message"
        {
            self.frames.fetch_add(1, Ordering::Relaxed);
            *self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(Instant::now());
        }
        Ok(())
    }

    fn last(&self, begun: Instant) -> Duration {
        let last = *self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        last.map_or(Duration::ZERO, |last| last.saturating_duration_since(begun))
    }
}

async fn hear(mut client: Client, counted: Arc<Counted>) -> Result<(), Error> {
    loop {
        counted.frame(&client.next().await?)?;
    }
}

/// A member that sends, and hears what others send meanwhile.
struct Sender {
    client: Client,
    counted: Arc<Counted>,
}

impl Sender {
    async fn send(&mut self, group: Int, run: &str, content: &str, messages: u32) -> Result<Latencies, Error> {
        let mut latencies = Latencies::default();
        for number in 0..messages {
            let client_id = format!("{run}-{number}");
            let message = SendGroupMessage {
                group,
                client_id: &client_id,
                content,
            };
            let begun = Instant::now();
            self.answered(&message).await?;
            latencies.record(begun.elapsed());
        }
        Ok(latencies)
    }

    async fn answered(&mut self, message: &SendGroupMessage<'_>) -> Result<(), Error> {
        loop {
            let asked = self.client.send("send.send-group-message", message).await?;
            self.client.flush().await?;
            loop {
                let text = self.client.next().await?;
                match Frame::read(&text)? {
                    Frame::Answer { id, result } if id == asked => match result {
                        Ok(_) => return Ok(()),
                        Err(refusal) if refusal.retryable => break,
                        Err(refusal) => return Err(Error::Refused(refusal)),
                    },
                    _ => self.counted.frame(&text)?,
                }
            }
        }
    }
}
