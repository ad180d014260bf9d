//! What a site is started with.

use std::time::Duration;

use crate::doctype::DocType;

/// What a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everything, Custom Fields included.
    SystemManager,
    /// Every right on business documents, none on what customises the site.
    Documents,
    /// Reading and nothing else.
    ReadOnly,
    /// No right on any DocType.
    Nothing,
}

/// A right that can be taken from a user for one DocType.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// To read and list.
    Read,
    /// To insert.
    Create,
    /// To change.
    Write,
    /// To submit.
    Submit,
    /// To cancel.
    Cancel,
    /// To delete.
    Delete,
}

/// Somebody with an API key.
#[derive(Debug, Clone)]
pub struct User {
    /// An address.
    pub name: String,
    /// 15 hex digits.
    pub key: String,
    /// 15 hex digits.
    pub secret: String,
    /// What they may do.
    pub access: Access,
    /// Except for this.
    pub denied: Vec<(String, Right)>,
}

impl User {
    /// A user with this access.
    pub fn new(name: &str, key: &str, secret: &str, access: Access) -> Self {
        Self { name: name.into(), key: key.into(), secret: secret.into(), access, denied: Vec::new() }
    }

    /// Without one right on one DocType.
    #[must_use]
    pub fn without(mut self, doctype: &str, right: Right) -> Self {
        self.denied.push((doctype.into(), right));
        self
    }

    /// The value of an Authorization header.
    pub fn token(&self) -> String {
        format!("token {}:{}", self.key, self.secret)
    }
}

/// A program that acts for a user by OAuth.
#[derive(Debug, Clone)]
pub struct OauthClient {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: String,
    /// For whom it acts.
    pub user: String,
    /// The first refresh token; each works once.
    pub refresh_token: String,
    /// How long an access token works.
    pub expires_in: Duration,
}

/// A budget of processing time for the whole site in a fixed window.
#[derive(Debug, Clone, Copy)]
pub struct RateLimit {
    /// Processing time in microseconds that a window has.
    pub limit_micros: u64,
    /// The window, in seconds.
    pub window_seconds: u64,
    /// What each request is taken to cost, in microseconds.
    pub cost_micros: u64,
}

/// The user that the tests of a site act as: every right on documents.
pub fn hub() -> User {
    User::new("hub@example.test", "a1b2c3d4e5f6071", "f0e1d2c3b4a5968", Access::Documents)
}

/// A System Manager, who may add Custom Fields.
pub fn administrator() -> User {
    User::new("admin@example.test", "ad31a1ad31a1ad3", "5ec2e75ec2e75ec", Access::SystemManager)
}

/// A user who may only read.
pub fn reader() -> User {
    User::new("reader@example.test", "2ead0412ead0412", "2ead0422ead0422", Access::ReadOnly)
}

/// A client that acts for [`hub`].
pub fn oauth_client() -> OauthClient {
    OauthClient {
        id: "causeway-client".into(),
        secret: "causeway-client-secret".into(),
        user: hub().name,
        refresh_token: "first-refresh-token".into(),
        expires_in: Duration::from_secs(3600),
    }
}

/// What a site is started with. The default is a site in Kolkata with the users above and the master data of the
/// recorded requests.
#[derive(Debug, Clone)]
pub struct SiteOptions {
    /// IANA name of the site's time zone.
    pub time_zone: String,
    /// Who has an API key.
    pub users: Vec<User>,
    /// Who acts by OAuth.
    pub oauth_clients: Vec<OauthClient>,
    /// DocTypes beside the site's own; one of the same name replaces it.
    pub doctypes: Vec<DocType>,
    /// DocTypes of the site's own that it does not have.
    pub without: Vec<String>,
    /// The limit, if any.
    pub rate_limit: Option<RateLimit>,
    /// Whether the site starts with a company, customers, suppliers and items.
    pub master_data: bool,
    /// DocTypes that have the fields `causeway_id` and `causeway_mark` from the start.
    pub prepared: Vec<String>,
    /// The least time a request takes.
    pub latency: Duration,
    /// The port on 127.0.0.1; 0 for any.
    pub port: u16,
}

impl Default for SiteOptions {
    fn default() -> Self {
        Self {
            time_zone: "Asia/Kolkata".into(),
            users: vec![hub(), administrator(), reader()],
            oauth_clients: vec![oauth_client()],
            doctypes: Vec::new(),
            without: Vec::new(),
            rate_limit: None,
            master_data: true,
            prepared: Vec::new(),
            latency: Duration::ZERO,
            port: 0,
        }
    }
}

impl SiteOptions {
    /// In another time zone.
    #[must_use]
    pub fn in_zone(mut self, zone: &str) -> Self {
        self.time_zone = zone.into();
        self
    }

    /// With one more DocType.
    #[must_use]
    pub fn with(mut self, doctype: DocType) -> Self {
        self.doctypes.push(doctype);
        self
    }

    /// With both Custom Fields on these DocTypes.
    #[must_use]
    pub fn prepared<'a>(mut self, doctypes: impl IntoIterator<Item = &'a str>) -> Self {
        self.prepared.extend(doctypes.into_iter().map(str::to_owned));
        self
    }

    /// With one more user.
    #[must_use]
    pub fn user(mut self, user: User) -> Self {
        self.users.push(user);
        self
    }
}
