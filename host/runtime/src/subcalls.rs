//! Subcalls: calls that a call makes, driven by the task of the outer one.
//!
//! Wasmtime runs one store at a time within one poll, so a call of another sandbox cannot be polled where it is begun,
//! inside a host function. It is handed to whoever drives the outer call, who polls it next to that: no other task, no
//! other thread is woken for it, and it ends with the outer one. Knows nothing of what is called.

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::oneshot;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The calls that were begun and are not driven yet.
#[derive(Clone, Default)]
pub(crate) struct Subcalls(Arc<Mutex<Vec<Work>>>);

impl Subcalls {
    /// Hands a call over, and waits for what it gives; none when the outer call ended before.
    pub(crate) async fn run<T: Send + 'static>(&self, call: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let work = Box::pin(async move {
            // Nobody waits any more when the outer call gave up.
            let _ = answer.send(call.await);
        });
        self.begun().push(work);
        answered.await.ok()
    }

    /// Drives a call, and those that it hands over, until it ends.
    pub(crate) async fn drive<T>(&self, call: impl Future<Output = T>) -> T {
        let mut call = pin!(call);
        let mut driven = FuturesUnordered::new();
        std::future::poll_fn(|context: &mut Context<'_>| {
            loop {
                if let Poll::Ready(answer) = call.as_mut().poll(context) {
                    return Poll::Ready(answer);
                }
                driven.extend(self.begun().drain(..));
                // One that ends gives the outer call something to go on with.
                if !matches!(driven.poll_next_unpin(context), Poll::Ready(Some(()))) {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    fn begun(&self) -> std::sync::MutexGuard<'_, Vec<Work>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn calls_within_calls_are_driven_by_the_outer_one() {
        let outer = Subcalls::default();
        let begins = outer.clone();
        let answer = outer
            .drive(async move {
                let inner = Subcalls::default();
                let deeper = inner.clone();
                let both = futures_util::future::join(
                    begins.run(async { 1 }),
                    begins.run(async move {
                        inner
                            .drive(async move {
                                tokio::task::yield_now().await;
                                deeper.run(async { 2 }).await
                            })
                            .await
                    }),
                );
                both.await
            })
            .await;
        assert_eq!(answer, (Some(1), Some(Some(2))));
    }

    #[tokio::test]
    async fn a_call_ends_with_the_outer_one() {
        let (held, ended) = oneshot::channel::<()>();
        let outer = Subcalls::default();
        let begins = outer.clone();
        let run = outer.drive(async move {
            let never = begins.run(async move {
                let _held = held;
                std::future::pending::<()>().await;
            });
            futures_util::future::select(pin!(never), pin!(tokio::task::yield_now())).await;
        });
        run.await;
        assert!(ended.await.is_err(), "it was dropped");
    }
}
