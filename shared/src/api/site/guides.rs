//! The guides of `docs/` as pages: `GET /docs/{guide}`.
//!
//! `UPDATE_DOCS=1 cargo test --workspace --lib reference` writes the pages from the Markdown; without it, the same test
//! fails where a page is not what its Markdown says. So the function carries no Markdown engine.

/// A guide.
pub struct Guide {
    /// Its name in the path.
    pub name: &'static str,
    /// Its Markdown, in `docs/`.
    #[cfg(test)]
    pub source: &'static str,
    /// The page.
    pub html: &'static str,
}

macro_rules! guides {
    ($($name:literal from $source:literal;)*) => {
        /// Every guide, in the order in which they are listed.
        pub const GUIDES: &[Guide] = &[$(Guide {
            name: $name,
            #[cfg(test)]
            source: $source,
            html: include_str!(concat!("guides/", $name, ".html")),
        }),*];
    };
}

guides! {
    "api" from "api.md";
    "authentication" from "authentication.md";
    "examples" from "examples.md";
    "rate-limits" from "rate-limits.md";
    "errors" from "errors.md";
    "connectors" from "connectors.md";
    "erpnext" from "erpnext.md";
    "bulk" from "bulk.md";
    "v1" from "v1.md";
    "v1-to-v2" from "migration-v1-to-v2.md";
}

#[cfg(test)]
mod reference {
    use std::{fmt::Write as _, fs, path::PathBuf};

    use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};

    use super::{GUIDES, Guide};
    use crate::api::reference::{anchor, errors_page, examples_page};

    /// A guide's text. Where that is generated itself, it is taken from there: one run updates both.
    fn markdown(guide: &Guide) -> String {
        match guide.source {
            "errors.md" => errors_page(),
            "examples.md" => examples_page(),
            source => {
                let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs").join(source);
                fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
            }
        }
    }

    /// `guide` as a page.
    fn page(guide: &Guide) -> String {
        let text = markdown(guide);
        let mut list = String::new();
        for other in GUIDES {
            let current = if other.name == guide.name { " aria-current=\"page\"" } else { "" };
            writeln!(list, "<li><a href=\"{0}\"{current}>{1}</a></li>", other.name, title(&markdown(other)))
                .unwrap();
        }
        include_str!("guide.html")
            .replace("{title}", &title(&text))
            .replace("{list}", list.trim_end())
            .replace("{body}", &body(&text))
    }

    fn title(markdown: &str) -> String {
        let heading = markdown.lines().find_map(|line| line.strip_prefix("# ")).expect("a guide has a title");
        heading.to_owned()
    }

    fn body(markdown: &str) -> String {
        let mut events: Vec<Event<'_>> = Vec::new();
        let mut heading: Option<(usize, String)> = None;
        let mut dropped = 0;
        for event in Parser::new_ext(markdown, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some((events.len(), String::new())),
                Event::Text(ref text) | Event::Code(ref text) => {
                    if let Some((_, words)) = &mut heading {
                        words.push_str(text);
                    }
                }
                Event::End(TagEnd::Heading(_)) => {
                    let (at, words) = heading.take().unwrap();
                    if let Event::Start(Tag::Heading { id, .. }) = &mut events[at] {
                        *id = Some(anchor(&words).into());
                    }
                }
                Event::Start(Tag::Link { link_type, ref dest_url, ref title, ref id }) => {
                    let Some(dest_url) = target(dest_url) else {
                        dropped += 1;
                        continue;
                    };
                    let (title, id) = (title.clone(), id.clone());
                    events.push(Event::Start(Tag::Link { link_type, dest_url, title, id }));
                    continue;
                }
                Event::End(TagEnd::Link) if dropped > 0 => {
                    dropped -= 1;
                    continue;
                }
                // Comments are for those who write the page.
                Event::Html(ref text) | Event::InlineHtml(ref text) if text.starts_with("<!--") => continue,
                _ => {}
            }
            events.push(event);
        }
        let mut text = String::new();
        html::push_html(&mut text, events.into_iter());
        // The page may have no style in its text; and a wide table scrolls in itself.
        text.replace(" style=\"text-align: right\"", " class=\"right\"")
            .replace(" style=\"text-align: center\"", " class=\"center\"")
            .replace(" style=\"text-align: left\"", "")
            .replace("<table>", "<div class=\"wide\"><table>")
            .replace("</table>", "</table></div>")
    }

    /// Where a link of the Markdown leads on the site; `None` where that is not part of it.
    fn target(link: &str) -> Option<CowStr<'static>> {
        if link.contains("://") || link.starts_with('#') {
            return Some(link.to_owned().into());
        }
        let (file, anchor) =
            link.split_once('#').map_or((link, String::new()), |(f, a)| (f, format!("#{a}")));
        if file == "routes.md" {
            return Some("../docs".into());
        }
        let guide = GUIDES.iter().find(|guide| guide.source == file)?;
        Some(format!("{}{anchor}", guide.name).into())
    }

    #[test]
    fn the_guides_are_what_their_markdown_says() {
        for guide in GUIDES {
            let page = page(guide);
            if std::env::var_os("UPDATE_DOCS").is_some() {
                let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/api/site/guides");
                fs::write(directory.join(guide.name).with_extension("html"), &page).unwrap();
                continue;
            }
            let name = guide.name;
            assert!(
                guide.html == page,
                "guides/{name}.html is stale: UPDATE_DOCS=1 cargo test --workspace --lib reference"
            );
        }
    }

    #[test]
    fn pages_ask_no_other_host_and_run_no_script_of_their_own() {
        let pages = GUIDES.iter().map(|guide| guide.html);
        for page in pages.chain([include_str!("docs.html"), include_str!("app.css"), include_str!("app.js")])
        {
            for foreign in [
                "src=\"http",
                "src=\"//",
                "href=\"//",
                " url(",
                ":url(",
                "@import",
                "style=\"",
                " onclick",
                "eval(",
            ] {
                assert!(!page.contains(foreign), "{foreign}");
            }
            assert!(!page.contains("href=\"/") && !page.contains("src=\"/"), "the API may live below a path");
        }
    }

    #[test]
    fn every_error_has_its_place_on_the_page_that_problems_point_at() {
        let errors = GUIDES.iter().find(|guide| guide.name == "errors").unwrap();
        for code in crate::ErrorCode::ALL {
            assert!(page(errors).contains(&format!("<h3 id=\"{}\">", code.as_str())), "{}", code.as_str());
        }
    }
}
