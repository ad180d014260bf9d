//! What our user may write, as the site tells without anything being written: by its roles, not by the document.

use serde_json::Value;

use super::{Check, Seen};
use crate::erpnext::{Site, SiteError, mapper::MAPPINGS};

/// What it takes to make a document count.
const RIGHTS: [&str; 3] = ["create", "write", "submit"];

impl Check<'_> {
    pub(super) async fn show_permissions(&mut self) {
        let site = self.site;
        self.note("permissions", permissions(site)).await;
    }
}

/// Asked of every DocType that mapper methods make.
async fn permissions(site: &Site) -> Result<Seen, SiteError> {
    let mut doctypes: Vec<&str> = MAPPINGS.iter().map(|mapping| mapping.to).collect();
    doctypes.sort_unstable();
    doctypes.dedup();
    let (mut writable, mut lacking) = (Vec::new(), Vec::new());
    for doctype in doctypes {
        let asked = futures::future::join_all(RIGHTS.map(|right| may(site, doctype, right))).await;
        let mut denied = Vec::new();
        for (right, answer) in RIGHTS.into_iter().zip(asked) {
            match answer {
                Ok(true) => {}
                Ok(false) => denied.push(right),
                Err(SiteError::Refused(refusal)) => {
                    return Ok(Seen::skipped(format!("the site does not tell: {}", refusal.message)));
                }
                Err(error) => return Err(error),
            }
        }
        if denied.is_empty() {
            writable.push(doctype);
        } else {
            lacking.push(format!("{doctype} (no {})", denied.join(", ")));
        }
    }
    Ok(if lacking.is_empty() {
        Seen::works(format!("create, change, submit: {}", writable.join(", ")))
    } else {
        Seen::warning(
            lacking.join("; "),
            "If Causeway is to write these, give the user a role that may; docs/erpnext.md says which.",
        )
    })
}

/// Whether a role of our user gives `right` on documents of `doctype`: of none in particular, hence without a name.
async fn may(site: &Site, doctype: &str, right: &str) -> Result<bool, SiteError> {
    let args = [("doctype", doctype), ("docname", ""), ("perm_type", right)];
    let answer = site.ask("frappe.client.has_permission", &args).await?;
    match answer.get("has_permission") {
        Some(Value::Bool(may)) => Ok(*may),
        Some(Value::Number(may)) => Ok(may.as_u64() != Some(0)),
        // Older versions say nothing for a no.
        Some(Value::Null) => Ok(false),
        _ => Err(site.unreadable()),
    }
}
