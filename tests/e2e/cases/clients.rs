//! Who uses the API: client libraries that know nothing of Causeway, and a person with a browser.

use std::{fs, path::Path};

use super::{Case, cases};
use crate::{hub::Hub, program::Program};

pub fn cases() -> Vec<Case> {
    cases![a_person_reads_and_tries_the_api_in_a_browser, unmodified_frappe_clients_work]
}

/// What drives the clients of Frappe's REST API, as they come from their registries.
const FRAPPE_CLIENTS: [&str; 2] = ["frappe_js_sdk.mjs", "frappe_connector_client.py"];

fn a_person_reads_and_tries_the_api_in_a_browser(hub: &Hub, _: &str) {
    let browser = ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .flat_map(|name| ["/usr/bin", "/usr/local/bin", "/snap/bin"].map(|dir| Path::new(dir).join(name)))
        .find(|path| path.is_file())
        .expect("Chromium is not installed: `make ci-deps` installs it");
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("docs");
    fs::create_dir_all(&pictures).unwrap();
    let output = Program::script(hub, "tests/clients/docs_page.mjs")
        .env("CHROMIUM", browser.to_string_lossy())
        .env("PICTURES", pictures.to_string_lossy())
        .succeed();
    println!("{output}");
    assert!(output.contains("looked at it"), "it went all the way: {output}");
}

fn unmodified_frappe_clients_work(hub: &Hub, _: &str) {
    for name in FRAPPE_CLIENTS {
        println!("{}", Program::script(hub, &format!("tests/clients/{name}")).succeed());
    }
}
