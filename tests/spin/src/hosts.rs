//! The hosts that a component may reach: `allowed_outbound_hosts`. It refuses to know what is done there.

use std::net::IpAddr;
use std::ops::Range;

use anyhow::{Context as _, Result, bail, ensure};
use url::{Host, Url};

use crate::template::Template;
use crate::variables::{Refusal, Variables};

/// What a component may reach.
#[derive(Debug)]
pub struct Hosts {
    allowed: Vec<Allowed>,
}

#[derive(Debug, PartialEq, Eq)]
struct Allowed {
    /// None for any.
    scheme: Option<String>,
    host: AllowedHost,
    ports: Ports,
}

#[derive(Debug, PartialEq, Eq)]
enum AllowedHost {
    Any,
    /// Requests to the application itself, which have no address.
    Itself,
    /// With the dot before it.
    Below(String),
    One(Host),
    Network(IpAddr, u8),
}

#[derive(Debug, PartialEq, Eq)]
enum Ports {
    Any,
    One(u16),
    Within(Range<u16>),
}

impl Hosts {
    /// Reads the entries of a component with the values that variables have when it runs.
    pub(crate) fn read(entries: &[String], variables: &Variables) -> Result<Self> {
        let allowed = entries.iter().filter_map(|entry| match Template::parse(entry) {
            Ok(template) => read_filled(&template, variables).transpose(),
            Err(error) => Some(Err(error.into())),
        });
        Ok(Self {
            allowed: allowed.collect::<Result<_>>()?,
        })
    }

    /// Whether entries are well-formed as far as that can be told before values are given.
    pub(crate) fn check(entries: &[String], variables: &Variables) -> Result<()> {
        if let [only] = entries {
            ensure!(
                only != "insecure:allow-all",
                "'insecure:allow-all' is not allowed, '*://*:*' means all hosts"
            );
        }
        for entry in entries {
            let template = Template::parse(entry)?;
            let missing = |name| {
                matches!(
                    variables.value(name),
                    Err(Refusal::Provider(_) | Refusal::InvalidName(_))
                )
            };
            if !template.names().any(missing) {
                read_filled(&template, variables).with_context(|| format!("entry {entry:?}"))?;
            }
        }
        Ok(())
    }

    /// Whether an address may be reached. One without a scheme has the one that is named here.
    pub fn allow(&self, address: &str, scheme: &str) -> bool {
        let Some(url) = parse_address(address, scheme) else {
            return false;
        };
        let Some(host) = url.host_str().and_then(|host| Host::parse(host).ok()) else {
            return false;
        };
        self.allowed
            .iter()
            .any(|allowed| allowed.allows(url.scheme(), &host, url.port()))
    }
}

/// The entry of a template. What comes out empty is no entry, so that an address may be left away.
fn read_filled(template: &Template, variables: &Variables) -> Result<Option<Allowed>> {
    let filled = template.fill(|name| variables.value(name).map_err(|refusal| anyhow::anyhow!("{refusal:?}")))?;
    let templated = template.names().next().is_some();
    if templated && ["", "http://", "https://"].contains(&filled.as_str()) {
        return Ok(None);
    }
    Allowed::read(&filled).map(Some)
}

impl Allowed {
    fn read(entry: &str) -> Result<Self> {
        let entry = entry.trim();
        let Some((scheme, rest)) = entry.split_once("://") else {
            bail!("{entry:?} does not contain a scheme, as 'http://' or '*://'");
        };
        let (host, ports) = split_ports(rest).with_context(|| format!("{entry:?}"))?;
        Ok(Self {
            scheme: read_scheme(scheme).with_context(|| format!("invalid allowed host scheme {scheme:?}"))?,
            host: AllowedHost::read(host).with_context(|| format!("invalid allowed host {host:?}"))?,
            ports: Ports::read(ports, scheme).with_context(|| format!("invalid allowed host port {ports:?}"))?,
        })
    }

    fn allows(&self, scheme: &str, host: &Host, port: Option<u16>) -> bool {
        self.scheme.as_deref().is_none_or(|allowed| allowed == scheme)
            && self.host.allows(host)
            && self.ports.allows(port.or_else(|| well_known_port(scheme)))
    }
}

/// The host and the ports of what comes after a scheme. A host with colons of its own has no ports.
fn split_ports(rest: &str) -> Result<(&str, &str)> {
    let Some((host, ports)) = rest.rsplit_once(':') else {
        return Ok((rest, ""));
    };
    if !ports.is_empty() && AllowedHost::read(rest).is_ok() {
        return Ok((rest, ""));
    }
    match ports.split_once('/') {
        Some((_, path)) if !path.is_empty() => bail!("must not have a path"),
        Some((ports, _)) => Ok((host, ports)),
        None => Ok((host, ports)),
    }
}

fn read_scheme(scheme: &str) -> Result<Option<String>> {
    if scheme == "*" {
        return Ok(None);
    }
    ensure!(!scheme.starts_with('{'), "scheme lists are not supported");
    ensure!(
        scheme.chars().all(char::is_alphabetic),
        "only alphabetic characters are allowed"
    );
    Ok(Some(scheme.to_owned()))
}

impl AllowedHost {
    fn read(host: &str) -> Result<Self> {
        let host = host.trim();
        if host == "*" {
            return Ok(Self::Any);
        }
        if host == "self" || host == "self.alt" {
            return Ok(Self::Itself);
        }
        ensure!(!host.starts_with('{'), "host lists are not supported");
        if let Some((address, bits)) = read_network(host) {
            return Ok(Self::Network(address, bits));
        }
        let host = host.strip_suffix('/').unwrap_or(host);
        ensure!(!host.contains('/'), "must not include a path");
        if let Some(domain) = host.strip_prefix("*.") {
            ensure!(!domain.contains('*'), "wildcards are allowed only as prefixes");
            return match Host::parse(domain)? {
                Host::Domain(domain) => Ok(Self::Below(format!(".{domain}"))),
                _ => bail!("wildcard suffix must be a domain"),
            };
        }
        ensure!(!host.contains('*'), "wildcards are allowed only as subdomains");
        Ok(Self::One(Host::parse(host)?))
    }

    fn allows(&self, host: &Host) -> bool {
        let address = match host {
            Host::Ipv4(address) => Some(IpAddr::V4(*address)),
            Host::Ipv6(address) => Some(IpAddr::V6(*address)),
            Host::Domain(_) => None,
        };
        match self {
            Self::Any => true,
            Self::Itself => false,
            Self::Below(suffix) => matches!(host, Host::Domain(domain) if domain.ends_with(suffix)),
            Self::One(allowed) => allowed == host,
            Self::Network(network, bits) => address.is_some_and(|address| is_within(address, *network, *bits)),
        }
    }
}

/// An address, or a network of addresses as `10.0.0.0/8`.
fn read_network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse().ok()?)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(most);
    (bits <= most).then_some((address, bits))
}

fn is_within(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let shared = match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => (address.to_bits() ^ network.to_bits()).leading_zeros(),
        (IpAddr::V6(address), IpAddr::V6(network)) => (address.to_bits() ^ network.to_bits()).leading_zeros(),
        _ => return false,
    };
    shared >= u32::from(bits)
}

impl Ports {
    fn read(ports: &str, scheme: &str) -> Result<Self> {
        if ports.is_empty() {
            let port = well_known_port(scheme);
            return port.map(Self::One).context("the scheme has no port of its own");
        }
        if ports == "*" {
            return Ok(Self::Any);
        }
        ensure!(!ports.starts_with('{'), "port lists are not supported");
        match ports.split_once("..") {
            Some((first, end)) => Ok(Self::Within(first.parse()?..end.parse()?)),
            None => Ok(Self::One(ports.parse()?)),
        }
    }

    fn allows(&self, port: Option<u16>) -> bool {
        match (self, port) {
            (Self::Any, _) => true,
            (Self::One(allowed), Some(port)) => *allowed == port,
            (Self::Within(range), Some(port)) => range.contains(&port),
            (_, None) => false,
        }
    }
}

fn well_known_port(scheme: &str) -> Option<u16> {
    match scheme {
        "postgres" => Some(5432),
        "mysql" => Some(3306),
        "redis" => Some(6379),
        "mqtt" => Some(1883),
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// An address as a URL. A password may have letters that a URL may not, so what stands before the `@` is left away.
fn parse_address(address: &str, scheme: &str) -> Option<Url> {
    let address = without_user(address);
    let parsed = Url::parse(&address).ok().filter(Url::has_host);
    parsed.or_else(|| Url::parse(&format!("{scheme}://{address}")).ok().filter(Url::has_host))
}

fn without_user(address: &str) -> String {
    let start = address.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = address.split_at(start);
    let end = rest.find('/').unwrap_or(rest.len());
    match rest.find('@') {
        Some(at) if at < end => format!("{scheme}{}", rest.get(at + 1..).unwrap_or_default()),
        _ => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::Hosts;
    use crate::variables::Variables;

    fn hosts(entries: &[&str]) -> anyhow::Result<Hosts> {
        let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
        let variables = Variables::default();
        Hosts::check(&entries, &variables)?;
        Hosts::read(&entries, &variables)
    }

    #[test]
    fn scheme_host_and_port_must_be_allowed() {
        let hosts = hosts(&["redis://127.0.0.1:*", "mysql://db.example", "*://10.0.0.0/8:1000..2000"]).unwrap();
        for address in [
            "redis://127.0.0.1:7000/0",
            "redis://user:p@ss@127.0.0.1:7000",
            "127.0.0.1",
            "mysql://root:secret@db.example/app",
            "mysql://db.example:3306",
            "tcp://10.1.2.3:1999",
        ] {
            assert!(hosts.allow(address, "redis"), "{address}");
        }
        for address in [
            "mysql://127.0.0.1:7000",
            "redis://127.0.0.2:7000",
            "redis://localhost:7000",
            "mysql://db.example:3307",
            "mysql://other.db.example",
            "tcp://10.1.2.3:2000",
            "tcp://11.1.2.3:1999",
            "",
        ] {
            assert!(!hosts.allow(address, "redis"), "{address}");
        }
    }

    #[test]
    fn entries_that_are_not_of_the_form_are_refused() {
        for entry in [
            "127.0.0.1:6379",
            "*",
            "redis://example/0",
            "redis://a.*.example",
            "tcp://example",
            "re-dis://example:1",
            "redis://example:port",
            "redis://{a,b}:1",
            "insecure:allow-all",
            "redis://{{ unfinished",
        ] {
            assert!(hosts(&[entry]).is_err(), "{entry}");
        }
        assert!(hosts(&["*://*:*", "https://*.example", "http://self", "redis://[::1]:1"]).is_ok());
    }
}
