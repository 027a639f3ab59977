//! What belongs to one instance of a component: its view of WASI, its connections, and what its manifest entry lets
//! it do. It refuses to know what it is asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use wasmtime::component::{Linker, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView};

use crate::hosts::Hosts;
use crate::variables::Variables;
use crate::{mysql, redis, variables};

/// What a component may do, the same for all its instances.
#[derive(Debug)]
pub(crate) struct Permits {
    pub(crate) component: String,
    pub(crate) variables: Arc<Variables>,
    /// An entry whose variables make no host of it is an error at every use, and none before.
    pub(crate) hosts: Result<Hosts, String>,
    pub(crate) environment: BTreeMap<String, String>,
    /// Whether its output goes to that of this process.
    pub(crate) heard: bool,
}

impl Permits {
    /// Whether an address may be reached.
    pub(crate) fn allow(&self, address: &str, scheme: &str) -> Result<bool, String> {
        match &self.hosts {
            Ok(hosts) => Ok(hosts.allow(address, scheme)),
            Err(error) => Err(error.clone()),
        }
    }
}

/// One instance.
pub(crate) struct Guest {
    pub(crate) permits: Arc<Permits>,
    pub(crate) redis: redis::Open,
    pub(crate) mysql: mysql::Open,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    requests: NoRequests,
    table: ResourceTable,
}

impl Guest {
    pub(crate) fn new(permits: Arc<Permits>) -> Self {
        let mut wasi = WasiCtx::builder();
        for (name, value) in &permits.environment {
            wasi.env(name, value);
        }
        if permits.heard {
            wasi.inherit_stdout().inherit_stderr();
        }
        Self {
            permits,
            redis: redis::Open::default(),
            mysql: mysql::Open::default(),
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            requests: NoRequests,
            table: ResourceTable::new(),
        }
    }
}

/// Everything that a component may import.
pub(crate) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    wasmtime_wasi::p3::add_to_linker(linker)?;
    wasmtime_wasi_http::p3::add_to_linker(linker)?;
    redis::link(&mut linker.instance("spin:redis/redis@3.0.0")?)?;
    mysql::link(&mut linker.instance("spin:mysql/mysql@3.0.0")?)?;
    variables::link(&mut linker.instance("spin:variables/variables@3.0.0")?)
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.requests,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}

/// A component may import the client of HTTP, but reaches nobody with it: as on Spin where no host of HTTP is allowed.
struct NoRequests;

type Done = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for NoRequests {
    fn send_request(
        &mut self,
        _request: hyper::Request<WasiBody>,
        _options: Option<RequestOptions>,
        _done: Done,
    ) -> Box<dyn Future<Output = Result<(hyper::Response<WasiBody>, Done), Error>> + Send> {
        Box::new(std::future::ready(Err(Error::HttpRequestDenied)))
    }
}
