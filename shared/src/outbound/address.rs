//! Which addresses may be called: public ones, and what the deployment excepts.
//!
//! Who writes a URL into settings must not reach by it what only the function can reach: its own runtime's API, the
//! cloud's metadata, a private network. A URL is checked where it is written ([`check_url`]) and again before each
//! request; a name is checked by the addresses it resolves to, and the connection goes to those very addresses
//! (`transport::resolver`), so a name that changes its mind between the look-ups gains nothing.
//!
//! HTTP without TLS is for excepted networks only: elsewhere a token would go in the clear.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use url::{Host, Url};

use crate::{Error, ErrorCode, Result};

/// The most networks that may be excepted.
const MAX_EXCEPTIONS: usize = 64;
/// The longest URL that is called, in bytes.
const MAX_URL_BYTES: usize = 8 * 1024;

/// IPv4 networks that are not the public internet: IANA's special-purpose registry, multicast, and what is reserved.
const NOT_PUBLIC_V4: [Ipv4Net; 16] = [
    v4(0, 0, 0, 0, 8),
    v4(10, 0, 0, 0, 8),
    v4(100, 64, 0, 0, 10),
    v4(127, 0, 0, 0, 8),
    v4(169, 254, 0, 0, 16),
    v4(172, 16, 0, 0, 12),
    v4(192, 0, 0, 0, 24),
    v4(192, 0, 2, 0, 24),
    v4(192, 31, 196, 0, 24),
    v4(192, 88, 99, 0, 24),
    v4(192, 168, 0, 0, 16),
    v4(198, 18, 0, 0, 15),
    v4(198, 51, 100, 0, 24),
    v4(203, 0, 113, 0, 24),
    v4(224, 0, 0, 0, 4),
    v4(240, 0, 0, 0, 4),
];

/// All of IPv6 that is assigned to the public internet. Mapped, compatible and translated IPv4, unique-local,
/// link-local, multicast, loopback and the unspecified address lie outside.
const PUBLIC_V6: Ipv6Net = v6([0x2000, 0, 0], 3);
/// What within [`PUBLIC_V6`] is not public: protocol assignments with Teredo and benchmarking, documentation, 6to4.
const NOT_PUBLIC_V6: [Ipv6Net; 4] =
    [v6([0x2001, 0, 0], 23), v6([0x2001, 0xdb8, 0], 32), v6([0x2002, 0, 0], 16), v6([0x3fff, 0, 0], 20)];

/// Never called, whatever is excepted: the credentials of the function's role are a request away there.
const METADATA_V4: Ipv4Net = v4(169, 254, 0, 0, 16);
const METADATA_V6: Ipv6Net = v6([0xfd00, 0xec2, 0], 32);

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(first: [u16; 3], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(first[0], first[1], first[2], 0, 0, 0, 0, 0), prefix)
}

/// Networks that are called although they are not public, also without TLS: a parameter of the deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exceptions(Vec<IpNet>);

impl Exceptions {
    /// Reads networks, or single addresses, separated by commas: `127.0.0.0/8, 10.1.0.0/16`. An empty text is none.
    pub fn parse(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
        if parts.len() > MAX_EXCEPTIONS {
            return Err(Error::internal(format!("at most {MAX_EXCEPTIONS} networks can be excepted")));
        }
        let network = |part: &&str| {
            let single = || part.parse::<IpAddr>().map(IpNet::from);
            part.parse::<IpNet>()
                .or_else(|_| single())
                .map_err(|_| Error::internal(format!("{part:?} is no network; write 10.1.0.0/16")))
        };
        parts.iter().map(network).collect::<Result<_>>().map(Self)
    }

    /// Whether `address` is excepted.
    fn cover(&self, address: IpAddr) -> bool {
        !is_metadata(address) && self.0.iter().any(|network| network.contains(&address))
    }
}

/// Why an address is not called. It names no address that a name resolved to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is not the public internet, and not excepted.
    NotPublic,
    /// It is public, and there is no TLS.
    Plain,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotPublic => "it is not a public address, and not excepted",
            Self::Plain => "http without TLS is for excepted networks only",
        })
    }
}

impl std::error::Error for Refusal {}

/// Refuses `address` unless it is public and called by TLS (`secure`), or excepted.
pub fn check_address(address: IpAddr, secure: bool, exceptions: &Exceptions) -> Result<(), Refusal> {
    if exceptions.cover(address) {
        return Ok(());
    }
    match (is_public(address), secure) {
        (true, true) => Ok(()),
        (true, false) => Err(Refusal::Plain),
        (false, _) => Err(Refusal::NotPublic),
    }
}

/// Reads `text` as a URL that may be called, as far as that shows without resolving its host: `address_refused` says
/// why not. Names are checked once more when they are resolved.
pub fn check_url(text: &str, exceptions: &Exceptions) -> Result<Url> {
    let refused = |why: String| Error::new(ErrorCode::AddressRefused, why);
    if text.len() > MAX_URL_BYTES {
        return Err(refused(format!("the URL is longer than {MAX_URL_BYTES} bytes")));
    }
    if text.bytes().any(|byte| byte <= b' ' || byte == b'\\' || byte == 0x7f) || has_dot_segments(text) {
        return Err(refused("the URL is not the one that it would be read as".to_owned()));
    }
    let url = Url::parse(text).map_err(|fault| refused(format!("it is no absolute URL: {fault}")))?;
    let secure = match url.scheme() {
        "https" => true,
        "http" => false,
        other => return Err(refused(format!("only https is called, not {other}"))),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("a URL must not carry a user or password".to_owned()));
    }
    // `url` has read every spelling of an IPv4 address (decimal, octal, hexadecimal, short) into the address it is.
    let address: IpAddr = match url.host() {
        Some(Host::Ipv4(address)) => address.into(),
        Some(Host::Ipv6(address)) => address.into(),
        Some(Host::Domain(_)) if secure || !exceptions.0.is_empty() => return Ok(url),
        Some(Host::Domain(_)) => return Err(refused(Refusal::Plain.to_string())),
        None => return Err(refused("the URL has no host".to_owned())),
    };
    check_address(address, secure, exceptions).map_err(|refusal| refused(refusal.to_string()))?;
    Ok(url)
}

/// Whether a part of the path is `.` or `..`, percent-encoded or not: a document of that name must not become the
/// address of what lies above it.
fn has_dot_segments(text: &str) -> bool {
    let path = text.split(['?', '#']).next().unwrap_or_default();
    path.split('/')
        .any(|segment| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | ".."))
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !NOT_PUBLIC_V4.iter().any(|network| network.contains(&address)),
        IpAddr::V6(address) => {
            PUBLIC_V6.contains(&address) && !NOT_PUBLIC_V6.iter().any(|network| network.contains(&address))
        }
    }
}

fn is_metadata(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => METADATA_V4.contains(&address),
        IpAddr::V6(address) => METADATA_V6.contains(&address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local() -> Exceptions {
        Exceptions::parse("127.0.0.0/8, 10.1.0.0/16,::1").unwrap()
    }

    fn refused(url: &str, exceptions: &Exceptions) -> bool {
        match check_url(url, exceptions) {
            Ok(_) => false,
            Err(error) => {
                assert_eq!(error.code(), ErrorCode::AddressRefused, "{url}");
                true
            }
        }
    }

    #[test]
    fn private_addresses_are_refused_in_every_spelling() {
        let literals = [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "127.0.0.1.",
            "0",
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "169.254.169.254",
            "0xa9fea9fe",
            "2852039166",
            "0251.0376.0251.0376",
            "169.254.170.2",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.31.196.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "１２７.0.0.1",
            "[::]",
            "[::1]",
            "[::7f00:1]",
            "[::127.0.0.1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:8.8.8.8]",
            "[::ffff:0:8.8.8.8]",
            "[64:ff9b::8.8.8.8]",
            "[64:ff9b::a9fe:a9fe]",
            "[64:ff9b:1::1]",
            "[100::1]",
            "[2001::1]",
            "[2001:2::1]",
            "[2001:10::1]",
            "[2001:20::1]",
            "[2001:db8::1]",
            "[2002:7f00:1::]",
            "[3fff::1]",
            "[5f00::1]",
            "[fc00::1]",
            "[fd00:ec2::254]",
            "[fe80::1]",
            "[fec0::1]",
            "[ff02::1]",
        ];
        for literal in literals {
            for scheme in ["https", "http"] {
                let url = format!("{scheme}://{literal}/x");
                assert!(refused(&url, &Exceptions::default()), "{url}");
            }
        }
    }

    #[test]
    fn public_addresses_and_names_are_called_by_tls_alone() {
        for host in
            ["8.8.8.8", "172.15.255.255", "172.32.0.1", "100.128.0.1", "[2606:4700::1111]", "erp.example.com"]
        {
            assert!(!refused(&format!("https://{host}/x"), &Exceptions::default()), "{host}");
            assert!(refused(&format!("http://{host}/x"), &Exceptions::default()), "{host}");
        }
    }

    #[test]
    fn excepted_networks_are_called_and_nothing_beside_them() {
        for url in [
            "http://127.0.0.1:8000/x",
            "http://0x7f.1",
            "https://10.1.2.3",
            "http://[::1]:8000",
            "http://localhost",
        ] {
            assert!(!refused(url, &local()), "{url}");
        }
        for url in ["http://10.2.0.1", "https://192.168.0.1", "http://8.8.8.8", "http://[::ffff:127.0.0.1]"] {
            assert!(refused(url, &local()), "{url}");
        }
    }

    #[test]
    fn metadata_is_refused_whatever_is_excepted() {
        let all = Exceptions::parse("0.0.0.0/0,::/0").unwrap();
        for url in [
            "http://169.254.169.254/latest/meta-data",
            "http://[fd00:ec2::254]/",
            "http://[::ffff:169.254.169.254]/",
        ] {
            assert!(refused(url, &all), "{url}");
        }
        assert!(!refused("http://192.168.0.1", &all));
    }

    #[test]
    fn only_plain_urls_of_http_are_called() {
        for url in [
            "ftp://erp.example.com",
            "file:///etc/passwd",
            "gopher://erp.example.com",
            "//erp.example.com",
            "erp.example.com",
            "https://user@erp.example.com",
            "https://user:password@erp.example.com",
            "https://:p@erp.example.com",
            "https://",
            "unix:/run/x",
            "",
        ] {
            assert!(refused(url, &local()), "{url}");
        }
        assert!(refused(&format!("https://erp.example.com/{}", "a".repeat(MAX_URL_BYTES)), &local()));
    }

    #[test]
    fn a_name_in_the_path_leads_nowhere_else() {
        for name in ["..", ".", "%2e%2E", ".%2e", "%2E", "a/../b", "\\..", ".\t.", "a b"] {
            assert!(
                refused(&format!("https://erp.example.com/api/resource/Item/{name}"), &local()),
                "{name}"
            );
        }
        for name in ["...", "a..b", "..a", "%2E%2Ex", "x?up=../..", "%2F..%2F"] {
            assert!(
                !refused(&format!("https://erp.example.com/api/resource/Item/{name}"), &local()),
                "{name}"
            );
        }
    }

    #[test]
    fn exceptions_that_cannot_be_read_stop_the_start() {
        assert_eq!(Exceptions::parse(" ").unwrap(), Exceptions::default());
        for text in ["10.0.0.0/33", "localhost", "10.0.0.0/8;127.0.0.1"] {
            assert!(Exceptions::parse(text).is_err(), "{text}");
        }
        assert!(Exceptions::parse(&"10.0.0.1,".repeat(MAX_EXCEPTIONS + 1)).is_err());
    }
}
