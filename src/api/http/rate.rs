//! How many requests whom: a bucket for each token, user and address. Pure; time is an argument.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// How many clients are remembered.
const CLIENTS: usize = 1024;

/// Who is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Client {
    /// Who has shown a token.
    Token(String),
    /// Who came over the socket.
    User(u32),
    /// Everybody else.
    Address(IpAddr),
}

impl Client {
    /// So many a second, and at most so many at once.
    fn share(&self) -> (f64, f64) {
        match self {
            Self::Token(_) | Self::User(_) => (2500.0, 5000.0),
            Self::Address(_) => (20.0, 60.0),
        }
    }
}

/// The buckets.
#[derive(Debug, Default)]
pub(super) struct Rates(HashMap<Client, (f64, Duration)>);

impl Rates {
    /// Whether one more may be answered at this time.
    pub(super) fn admit(&mut self, client: Client, now: Duration) -> bool {
        let (rate, most) = client.share();
        if self.0.len() >= CLIENTS && !self.0.contains_key(&client) {
            // Whose bucket is full again need not be remembered.
            self.0.retain(|client, (left, at)| {
                let (rate, most) = client.share();
                *left + now.saturating_sub(*at).as_secs_f64() * rate < most
            });
            if self.0.len() >= CLIENTS {
                return false;
            }
        }
        let (left, at) = self.0.entry(client).or_insert((most, now));
        *left = (*left + now.saturating_sub(*at).as_secs_f64() * rate).min(most);
        *at = now;
        let admitted = *left >= 1.0;
        if admitted {
            *left -= 1.0;
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_runs_dry_and_fills_again_and_others_have_their_own() {
        let mut rates = Rates::default();
        let guesser = Client::Address([127, 0, 0, 1].into());
        let at = Duration::from_secs;
        let admitted = (0..100).filter(|_| rates.admit(guesser.clone(), at(1))).count();
        assert_eq!(admitted, 60);
        assert!(rates.admit(Client::Token("x".to_owned()), at(1)));
        assert_eq!((0..100).filter(|_| rates.admit(guesser.clone(), at(2))).count(), 20);
        // A clock that goes back fills nothing.
        assert!(!rates.admit(guesser, at(1)));
    }

    #[test]
    fn many_addresses_take_no_more_memory() {
        let mut rates = Rates::default();
        let address = |n: u32| Client::Address(std::net::Ipv4Addr::from_bits(n).into());
        for n in 0..5000 {
            rates.admit(address(n), Duration::from_millis(1));
        }
        assert!(rates.0.len() <= CLIENTS);
        assert!(rates.admit(address(9999), Duration::from_secs(60)));
    }
}
