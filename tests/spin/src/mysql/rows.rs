//! The rows of a query, on their way from the server to the component. It refuses to know the statement.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::StreamExt as _;
use mysql_async::Params;
use mysql_async::prelude::Queryable as _;
use tokio::sync::{mpsc, oneshot};
use wasmtime::StoreContextMut;
use wasmtime::component::{Destination, StreamProducer, StreamResult};

use super::value::{self, Column};
use super::{Failure, Row, Shared};

/// How many rows wait for the component.
const WAITING: usize = 4;
/// The most bytes that all rows of a query may have in the memory of Spin.
const MOST_BYTES: usize = 128 << 20;

/// What a query gives.
pub(super) struct Result {
    pub(super) columns: Vec<Column>,
    pub(super) rows: Arriving,
    /// Comes after the last row.
    pub(super) end: oneshot::Receiver<std::result::Result<(), Failure>>,
}

/// Rows that arrive.
pub(super) struct Arriving(mpsc::Receiver<Row>);

/// Starts a query. The connection is busy until the component has read all rows or has closed their stream.
///
/// When the statement fails before there are columns, its error goes with `end`, which nobody gets: as on Spin the
/// component is told of a closed channel, whatever the server has said.
pub(super) async fn read(
    connection: Shared,
    statement: String,
    parameters: Params,
) -> std::result::Result<Result, Failure> {
    let (send_columns, columns) = oneshot::channel();
    let (send_rows, rows) = mpsc::channel(WAITING);
    let (send_end, end) = oneshot::channel();
    tokio::spawn(async move {
        let ended = run(connection, statement, parameters, send_columns, send_rows).await;
        // A component that is gone needs no end.
        let _ = send_end.send(ended);
    });
    let columns = columns.await.map_err(lost)?;
    Ok(Result {
        columns,
        rows: Arriving(rows),
        end,
    })
}

async fn run(
    connection: Shared,
    statement: String,
    parameters: Params,
    columns: oneshot::Sender<Vec<Column>>,
    rows: mpsc::Sender<Row>,
) -> std::result::Result<(), Failure> {
    let mut connection = connection.lock().await;
    let mut result = connection
        .exec_iter(statement, parameters)
        .await
        .map_err(|error| Failure::QueryFailed(format!("{error:?}")))?;
    let described = result.columns().unwrap_or_default();
    let described: Vec<Column> = described.iter().map(Column::from).collect();
    // A component that does not wait for them has no use for the rows either, which is told when they are sent.
    let _ = columns.send(described.clone());
    let other = |error: mysql_async::Error| Failure::Other(error.to_string());
    if described.is_empty() {
        // The driver that Spin has says so of itself.
        result.drop_result().await.map_err(other)?;
        return Err(Failure::Other("unable to stream query result".to_owned()));
    }
    let stream = result.stream::<mysql_async::Row>().await.map_err(other)?;
    let mut stream = stream.ok_or_else(|| Failure::Other("unable to stream query result".to_owned()))?;
    let mut bytes = size_of::<Result>();
    while let Some(row) = stream.next().await {
        let row = value::row(row.map_err(other)?, &described)?;
        bytes += row.iter().map(value::size).sum::<usize>();
        if bytes > MOST_BYTES {
            return Err(Failure::Other(format!(
                "query result exceeds limit of {MOST_BYTES} bytes"
            )));
        }
        rows.send(row).await.map_err(lost)?;
    }
    Ok(())
}

fn lost(error: impl std::fmt::Display) -> Failure {
    Failure::Other(format!("async error: {error}"))
}

/// One row at a time.
impl<D> StreamProducer<D> for Arriving {
    type Item = Row;
    type Buffer = Option<Row>;

    fn poll_produce<'a>(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, Row, Option<Row>>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        if destination.remaining(store) == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        match self.get_mut().0.poll_recv(context) {
            Poll::Ready(Some(row)) => {
                destination.set_buffer(Some(row));
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Poll::Ready(None) => Poll::Ready(Ok(StreamResult::Dropped)),
            Poll::Pending if finish => Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => Poll::Pending,
        }
    }
}
