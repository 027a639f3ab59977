//! Where a server is. One address serves the WebSocket and the HTTP calls, whichever of the two schemes
//! the user wrote. It refuses to know what is asked there.

use std::fmt;
use std::str::FromStr;

use hyper::Uri;

/// Where a server listens that was not told otherwise.
pub const DEFAULT_URL: &str = "http://127.0.0.1:7080";

/// A server without TLS: host, port and the path before `/ws` and `/v1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: u16,
    base: String,
}

impl Address {
    /// The host and the port, as the `Host` header says them.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// What a TCP connection is opened to; an IPv6 address stands without its brackets.
    pub fn endpoint(&self) -> (&str, u16) {
        (self.host.trim_start_matches('[').trim_end_matches(']'), self.port)
    }

    /// The URL of the WebSocket.
    pub fn websocket(&self) -> String {
        format!("ws://{}{}/ws", self.authority(), self.base)
    }

    /// The path of a request, as the request line says it.
    pub fn path(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let with_scheme = if text.contains("://") {
            text.to_owned()
        } else {
            format!("http://{text}")
        };
        let uri: Uri = with_scheme
            .parse()
            .map_err(|error| format!("`{text}` is no URL: {error}"))?;
        if !matches!(uri.scheme_str(), Some("http" | "ws")) {
            return Err(format!(
                "`{text}` has a scheme other than http and ws; TLS is left to a proxy"
            ));
        }
        let host = uri
            .host()
            .filter(|host| !host.is_empty())
            .ok_or_else(|| format!("`{text}` names no host"))?;
        let path = uri.path().trim_end_matches('/');
        let base = path.strip_suffix("/ws").unwrap_or(path);
        Ok(Self {
            host: host.to_owned(),
            port: uri.port_u16().unwrap_or(80),
            base: base.to_owned(),
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "http://{}{}", self.authority(), self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn both_schemes_and_none_name_the_same_server() -> Result<(), String> {
        let plain: Address = "127.0.0.1:7080".parse()?;
        assert_eq!(plain, "http://127.0.0.1:7080/".parse()?);
        assert_eq!(plain, "ws://127.0.0.1:7080/ws".parse()?);
        assert_eq!(plain.websocket(), "ws://127.0.0.1:7080/ws");
        assert_eq!(plain.path("/v1/send/ack"), "/v1/send/ack");
        Ok(())
    }

    #[test]
    fn a_path_before_the_service_is_kept() -> Result<(), String> {
        let address: Address = "ws://chat.example/im/ws".parse()?;
        assert_eq!(address.websocket(), "ws://chat.example:80/im/ws");
        assert_eq!(address.path("/admin/functions"), "/im/admin/functions");
        Ok(())
    }

    #[test]
    fn an_ipv6_host_loses_its_brackets_for_tcp_only() -> Result<(), String> {
        let address: Address = "http://[::1]:7080".parse()?;
        assert_eq!(address.endpoint(), ("::1", 7080));
        assert_eq!(address.authority(), "[::1]:7080");
        Ok(())
    }

    #[test]
    fn tls_and_nonsense_are_refused() {
        assert!("https://chat.example".parse::<Address>().is_err());
        assert!("wss://chat.example".parse::<Address>().is_err());
        assert!("not a url".parse::<Address>().is_err());
    }
}
