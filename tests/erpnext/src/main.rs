//! Serves a site by hand until standard input ends; `--help` says how. Prints its address and its keys as a line of
//! JSON.

use std::{
    io::{self, IsTerminal, Read, Write},
    process::ExitCode,
};

use erpnext_site::{Site, SiteOptions, administrator, hub, reader};
use serde_json::json;

const HELP: &str = "\
A server that behaves as an ERPNext 15 site, for trials: nothing that it is told is kept.

Usage: erpnext-site [--port PORT] [--zone ZONE] [DOCTYPE …]

  DOCTYPE      has Causeway's two Custom Fields from the start, e.g. \"Sales Order\"
  --port PORT  on 127.0.0.1; without it any that is free
  --zone ZONE  the site's time zone; without it Asia/Kolkata
  --help       this text

It prints one line of JSON, its URL and the Authorization of each user (token KEY:SECRET), and serves until its
standard input ends (Ctrl-D) or it is stopped (Ctrl-C). The users:

  hub@example.test     every right on documents, as Causeway's own user has
  admin@example.test   a System Manager: SETUP
  reader@example.test  reads, and nothing else

It has the company Hub Test Co, customers Hub Customer 0 to 4, suppliers Hub Supplier 0 and 1, items HUB-ITEM-0 to 4.
";

/// What the arguments ask for: a site, or the help.
fn options(mut arguments: impl Iterator<Item = String>) -> Result<Option<SiteOptions>, String> {
    let mut options = SiteOptions::default();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} wants a value"));
        match argument.as_str() {
            "--help" | "-h" => return Ok(None),
            "--zone" => options.time_zone = value()?,
            "--port" => {
                let port = value()?;
                options.port = port.parse().map_err(|_| format!("{port} is no port"))?;
            }
            option if option.starts_with('-') => return Err(format!("there is no option {option}")),
            _ => options.prepared.push(argument),
        }
    }
    Ok(Some(options))
}

fn serve(options: SiteOptions) -> io::Result<()> {
    let site = Site::start(options)?;
    let keys = [hub(), administrator(), reader()].map(|user| (user.name.clone(), json!(user.token())));
    let line = json!({ "url": site.url(), "users": serde_json::Map::from_iter(keys) });
    let mut out = io::stdout();
    writeln!(out, "{line}")?;
    out.flush()?;
    if io::stdin().is_terminal() {
        writeln!(io::stderr(), "Serving until Ctrl-D.")?;
    }
    io::stdin().read_to_end(&mut Vec::new()).map(|_| ())
}

fn main() -> ExitCode {
    let done = match options(std::env::args().skip(1)) {
        Ok(Some(options)) => serve(options).map_err(|error| error.to_string()),
        Ok(None) => write!(io::stdout(), "{HELP}").map_err(|error| error.to_string()),
        Err(wrong) => Err(format!("{wrong}; --help says what there is")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            let _closed = writeln!(io::stderr(), "erpnext-site: {why}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::options;

    fn read(arguments: &[&str]) -> Result<Option<erpnext_site::SiteOptions>, String> {
        options(arguments.iter().map(|argument| (*argument).to_owned()))
    }

    #[test]
    fn what_is_no_option_is_refused_and_no_doctype() {
        assert!(read(&["--hepl"]).is_err_and(|why| why.contains("--hepl")));
        assert!(read(&["--port", "x"]).is_err() && read(&["--zone"]).is_err());
        assert!(read(&["Customer", "--help"]).is_ok_and(|options| options.is_none()));
    }

    #[test]
    fn doctypes_are_prepared() {
        let options = read(&["--port", "8000", "Customer", "Sales Order"]).ok().flatten();
        assert!(
            options.is_some_and(
                |options| options.port == 8000 && options.prepared == ["Customer", "Sales Order"]
            )
        );
    }
}
