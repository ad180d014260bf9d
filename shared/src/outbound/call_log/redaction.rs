//! What the log may show of a URL.

use url::Url;

use crate::integration_log::redact_form;

/// The longest URL that is kept, in bytes.
const MAX_URL_BYTES: usize = 500;

/// `url` without user, password and fragment, the secret-looking values of its query hidden, at most 500 bytes.
pub fn redacted_url(url: &Url) -> String {
    let mut shown = url.clone();
    // Both fail only for URLs that cannot have a user.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.set_fragment(None);
    if let Some(query) = url.query() {
        shown.set_query(Some(&redact_form(query.as_bytes())));
    }
    let mut text = String::from(shown);
    if text.len() > MAX_URL_BYTES {
        text.truncate(text.floor_char_boundary(MAX_URL_BYTES));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_what_opens_doors() {
        let url = "https://ada:pw@erp.test/api/method/x?code=c0de&access_token=t0k&filters=%5B%5D#frag";
        let shown = redacted_url(&url.parse().unwrap());
        assert_eq!(
            shown,
            "https://erp.test/api/method/x?code=%5Bredacted%5D&access_token=%5Bredacted%5D&filters=%5B%5D"
        );
    }

    #[test]
    fn a_long_url_is_cut() {
        let url = format!("https://erp.test/?filters={}", "x".repeat(2_000));
        assert!(redacted_url(&url.parse().unwrap()).len() <= MAX_URL_BYTES + '…'.len_utf8());
    }
}
