//! `frappe.auth`.

use super::{
    args::{Args, NoArguments},
    envelope::Message,
};
use crate::{Result, api::Call};

/// `frappe.auth.get_logged_user`: who the key belongs to.
pub async fn get_logged_user(call: &Call<'_>, _: Args<NoArguments>) -> Result<Message<String>> {
    Ok(Message(call.user()?.to_owned()))
}
