//! What waits for somebody who was away: pages of their inbox, until there are no more.

use std::time::Duration;

use clap::Args;
use client::accounts::resume;
use client::address::Address;
use client::error::Error;
use client::frames::{Frame, read};
use client::params::{Ack, PullInbox, SendMessage};
use client::records::{InboxPage, Int};
use futures_util::future::try_join_all;
use tokio::time::Instant;

use crate::account::Account;
use crate::failure::Failure;
use crate::figures::Figures;
use crate::latencies::Latencies;
use crate::record::Point;
use crate::subject::Subject;
use crate::terms::Terms;

/// Messages that are under way to somebody who is away.
const FILLING: usize = 64;

/// Messages that wait for users who were away, pulled page by page.
///
/// Before each run new messages are sent to everybody, over the network and at leisure. What counts is from the first
/// pull to the page after which there are no more; connecting does not.
#[derive(Debug, Args)]
pub(crate) struct Offline {
    /// Messages that wait for each user.
    #[arg(long, value_name = "N", default_value_t = 5000)]
    waiting: u32,
    /// Users: one after the other, and then all abreast.
    #[arg(long, value_name = "N", default_value_t = 4)]
    users: u32,
    /// Entries of a page, of which the server gives 500 at most.
    #[arg(long, value_name = "N", default_value_t = 500)]
    page: u32,
    /// Bytes of a message.
    #[arg(long, value_name = "N", default_value_t = 64)]
    bytes: usize,
    #[command(flatten)]
    terms: Terms,
}

/// Measures and reports.
pub(crate) async fn run(offline: Offline) -> Result<(), Failure> {
    let terms = &offline.terms;
    let subject = Subject::begin(terms, offline.users * 2, |_, _| Ok(())).await?;
    let settings = Figures::default()
        .with("waiting", f64::from(offline.waiting))
        .with("page", f64::from(offline.page))
        .with("bytes", offline.bytes as f64);
    let mut record = terms.record("offline", settings);
    for (name, abreast) in [("one after the other", 1), ("abreast", offline.users)] {
        let point = Point::named(name).with("abreast", f64::from(abreast));
        let once = async |run: &str| once(&offline, &subject, run, abreast == 1).await;
        record.rows.push(terms.runs.row(point, once).await?);
    }
    terms.runs.tell(record)
}

async fn once(offline: &Offline, subject: &Subject, run: &str, in_turn: bool) -> Result<Figures, Failure> {
    let pairs: Vec<(&Account, &Account)> = subject
        .accounts
        .chunks_exact(2)
        .filter_map(|pair| Some((pair.first()?, pair.last()?)))
        .collect();
    let address = subject.address();
    let fill =
        |(sender, to): &(&Account, &Account)| fill(offline, address, run, sender.grant.token.clone(), to.grant.user);
    try_join_all(pairs.iter().map(fill)).await?;
    let meter = subject.meter();
    let mut took = Duration::ZERO;
    let mut all = Pulled::default();
    if in_turn {
        for (_, user) in &pairs {
            let pulled = pull(offline, address, user).await?;
            took += pulled.took;
            all.add(&pulled);
        }
    } else {
        let begun = Instant::now();
        let each = pairs.iter().map(|(_, user)| pull(offline, address, user));
        for pulled in try_join_all(each).await? {
            all.add(&pulled);
        }
        took = begun.elapsed();
    }
    let messages = f64::from(all.messages);
    let mut figures = Figures::default().with("messages_per_s", messages / took.as_secs_f64().max(1e-9));
    figures.latencies("page_", &all.pages);
    figures.set("lost", f64::from(offline.waiting) * pairs.len() as f64 - messages);
    meter.cpu(&mut figures, messages);
    Ok(figures)
}

/// Sends so many messages to somebody who is away.
async fn fill(offline: &Offline, address: &Address, run: &str, token: String, to: Int) -> Result<(), Failure> {
    let mut client = resume(address, &token).await?;
    let content = "x".repeat(offline.bytes.max(1));
    let (mut next, mut open) = (0, 0);
    let mut again = Vec::new();
    let mut asked = std::collections::HashMap::new();
    while next < offline.waiting || open > 0 {
        while open < FILLING && (next < offline.waiting || !again.is_empty()) {
            let number = again.pop().unwrap_or_else(|| {
                next += 1;
                next
            });
            let client_id = format!("{run}-{number}");
            let message = SendMessage {
                to,
                client_id: &client_id,
                content: &content,
            };
            asked.insert(client.send("send.send-message", &message).await?, number);
            open += 1;
        }
        client.flush().await?;
        let text = client.next().await?;
        if let Frame::Answer { id, result } = Frame::read(&text)? {
            open -= 1;
            match (result, asked.remove(&id)) {
                (Err(refusal), Some(number)) if refusal.retryable => again.push(number),
                (Err(refusal), _) => return Err(Error::Refused(refusal).into()),
                (Ok(_), _) => {}
            }
        }
    }
    client.close().await;
    Ok(())
}

/// What somebody pulled.
#[derive(Debug, Default)]
struct Pulled {
    messages: u32,
    pages: Latencies,
    took: Duration,
}

impl Pulled {
    fn add(&mut self, other: &Self) {
        self.messages += other.messages;
        self.pages.add(&other.pages);
    }
}

async fn pull(offline: &Offline, address: &Address, user: &Account) -> Result<Pulled, Failure> {
    let mut client = resume(address, &user.grant.token).await?;
    let mut pulled = Pulled::default();
    let begun = Instant::now();
    let mut since = None;
    loop {
        let asked = Instant::now();
        let params = PullInbox {
            since,
            limit: offline.page,
        };
        let text = client.call_text("pull-offline.pull", &params).await?;
        let page: InboxPage<'_> = read(&text)?;
        pulled.pages.record(asked.elapsed());
        pulled.messages += u32::try_from(page.entries.len()).unwrap_or(u32::MAX);
        since = Some(page.next);
        if !page.more {
            break;
        }
    }
    pulled.took = begun.elapsed();
    // The next run begins where this one ends.
    let ack = Ack {
        messages: &[],
        cursor: since,
    };
    client.call_text("send.ack", &ack).await?;
    client.close().await;
    Ok(pulled)
}
