//! Who asks, seen through the proxies that stand in front of the server.

mod forwarded;

use std::fmt;
use std::net::IpAddr;

use http::HeaderMap;
use ipnet::IpNet;

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAddress {
    /// An address; one of IPv4 that a socket for IPv6 shows is given as the former.
    Ip(IpAddr),
    /// Somebody on this machine, by a Unix socket.
    Unix,
}

impl From<IpAddr> for ClientAddress {
    fn from(ip: IpAddr) -> Self {
        Self::Ip(ip.to_canonical())
    }
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}

/// The proxies that are believed when they say whom a request comes from.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    unix: bool,
}

impl TrustedProxies {
    /// Reads networks (`10.0.0.0/8`), addresses, and `unix` for whoever connects by a Unix socket.
    ///
    /// # Errors
    /// What is wrong with the first entry that is none of these.
    pub fn parse(entries: &[String]) -> Result<Self, String> {
        let mut trusted = Self::default();
        for entry in entries {
            let network = || entry.parse().or_else(|_| entry.parse::<IpAddr>().map(IpNet::from)).ok();
            match network() {
                Some(network) => trusted.networks.push(network),
                None if entry == "unix" => trusted.unix = true,
                None => return Err(format!("{entry}: write a network like 10.0.0.0/8, an address, or unix")),
            }
        }
        Ok(trusted)
    }

    /// Is nobody believed?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && !self.unix
    }

    /// Who sent a request that `peer` passed on with these headers. Each proxy adds at the right whom it was asked by, so
    /// that what stands there is believed for as long as whoever added it is trusted. Where both `X-Forwarded-For` and
    /// `Forwarded` (RFC 7239) are sent and say different things, one of them came from the client through a proxy that knows only
    /// the other: neither is believed.
    #[must_use]
    pub fn client(&self, peer: ClientAddress, headers: &HeaderMap) -> ClientAddress {
        if !self.trust(peer) {
            return peer;
        }
        let walk = |hops: Option<forwarded::Hops>| Some(self.walk(peer, hops?));
        match (walk(forwarded::x_forwarded_for(headers)), walk(forwarded::forwarded(headers))) {
            (Some(one), Some(other)) if one != other => peer,
            (Some(client), _) | (None, Some(client)) => client,
            (None, None) => peer,
        }
    }

    /// From the right to the first who is not trusted. An entry that names no address leaves the one who added it.
    fn walk(&self, peer: ClientAddress, hops: forwarded::Hops) -> ClientAddress {
        let mut client = peer;
        for hop in hops {
            let Some(address) = hop.map(ClientAddress::from) else { break };
            client = address;
            if !self.trust(client) {
                break;
            }
        }
        client
    }

    fn trust(&self, address: ClientAddress) -> bool {
        match address {
            ClientAddress::Ip(ip) => self.networks.iter().any(|network| network.contains(&ip)),
            ClientAddress::Unix => self.unix,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn trusted() -> TrustedProxies {
        let entries = ["10.0.0.0/8", "2001:db8::/32", "192.0.2.7"];
        TrustedProxies::parse(&entries.map(str::to_owned)).expect("networks")
    }

    /// The client behind `peer`, with these header lines.
    fn client(peer: &str, lines: &[(&'static str, &str)]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_str(value).expect("a header value"));
        }
        let peer = peer.parse::<IpAddr>().map_or(ClientAddress::Unix, ClientAddress::from);
        trusted().client(peer, &headers).to_string()
    }

    #[test]
    fn hops_are_believed_from_the_right_as_far_as_they_are_trusted() {
        const XFF: &str = "x-forwarded-for";
        for (peer, value, expected) in [
            ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
            ("10.0.0.1", "1.1.1.1, 203.0.113.9", "203.0.113.9"),
            ("10.0.0.1", "203.0.113.9, 10.3.3.3,192.0.2.7", "203.0.113.9"),
            ("10.0.0.1", "10.3.3.3, 10.4.4.4", "10.3.3.3"),
            ("192.0.2.8", "203.0.113.9", "192.0.2.8"),
            ("unix", "203.0.113.9", "unix"),
            ("::ffff:10.0.0.1", "::ffff:203.0.113.9", "203.0.113.9"),
            ("2001:db8::1", "2001:db9::2", "2001:db9::2"),
            ("10.0.0.1", "[2001:db9::2]:4711", "2001:db9::2"),
            ("10.0.0.1", "[2001:db9::2]", "2001:db9::2"),
            ("10.0.0.1", "203.0.113.9:4711", "203.0.113.9"),
            ("10.0.0.1", "203.0.113.9, evil", "10.0.0.1"),
            ("10.0.0.1", "203.0.113.9, evil, 10.2.2.2", "10.2.2.2"),
            ("10.0.0.1", "203.0.113.9,", "10.0.0.1"),
            ("10.0.0.1", "203.0.113.9:99999", "10.0.0.1"),
            ("10.0.0.1", "unknown", "10.0.0.1"),
            ("10.0.0.1", "", "10.0.0.1"),
        ] {
            assert_eq!(client(peer, &[(XFF, value)]), expected, "{peer} {value}");
        }
        assert_eq!(client("10.0.0.1", &[(XFF, "203.0.113.9"), (XFF, "10.2.2.2")]), "203.0.113.9", "lines are one list");
        let long = format!("{}, 203.0.113.9", "1".repeat(5_000));
        assert_eq!(client("10.0.0.1", &[(XFF, &long)]), "203.0.113.9", "what the client makes up hides nothing");
        assert_eq!(client("10.0.0.1", &[(XFF, "\u{e9}, 203.0.113.9")]), "203.0.113.9");
        let many = format!("203.0.113.9{}", ", 10.2.2.2".repeat(100));
        assert_eq!(client("10.0.0.1", &[(XFF, &many)]), "10.2.2.2", "no proxy has a hundred before it");
    }

    #[test]
    fn the_standard_header_says_the_same() {
        for (value, expected) in [
            ("for=203.0.113.9", "203.0.113.9"),
            ("for=1.1.1.1, For=203.0.113.9;proto=https;by=10.0.0.1", "203.0.113.9"),
            ("for=203.0.113.9, for=10.2.2.2", "203.0.113.9"),
            ("for=\"[2001:db9::2]:4711\"", "2001:db9::2"),
            ("for=\"203.0.113.9:4711\" ;by=\"a,b;c\\\"\"", "203.0.113.9"),
            ("for=203.0.113.9, for=unknown", "10.0.0.1"),
            ("for=203.0.113.9, for=_hidden", "10.0.0.1"),
            ("for=203.0.113.9, proto=https", "10.0.0.1"),
            ("for=203.0.113.9, for=\"10.2.2.2", "10.0.0.1"),
            ("for=203.0.113.9;x=\", for=10.2.2.2", "10.0.0.1"),
            ("for=203.0.113.9;x=\"a\"b, for=10.2.2.2", "10.2.2.2"),
            ("for=203.0.113.9;for=10.2.2.2", "10.0.0.1"),
            ("203.0.113.9", "10.0.0.1"),
            ("", "10.0.0.1"),
        ] {
            assert_eq!(client("10.0.0.1", &[("forwarded", value)]), expected, "{value}");
        }
        let both = |one, other| client("10.0.0.1", &[("forwarded", one), ("x-forwarded-for", other)]);
        assert_eq!(both("for=203.0.113.9", "203.0.113.9"), "203.0.113.9");
        assert_eq!(both("for=1.1.1.1", "203.0.113.9"), "10.0.0.1", "who of them is the proxy?");
    }

    #[test]
    fn what_is_trusted_has_to_be_said_in_full() {
        for wrong in ["10.0.0.0/33", "10.0.0", "localhost", "*", "", "unix:/run/x.sock"] {
            assert!(TrustedProxies::parse(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
        let unix = TrustedProxies::parse(&["unix".to_owned()]).expect("a word");
        let headers = HeaderMap::from_iter([(http::header::FORWARDED, HeaderValue::from_static("for=203.0.113.9"))]);
        assert_eq!(unix.client(ClientAddress::Unix, &headers).to_string(), "203.0.113.9");
    }
}
