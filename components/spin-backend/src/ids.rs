//! Ids: every instance takes a millisecond for itself, out of a worker number that all instances share.
//!
//! The row of that worker says which milliseconds are taken; to take the next one is one statement. So no two instances
//! give the same id, however many there are and however their clocks differ, and a node of our own host that is given
//! the number later begins after it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use dialect::failure::Failure;
use dialect::sql::{Error, Value};
use snowflake::{Ids, Loan, WORKERS, now_ms};

use crate::Backend;
use crate::bindings::exports::mpim::host::ids;
use crate::bindings::exports::mpim::spin::instance;
use crate::mysql::{self, Lease};

/// The owner of the number that all instances share.
const OWNER: &str = "spin";
/// A millisecond is used for so long: ids of all instances together grow with time, give or take this.
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
        let (worker, ms) = take()
            .await
            .map_err(|error| instance::Error::Unavailable(error.to_string()))?;
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
        Ok(())
    }
}

/// A worker number, and a millisecond of it that nobody else has.
async fn take() -> Result<(u16, u64), Error> {
    for _ in 0..ROUNDS {
        let lease = mysql::take().await.map_err(|failure| failure.error)?;
        if let Some(taken) = next_of(&lease).await.map_err(|failure| failure.error)? {
            return Ok(taken);
        }
        claim(&lease).await?;
    }
    Err(Error::Unavailable("the worker numbers are contended".to_owned()))
}

/// The next millisecond of the number; none when there is no number yet.
async fn next_of(lease: &Lease) -> Result<Option<(u16, u64)>, Failure> {
    let now = time(now_ms());
    let take = "UPDATE workers SET beat = beat + 1, seen_at = ?, until_ms = LAST_INSERT_ID(GREATEST(until_ms + 1, ?)) \
                WHERE owner = ?";
    lease
        .execute(take, &[now.clone(), now, Value::Text(OWNER.to_owned())])
        .await?;
    if lease.affected().await? == 0 {
        return Ok(None);
    }
    let taken = "SELECT id, LAST_INSERT_ID() FROM workers WHERE owner = ?";
    let rows = lease.query(taken, &[Value::Text(OWNER.to_owned())]).await?;
    Ok(match rows.first().map(Vec::as_slice) {
        Some([Value::Integer(id), Value::Integer(ms)]) => u16::try_from(*id).ok().zip(u64::try_from(*ms).ok()),
        _ => None,
    })
}

/// Makes the highest number that nobody had the one of all instances. Another instance may be faster: then it is its.
async fn claim(lease: &Lease) -> Result<(), Error> {
    let rows = lease
        .query("SELECT id FROM workers", &[])
        .await
        .map_err(|failure| failure.error)?;
    let had = |number: u16| {
        rows.iter()
            .any(|row| row.first() == Some(&Value::Integer(number.into())))
    };
    let Some(free) = (0..WORKERS).rev().find(|number| !had(*number)) else {
        return Err(Error::Unavailable("all worker numbers are taken".to_owned()));
    };
    let now = time(now_ms());
    let insert = "INSERT INTO workers (id, owner, beat, seen_at, until_ms) VALUES (?, ?, 0, ?, ?)";
    let params = [
        Value::Integer(free.into()),
        Value::Text(OWNER.to_owned()),
        now.clone(),
        now,
    ];
    match lease.execute(insert, &params).await {
        Ok(()) => Ok(()),
        Err(Failure {
            error: Error::UniqueViolation(_),
            ..
        }) => Ok(()),
        Err(failure) => Err(failure.error),
    }
}

fn time(ms: u64) -> Value {
    Value::Integer(i64::try_from(ms).unwrap_or(i64::MAX))
}
