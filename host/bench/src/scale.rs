//! The same messages in stores of many sizes: what a message costs when there are ten million, or a million users.

use clap::Args;

use crate::account::Account;
use crate::failure::Failure;
use crate::figures::Figures;
use crate::pair::LEAST_BYTES;
use crate::process::Folder;
use crate::record::{Point, Row};
use crate::send::{self, Shape};
use crate::subject::Subject;
use crate::terms::Terms;

/// Users of the stores whose messages are varied, and messages of those whose users are.
const OTHERWISE: u64 = 1000;

/// One-to-one messages in stores of many sizes, each compared with the smallest.
///
/// The rows are written into the file before the server starts, so it wants an embedded store of its own. A message
/// takes about 400 bytes of the disk: ten million need 4 GB where temporary files are, and some minutes.
#[derive(Debug, Args)]
pub(crate) struct Scale {
    /// Stored messages, among 1,000 users.
    #[arg(
        long,
        value_name = "N",
        value_delimiter = ',',
        default_value = "1000,10000,100000,1000000"
    )]
    stored: Vec<u64>,
    /// Users, with 1,000 stored messages.
    #[arg(
        long,
        value_name = "N",
        value_delimiter = ',',
        default_value = "100,1000,10000,100000,1000000"
    )]
    users: Vec<u32>,
    /// Pairs of users that send.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pairs: u32,
    /// Messages of each pair.
    #[arg(long, value_name = "N", default_value_t = 200)]
    messages: u32,
    /// Messages of a pair that are in flight at a time.
    #[arg(long, value_name = "N", default_value_t = 4)]
    in_flight: usize,
    /// Bytes of a message.
    #[arg(long, value_name = "N", default_value_t = LEAST_BYTES.max(64))]
    bytes: usize,
    #[command(flatten)]
    terms: Terms,
}

/// Measures and reports.
pub(crate) async fn run(scale: Scale) -> Result<(), Failure> {
    let terms = &scale.terms;
    if !terms.is_embedded() {
        return Err(Failure::other(
            "rows can only be written into an embedded store of its own",
        ));
    }
    let settings = Figures::default()
        .with("pairs", f64::from(scale.pairs))
        .with("messages_per_pair", f64::from(scale.messages))
        .with("in_flight", scale.in_flight as f64)
        .with("bytes", scale.bytes as f64);
    let mut record = terms.record("scale", settings);
    let otherwise = u32::try_from(OTHERWISE).unwrap_or(u32::MAX);
    let stored = scale.stored.iter().map(|stored| (*stored, otherwise));
    let users = scale.users.iter().map(|users| (OTHERWISE, *users));
    let mut folder = None;
    for (varied, points) in [("stored", stored.collect::<Vec<_>>()), ("users", users.collect())] {
        let mut rows: Vec<Row> = Vec::new();
        for (stored, users) in points {
            let (row, former) = measure(&scale, folder.take(), varied, stored, users).await?;
            folder = former;
            rows.push(row);
        }
        let compared: Vec<Row> = rows
            .iter()
            .skip(1)
            .filter_map(|row| compared(rows.first()?, row))
            .collect();
        for row in &compared {
            terms.runs.say(&row.to_string())?;
        }
        record.rows.extend(rows.into_iter().chain(compared));
    }
    terms.runs.tell(record)
}

async fn measure(
    scale: &Scale,
    folder: Option<Folder>,
    varied: &'static str,
    stored: u64,
    users: u32,
) -> Result<(Row, Option<Folder>), Failure> {
    let terms = &scale.terms;
    let users = users.max(scale.pairs * 2);
    let subject = Subject::begin_in(terms, folder, users, |seeding, accounts| {
        seeding.messages(accounts, stored, scale.bytes)
    })
    .await?;
    let spread = spread(&subject.accounts, scale.pairs as usize);
    let shape = Shape {
        messages: scale.messages,
        in_flight: scale.in_flight,
        bytes: scale.bytes,
        rate: None,
    };
    let changing = match varied {
        "stored" => stored as f64,
        _ => f64::from(users),
    };
    let name = format!("{stored} messages stored, {users} users");
    let mut point = Point::along(name, varied, changing);
    if let Some(bytes) = subject.stored_bytes() {
        point = point.with("store_mib", bytes as f64 / f64::from(1 << 20));
    }
    let once = async |run: &str| send::once(&shape, run, &subject, &spread).await;
    let row = terms.runs.row(point, once).await?;
    Ok((row, subject.end()))
}

/// Pairs from all over the users.
fn spread(accounts: &[Account], pairs: usize) -> Vec<Account> {
    let apart = (accounts.len() / 2 / pairs.max(1)).max(1);
    let pairs = accounts.chunks_exact(2).step_by(apart).take(pairs);
    pairs.flatten().cloned().collect()
}

/// A row against the smallest of its kind.
fn compared(small: &Row, large: &Row) -> Option<Row> {
    let mut ratios = Figures::default();
    for name in ["server_cpu_us", "p50_ms", "p99_ms", "answer_p50_ms"] {
        let (small, large) = small.median.of(name).zip(large.median.of(name))?;
        if small > 0.0 {
            ratios.set(format!("{name}_ratio"), large / small);
        }
    }
    let name = format!("{} against {}", large.name, small.name);
    Some(Row::new(Point::named(name), Vec::new(), vec![ratios]))
}
