//! Futures without a runtime: polled until they are done.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// How often a call is polled: far more often than any call of a component makes calls of the host.
const MOST_POLLS: u32 = 1_000_000;

/// Runs a call to its end; one that would wait for ever ends the test.
pub fn run<T>(call: impl Future<Output = T>) -> T {
    let mut call = pin!(call);
    for _ in 0..MOST_POLLS {
        if let Poll::Ready(answer) = call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return answer;
        }
    }
    panic!("a call waits for something that the world does not give");
}

/// Lets others go first, once.
pub(crate) async fn turn() {
    let mut gone = false;
    std::future::poll_fn(|_| match std::mem::replace(&mut gone, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}
