//! Slows down who tries tokens, by address and overall, in memory that does not grow.
//!
//! A right token is looked up before any of this and always accepted, so nobody can lock anybody out. That is sound since
//! guessing is hopeless at any rate: of the 2^256 tokens, a billion tries a second for a century reach one in 2^194. What
//! is won by slowing is quiet: clients with an old token back off, and a weak token from the environment holds longer.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many wrong tokens an address may send at once, and then in a second; the same for all addresses together.
const ADDRESS: Rate = Rate { burst: 10.0, per_s: 0.2 };
const OVERALL: Rate = Rate { burst: 100.0, per_s: 10.0 };

/// Addresses share so many buckets. Two that fall into one only slow each other's wrong tokens.
const BUCKETS: usize = 1_024;

struct Rate {
    burst: f64,
    per_s: f64,
}

/// Fills with every wrong token, and runs dry with time.
#[derive(Clone, Copy)]
struct Bucket {
    level: f64,
    at: Instant,
}

impl Bucket {
    /// Takes one more, or says how long until it can.
    fn take(&mut self, rate: &Rate, now: Instant) -> Result<(), Duration> {
        let drained = now.saturating_duration_since(self.at).as_secs_f64() * rate.per_s;
        (self.level, self.at) = ((self.level - drained).max(0.0), now);
        let over = self.level + 1.0 - rate.burst;
        if over > 0.0 {
            return Err(Duration::from_secs_f64(over / rate.per_s));
        }
        self.level += 1.0;
        Ok(())
    }
}

pub struct Throttle {
    buckets: Mutex<(Bucket, Box<[Bucket]>)>,
    hasher: RandomState,
}

impl Default for Throttle {
    fn default() -> Throttle {
        let empty = Bucket { level: 0.0, at: Instant::now() };
        Throttle { buckets: Mutex::new((empty, vec![empty; BUCKETS].into())), hasher: RandomState::new() }
    }
}

impl Throttle {
    /// Counts a wrong token.
    ///
    /// # Errors
    /// There were too many: how long the sender should wait.
    pub fn wrong(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        // whoever has one address of IPv6 has 2^64
        let network = match address {
            IpAddr::V4(address) => u64::from(address.to_bits()),
            IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
        };
        let place = self.hasher.hash_one((address.is_ipv6(), network)) as usize % BUCKETS;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let (overall, addresses) = &mut *buckets;
        addresses[place].take(&ADDRESS, now)?;
        overall.take(&OVERALL, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u32) -> IpAddr {
        IpAddr::V4(n.into())
    }

    #[test]
    fn an_address_is_slowed_and_recovers_and_others_are_not() {
        let (throttle, begin) = (Throttle::default(), Instant::now());
        assert_eq!((0..50).filter(|_| throttle.wrong(address(1), begin).is_ok()).count(), 10);
        let wait = throttle.wrong(address(1), begin).unwrap_err();
        assert!(throttle.wrong(address(1), begin + wait / 2).is_err());
        assert!(throttle.wrong(address(1), begin + wait * 2).is_ok());
        let other = (2..50).find(|n| throttle.wrong(address(*n), begin).is_ok());
        assert!(other.is_some());
    }

    #[test]
    fn many_addresses_are_slowed_together() {
        let (throttle, begin) = (Throttle::default(), Instant::now());
        let accepted = (0..10_000).filter(|n| throttle.wrong(address(*n), begin).is_ok()).count();
        assert_eq!(accepted, 100);
        assert!(throttle.wrong(address(20_000), begin + Duration::from_secs(3_600)).is_ok());
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let (throttle, begin) = (Throttle::default(), Instant::now());
        let accepted = (0..100_u128).filter(|n| throttle.wrong(IpAddr::V6((n << 8).into()), begin).is_ok()).count();
        assert_eq!(accepted, 10);
    }
}
