//! The server of HTTP in front of an application. It refuses to know what is asked.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use wasmtime_wasi_http::WasiBody;

use crate::application::Application;
use crate::request;

/// The paths that Spin answers itself.
const WELL_KNOWN: &str = "/.well-known/spin/";

/// Serves an application for as long as it is polled.
pub async fn serve(application: Arc<Application>, listener: TcpListener) -> Result<()> {
    loop {
        let (stream, client) = listener.accept().await?;
        tokio::spawn(serve_connection(Arc::clone(&application), stream, client));
    }
}

async fn serve_connection(application: Arc<Application>, stream: TcpStream, client: SocketAddr) {
    let answer = service_fn(move |request| {
        let application = Arc::clone(&application);
        async move { application.answer(request, client).await }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), answer)
        .await;
    if let Err(error) = served {
        eprintln!("a connection of HTTP ended early: {error}");
    }
}

impl Application {
    /// An error is for requests that are not answered: their connection is closed.
    async fn answer(&self, mut request: Request<Incoming>, client: SocketAddr) -> Result<Response<WasiBody>> {
        let path = request.uri().path().to_owned();
        if let Some(own) = path.strip_prefix(WELL_KNOWN) {
            return Ok(match own {
                "health" => Response::new(Full::new(Bytes::from_static(b"OK")).map_err(Into::into).boxed_unsync()),
                _ => empty(StatusCode::NOT_FOUND),
            });
        }
        let Some(found) = self.routes.find(&path) else {
            return Ok(empty(StatusCode::NOT_FOUND));
        };
        let Some(handler) = self.handlers.get(found.component) else {
            return Ok(empty(StatusCode::NOT_FOUND));
        };
        request::complete(&mut request)?;
        let answer = async {
            request::add_headers(&mut request, &found, client)?;
            let request = request.map(|body| body.map_err(Into::into).boxed_unsync());
            Ok::<_, anyhow::Error>(handler.handle(request).await?)
        };
        Ok(answer.await.unwrap_or_else(|error| {
            eprintln!("{path}: {error:?}");
            empty(StatusCode::INTERNAL_SERVER_ERROR)
        }))
    }
}

fn empty(status: StatusCode) -> Response<WasiBody> {
    let mut response = Response::new(Empty::new().map_err(Into::into).boxed_unsync());
    *response.status_mut() = status;
    response
}
