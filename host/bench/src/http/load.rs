//! The load: the same request again and again on some connections that are kept, on one thread, with as little work
//! around it as can be. It refuses to know what the answers say: only that they are there, whole and not errors.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::failure::Failure;
use crate::latencies::Latencies;

/// What a run gave.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Requests that were answered.
    pub(super) answered: u64,
    /// From the first byte of a request to the last of its answer.
    pub(super) latencies: Latencies,
    /// How long the run took.
    pub(super) took: Duration,
}

/// Sends requests, each on a connection of its own, for so long. Blocks this thread.
pub(super) fn run(address: SocketAddr, requests: Vec<Vec<u8>>, lasts: Duration) -> Result<Outcome, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    runtime.map_err(Failure::other)?.block_on(async move {
        let mut running = JoinSet::new();
        let begun = Instant::now();
        for request in requests {
            running.spawn(again_and_again(address, request, begun + lasts));
        }
        let mut outcome = Outcome::default();
        while let Some(ended) = running.join_next().await {
            let (answered, latencies) = ended.map_err(Failure::other)?.map_err(Failure::other)?;
            outcome.answered += answered;
            outcome.latencies.add(&latencies);
        }
        outcome.took = begun.elapsed();
        Ok(outcome)
    })
}

async fn again_and_again(address: SocketAddr, request: Vec<u8>, until: Instant) -> io::Result<(u64, Latencies)> {
    let mut connection = TcpStream::connect(address).await?;
    connection.set_nodelay(true)?;
    let (mut answered, mut latencies) = (0, Latencies::default());
    let mut buffer = vec![0; 16 * 1024];
    let mut begun = Instant::now();
    while begun < until {
        connection.write_all(&request).await?;
        answer(&mut connection, &mut buffer).await?;
        let ended = Instant::now();
        latencies.record(ended.duration_since(begun));
        answered += 1;
        begun = ended;
    }
    Ok((answered, latencies))
}

/// Reads one answer. None is asked for before the last was read, so what comes is one answer and no more.
async fn answer(connection: &mut TcpStream, buffer: &mut [u8]) -> io::Result<()> {
    let mut read = 0;
    loop {
        let room = buffer.get_mut(read..).unwrap_or_default();
        let more = connection.read(room).await?;
        if more == 0 {
            return Err(io::Error::other(
                "the server ended a connection, or its answer is too long",
            ));
        }
        read += more;
        let so_far = buffer.get(..read).unwrap_or_default();
        if whole(so_far)? {
            return Ok(());
        }
    }
}

const LENGTH: &[u8] = b"\r\ncontent-length: ";

/// Whether this is a whole answer; an error when it is one of an error.
fn whole(answer: &[u8]) -> io::Result<bool> {
    let Some(end) = find(answer, b"\r\n\r\n") else {
        return Ok(false);
    };
    let (head, body) = answer.split_at_checked(end).unwrap_or_default();
    let digits = find(head, LENGTH).and_then(|at| head.get(at + LENGTH.len()..));
    let digits = digits.into_iter().flatten().take_while(|byte| byte.is_ascii_digit());
    let length = digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0'));
    if !head.starts_with(b"HTTP/1.1 200") {
        let said = String::from_utf8_lossy(answer).replace("\r\n", " ");
        return Err(io::Error::other(format!("the server answers {said}")));
    }
    Ok(body.len() >= b"\r\n\r\n".len() + length)
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::whole;

    #[test]
    fn an_answer_is_whole_when_its_body_is() {
        let text = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 7\r\n\r\n\"hello\"";
        for length in 0..text.len() {
            assert!(!whole(&text[..length]).expect("no error"), "{length} bytes");
        }
        assert!(whole(text).expect("no error"));
    }

    #[test]
    fn an_answer_of_an_error_is_told() {
        let error = whole(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").expect_err("an error");
        assert!(error.to_string().contains("503"));
    }
}
