//! What Spin makes of a request before a component gets it. It refuses to know who answers it.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail, ensure};
use hyper::header::{CONNECTION, HOST, HeaderName, HeaderValue};
use hyper::http::uri::{Authority, Scheme};
use hyper::{Request, Uri};

use crate::routes::Match;

/// Makes the address of a request whole, from its host. Without one, or with two, it is not answered at all.
pub(crate) fn complete<B>(request: &mut Request<B>) -> Result<()> {
    request.headers_mut().remove(CONNECTION);
    let host = request.headers().get(HOST).map(read_host).transpose()?;
    let mut parts = request.uri().clone().into_parts();
    let authority = match (host, parts.authority.take()) {
        (Some(host), Some(authority)) => {
            ensure!(
                host == authority,
                "authority in 'Host' header does not match authority in URI"
            );
            host
        }
        (Some(host), None) => host,
        (None, Some(authority)) => authority,
        (None, None) => bail!("no 'Host' header present in request"),
    };
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(authority);
    *request.uri_mut() = Uri::from_parts(parts)?;
    Ok(())
}

fn read_host(host: &HeaderValue) -> Result<Authority> {
    let host = host.to_str().context("'Host' header is not valid UTF-8")?;
    host.parse().context("'Host' header contains an invalid authority")
}

/// Adds the headers that tell how the request came to the component. A header that is no text is an error.
pub(crate) fn add_headers<B>(request: &mut Request<B>, found: &Match<'_>, client: SocketAddr) -> Result<()> {
    for value in request.headers().values() {
        std::str::from_utf8(value.as_bytes())?;
    }
    let host = request.headers().get(HOST);
    let host = host.map_or("localhost", |host| host.to_str().unwrap_or_default());
    let uri = request.uri();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let prefix = found.route.strip_suffix("/...").unwrap_or(found.route);
    let trimmed = found.route.strip_suffix('/').unwrap_or(found.route);
    let mut headers = vec![
        ("spin-path-info".to_owned(), found.rest.clone()),
        ("spin-full-url".to_owned(), format!("http://{host}{path}")),
        ("spin-matched-route".to_owned(), trimmed.to_owned()),
        ("spin-base-path".to_owned(), "/".to_owned()),
        ("spin-raw-component-route".to_owned(), found.route.to_owned()),
        ("spin-component-route".to_owned(), prefix.to_owned()),
        ("spin-client-addr".to_owned(), client.to_string()),
    ];
    let named = found.named.iter();
    headers.extend(named.map(|(name, value)| {
        let name = name.to_ascii_lowercase().replace('_', "-");
        (format!("spin-path-match-{name}"), value.clone())
    }));
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
            request.headers_mut().append(name, value);
        }
    }
    Ok(())
}
