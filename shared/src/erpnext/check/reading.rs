//! What only reads.

use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use serde_json::json;

use super::{Check, Seen};
use crate::{
    clock::Clock,
    erpnext::{Exception, Map, Site, SiteError, SiteQuery, mapper::MAPPINGS, setup::Prepared, time},
    outbound::{Provider, Repeat},
};

/// How far the site's clock may be from ours.
const SKEW: SignedDuration = SignedDuration::from_mins(1);
/// The DocTypes one of which our user can read, as a rule.
const READABLE: [&str; 5] = ["Sales Order", "Customer", "Item", "Sales Invoice", "ToDo"];
/// How many documents a page of the check has.
const PAGE: usize = 2;

impl Check<'_> {
    pub(super) async fn reached(&mut self) -> bool {
        let site = self.site;
        let reached = async {
            match site.call("ping", Map::new(), Repeat::Safe).await {
                // Whoever refuses was reached.
                Ok(_) | Err(SiteError::Refused(_)) => Ok(Seen::works(site.config().url.to_string())),
                Err(error) => Err(error),
            }
        };
        self.note("reach the site", reached).await
    }

    pub(super) async fn known(&mut self) -> bool {
        let site = self.site;
        let known = async {
            let user = site.user().await?;
            Ok(match user.as_str() {
                "Guest" => {
                    Seen::failed("Guest", "The site takes the call for a stranger's: is the token sent?")
                }
                "Administrator" => {
                    Seen::warning(user, "Use a user of its own, with the roles that it needs.")
                }
                _ => Seen::works(user),
            })
        };
        self.note("authenticate", known).await
    }

    pub(super) async fn describe(&mut self) {
        let (site, clock) = (self.site, self.clock.clone());
        self.note("versions", versions(site)).await;
        let zone = async {
            let zone = site.time_zone().await?;
            Ok(Seen::works(zone.zone().iana_name().unwrap_or("an unnamed zone")))
        };
        self.note("time zone", zone).await;
        self.note("clock", skew(site, clock)).await;
        self.note("rate limit", rate_limit(site)).await;
    }

    pub(super) async fn read(&mut self) {
        let site = self.site;
        let mut doctype = None;
        let list = async {
            let mut last = Seen::skipped("none is readable");
            for candidate in READABLE {
                match site.list(&page(candidate, Vec::new())).await {
                    Ok(rows) => {
                        doctype = Some((candidate, rows.len()));
                        return Ok(Seen::works(format!(
                            "{candidate}: {} documents on a page of {PAGE}",
                            rows.len()
                        )));
                    }
                    Err(error @ SiteError::Refused(_)) => last = super::failed(error),
                    Err(error) => return Err(error),
                }
            }
            Ok(last)
        };
        self.note("list", list).await;
        let Some((doctype, listed)) = doctype else { return };
        self.note("keyset paging", keyset(site, doctype, listed)).await;
        self.note("read", read_one(site, doctype)).await;
        let count = async {
            let count = site.count(doctype, &[json!(["modified", ">", "2000-01-01 00:00:00"])]).await?;
            Ok(Seen::works(format!("{doctype}: {count}")))
        };
        self.note("count", count).await;
        self.note("errors", errors(site, doctype)).await;
    }

    pub(super) async fn prepare(&mut self, doctypes: &[String]) {
        let site = self.site;
        // All are looked at before any is written to.
        let mut fit = Vec::new();
        let mut is_any_unfit = false;
        for doctype in doctypes {
            match site.unfit(doctype).await {
                Ok(None) => fit.push(doctype),
                Ok(Some(unfit)) => {
                    is_any_unfit = true;
                    let seen = Seen::failed(unfit.to_string(), "Take it out of SETUP: nothing was written.");
                    self.note(format!("prepare {doctype}"), async { Ok(seen) }).await;
                }
                Err(error) => {
                    is_any_unfit = true;
                    self.note(format!("prepare {doctype}"), async { Err(error) }).await;
                }
            }
        }
        for doctype in fit {
            let prepare = async {
                if is_any_unfit {
                    return Ok(Seen::skipped("since another of SETUP cannot be prepared"));
                }
                Ok(Seen::works(match site.prepare(doctype).await? {
                    Prepared::Added => "both Custom Fields added",
                    Prepared::Already => "was prepared",
                }))
            };
            self.note(format!("prepare {doctype}"), prepare).await;
        }
    }

    pub(super) async fn show_prepared(&mut self) {
        let site = self.site;
        let prepared = async {
            let mut doctypes: Vec<&str> =
                MAPPINGS.iter().flat_map(|mapping| [mapping.from, mapping.to]).chain(READABLE).collect();
            doctypes.sort_unstable();
            doctypes.dedup();
            let mut prepared = Vec::new();
            for doctype in doctypes {
                match site.is_prepared(doctype).await {
                    Ok(true) => prepared.push(doctype),
                    Ok(false) | Err(SiteError::Refused(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(if prepared.is_empty() {
                Seen::warning(
                    "none of the usual DocTypes",
                    "Without its fields a crash can leave a document twice: SETUP=\"Sales Order,Sales Invoice\", \
                     once, as a System Manager.",
                )
            } else {
                Seen::works(prepared.join(", "))
            })
        };
        self.note("prepared", prepared).await;
    }
}

fn page(doctype: &str, filters: Vec<serde_json::Value>) -> SiteQuery {
    SiteQuery {
        doctype: doctype.to_owned(),
        fields: vec!["name".to_owned(), "modified".to_owned()],
        filters,
        order_by: "modified asc, name asc".to_owned(),
        limit: PAGE,
        ..SiteQuery::default()
    }
}

fn text<'a>(row: &'a Map, field: &str) -> &'a str {
    row.get(field).and_then(serde_json::Value::as_str).unwrap_or_default()
}

async fn versions(site: &Site) -> Result<Seen, SiteError> {
    let versions = match site.versions().await {
        Err(SiteError::Refused(_)) => return Ok(Seen::skipped("the user may not ask for them")),
        other => other?,
    };
    let of = |app: &str| versions.get(app).map_or("not installed", String::as_str);
    let shown = format!("Frappe {}, ERPNext {}", of("frappe"), of("erpnext"));
    Ok(match of("frappe").split('.').next() {
        Some("15") => Seen::works(shown),
        _ => {
            Seen::warning(shown, "Causeway was measured against version 15; read what fails below with care.")
        }
    })
}

async fn skew(site: &Site, clock: std::sync::Arc<dyn Clock>) -> Result<Seen, SiteError> {
    let headers = site.headers().await?;
    let date = headers.get(http::header::DATE).and_then(|date| date.to_str().ok());
    let Some(theirs) = date.and_then(|date| rfc2822::parse(date).ok()) else {
        return Ok(Seen::skipped("its answers have no date"));
    };
    let ahead = theirs.timestamp().duration_since(clock.now());
    Ok(told(ahead))
}

/// What `ahead`, by which the site's clock is ahead of ours, means.
pub(super) fn told(ahead: SignedDuration) -> Seen {
    let detail = format!("{} s from ours", ahead.as_secs());
    if ahead.abs() <= SKEW {
        Seen::works(detail)
    } else {
        Seen::warning(detail, "Set both clocks by NTP, or changes seem to be made too early or too late.")
    }
}

async fn rate_limit(site: &Site) -> Result<Seen, SiteError> {
    let notice = crate::erpnext::ERPNEXT.rate(&site.headers().await?);
    Ok(Seen::works(match notice {
        None => "none said".to_owned(),
        Some(notice) => format!(
            "{:.0} % of the site's budget left, new in {} s",
            notice.left * 100.0,
            notice.resets_in.as_secs()
        ),
    }))
}

/// Reads on from the last document of a page, which comes again, since times are not unique.
async fn keyset(site: &Site, doctype: &str, listed: usize) -> Result<Seen, SiteError> {
    let first = site.list(&page(doctype, Vec::new())).await?;
    let Some(last) = first.last() else { return Ok(Seen::skipped(format!("there is no {doctype}"))) };
    let next = site.list(&page(doctype, vec![json!(["modified", ">=", text(last, "modified")])])).await?;
    let goes_on = next.first().is_some_and(|row| text(row, "modified") == text(last, "modified"));
    let in_order = next.windows(2).all(|two| text(&two[0], "modified") <= text(&two[1], "modified"));
    Ok(Seen::expect(
        goes_on && in_order && listed == first.len(),
        "goes on where a page ends",
        "does not go on where a page ends",
    ))
}

async fn read_one(site: &Site, doctype: &str) -> Result<Seen, SiteError> {
    let rows = site.list(&page(doctype, Vec::new())).await?;
    let Some(row) = rows.first() else { return Ok(Seen::skipped(format!("there is no {doctype}"))) };
    let Some(document) = site.get(doctype, text(row, "name")).await? else {
        return Ok(Seen::failed("a listed document cannot be read", "Was it deleted just now? Try again."));
    };
    let modified = text(&document, "modified");
    let comes_back = time::revision(modified).and_then(time::modified_text).as_deref() == Some(modified);
    Ok(Seen::expect(
        comes_back && modified == text(row, "modified"),
        format!("{doctype} {}, {} fields", text(row, "name"), document.len()),
        format!("its modified is {modified:?}, and {:?} in the list", text(row, "modified")),
    ))
}

/// What is not there is said in the way that we know.
async fn errors(site: &Site, doctype: &str) -> Result<Seen, SiteError> {
    const NOT_THERE: &str = "causeway-check: no such thing";
    let mut wrong = Vec::new();
    if site.get(doctype, NOT_THERE).await?.is_some() {
        wrong.push("a document that is not there");
    }
    if !refused(site.list(&page("Causeway No Such DocType", Vec::new())).await, &Exception::DoesNotExist)? {
        wrong.push("a DocType that is not there");
    }
    let mut unknown = page(doctype, Vec::new());
    unknown.fields.push("causeway_no_such_field".to_owned());
    let answer = site.list(&unknown).await;
    if !refused(answer, &Exception::Data)? {
        wrong.push("a field that is not there");
    }
    let answer = site.call("causeway.no.such.method", Map::new(), Repeat::Safe).await;
    if !matches!(answer, Err(SiteError::Refused(_))) {
        wrong.push("a method that is not there");
    }
    Ok(Seen::expect(wrong.is_empty(), "said as expected", format!("not as expected: {}", wrong.join(", "))))
}

/// Whether the answer is that refusal; what is no answer stays an error.
fn refused<T>(answer: Result<T, SiteError>, exception: &Exception) -> Result<bool, SiteError> {
    match answer {
        Ok(_) => Ok(false),
        Err(SiteError::Refused(refusal)) => Ok(refusal.exception == *exception),
        Err(error) => Err(error),
    }
}

/// How much later `modified` is than `now`, if it can be read.
pub(super) async fn ahead_of(
    site: &Site,
    modified: &str,
    now: Timestamp,
) -> Result<Option<SignedDuration>, SiteError> {
    Ok(site.time_zone().await?.instant(modified).map(|then| then.duration_since(now)))
}
