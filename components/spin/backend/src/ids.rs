//! Ids: every instance takes a millisecond for itself, out of a worker number that all instances share.
//!
//! The row of that worker says which milliseconds are taken; to take the next one is one statement. So no two instances
//! give the same id, however many there are and however their clocks differ, and a node of our own host that is given
//! the number later begins after it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use contract::sql::{Error, Value};
use dialect::failure::Failure;
use snowflake::{Ids, Loan, WORKERS, now_ms};

use crate::Backend;
use crate::bindings::exports::mpim::host::ids;
use crate::bindings::exports::mpim::spin::instance;
use crate::mysql::{self, Lease};
use crate::sql::repeated;

/// The owner of the number that all instances share.
const OWNER: &str = "spin";
/// A millisecond is used for so long: the ids of all instances grow with time, give or take this.
const RENEW_AFTER: Duration = Duration::from_millis(100);
/// Ids that a request may need.
const AT_HAND: u32 = 1024;
/// Ids of a millisecond.
const PER_MS: u32 = 4096;
/// How often a number that another instance took is looked for again.
const ROUNDS: usize = 64;
/// Nobody looks at a clock here to end a loan.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

thread_local! {
    static IDS: Rc<Ids> = Rc::new(Ids::default());
    static TAKEN: RefCell<Option<Instant>> = const { RefCell::new(None) };
    /// The number, once it is known.
    static NUMBER: Cell<Option<u16>> = const { Cell::new(None) };
    /// The millisecond that was lent last.
    static LENT: Cell<u64> = const { Cell::new(0) };
    static GIVEN: Cell<u32> = const { Cell::new(0) };
}

impl ids::Guest for Backend {
    fn next() -> u64 {
        GIVEN.set(GIVEN.get() + 1);
        match IDS.with(|ids| ids.next()) {
            Ok(id) => id,
            #[expect(clippy::panic, reason = "the contract: a call without ids ends")]
            Err(error) => panic!("{error}"),
        }
    }
}

impl instance::Guest for Backend {
    async fn prepare() -> Result<(), instance::Error> {
        let is_fresh = TAKEN.with_borrow(|taken| taken.is_some_and(|taken| taken.elapsed() < RENEW_AFTER));
        if is_fresh && GIVEN.get() < PER_MS - AT_HAND {
            return Ok(());
        }
        let (worker, ms) = take().await.map_err(|error| match error {
            Error::Overloaded(text) => instance::Error::Overloaded(text),
            Error::Timeout(text) => instance::Error::Timeout(text),
            error => instance::Error::Unavailable(error.to_string()),
        })?;
        // Of requests that took one at the same time, the last to be back may have the earliest.
        if ms > LENT.get() {
            LENT.set(ms);
            lend(worker, ms);
        }
        Ok(())
    }
}

fn lend(worker: u16, ms: u64) {
    IDS.with(|ids| {
        ids.lend(Loan {
            worker,
            after_ms: ms - 1,
            until_ms: ms,
            ends: Instant::now() + FOREVER,
        });
    });
    TAKEN.set(Some(Instant::now()));
    GIVEN.set(0);
}

/// A worker number, and a millisecond of it that nobody else has.
async fn take() -> Result<(u16, u64), Error> {
    for _ in 0..ROUNDS {
        let known = NUMBER.get();
        let number = match known {
            Some(number) => Some(number),
            None => repeated(async || number_of(&mysql::take().await?).await).await?,
        };
        let Some(number) = number else {
            repeated(async || claim(&mysql::take().await?).await).await?;
            continue;
        };
        let taken = repeated(async || next_of(&mysql::take().await?, number).await).await?;
        NUMBER.set(taken.map(|_| number));
        if let Some(ms) = taken {
            return Ok((number, ms));
        }
    }
    Err(Error::Unavailable("the worker numbers are contended".to_owned()))
}

/// The number of all instances; of more than one, that came to be at once, the highest.
async fn number_of(lease: &Lease) -> Result<Option<u16>, Failure> {
    let rows = lease
        .query("SELECT MAX(id) FROM workers WHERE owner = ?", &[owner()])
        .await?;
    Ok(match rows.first().map(Vec::as_slice) {
        Some([Value::Integer(id)]) => u16::try_from(*id).ok(),
        _ => None,
    })
}

/// The next millisecond of the number; none when it is another's by now.
async fn next_of(lease: &Lease, number: u16) -> Result<Option<u64>, Failure> {
    let now = time(now_ms());
    let take = "UPDATE workers SET beat = beat + 1, seen_at = ?, until_ms = LAST_INSERT_ID(GREATEST(until_ms + 1, ?)) \
                WHERE id = ? AND owner = ?";
    let params = [now.clone(), now, Value::Integer(number.into()), owner()];
    lease.execute(take, &params).await?;
    if lease.affected().await? == 0 {
        return Ok(None);
    }
    let rows = lease.query("SELECT LAST_INSERT_ID()", &[]).await?;
    Ok(match rows.first().map(Vec::as_slice) {
        Some([Value::Integer(ms)]) => u64::try_from(*ms).ok(),
        _ => None,
    })
}

/// Makes the highest number that nobody had the one of all instances. Another instance may be faster: then it is its.
async fn claim(lease: &Lease) -> Result<(), Failure> {
    let rows = lease.query("SELECT id FROM workers", &[]).await?;
    let had = |number: u16| {
        rows.iter()
            .any(|row| row.first() == Some(&Value::Integer(number.into())))
    };
    let Some(free) = (0..WORKERS).rev().find(|number| !had(*number)) else {
        let all = Error::Unavailable("all worker numbers are taken".to_owned());
        return Err(Failure::of_request(all));
    };
    let now = time(now_ms());
    let insert = "INSERT INTO workers (id, owner, beat, seen_at, until_ms) VALUES (?, ?, 0, ?, ?)";
    let params = [Value::Integer(free.into()), owner(), now.clone(), now];
    match lease.execute(insert, &params).await {
        Err(failure) if !matches!(failure.error, Error::UniqueViolation(_)) => Err(failure),
        _ => Ok(()),
    }
}

fn owner() -> Value {
    Value::Text(OWNER.to_owned())
}

fn time(ms: u64) -> Value {
    Value::Integer(i64::try_from(ms).unwrap_or(i64::MAX))
}
