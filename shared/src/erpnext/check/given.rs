//! What a person gives a check, read so that what was pasted badly is said, and nothing is taken for a yes that is
//! none.

use super::CheckOptions;
use crate::{
    Error, Result,
    erpnext::{SiteConfig, credentials::FixedToken},
};

/// Paths of a site's own pages and interfaces: whoever copies the URL from a browser copies one of them.
const PAGES: [&str; 6] = ["app", "desk", "login", "me", "api", "home"];

impl CheckOptions {
    /// From `WRITE`, `SUBMIT` and `SETUP`, as `variable` gives them.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let list = variable("SETUP").unwrap_or_default();
        let setup = list.split(',').map(str::trim).filter(|doctype| !doctype.is_empty());
        Ok(Self {
            write: is_yes("WRITE", variable("WRITE").as_deref())?,
            submit: is_yes("SUBMIT", variable("SUBMIT").as_deref())?,
            setup: setup.map(ToOwned::to_owned).collect(),
        })
    }
}

/// Whether the variable called `name` says yes: what is written on a site, nobody may read into a text.
fn is_yes(name: &str, text: Option<&str>) -> Result<bool> {
    match text.unwrap_or_default().trim().to_lowercase().as_str() {
        "1" | "yes" | "true" => Ok(true),
        "" | "0" | "no" | "false" => Ok(false),
        other => Err(Error::field(name, "invalid", format!("{other:?} is neither a yes (1) nor a no (0)"))),
    }
}

/// The site at a URL that was typed or copied.
pub fn site_at(url: &str) -> Result<SiteConfig> {
    let (refused, url) = (|why: String| Error::field("ERPNEXT_URL", "invalid", why), url.trim());
    if !url.contains("://") {
        return Err(refused(format!("the site's URL {url:?} has no scheme: https://{url}?")));
    }
    let config = SiteConfig::new(url)?;
    let path = config.url.path();
    if path.split('/').find(|part| !part.is_empty()).is_some_and(|first| PAGES.contains(&first)) {
        let origin = config.url.origin().ascii_serialization();
        return Err(refused(format!("the site's URL has the path {path} of a page of it: {origin}?")));
    }
    Ok(config)
}

/// The token of a key and a secret that were pasted: spaces and newlines around them are no part of them.
pub fn token(key: &str, secret: &str) -> Result<FixedToken> {
    let [key, secret] = [("ERPNEXT_KEY", key), ("ERPNEXT_SECRET", secret)].map(|(name, text)| {
        let text = text.trim();
        let is_whole = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
        let why = "is not one word of letters and digits: was it pasted whole, and nothing besides?";
        if is_whole { Ok(text) } else { Err(Error::field(name, "invalid", why)) }
    });
    FixedToken::new(key?, secret?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::erpnext::Authorise;

    fn options(write: &str) -> Result<CheckOptions> {
        CheckOptions::from_variables(|name| (name == "WRITE").then(|| write.to_owned()))
    }

    #[test]
    fn only_a_yes_writes_and_what_is_neither_names_its_variable() {
        for yes in ["1", "yes", "true", "TRUE", " 1 "] {
            assert!(options(yes).unwrap().write, "{yes}");
        }
        for no in ["", "0", "no", "false", "False"] {
            assert_eq!(options(no).unwrap(), CheckOptions::default(), "{no}");
        }
        for other in ["2", "on", "maybe", "y es"] {
            assert!(options(other).unwrap_err().causes().starts_with("WRITE: "), "{other}");
        }
    }

    #[test]
    fn doctypes_are_separated_by_commas() {
        let list = |name: &str| (name == "SETUP").then(|| " Customer,Sales Order, ,".to_owned());
        assert_eq!(CheckOptions::from_variables(list).unwrap().setup, ["Customer", "Sales Order"]);
    }

    #[test]
    fn a_url_that_is_not_a_sites_says_which_may_be_meant() {
        for (url, meant) in [
            ("erp.example.com", "https://erp.example.com?"),
            ("https://erp.example.com/app", "https://erp.example.com?"),
            ("https://erp.example.com:8443/app/sales-order/SO-1", "https://erp.example.com:8443?"),
            ("http://127.0.0.1:8000/login/", "http://127.0.0.1:8000?"),
        ] {
            assert!(site_at(url).unwrap_err().causes().contains(meant), "{url}");
        }
        for url in
            ["https://erp.example.com/", " https://erp.example.com\n", "https://example.com/behind/a/proxy"]
        {
            assert!(site_at(url).is_ok(), "{url}");
        }
    }

    #[tokio::test]
    async fn what_surrounds_a_pasted_token_is_no_part_of_it_and_what_breaks_it_is_said() {
        let pasted = token(" a1b2\n", "\tc3d4 ").unwrap();
        assert_eq!(pasted.authorization().await.unwrap(), "token a1b2:c3d4");
        for (key, secret, named) in [
            ("a1 b2", "c3d4", "ERPNEXT_KEY"),
            ("a1b2", "c3\nd4", "ERPNEXT_SECRET"),
            ("a1b2:c3", "d4", "ERPNEXT_KEY"),
        ] {
            let said = token(key, secret).unwrap_err().causes();
            assert!(said.contains(named) && !said.contains("d4"), "{said}");
        }
    }
}
