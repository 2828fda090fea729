//! A TCP connection: made, and nothing said on it.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};

use super::address::Endpoint;
use super::fault::Fault;

/// Connects, trying each address of a name in turn.
///
/// `limit` is only for the message; the time ends at `deadline`.
pub(super) async fn connect(to: &Endpoint, deadline: Instant, limit: Duration) -> Result<TcpStream, Fault> {
    let connecting = async {
        // Of several failures the first is told: localhost without IPv6 is refused, not unavailable.
        let mut first = None;
        for address in addresses(to).await? {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => {
                    first.get_or_insert(Fault::of_io("connecting", &error));
                }
            }
        }
        Err(first.unwrap_or_else(|| Fault::Resolve { host: to.host(), why: "it has no address".to_owned() }))
    };
    match timeout_at(deadline, connecting).await {
        Ok(result) => result,
        Err(_) => Err(Fault::TimedOut { doing: "no connection", after: limit }),
    }
}

async fn addresses(to: &Endpoint) -> Result<Vec<SocketAddr>, Fault> {
    if let Some(literal) = to.literal() {
        return Ok(literal);
    }
    match lookup_host((to.host(), to.port())).await {
        Ok(found) => Ok(found.collect()),
        Err(error) => Err(Fault::Resolve { host: to.host(), why: crate::text::clip(&error.to_string()) }),
    }
}
