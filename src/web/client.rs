//! Who the client is, where the peer of the connection may be a proxy.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use actix_web::HttpRequest;

/// The address that a request comes from.
pub fn address(request: &HttpRequest) -> Option<IpAddr> {
    request.peer_addr().map(|peer| peer.ip())
}

/// What is counted as one client: an IPv4 address, or a network of IPv6, of which one has 2^64 addresses.
pub fn network(address: Option<IpAddr>) -> IpAddr {
    match address.map(|address| address.to_canonical()) {
        Some(IpAddr::V6(address)) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        Some(address) => address,
        None => Ipv4Addr::UNSPECIFIED.into(),
    }
}
