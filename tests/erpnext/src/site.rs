//! A running site, as tests hold it: starts in a thread of its own, stops when dropped, and tells what it has and what
//! it was asked.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{oneshot, watch},
};

use crate::{
    api::Api,
    clock::SiteClock,
    database::{Database, Document},
    doctype::DocType,
    exception::Outcome,
    fault::{Fault, Faults},
    oauth::Oauth,
    options::{SiteOptions, User},
    save, seed,
    server::{self, Received, Shared, locked},
};

/// How long opening and closing may take.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// A running site.
#[derive(Debug)]
pub struct Site {
    address: SocketAddr,
    shared: Arc<Shared>,
    clock: SiteClock,
    users: Vec<User>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

fn api(options: &SiteOptions, clock: &SiteClock) -> io::Result<Api> {
    let zone = TimeZone::get(&options.time_zone).map_err(io::Error::other)?;
    let mut database = Database::new(clock.clone(), zone);
    database.doctypes.retain(|name, _| !options.without.contains(name));
    for doctype in &options.doctypes {
        database.doctypes.insert(doctype.name.clone(), doctype.clone());
    }
    database.list_doctypes();
    if options.master_data {
        seed::master_data(&mut database);
    }
    let oauth = Oauth::new(options.oauth_clients.clone());
    let (users, zone) = (options.users.clone(), options.time_zone.clone());
    Ok(Api::new(database, users, oauth, clock.clone(), zone, options.rate_limit))
}

impl Site {
    /// Starts a site; it answers when this returns.
    ///
    /// # Errors
    /// The port is taken, or there is no such time zone.
    pub fn start(options: SiteOptions) -> io::Result<Self> {
        let clock = SiteClock::default();
        let shared = Arc::new(Shared {
            api: Mutex::new(api(&options, &clock)?),
            faults: Mutex::new(Faults::default()),
            received: Mutex::new(Vec::new()),
            at_once: Mutex::new((0, 0)),
            paused: watch::Sender::new(false),
            closed: watch::Sender::new(false),
            latency: options.latency,
        });
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let serving = shared.clone();
        let thread = std::thread::Builder::new().name("erpnext-site".into()).spawn(move || {
            runtime.block_on(async move {
                let Ok(listener) = TcpListener::from_std(listener) else { return };
                tokio::select! {
                    () = server::serve(listener, address, serving) => (),
                    _ = stopped => (),
                }
            });
        })?;
        let site =
            Self { address, shared, clock, users: options.users, stop: Some(stop), thread: Some(thread) };
        for doctype in &options.prepared {
            site.prepare(doctype);
        }
        Ok(site)
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The user of this name, for their key.
    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|user| user.name == name)
    }

    /// The site's time, to be stopped, moved and read.
    pub fn clock(&self) -> &SiteClock {
        &self.clock
    }

    /// Stops the site's time at this instant.
    pub fn stop_time_at(&self, instant: Timestamp) {
        self.clock.stop_at(instant);
    }

    /// Moves the site's time.
    pub fn advance(&self, by: SignedDuration) {
        self.clock.advance(by);
    }

    /// Adds `causeway_id` and `causeway_mark` to a DocType, as set-up does.
    pub fn prepare(&self, doctype: &str) {
        let mut api = locked(&self.shared.api);
        let Ok(custom_field) = save::doctype(&api.database, "Custom Field") else { return };
        for (name, fieldtype, unique) in [("causeway_id", "Data", 1), ("causeway_mark", "Small Text", 0)] {
            let field = json!({
                "dt": doctype, "fieldname": name, "fieldtype": fieldtype, "unique": unique, "allow_on_submit": 1,
            });
            let Value::Object(field) = field else { return };
            // Refused where it is there.
            let _refused = save::insert(&mut api.database, "Administrator", &custom_field, field);
        }
        api.database.commit();
    }

    /// One more DocType, or another in the place of one.
    pub fn register(&self, doctype: DocType) {
        let mut api = locked(&self.shared.api);
        api.database.doctypes.insert(doctype.name.clone(), doctype);
        api.database.list_doctypes();
    }

    /// One more fault.
    pub fn fault(&self, fault: Fault) {
        locked(&self.shared.faults).set(fault);
    }

    /// Nothing goes wrong any more.
    pub fn clear_faults(&self) {
        locked(&self.shared.faults).clear();
    }

    /// Requests wait until `resume`.
    pub fn pause(&self) {
        self.shared.paused.send_replace(true);
    }

    /// Requests go on.
    pub fn resume(&self) {
        self.shared.paused.send_replace(false);
    }

    /// Nobody listens on the site's port any more, and open connections end. Requests at work go on.
    pub fn close(&self) {
        self.shared.closed.send_replace(true);
        self.wait_until_open(false);
    }

    /// The site listens again, with all that it had.
    pub fn open(&self) {
        self.shared.closed.send_replace(false);
        self.wait_until_open(true);
    }

    fn wait_until_open(&self, open: bool) {
        let begin = Instant::now();
        while TcpStream::connect(self.address).is_ok() != open && begin.elapsed() < MAX_WAIT {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// All documents of a DocType, by name.
    pub fn documents(&self, doctype: &str) -> Vec<Document> {
        locked(&self.shared.api).database.all(doctype).cloned().collect()
    }

    /// One document.
    pub fn document(&self, doctype: &str, name: &str) -> Option<Document> {
        locked(&self.shared.api).database.get(doctype, name).cloned()
    }

    /// How many documents of a DocType there are.
    pub fn count(&self, doctype: &str) -> usize {
        locked(&self.shared.api).database.all(doctype).count()
    }

    /// Every request so far, in the order they came.
    pub fn requests(&self) -> Vec<Received> {
        locked(&self.shared.received).clone()
    }

    /// How many requests had this method and have this in their path.
    pub fn requested(&self, method: &str, path: &str) -> usize {
        let received = locked(&self.shared.received);
        received.iter().filter(|one| one.method == method && one.path.contains(path)).count()
    }

    /// Forgets the requests so far, and how many were at work at once.
    pub fn forget_requests(&self) {
        locked(&self.shared.received).clear();
        let mut at_once = locked(&self.shared.at_once);
        at_once.1 = at_once.0;
    }

    /// The most requests that were at work at once.
    pub fn most_at_once(&self) -> usize {
        locked(&self.shared.at_once).1
    }

    /// Inserts a document as somebody at the site would, and gives it as it was saved.
    ///
    /// # Errors
    /// What the site throws.
    pub fn insert(&self, doctype: &str, fields: Value) -> Outcome<Document> {
        self.as_administrator(|database| {
            let doctype = save::doctype(database, doctype)?;
            save::insert(database, "Administrator", &doctype, object(fields))
        })
    }

    /// Changes a document as somebody at the site would; `docstatus` among the fields submits or cancels.
    ///
    /// # Errors
    /// What the site throws.
    pub fn change(&self, doctype: &str, name: &str, fields: Value) -> Outcome<Document> {
        self.as_administrator(|database| {
            let doctype = save::doctype(database, doctype)?;
            save::update(database, "Administrator", &doctype, name, object(fields))
        })
    }

    /// Writes a document as it is, `modified` and all, past every check.
    pub fn put(&self, doctype: &str, name: &str, document: Value) {
        let mut api = locked(&self.shared.api);
        api.database.put(doctype, name, object(document));
        api.database.commit();
    }

    /// Deletes a document as somebody at the site would.
    ///
    /// # Errors
    /// What the site throws.
    pub fn delete(&self, doctype: &str, name: &str) -> Outcome<()> {
        self.as_administrator(|database| {
            let doctype = save::doctype(database, doctype)?;
            save::delete(database, &doctype, name)
        })
    }

    fn as_administrator<T>(&self, change: impl FnOnce(&mut Database) -> Outcome<T>) -> Outcome<T> {
        let mut api = locked(&self.shared.api);
        let outcome = change(&mut api.database);
        if outcome.is_ok() {
            api.database.commit();
        } else {
            api.database.undo();
        }
        outcome
    }

    /// A code as the page for consent gives it to a client.
    pub fn authorization_code(&self, client: &str) -> String {
        locked(&self.shared.api).oauth.code(client)
    }

    /// The refresh tokens that work.
    pub fn refresh_tokens(&self) -> Vec<String> {
        locked(&self.shared.api).oauth.refresh_tokens()
    }

    /// No access token works any more.
    pub fn expire_access_tokens(&self) {
        locked(&self.shared.api).oauth.expire_access();
    }

    /// A user's key works no more, or another secret does.
    pub fn rotate_secret(&self, user: &str, secret: &str) {
        for known in locked(&self.shared.api).users.iter_mut().filter(|known| known.name == user) {
            secret.clone_into(&mut known.secret);
        }
    }
}

fn object(value: Value) -> Document {
    match value {
        Value::Object(fields) => fields,
        _ => Document::new(),
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.resume();
        if let Some(stop) = self.stop.take() {
            let _ended_already = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}
