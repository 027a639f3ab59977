//! The life of instances, with the numbers of Spin: how many requests one has at a time and in all, and how long it
//! waits for the next. It refuses to know what a request asks.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::Sleep;
use wasmtime::component::GuestTaskId;
use wasmtime::{Store, StoreContextMut};
use wasmtime_wasi_http::WasiHttpView as _;
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, Proxy, ProxyHandler, Request, Response, ShouldAccept, WorkerExpiration, WorkerState,
    WorkerStatus,
};
use wasmtime_wasi_http::p3::bindings::ServicePre;

use crate::guest::{Guest, Permits};

/// How instances are used again. The default is that of Spin.
#[derive(Clone, Copy, Debug)]
pub struct Reuse {
    /// The requests of an instance in all.
    pub requests: usize,
    /// The requests of an instance at a time.
    pub at_a_time: usize,
    /// How long an instance without requests is kept.
    pub idle: Duration,
}

impl Default for Reuse {
    fn default() -> Self {
        Self {
            requests: 128,
            at_a_time: 16,
            idle: Duration::from_secs(1),
        }
    }
}

/// All instances of a component.
pub(crate) struct Handler(ProxyHandler<Instances>);

impl Handler {
    pub(crate) fn new(service: ServicePre<Guest>, permits: Arc<Permits>, reuse: Reuse) -> Self {
        Self(ProxyHandler::new(Instances {
            service,
            permits,
            reuse,
        }))
    }

    pub(crate) async fn handle(&self, request: Request) -> wasmtime::Result<Response> {
        self.0.handle((), request).await
    }
}

/// Makes the instances of a component.
struct Instances {
    service: ServicePre<Guest>,
    permits: Arc<Permits>,
    reuse: Reuse,
}

impl HandlerState for Instances {
    type StoreData = Guest;
    type WorkerExpiration = Patience;
    type WorkerState = Limits;

    async fn instantiate(&self) -> wasmtime::Result<Instance<Guest, Patience, Limits>> {
        let mut store = Store::new(self.service.engine(), Guest::new(Arc::clone(&self.permits)));
        let service = self.service.instantiate_async(&mut store).await?;
        Ok(Instance {
            store,
            proxy: Proxy::P3(service),
            view: Guest::http,
            expiration: Patience {
                idle: self.reuse.idle,
                sleep: Box::pin(tokio::time::sleep(self.reuse.idle)),
            },
            state: Limits {
                component: self.permits.component.clone(),
                reuse: self.reuse,
            },
        })
    }
}

/// How long an instance waits for a request. One that has requests waits for their ends.
struct Patience {
    idle: Duration,
    sleep: Pin<Box<Sleep>>,
}

impl WorkerExpiration for Patience {
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>, status: WorkerStatus, start: Instant) -> Poll<()> {
        let patience = self.get_mut();
        match status {
            WorkerStatus::Requests | WorkerStatus::PostReturn => Poll::Pending,
            WorkerStatus::Idle => {
                let end = (start + patience.idle).into();
                if end != patience.sleep.deadline() {
                    patience.sleep.as_mut().reset(end);
                }
                patience.sleep.as_mut().poll(context)
            }
        }
    }
}

/// How many requests an instance takes.
struct Limits {
    component: String,
    reuse: Reuse,
}

impl WorkerState for Limits {
    type StoreData = Guest;
    type RequestData = ();

    fn should_accept_request(&self, at_a_time: usize, requests: usize) -> ShouldAccept {
        if requests >= self.reuse.requests {
            ShouldAccept::Never
        } else if at_a_time >= self.reuse.at_a_time {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        _store: StoreContextMut<'_, Guest>,
        _data: (),
        _task: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        Box::pin(std::future::pending())
    }

    fn drop(&self, store: Store<Guest>, result: Result<(), wasmtime::Error>) {
        if let Err(error) = result {
            eprintln!("an instance of `{}` failed: {error:?}", self.component);
        }
        drop(store);
    }
}
