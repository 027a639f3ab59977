//! What goes over one connection: a query and its rows, or a transaction and its outcomes.
//!
//! Knows neither pools nor repeats. A future of this module that is dropped leaves its connection in the middle of
//! something: whoever calls it must not use the connection again then.

use mysql_async::prelude::{Protocol, Queryable};
use mysql_async::{Conn, QueryResult, ServerError, TextProtocol};

use super::error::{failure, from_commit};
use super::link::Link;
use super::query::Query;
use super::script::Script;
use super::value;
use config::MysqlSettings;
use contract::sql::{Error, Outcome, Row, Value};
use dialect::failure::Failure;
use dialect::gate::Kind;

/// What one job may still return.
#[derive(Debug)]
struct Budget {
    rows: usize,
    bytes: usize,
}

impl Budget {
    fn of(settings: &MysqlSettings) -> Self {
        Self {
            rows: settings.rows_max,
            bytes: settings.result_bytes_max,
        }
    }

    fn spend_row(&mut self) -> Result<(), Failure> {
        self.rows = self.rows.checked_sub(1).ok_or_else(|| too_much("rows"))?;
        Ok(())
    }

    fn spend(&mut self, value: &Value) -> Result<(), Failure> {
        let length = match value {
            Value::Text(text) => text.len(),
            Value::Blob(bytes) => bytes.len(),
            _ => 0,
        };
        let bytes = length + size_of::<Value>();
        self.bytes = self.bytes.checked_sub(bytes).ok_or_else(|| too_much("bytes"))?;
        Ok(())
    }
}

fn too_much(what: &str) -> Failure {
    Failure::halfway(Error::Overloaded(format!("the result has too many {what}")))
}

/// The rows of one statement, prepared where that can be.
pub(super) async fn query(link: &mut Link, query: &Query<'_>, settings: &MysqlSettings) -> Result<Vec<Row>, Failure> {
    let prepared = if link.prepares { query.prepared() } else { None };
    if let Some((sql, params)) = prepared {
        // The values go within the bound of a result, or in parts.
        fits(link, sql.len())?;
        let conn = link.conn().map_err(failure)?;
        match conn.prep(sql).await {
            Ok(statement) => {
                let mut answers = conn.exec_iter(statement, params).await.map_err(failure)?;
                return rows(&mut answers, settings).await;
            }
            Err(mysql_async::Error::Server(error)) if is_not_to_be_prepared(&error) => {
                metrics::counter!("mpim_sql_unprepared_total", "backend" => "mysql").increment(1);
                link.prepares = error.code != FULL;
            }
            Err(error) => return Err(failure(error)),
        }
    }
    let text = query.text().map_err(Failure::of_request)?;
    fits(link, text.len())?;
    let mut answers = link.conn().map_err(failure)?.query_iter(text).await.map_err(failure)?;
    rows(&mut answers, settings).await
}

/// The server keeps as many prepared statements as it may.
const FULL: u16 = 1461;

/// Whether the server takes a statement only as a text, as 1295 says.
fn is_not_to_be_prepared(error: &ServerError) -> bool {
    matches!(error.code, 1295 | FULL)
}

async fn rows<P: Protocol>(
    answers: &mut QueryResult<'_, '_, P>,
    settings: &MysqlSettings,
) -> Result<Vec<Row>, Failure> {
    Ok(answer(answers, Kind::Read, &mut Budget::of(settings)).await?.rows)
}

/// All statements of a batch in one transaction, committed when this returns, or nothing of them.
pub(super) async fn transaction(
    link: &mut Link,
    script: &Script,
    settings: &MysqlSettings,
) -> Result<Vec<Outcome>, Failure> {
    fits(link, script.longest())?;
    let conn = link.conn().map_err(failure)?;
    let outcomes = match perform(conn, script, settings).await {
        Ok(outcomes) => outcomes,
        Err(failure) if !failure.whole => return Err(failure),
        Err(failure) => {
            let undone = undo(conn).await.is_ok();
            return Err(Failure {
                whole: undone,
                ..failure
            });
        }
    };
    // From here on it may be kept; before, a lost connection undoes everything.
    conn.query_drop("COMMIT").await.map_err(|error| from_commit(&error))?;
    Ok(outcomes)
}

/// Whether the server takes a text of this length. One that it does not take would cost the connection.
fn fits(link: &Link, length: usize) -> Result<(), Failure> {
    // The length goes with a byte that says what it is.
    if length < link.text_max {
        return Ok(());
    }
    let most = link.text_max;
    Err(Failure::of_request(Error::Invalid(format!(
        "the server takes statements of less than {most} bytes"
    ))))
}

async fn perform(conn: &mut Conn, script: &Script, settings: &MysqlSettings) -> Result<Vec<Outcome>, Failure> {
    let mut budget = Budget::of(settings);
    let mut outcomes = Vec::new();
    for (index, text) in script.texts.iter().enumerate() {
        let mut answers = conn.query_iter(text.sql.as_str()).await.map_err(failure)?;
        if index == 0 {
            // The transaction has begun.
            answers.next().await.map_err(failure)?;
        }
        for mark in &text.marks {
            // Of a row that is kept it is first said how many there were.
            let kind = if mark.is_kept { Kind::Write } else { mark.kind };
            let mut outcome = answer(&mut answers, kind, &mut budget).await?;
            let reached = outcome.affected.max(outcome.rows.len() as u64);
            if reached < u64::from(mark.at_least) {
                let step = u32::try_from(outcomes.len()).unwrap_or(u32::MAX);
                return Err(Failure::of_request(Error::Unmet(step)));
            }
            if mark.is_kept {
                outcome = answer(&mut answers, Kind::Read, &mut budget).await?;
            }
            outcomes.push(outcome);
        }
    }
    Ok(outcomes)
}

/// What one statement of several did. Reads to the end of its answer, and no further than the head of the next.
async fn answer<P: Protocol>(
    answers: &mut QueryResult<'_, '_, P>,
    kind: Kind,
    budget: &mut Budget,
) -> Result<Outcome, Failure> {
    let Some(columns) = answers.columns() else {
        // The statement failed, or the server said less than it was asked.
        answers.next().await.map_err(failure)?;
        return Err(Failure::halfway(Error::Unavailable(
            "the server gave no answer to a statement".to_owned(),
        )));
    };
    if columns.is_empty() {
        // The next answer overwrites the count.
        let affected = if kind == Kind::Write {
            answers.affected_rows()
        } else {
            0
        };
        answers.next().await.map_err(failure)?;
        return Ok(Outcome {
            affected,
            rows: Vec::new(),
        });
    }
    let mut rows = Vec::new();
    while let Some(found) = answers.next().await.map_err(failure)? {
        budget.spend_row()?;
        let mut row = Row::with_capacity(columns.len());
        for (column, found) in columns.iter().zip(found.unwrap()) {
            let value = value::read(column, found).map_err(Failure::halfway)?;
            budget.spend(&value)?;
            row.push(value);
        }
        rows.push(row);
    }
    Ok(Outcome { affected: 0, rows })
}

/// Ends a transaction that shall not be kept.
async fn undo(conn: &mut Conn) -> mysql_async::Result<()> {
    // Answers to the statements after the one that failed or fell short; none of them matters, nor how the last failed.
    let rest = QueryResult::<TextProtocol>::new(&mut *conn);
    match rest.drop_result().await {
        Ok(()) | Err(mysql_async::Error::Server(_)) => {}
        Err(error) => return Err(error),
    }
    conn.query_drop("ROLLBACK").await
}
