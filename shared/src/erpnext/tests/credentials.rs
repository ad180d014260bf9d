//! Credentials: keys that change, tokens that are renewed.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use base64::{Engine, prelude::BASE64_STANDARD};
use erpnext_site::{Answer, Effect, Fault, SiteOptions, hub, oauth_client};
use jiff::SignedDuration;
use serde_json::json;

use crate::{
    Error, ErrorCode, Result,
    clock::{Clock, ManualClock},
    erpnext::{
        Site,
        credentials::{
            Authorise, Grants, SiteCredentials, TokenEndpoint,
            tokens::{KeptTokens, TokenStore, dynamo::DynamoTokens},
        },
        rig::{client, config, outbound, quick},
    },
    lease::dynamo::DynamoLeases,
    testing::{Dynamo, MemorySecrets, start},
};

/// A site, our tables, and a secret: what instances share.
struct Shared {
    site: erpnext_site::Site,
    dynamo: Dynamo,
    clock: Arc<ManualClock>,
    secrets: Arc<MemorySecrets>,
    store: Arc<Moody>,
}

/// A store that fails on demand.
struct Moody {
    inner: DynamoTokens,
    /// So many writes succeed, then one fails, then all succeed.
    writes_left: AtomicUsize,
    fails: AtomicUsize,
}

#[async_trait]
impl TokenStore for Moody {
    async fn read(&self, connector: &str) -> Result<Option<KeptTokens>> {
        self.inner.read(connector).await
    }

    async fn replace(&self, connector: &str, generation: u64, tokens: &KeptTokens) -> Result<bool> {
        let left = self.writes_left.load(Ordering::Relaxed);
        if left == 0 && self.fails.load(Ordering::Relaxed) > 0 {
            self.fails.fetch_sub(1, Ordering::Relaxed);
            return Err(Error::unavailable("DynamoDB", "told to fail"));
        }
        self.writes_left.store(left.saturating_sub(1), Ordering::Relaxed);
        self.inner.replace(connector, generation, tokens).await
    }
}

fn token_secret(secret: &str) -> String {
    json!({ "key": hub().key, "secret": secret }).to_string()
}

fn grant_secret(refresh_token: &str) -> String {
    let client = oauth_client();
    json!({
        "client_id": client.id, "client_secret": client.secret, "refresh_token": refresh_token,
        "token_key": BASE64_STANDARD.encode([7; 32]),
    })
    .to_string()
}

impl Shared {
    async fn start(secret: String) -> Self {
        let site = erpnext_site::Site::start(SiteOptions::default()).unwrap();
        let (dynamo, clock) = (Dynamo::start().await, Arc::new(ManualClock::at(start())));
        site.stop_time_at(start());
        let secrets = Arc::new(MemorySecrets::default());
        secrets.texts.lock().unwrap().insert("erpnext".into(), secret);
        let inner = DynamoTokens::new(dynamo.client.clone(), &dynamo.tables, clock.clone());
        let store = Arc::new(Moody { inner, writes_left: AtomicUsize::new(0), fails: AtomicUsize::new(0) });
        Self { site, dynamo, clock, secrets, store }
    }

    fn change_secret(&self, secret: String) {
        self.secrets.texts.lock().unwrap().insert("erpnext".into(), secret);
    }

    fn advance(&self, by: SignedDuration) {
        self.clock.advance(by);
        self.site.advance(by);
    }

    /// Another instance's credentials.
    fn credentials(&self) -> Arc<SiteCredentials> {
        let time: Arc<dyn Clock> = self.clock.clone();
        let leases = DynamoLeases::new(
            self.dynamo.client.clone(),
            &self.dynamo.tables,
            time.clone(),
            SignedDuration::from_secs(60),
        );
        let grants = Grants::new(
            TokenEndpoint::new(config(&self.site), outbound(&self.clock), Arc::new(quick())),
            self.store.clone(),
            Arc::new(leases),
            time.clone(),
        );
        Arc::new(SiteCredentials::new(self.secrets.clone(), "erpnext", grants, time))
    }

    /// Another instance.
    fn instance(&self) -> Site {
        client(&self.site, self.credentials(), &self.clock)
    }

    async fn kept(&self) -> KeptTokens {
        self.store.read("erpnext").await.unwrap().unwrap()
    }

    fn renewals(&self) -> usize {
        self.site.requested("POST", "oauth2.get_token")
    }
}

async fn user(site: &Site) -> Result<String> {
    let user =
        site.call("frappe.auth.get_logged_user", serde_json::Map::new(), crate::outbound::Repeat::Safe);
    Ok(user.await?.as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_key_is_read_once_and_one_that_was_changed_works_with_the_first_call() {
    let shared = Shared::start(token_secret(&hub().secret)).await;
    let site = shared.instance();
    for _ in 0..3 {
        assert_eq!(user(&site).await.unwrap(), hub().name);
    }
    assert_eq!(shared.secrets.reads.load(Ordering::Relaxed), 1);
    shared.site.rotate_secret(&hub().name, "0123456789abcde");
    shared.change_secret(token_secret("0123456789abcde"));
    shared.advance(SignedDuration::from_secs(11));
    assert_eq!(user(&site).await.unwrap(), hub().name);
    assert_eq!(shared.secrets.reads.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn who_we_are_is_asked_again_when_the_key_is_another_users() {
    let shared = Shared::start(token_secret(&hub().secret)).await;
    let site = shared.instance();
    for _ in 0..2 {
        assert_eq!(site.user().await.unwrap(), hub().name);
    }
    assert_eq!(shared.site.requested("POST", "get_logged_user"), 1);
    let other = erpnext_site::reader();
    shared.change_secret(format!("{{\"key\": \"{}\", \"secret\": \"{}\"}}", other.key, other.secret));
    shared.advance(SignedDuration::from_mins(6));
    assert_eq!(site.user().await.unwrap(), other.name);
}

#[tokio::test]
async fn a_key_that_the_site_does_not_know_is_our_fault_and_not_asked_for_with_each_call() {
    let shared = Shared::start(token_secret("wrong")).await;
    let site = shared.instance();
    for _ in 0..3 {
        let error = user(&site).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::CredentialsRefused);
        assert!(error.is_transient(), "the events wait until the secret is right");
        assert!(!error.causes().contains("wrong"), "{}", error.causes());
    }
    assert_eq!(shared.secrets.reads.load(Ordering::Relaxed), 1);
    shared.change_secret(token_secret(&hub().secret));
    shared.advance(SignedDuration::from_secs(11));
    assert!(user(&site).await.is_ok());
}

#[tokio::test]
async fn while_secrets_cannot_be_read_those_remembered_are_used() {
    let shared = Shared::start(token_secret(&hub().secret)).await;
    let site = shared.instance();
    user(&site).await.unwrap();
    shared.secrets.down.store(true, Ordering::Relaxed);
    shared.advance(SignedDuration::from_hours(1));
    assert!(user(&site).await.is_ok());
    assert_eq!(user(&shared.instance()).await.unwrap_err().code(), ErrorCode::DependencyUnavailable);
}

#[tokio::test]
async fn no_header_prints() {
    let shared = Shared::start(token_secret(&hub().secret)).await;
    let header = shared.credentials().authorization().await.unwrap();
    assert_eq!(format!("{header:?}"), "Sensitive");
}

#[tokio::test]
async fn an_access_token_is_shared_by_all_instances_and_kept_sealed() {
    let shared = Shared::start(grant_secret("first-refresh-token")).await;
    assert_eq!(user(&shared.instance()).await.unwrap(), hub().name);
    assert_eq!(user(&shared.instance()).await.unwrap(), hub().name);
    assert_eq!(shared.renewals(), 1);
    let kept = shared.kept().await;
    assert_eq!((kept.generation, kept.is_begun), (1, false));
    let sealed = kept.sealed.unwrap();
    for token in shared.site.refresh_tokens().iter().map(String::as_bytes).chain([&b"access_token"[..]]) {
        assert!(!sealed.windows(token.len()).any(|window| window == token));
    }
}

#[tokio::test]
async fn tokens_are_renewed_shortly_before_their_end_each_time_with_the_next_refresh_token() {
    let shared = Shared::start(grant_secret("first-refresh-token")).await;
    let site = shared.instance();
    user(&site).await.unwrap();
    shared.advance(SignedDuration::from_secs(3_500));
    user(&site).await.unwrap();
    assert_eq!(shared.renewals(), 1);
    for generation in 2..5 {
        shared.advance(SignedDuration::from_secs(3_541));
        user(&site).await.unwrap();
        assert_eq!(shared.kept().await.generation, generation);
    }
    assert_eq!(shared.renewals(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_instances_that_find_a_spent_token_one_renews_it() {
    let shared = Shared::start(grant_secret("first-refresh-token")).await;
    shared.site.fault(
        Fault::new(Effect::DelayAnswer(std::time::Duration::from_millis(150))).path("oauth2.get_token"),
    );
    for renewals in 1..3 {
        let sites: Vec<Site> = (0..6).map(|_| shared.instance()).collect();
        let users = futures::future::join_all(sites.iter().map(user)).await;
        for user in users {
            assert_eq!(user.unwrap(), hub().name);
        }
        assert_eq!(shared.renewals(), renewals);
        shared.advance(SignedDuration::from_hours(1));
    }
}

#[tokio::test]
async fn an_access_token_that_was_revoked_is_replaced_with_the_first_call() {
    let shared = Shared::start(grant_secret("first-refresh-token")).await;
    let (site, other) = (shared.instance(), shared.instance());
    user(&site).await.unwrap();
    user(&other).await.unwrap();
    shared.site.expire_access_tokens();
    shared.advance(SignedDuration::from_secs(11));
    assert_eq!(user(&site).await.unwrap(), hub().name);
    assert_eq!(user(&other).await.unwrap(), hub().name, "it takes what the first renewed");
    assert_eq!(shared.renewals(), 2);
}

#[tokio::test]
async fn a_lost_answer_to_a_renewal_is_told_and_mended_by_a_new_grant() {
    let shared = Shared::start(grant_secret("first-refresh-token")).await;
    let site = shared.instance();
    shared.site.fault(Fault::new(Effect::DropAfter).path("oauth2.get_token").once());
    assert_eq!(user(&site).await.unwrap_err().code(), ErrorCode::OutcomeUnknown);
    assert!(shared.kept().await.is_begun);
    let error = user(&site).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::CredentialsRefused);
    assert!(error.detail().contains("the answer to an earlier renewal was lost"), "{error}");
    let asked = shared.renewals();
    assert_eq!(user(&site).await.unwrap_err().code(), ErrorCode::CredentialsRefused);
    assert_eq!(shared.renewals(), asked, "it is not asked again with each call");
    // What the lost answer gave: as if someone had authorised anew.
    shared.change_secret(grant_secret(&shared.site.refresh_tokens()[0]));
    shared.advance(SignedDuration::from_mins(6));
    assert_eq!(user(&site).await.unwrap(), hub().name);
    assert!(!shared.kept().await.is_begun);
}

#[tokio::test]
async fn a_renewal_that_never_left_costs_nothing() {
    let shared = Shared::start(grant_secret("first-refresh-token")).await;
    let site = shared.instance();
    shared.site.fault(Fault::new(Effect::Maintenance).path("oauth2.get_token").times(3));
    assert_eq!(user(&site).await.unwrap_err().code(), ErrorCode::ProviderUnavailable);
    assert!(!shared.kept().await.is_begun);
    assert_eq!(user(&site).await.unwrap(), hub().name);
}

#[tokio::test]
async fn a_refused_grant_is_told_without_the_token() {
    let shared = Shared::start(grant_secret("hunter2")).await;
    let error = user(&shared.instance()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::CredentialsRefused);
    assert!(error.detail().contains("invalid_grant"), "{error}");
    assert!(!error.causes().contains("hunter2"));
}

#[tokio::test]
async fn an_answer_without_tokens_is_told_as_lost_and_quotes_nothing() {
    let shared = Shared::start(grant_secret("first-refresh-token")).await;
    let answer = Answer::json(200, &json!({ "acces_token": "hunter2" }));
    shared.site.fault(Fault::new(Effect::Answer(answer)).path("oauth2.get_token").once());
    let error = user(&shared.instance()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::OutcomeUnknown);
    assert!(!error.causes().contains("hunter2"));
    assert_eq!(user(&shared.instance()).await.unwrap(), hub().name, "and the grant was not used up");
}

#[tokio::test]
async fn a_new_pair_that_could_not_be_written_is_not_lost_with_the_call() {
    let shared = Shared::start(grant_secret("first-refresh-token")).await;
    let site = shared.instance();
    // The beginning is written, the pair is not.
    shared.store.writes_left.store(1, Ordering::Relaxed);
    shared.store.fails.store(3, Ordering::Relaxed);
    assert_eq!(user(&site).await.unwrap_err().code(), ErrorCode::DependencyUnavailable);
    assert!(shared.kept().await.is_begun);
    assert_eq!(user(&site).await.unwrap(), hub().name);
    assert_eq!((shared.renewals(), shared.kept().await.generation), (1, 1));
}

#[tokio::test]
async fn tokens_sealed_with_another_key_are_a_new_beginning() {
    let shared = Shared::start(grant_secret("first-refresh-token")).await;
    user(&shared.instance()).await.unwrap();
    let next = shared.site.refresh_tokens()[0].clone();
    let other_key =
        grant_secret(&next).replace(&BASE64_STANDARD.encode([7; 32]), &BASE64_STANDARD.encode([8; 32]));
    shared.change_secret(other_key);
    assert_eq!(user(&shared.instance()).await.unwrap(), hub().name);
    assert_eq!(shared.kept().await.generation, 2);
}
