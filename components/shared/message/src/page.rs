//! The bounds of pages, in entries and in bytes.

use guest::sql::{self, Error as SqlError, Row, Value};
use guest::{Error, Message, telemetry};

/// How many bytes of content a page has before it ends early.
const PAGE_BYTES: usize = 2 * 1024 * 1024;
/// What is read when the rows of the page asked for are more than the store gives at once.
const SMALL_PAGE: u32 = 64;

/// How many entries a page has: what was asked for, or the default, and never none nor more than `most`.
pub fn bounded(asked: Option<u32>, default: u32, most: u32) -> u32 {
    asked.unwrap_or(default).clamp(1, most)
}

/// Reads a page by a statement whose last parameter is its `LIMIT`; tells whether there is more.
///
/// Rows are bounded in number by the page and in bytes by the store. Contents near their bound may make a
/// long page too large for it: a shorter one is read then, so that nothing lies behind a page that cannot be had.
pub async fn page(statement: &str, params: Vec<Value>, limit: u32) -> Result<(Vec<Row>, bool), Error> {
    match first(statement, params.clone(), limit).await {
        Err(SqlError::Overloaded(_)) if limit > SMALL_PAGE => Ok(first(statement, params, SMALL_PAGE).await?),
        read => Ok(read?),
    }
}

/// How often a page is read that lacks its beginning, before it is taken for what there is.
const LOOKS: u32 = 3;

/// A page of entries whose seqs have no gaps, after one of them, oldest first; `column` is that of the seq.
///
/// Whoever wrote at a seq had waited for the writer of the one before it, and a read may show the later without the
/// former all the same: a store may look which transactions are under way while they end. (MariaDB does; at a busy
/// end, on a busy machine, 1 of 90,000 reads was such.) But what one read has shown, the next shows with everything
/// before it. So a page ends before a gap, and one that begins with a gap is read again.
pub async fn page_after(
    statement: &str,
    params: Vec<Value>,
    limit: u32,
    from: u64,
    column: usize,
) -> Result<(Vec<Row>, bool), Error> {
    let mut last = (Vec::new(), false);
    for _ in 0..LOOKS {
        let (mut rows, more) = page(statement, params.clone(), limit).await?;
        let whole = whole(&seqs(&rows, column)?, Some(from));
        if whole == rows.len() {
            return Ok((rows, more));
        }
        telemetry::count("mpim_pages_with_gaps", 1);
        if whole > 0 {
            rows.truncate(whole);
            return Ok((rows, true));
        }
        last = (rows, more);
    }
    // What comes next is not there any more.
    let (mut rows, more) = last;
    let whole = whole(&seqs(&rows, column)?, None);
    let cut = whole < rows.len();
    rows.truncate(whole);
    Ok((rows, more || cut))
}

/// A page of entries whose seqs have no gaps, the last first, whichever is the last that can be seen; see [`page_after`].
pub async fn page_back(
    statement: &str,
    params: Vec<Value>,
    limit: u32,
    column: usize,
) -> Result<(Vec<Row>, bool), Error> {
    for _ in 1..LOOKS {
        let (rows, more) = page(statement, params.clone(), limit).await?;
        let mut seqs = seqs(&rows, column)?;
        seqs.reverse();
        if whole(&seqs, None) == rows.len() {
            return Ok((rows, more));
        }
        telemetry::count("mpim_pages_with_gaps", 1);
    }
    page(statement, params, limit).await
}

fn seqs(rows: &[Row], column: usize) -> Result<Vec<u64>, Error> {
    rows.iter().map(|row| row.at(column)).collect()
}

/// How many seqs follow each other without a gap, from the first on or, where one is given, from the one before.
fn whole(seqs: &[u64], from: Option<u64>) -> usize {
    let before = from.or_else(|| seqs.first().map(|first| first.saturating_sub(1)));
    let expected = before.unwrap_or_default().saturating_add(1)..;
    seqs.iter()
        .zip(expected)
        .take_while(|(seq, expected)| *seq == expected)
        .count()
}

/// A page before a seq, the last first, from a copy of the store that may be a little behind; none unless it is seen to
/// lack nothing. It goes back without a gap from the one before, to its bound or to the first of all. (One that ends
/// where its reader joined looks as if it lacked something.)
pub async fn page_stale(
    statement: &str,
    params: Vec<Value>,
    limit: u32,
    before: u64,
    column: usize,
) -> Option<Vec<Row>> {
    let rows = sql::query_stale(statement, with_limit(params, limit)).await.ok()?;
    let (rows, more) = split(rows, limit);
    let mut seqs = seqs(&rows, column).ok()?;
    seqs.reverse();
    let begins = seqs.last().is_some_and(|last| last.checked_add(1) == Some(before));
    let ends = more || seqs.first() == Some(&1);
    (begins && ends && whole(&seqs, None) == seqs.len()).then_some(rows)
}

async fn first(statement: &str, params: Vec<Value>, limit: u32) -> Result<(Vec<Row>, bool), SqlError> {
    let rows = sql::query(statement, with_limit(params, limit)).await?;
    Ok(split(rows, limit))
}

/// One more than the page holds is asked for.
fn with_limit(mut params: Vec<Value>, limit: u32) -> Vec<Value> {
    params.push(Value::from(limit.saturating_add(1)));
    params
}

/// The room that is left in a page for contents.
#[derive(Debug)]
pub struct Room {
    bytes: usize,
    empty: bool,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            bytes: PAGE_BYTES,
            empty: true,
        }
    }
}

impl Room {
    /// Takes the room of a message; false when the page ends before it. The first always fits.
    pub fn take(&mut self, message: &Message) -> bool {
        let length = message.content.len();
        let fits = self.empty || length <= self.bytes;
        self.bytes = self.bytes.saturating_sub(length);
        self.empty = false;
        fits
    }
}

/// Cuts what was read, one more than the page holds, down to the page; tells whether there is more.
fn split<T>(mut read: Vec<T>, limit: u32) -> (Vec<T>, bool) {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = read.len() > limit;
    read.truncate(limit);
    (read, more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_never_empty_nor_over_its_bound() {
        assert_eq!(bounded(None, 100, 500), 100);
        assert_eq!(bounded(Some(0), 100, 500), 1);
        assert_eq!(bounded(Some(9000), 100, 500), 500);
    }

    #[test]
    fn places_are_whole_up_to_the_first_gap() {
        assert_eq!(whole(&[5, 6, 7], Some(4)), 3);
        assert_eq!(whole(&[5, 7], Some(4)), 1);
        assert_eq!(whole(&[6, 7], Some(4)), 0);
        assert_eq!(whole(&[6, 7, 9], None), 2);
        assert_eq!(whole(&[], Some(4)), 0);
    }

    #[test]
    fn one_row_over_the_page_tells_that_there_is_more() {
        assert_eq!(split(vec![1, 2, 3], 2), (vec![1, 2], true));
        assert_eq!(split(vec![1, 2], 2), (vec![1, 2], false));
        assert_eq!(split(Vec::<u8>::new(), 2), (vec![], false));
    }
}
