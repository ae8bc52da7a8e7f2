//! Who is at the other end: the address, scheme and host of a request. `X-Forwarded-*` are believed from trusted proxies
//! only, since anybody can send them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use actix_web::http::header::{HOST, HeaderMap};
use ipnet::IpNet;

/// A request's other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The client, as far as trusted proxies say.
    pub address: IpAddr,
    /// The connection comes from a trusted proxy.
    pub is_proxied: bool,
    pub is_tls: bool,
    /// The name by which the client asked for this server; empty where it sent none.
    pub host: String,
}

impl Peer {
    /// `is_tls`: this server itself speaks TLS.
    pub fn of(address: Option<IpAddr>, headers: &HeaderMap, trusted: &[IpNet], is_tls: bool) -> Peer {
        let address = address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)).to_canonical();
        let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
        let host = last(headers, HOST.as_str()).unwrap_or_default();
        if !is_trusted(&address) {
            return Peer { address, is_proxied: false, is_tls, host };
        }
        // each proxy appends the address that it saw: the last one that is none of ours is the client
        let forwarded: Vec<&str> = values(headers, "x-forwarded-for").collect();
        let mut client = address;
        for value in forwarded.iter().rev() {
            let Some(said) = address_of(value) else { break };
            client = said;
            if !is_trusted(&said) {
                break;
            }
        }
        Peer {
            address: client,
            is_proxied: true,
            is_tls: last(headers, "x-forwarded-proto").map_or(is_tls, |scheme| scheme.eq_ignore_ascii_case("https")),
            host: last(headers, "x-forwarded-host").unwrap_or(host),
        }
    }

    /// Such as `https://waybill.example:8443`.
    pub fn origin(&self) -> String {
        format!("{}://{}", if self.is_tls { "https" } else { "http" }, self.host)
    }
}

/// What is counted as one client: an IPv4 address, or a network of IPv6, of which one has 2^64 addresses.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address => address,
    }
}

fn values<'h>(headers: &'h HeaderMap, name: &'h str) -> impl Iterator<Item = &'h str> {
    headers.get_all(name).flat_map(|value| value.to_str().unwrap_or_default().split(',')).map(str::trim)
}

/// What the proxy next to us said, which comes last.
fn last(headers: &HeaderMap, name: &str) -> Option<String> {
    values(headers, name).last().filter(|value| !value.is_empty()).map(str::to_owned)
}

/// An address with or without a port.
fn address_of(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').split(']').next().unwrap_or_default();
    let address = bare.parse().ok().or_else(|| text.rsplit_once(':').and_then(|(host, _)| host.parse().ok()));
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn peer(address: &str, headers: &[(&str, &str)]) -> (String, String) {
        let trusted: Vec<IpNet> = ["127.0.0.1/32", "10.0.0.0/8", "fd00::/8"].map(|it| it.parse().unwrap()).into();
        let request = headers.iter().fold(TestRequest::get(), |request, header| request.append_header(*header));
        let request = request.append_header(("Host", "here")).to_http_request();
        let peer = Peer::of(Some(address.parse().unwrap()), request.headers(), &trusted, false);
        (peer.address.to_string(), peer.origin())
    }

    #[test]
    fn forwarded_headers_are_believed_from_trusted_proxies_alone() {
        let headers =
            [("X-Forwarded-For", "1.1.1.1"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "w.example")];
        assert_eq!(peer("192.0.2.1", &headers), ("192.0.2.1".into(), "http://here".into()));
        for proxy in ["127.0.0.1", "10.9.8.7", "::ffff:10.0.0.1", "fd00::7"] {
            assert_eq!(peer(proxy, &headers), ("1.1.1.1".into(), "https://w.example".into()), "{proxy}");
        }
    }

    #[test]
    fn what_a_client_put_before_the_proxy_counts_for_nothing() {
        for (forwarded, client) in [
            (&["6.6.6.6, 1.1.1.1"][..], "1.1.1.1"),
            (&["6.6.6.6", "1.1.1.1, 10.0.0.2"], "1.1.1.1"),
            (&["1.1.1.1:4711"], "1.1.1.1"),
            (&["[2001:db8::1]:4711"], "2001:db8::1"),
            (&["6.6.6.6, unknown"], "127.0.0.1"),
            (&["10.0.0.3"], "10.0.0.3"),
            (&[""], "127.0.0.1"),
            (&[], "127.0.0.1"),
        ] {
            let headers: Vec<_> = forwarded.iter().map(|value| ("X-Forwarded-For", *value)).collect();
            assert_eq!(peer("127.0.0.1", &headers).0, client, "{forwarded:?}");
        }
        let schemes = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Proto", "http")];
        assert_eq!(peer("127.0.0.1", &schemes).1, "http://here");
    }
}
