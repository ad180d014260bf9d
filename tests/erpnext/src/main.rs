//! Serves a site until standard input ends: `erpnext-site [--zone Europe/Berlin] [--port 8000] [DOCTYPE …]`. The
//! DocTypes named have Causeway's Custom Fields from the start. Prints its address and its keys as a line of JSON.

use std::io::{self, Read, Write};

use erpnext_site::{Site, SiteOptions, administrator, hub, reader};
use serde_json::json;

fn main() -> io::Result<()> {
    let mut options = SiteOptions::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--zone" => options.time_zone = arguments.next().unwrap_or_default(),
            "--port" => options.port = arguments.next().and_then(|port| port.parse().ok()).unwrap_or(0),
            _ => options.prepared.push(argument),
        }
    }
    let site = Site::start(options)?;
    let keys = [hub(), administrator(), reader()].map(|user| (user.name.clone(), json!(user.token())));
    let line = json!({ "url": site.url(), "users": serde_json::Map::from_iter(keys) });
    let mut out = io::stdout();
    writeln!(out, "{line}")?;
    out.flush()?;
    io::stdin().read_to_end(&mut Vec::new()).map(|_| ())
}
