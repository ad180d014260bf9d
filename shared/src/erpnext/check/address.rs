//! Whether the functions may call the address at all: whoever tries a site by hand may call every one.

use std::net::ToSocketAddrs;

use super::{Check, NEVER_CALLED, Seen};
use crate::outbound::address::{Exceptions, check_address};

/// Every network, which does not open all addresses.
const EVERYWHERE: &str = "0.0.0.0/0, ::/0";

impl Check<'_> {
    pub(super) async fn show_addresses(&mut self) {
        let url = self.site.config().url.clone();
        let look = async move {
            let is_secure = url.scheme() == "https";
            let Some(host) = url.host_str() else { return Ok(Seen::skipped("the URL has no host")) };
            // Brackets are of URLs, not of names.
            let host = host.trim_matches(['[', ']']);
            let found = (host, url.port_or_known_default().unwrap_or(443)).to_socket_addrs();
            let Ok(found) = found else { return Ok(Seen::skipped("its name has no address here")) };
            let mut addresses: Vec<_> = found.map(|address| address.ip()).collect();
            addresses.sort();
            addresses.dedup();
            let refused = addresses
                .iter()
                .find(|address| check_address(**address, is_secure, &Exceptions::default()).is_err());
            let everywhere = Exceptions::parse(EVERYWHERE).unwrap_or_default();
            let never =
                addresses.iter().find(|address| check_address(**address, is_secure, &everywhere).is_err());
            if let Some(address) = never {
                return Ok(Seen::failed(
                    format!("{address} is link-local, or the cloud's metadata"),
                    NEVER_CALLED,
                ));
            }
            Ok(match refused {
                None => Seen::works(addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
                Some(address) if is_secure => Seen::warning(
                    format!("{address} is no public address"),
                    "Causeway calls it only if its network is in the parameter OutboundExceptions.",
                ),
                Some(address) => Seen::warning(
                    format!("{address}, without TLS: the token goes in the clear"),
                    "Causeway calls it only if its network is in the parameter OutboundExceptions; better use https.",
                ),
            })
        };
        self.note("address", look).await;
    }
}
