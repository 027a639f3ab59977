//! The bounds of pages, in entries and in bytes.

use guest::sql::{self, Error as SqlError, Row, Value};
use guest::{Error, Message};

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

/// The same from a copy of the store that may be a little behind, and without another try: whoever finds something
/// missing, or gets an error, asks [`page`].
pub async fn page_stale(statement: &str, params: Vec<Value>, limit: u32) -> Result<(Vec<Row>, bool), Error> {
    let rows = sql::query_stale(statement, with_limit(params, limit)).await?;
    Ok(split(rows, limit))
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
    fn one_row_over_the_page_tells_that_there_is_more() {
        assert_eq!(split(vec![1, 2, 3], 2), (vec![1, 2], true));
        assert_eq!(split(vec![1, 2], 2), (vec![1, 2], false));
        assert_eq!(split(Vec::<u8>::new(), 2), (vec![], false));
    }
}
