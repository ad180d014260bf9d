//! The reference in `docs/` says what the code says: `errors.md`, `routes.md` and `openapi.json` are generated, and
//! what the pages point at must exist.

use std::{collections::BTreeSet, fmt::Write as _, fs, path::PathBuf};

use super::{ROUTES, openapi};
use crate::{Error, ErrorCode, trigger::http::Response, webhook};

/// The pages whose links are checked.
const PAGES: [&str; 14] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/api.md",
    "docs/authentication.md",
    "docs/configuration.md",
    "docs/connectors.md",
    "docs/errors.md",
    "docs/examples.md",
    "docs/migration-v1-to-v2.md",
    "docs/rate-limits.md",
    "docs/routes.md",
    "docs/v1.md",
];

fn at(page: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(page)
}

fn read(page: &str) -> String {
    fs::read_to_string(at(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
}

/// `docs/errors.md` as it has to be.
pub fn errors_page() -> String {
    let mut page = String::from(
        "# Errors\n\n\
         <!-- Generated from `ErrorCode`: UPDATE_DOCS=1 cargo test --workspace --lib reference -->\n\n\
         Every failure of the API and of the webhook routes is an `application/problem+json` (RFC 9457) with a stable \
         `code`. `title` is the same each time, `detail` is about this time, and `errors` names the fields at fault \
         where the input is. The same codes stand in the Integration Log and on parked events; codes that only occur \
         there have a status all the same, and no caller sees it.\n\n\
         A 503 carries `Retry-After`, and so does a 429 of ours ([limits](rate-limits.md)). A 401 for an API key carries `WWW-Authenticate`, a 405 carries `Allow`. The HTTP \
         API in front of the functions answers 429 (too many requests) and 404 (a path that is no route at all) by \
         itself, as `{\"message\": …}`.\n\n\
         | code | status | title |\n| --- | --- | --- |\n",
    );
    let status = |code: ErrorCode| Response::problem(&Error::new(code, "")).status.as_u16();
    for code in ErrorCode::ALL {
        let name = code.as_str();
        writeln!(page, "| [`{name}`](#{name}) | {} | {} |", status(*code), code.title()).unwrap();
    }
    for code in ErrorCode::ALL {
        write!(page, "\n### {}\n{} {}. {}\n", code.as_str(), status(*code), code.title(), code.meaning())
            .unwrap();
    }
    page
}

/// `docs/routes.md` as it has to be.
fn routes_page() -> String {
    let mut page = String::from(
        "# Routes\n\n\
         <!-- Generated from the route table: UPDATE_DOCS=1 cargo test --workspace --lib reference -->\n\n\
         What each takes and gives is in `GET /openapi.json`, to read and to try at `GET /docs`; [api.md](api.md) explains \
         and shows. Besides these, the webhook function takes ",
    );
    let webhooks: Vec<String> = webhook::ROUTES.iter().map(|path| format!("`POST {path}`")).collect();
    writeln!(page, "{}.", webhooks.join(" and ")).unwrap();
    let mut group = "";
    for route in ROUTES {
        if route.group != group {
            group = route.group;
            write!(page, "\n## {group}\n\n| route | needs | rate limit |  |\n| --- | --- | --- | --- |\n")
                .unwrap();
        }
        let needs = openapi::permissions(route.access).join(", ");
        let needs = if needs.is_empty() { "nothing".to_owned() } else { format!("`{needs}`") };
        let rate = route.rate.map_or_else(|| "none".to_owned(), |class| format!("`{}`", class.as_str()));
        let (method, path, summary) = (route.method, route.path, route.summary);
        writeln!(page, "| `{method} {path}` | {needs} | {rate} | {summary} |").unwrap();
    }
    page
}

/// The programs of `docs/examples`, which the end-to-end tests run: file, language, and what its code block is called.
const EXAMPLES: [(&str, &str, &str); 4] = [
    ("curl.sh", "curl", "sh"),
    ("python.py", "Python", "python"),
    ("javascript.mjs", "JavaScript", "js"),
    ("rust.rs", "Rust", "rust"),
];

/// `docs/examples.md` as it has to be.
pub fn examples_page() -> String {
    let mut page = String::from(
        "# Examples\n\n\
         <!-- Generated from docs/examples: UPDATE_DOCS=1 cargo test --workspace --lib reference -->\n\n\
         One program in four languages; each is run by the tests as it stands here. It\n\n\
         1. sends its key ([authentication](authentication.md)), and waits where it is asked to \
         ([rate limits](rate-limits.md)),\n\
         2. creates a document, so that a repeat creates no second one,\n\
         3. reads it, pages through a list, and filters one,\n\
         4. tells errors from each other by their [code](errors.md),\n\
         5. updates the document, if nobody else did since it was read.\n\n\
         `API_URL` and `API_KEY` come from the environment; on the local stack: `. .local/env`.\n",
    );
    for (file, language, block) in EXAMPLES {
        let code = read(&format!("docs/examples/{file}"));
        write!(page, "\n## {language}\n\n```{block}\n{}\n```\n", code.trim_end()).unwrap();
    }
    page
}

/// The targets of a page's links, but for those to other sites.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://"))
}

/// The anchors that GitHub gives a page's headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
}

/// The anchor that GitHub gives a heading.
pub fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, '-' | '_' | ' ');
    heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
}

#[test]
fn the_error_reference_is_the_code() {
    let (page, path) = (errors_page(), at("docs/errors.md"));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "docs/errors.md is stale: UPDATE_DOCS=1 cargo test --workspace --lib reference");
}

#[test]
fn the_examples_are_the_programs() {
    let (page, path) = (examples_page(), at("docs/examples.md"));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/examples.md is stale: UPDATE_DOCS=1 cargo test --workspace --lib reference"
    );
}

#[test]
fn the_openapi_document_is_the_code() {
    let (text, path) = (format!("{:#}\n", openapi::document()), at("docs/openapi.json"));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == text,
        "docs/openapi.json is stale: UPDATE_DOCS=1 cargo test --workspace --lib reference"
    );
}

#[test]
fn the_route_reference_is_the_code() {
    let (page, path) = (routes_page(), at("docs/routes.md"));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "docs/routes.md is stale: UPDATE_DOCS=1 cargo test --workspace --lib reference");
}

#[test]
fn every_connector_that_the_guide_shows_is_valid() {
    let text = read("docs/connectors.md");
    let blocks = text.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let mut seen = 0;
    for block in blocks.filter(|block| block.contains("\"scheme\"")) {
        let mut settings: serde_json::Value = serde_json::from_str(block).unwrap();
        let reference = settings["secrets"][0]["reference"].as_str().unwrap().to_owned();
        // The path's, by which its secrets are called.
        settings["name"] = reference.split('/').next().unwrap().into();
        let settings: crate::connectors::ConnectorSettings =
            serde_json::from_str(&settings.to_string()).unwrap();
        settings.validate().unwrap_or_else(|error| panic!("{block}: {error:?}"));
        seen += 1;
    }
    assert_eq!(seen, 2);
}

#[test]
fn every_link_leads_somewhere() {
    for page in PAGES {
        let text = read(page);
        for link in links(&text) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { at(page) } else { at(page).with_file_name("").join(path) };
            assert!(target.exists(), "{page} links to {link}, which does not exist");
            let known = anchor.is_empty() || anchors(&fs::read_to_string(&target).unwrap()).contains(anchor);
            assert!(known, "{page} links to {link}, which has no such heading");
        }
    }
}

#[test]
fn every_test_that_architecture_names_exists() {
    let sources = ["shared/src", "tests", "local/tests"].map(|directory| sources(&at(directory))).concat();
    let text = read("ARCHITECTURE.md");
    let section = text.split("\n## ").find(|section| section.starts_with("Invariants")).unwrap();
    let is_test = |name: &&str| name.matches('_').count() > 1 && !name.contains(['/', ' ', ':', '.']);
    for name in section.split('`').skip(1).step_by(2).filter(is_test) {
        let defined =
            [format!("fn {name}("), format!("def {name}(")].iter().any(|start| sources.contains(start));
        assert!(defined, "ARCHITECTURE.md names the test {name}, which does not exist");
    }
}

/// All Rust and Python source below `directory`, joined.
fn sources(directory: &std::path::Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            text += &sources(&entry);
        } else if entry.extension().is_some_and(|kind| kind == "rs" || kind == "py") {
            text += &fs::read_to_string(entry).unwrap();
        }
    }
    text
}
