//! From a name to the addresses that are connected to, each of them checked.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use futures::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::connecting::Connecting;
use crate::outbound::address::{Exceptions, Refusal, check_address};

/// The most addresses of a name that are considered.
const MAX_ADDRESSES: usize = 32;

/// Finds the addresses of a name; the system's resolver, or what a test says.
pub(super) type Lookup = dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync;

/// Resolves names to addresses that may be called. The connection goes to these; nothing looks the name up again.
pub(super) struct CheckedResolver {
    pub lookup: Arc<Lookup>,
    pub exceptions: Arc<Exceptions>,
}

/// The system's resolver.
pub(super) fn system() -> Arc<Lookup> {
    Arc::new(|name| {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.take(MAX_ADDRESSES).map(|address| address.ip()).collect())
        })
    })
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (found, exceptions) = ((self.lookup)(name.as_str().to_owned()), Arc::clone(&self.exceptions));
        // Without a word about TLS it counts as plain: refused unless excepted.
        let secure = Connecting::current().is_some_and(|connecting| connecting.secure);
        Box::pin(async move {
            let allowed = allowed(&found.await?, secure, &exceptions)?;
            // The port is the URL's.
            let addresses = allowed.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok::<Addrs, _>(Box::new(addresses))
        })
    }
}

/// Those of `found` that may be called; why not, if none may.
fn allowed(found: &[IpAddr], secure: bool, exceptions: &Exceptions) -> Result<Vec<IpAddr>, Refusal> {
    let check = |address: &IpAddr| check_address(*address, secure, exceptions);
    let allowed: Vec<IpAddr> = found.iter().copied().filter(|address| check(address).is_ok()).collect();
    match found.iter().find_map(|address| check(address).err()) {
        Some(refusal) if allowed.is_empty() => Err(refusal),
        _ => Ok(allowed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_names_addresses_only_the_public_ones_are_connected_to() {
        let [public, private]: [IpAddr; 2] = ["8.8.8.8".parse().unwrap(), "10.0.0.1".parse().unwrap()];
        let none = Exceptions::default();
        assert_eq!(allowed(&[private, public], true, &none), Ok(vec![public]));
        assert_eq!(allowed(&[private], true, &none), Err(Refusal::NotPublic));
        assert_eq!(allowed(&[public], false, &none), Err(Refusal::Plain));
        assert_eq!(allowed(&[], true, &none), Ok(vec![]));
    }
}
