//! Users, roles and keys over in-process DynamoDB: what may be done, by whom, and from when on.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use http::HeaderMap;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::*;
use crate::{
    clock::{Clock, ManualClock},
    connectors::{ConnectorRepository, ConnectorSettings},
    documents::{
        Commit, Committed, Count, DocType, Document, DocumentKey, DocumentStore, Expect, Filters, ListQuery,
        Page, Record, Stored, dynamo::DynamoDocuments,
    },
    secrets::Secret,
    testing::{Dynamo, MemorySecrets, settings, start},
};

/// A store that counts what is read.
struct Counting {
    inner: DynamoDocuments,
    reads: AtomicUsize,
}

#[async_trait]
impl DocumentStore for Counting {
    async fn read(&self, key: &DocumentKey) -> Result<Option<Stored>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.inner.read(key).await
    }
    async fn list(&self, query: &ListQuery) -> Result<Page<Document>> {
        self.inner.list(query).await
    }
    async fn count(&self, doctype: &DocType, filters: &Filters) -> Result<Count> {
        self.inner.count(doctype, filters).await
    }
    async fn commit(&self, commit: Commit) -> Result<Committed> {
        self.inner.commit(commit).await
    }
}

/// What one instance of a function has.
struct Instance {
    directory: Arc<Directory>,
    accounts: Accounts,
    keys: Arc<ApiKeys>,
    keyring: Keyring,
}

struct Rig {
    store: Arc<Counting>,
    secrets: Arc<MemorySecrets>,
    clock: Arc<ManualClock>,
    here: Instance,
    elsewhere: Instance,
    admin: Principal,
    _dynamo: Dynamo,
}

impl Instance {
    fn new(store: &Arc<Counting>, secrets: &Arc<MemorySecrets>, clock: &Arc<ManualClock>) -> Self {
        let directory = Arc::new(Directory::new(store.clone(), clock.clone()));
        let keys = Arc::new(ApiKeys::new(
            secrets.clone(),
            "admin".into(),
            store.clone(),
            directory.clone(),
            clock.clone(),
        ));
        let accounts = Accounts::new(store.clone(), directory.clone());
        let keyring = Keyring::new(store.clone(), directory.clone(), keys.clone(), clock.clone());
        Self { directory, accounts, keys, keyring }
    }

    /// As whom the key `id` with `secret` acts.
    async fn caller(&self, id: &str, secret: &str) -> Result<String> {
        let headers =
            HeaderMap::from_iter([("x-api-key".parse().unwrap(), format!("{id}.{secret}").parse().unwrap())]);
        let caller = self.keys.caller(&PresentedKey::from_headers(&headers)?).await?;
        assert_eq!(caller.key_id, id);
        Ok(caller.principal.user)
    }

    async fn refuses(&self, id: &str, secret: &str) -> bool {
        match self.caller(id, secret).await {
            Ok(_) => false,
            Err(error) => {
                assert_eq!(error.code(), ErrorCode::ApiKeyInvalid, "{error:?}");
                true
            }
        }
    }
}

impl Rig {
    async fn new() -> Self {
        let dynamo = Dynamo::start().await;
        let clock = Arc::new(ManualClock::at(start()));
        let inner = DynamoDocuments::new(dynamo.client.clone(), dynamo.tables.clone(), clock.clone());
        let store = Arc::new(Counting { inner, reads: AtomicUsize::default() });
        let secrets = Arc::new(MemorySecrets::default());
        secrets.texts.lock().unwrap().insert("admin".into(), "s3cret".into());
        let here = Instance::new(&store, &secrets, &clock);
        let elsewhere = Instance::new(&store, &secrets, &clock);
        let admin = Principal::administrator().unwrap();
        Self { store, secrets, clock, here, elsewhere, admin, _dynamo: dynamo }
    }

    fn wait(&self, seconds: i64) {
        self.clock.advance(SignedDuration::from_secs(seconds));
    }

    fn reads(&self) -> usize {
        self.store.reads.swap(0, Ordering::Relaxed)
    }

    async fn put_role(&self, role: Value) {
        let role: Role = serde_json::from_str(&role.to_string()).unwrap();
        self.here.accounts.put_role(&self.admin, &role, None).await.unwrap();
    }

    async fn put_user(&self, user: Value) {
        self.here.accounts.put_user(&self.admin, &user_of(&user), None).await.unwrap();
    }

    /// A clerk, `ann`, and a key of hers.
    async fn with_key() -> (Self, ApiKey, String) {
        let rig = Self::new().await;
        rig.put_role(json!({ "name": "Clerk", "documents": [{ "doctype": "Item", "read": true }] })).await;
        rig.put_user(json!({ "name": "ann", "roles": ["Clerk"] })).await;
        let (key, secret) = rig.here.keyring.create(&rig.admin, &new_key("ann"), None).await.unwrap();
        (rig, key, text(&secret))
    }

    /// Someone who may manage users and read items, and nothing else.
    async fn with_delegate() -> (Self, Principal) {
        let rig = Self::new().await;
        let items = json!([{ "doctype": "Item", "read": true }]);
        rig.put_role(json!({ "name": "Delegate", "documents": items, "operations": ["manage_users"] })).await;
        rig.put_user(json!({ "name": "del", "roles": ["Delegate"] })).await;
        let delegate = rig.here.directory.principal("del").await.unwrap();
        (rig, delegate)
    }
}

fn user_of(value: &Value) -> User {
    serde_json::from_str(&value.to_string()).unwrap()
}

fn role_of(value: &Value) -> Role {
    serde_json::from_str(&value.to_string()).unwrap()
}

fn new_key(user: &str) -> NewKey {
    NewKey { user: user.into(), description: "for a test".into(), expires_at: None }
}

fn text(secret: &Secret) -> String {
    String::from_utf8(secret.expose().to_vec()).unwrap()
}

fn code<T>(result: Result<T>) -> ErrorCode {
    result.err().expect("a refusal").code()
}

fn doctype(name: &str) -> DocType {
    DocType::new(name).unwrap()
}

fn grace(seconds: u32) -> Rotation {
    Rotation { grace_seconds: seconds }
}

// ---- Permissions ---------------------------------------------------------------------------------------

#[tokio::test]
async fn every_built_in_role_gets_what_its_table_says() {
    let rig = Rig::new().await;
    let order = doctype("Sales Order");
    let allowed = async |user: &str, permission: Permission<'_>| {
        permit(&rig.here.directory.principal(user).await.unwrap(), permission).is_ok()
    };
    for permission in [Permission::ManageConnectors, Permission::ManageUsers, Permission::Replay] {
        assert!(allowed("Administrator", permission).await);
        assert!(!allowed("integrations@causeway", permission).await);
        assert!(!allowed("auditor@causeway", permission).await);
    }
    assert!(allowed("integrations@causeway", Permission::Delete(&order)).await);
    assert!(allowed("integrations@causeway", Permission::ReadOperations).await);
    assert!(allowed("auditor@causeway", Permission::Read(&order)).await);
    assert!(allowed("auditor@causeway", Permission::ReadOperations).await);
    assert!(!allowed("auditor@causeway", Permission::Create(&order)).await);
}

#[test]
fn nobody_reaches_system_doctypes_through_documents() {
    let admin = Principal::administrator().unwrap();
    for name in ["Integration Settings", "API Key", "user", "Role"] {
        let doctype = DocType::new(name).unwrap();
        assert_eq!(code(permit(&admin, Permission::Read(&doctype))), ErrorCode::PermissionDenied);
    }
}

#[test]
fn what_is_kept_as_records_is_out_of_reach_of_documents() {
    let kinds = [User::DOCTYPE, Role::DOCTYPE, api_key::StoredKey::DOCTYPE, ConnectorSettings::DOCTYPE];
    assert!(kinds.iter().all(|kind| doctype(kind).is_system()), "{kinds:?}");
}

#[tokio::test]
async fn who_is_unknown_or_disabled_is_nobody() {
    let rig = Rig::new().await;
    rig.put_user(json!({ "name": "ann", "enabled": false, "roles": ["System Manager"] })).await;
    for user in ["mallory", "ann", "administrator", "", "a/b"] {
        assert_eq!(code(rig.here.directory.principal(user).await), ErrorCode::PermissionDenied, "{user}");
    }
}

#[tokio::test]
async fn a_user_may_what_any_of_their_roles_allows() {
    let rig = Rig::new().await;
    rig.put_role(json!({ "name": "Reader", "documents": [{ "doctype": "*", "read": true }] })).await;
    rig.put_role(json!({ "name": "Buyer", "documents": [{ "doctype": "Order", "create": true }] })).await;
    rig.put_user(json!({ "name": "ann@example.com", "roles": ["Reader", "Buyer"] })).await;
    let ann = rig.here.directory.principal("ann@example.com").await.unwrap();
    let (order, item) = (doctype("Order"), doctype("Item"));
    for permission in [Permission::Read(&item), Permission::Read(&order), Permission::Create(&order)] {
        permit(&ann, permission).unwrap();
    }
    for permission in [Permission::Create(&item), Permission::Submit(&order), Permission::Replay] {
        assert_eq!(code(permit(&ann, permission)), ErrorCode::PermissionDenied);
    }
}

#[tokio::test]
async fn a_change_is_felt_here_at_once_and_elsewhere_within_half_a_minute() {
    let rig = Rig::new().await;
    rig.put_role(json!({ "name": "Clerk", "operations": ["replay"] })).await;
    rig.put_user(json!({ "name": "ann", "roles": ["Clerk"] })).await;
    let may = async |instance: &Instance| {
        permit(&instance.directory.principal("ann").await.unwrap(), Permission::Replay).is_ok()
    };
    assert!(may(&rig.here).await && may(&rig.elsewhere).await);
    rig.put_role(json!({ "name": "Clerk" })).await;
    assert!(!may(&rig.here).await);
    rig.wait(29);
    assert!(may(&rig.elsewhere).await, "it remembers");
    rig.wait(1);
    assert!(!may(&rig.elsewhere).await);
}

#[tokio::test]
async fn a_principal_comes_from_memory_and_its_refresh_reads_each_thing_once() {
    let rig = Rig::new().await;
    rig.put_role(json!({ "name": "Clerk" })).await;
    rig.put_user(json!({ "name": "ann", "roles": ["Clerk", "Auditor"] })).await;
    rig.reads();
    for (seconds, reads) in [(0, 3), (29, 0), (1, 3)] {
        rig.wait(seconds);
        rig.elsewhere.directory.principal("ann").await.unwrap();
        assert_eq!(rig.reads(), reads, "after {seconds} s");
    }
    rig.here.directory.principal("Administrator").await.unwrap();
    assert_eq!(rig.reads(), 0, "what is fixed is not read");
}

#[tokio::test]
async fn a_fingerprint_changes_with_the_roles_and_not_with_the_user() {
    let rig = Rig::new().await;
    rig.put_role(json!({ "name": "Clerk", "operations": ["replay"] })).await;
    rig.put_user(json!({ "name": "ann", "roles": ["Clerk", "Auditor"] })).await;
    rig.put_user(json!({ "name": "bob", "roles": ["Auditor", "Clerk"] })).await;
    let of = async |user: &str| rig.here.directory.principal(user).await.unwrap().fingerprint();
    let before = of("ann").await;
    assert_eq!(before, of("bob").await);
    rig.put_role(json!({ "name": "Clerk", "operations": ["manage_connectors"] })).await;
    assert_ne!(before, of("ann").await);
}

// ---- Users and roles -----------------------------------------------------------------------------------

#[tokio::test]
async fn what_is_fixed_cannot_be_changed_or_removed() {
    let rig = Rig::new().await;
    let (accounts, admin) = (&rig.here.accounts, &rig.admin);
    let locked_out = user_of(&json!({ "name": "Administrator", "enabled": false }));
    assert_eq!(code(accounts.put_user(admin, &locked_out, None).await), ErrorCode::BuiltIn);
    assert_eq!(code(accounts.remove_user(admin, "Administrator", None).await), ErrorCode::BuiltIn);
    let powerless = role_of(&json!({ "name": "System Manager" }));
    assert_eq!(code(accounts.put_role(admin, &powerless, None).await), ErrorCode::BuiltIn);
    assert_eq!(code(accounts.remove_role(admin, "System Manager", None).await), ErrorCode::BuiltIn);
}

#[tokio::test]
async fn a_built_in_one_is_replaced_by_what_is_stored_and_comes_back_after_it() {
    let rig = Rig::new().await;
    let (accounts, admin) = (&rig.here.accounts, &rig.admin);
    let order = doctype("Order");
    let may = async || {
        permit(&rig.here.directory.principal("auditor@causeway").await.unwrap(), Permission::Read(&order))
            .is_ok()
    };
    assert!(may().await);
    assert_eq!(code(accounts.remove_role(admin, "Auditor", None).await), ErrorCode::BuiltIn);
    rig.put_role(json!({ "name": "Auditor", "operations": ["read_operations"] })).await;
    assert!(!may().await);
    accounts.remove_role(admin, "Auditor", None).await.unwrap();
    assert!(may().await);
    rig.put_user(json!({ "name": "auditor@causeway", "enabled": false })).await;
    assert_eq!(code(rig.here.directory.principal("auditor@causeway").await), ErrorCode::PermissionDenied);
    accounts.remove_user(admin, "auditor@causeway", None).await.unwrap();
    assert!(may().await);
}

#[tokio::test]
async fn lists_show_each_one_once_over_all_pages() {
    let rig = Rig::new().await;
    rig.put_user(json!({ "name": "ann" })).await;
    rig.put_user(json!({ "name": "auditor@causeway", "enabled": false })).await;
    rig.put_user(json!({ "name": "bob" })).await;
    for limit in 1..=6 {
        let (mut names, mut cursor) = (Vec::new(), None);
        loop {
            let page = rig.here.accounts.users(&rig.admin, limit, cursor).await.unwrap();
            assert!(page.items.len() <= limit);
            names.extend(page.items.iter().map(|known| known.value().name.clone()));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        let expected = ["Administrator", "integrations@causeway", "ann", "auditor@causeway", "bob"];
        assert_eq!(names, expected, "{limit} at a time");
    }
    let roles = rig.here.accounts.roles(&rig.admin, 20, None).await.unwrap();
    assert_eq!((roles.items.len(), roles.next), (3, None));
    let bad = rig.here.accounts.users(&rig.admin, 5, Some("nonsense".into())).await;
    assert_eq!(code(bad), ErrorCode::InvalidInput);
}

#[tokio::test]
async fn a_role_that_does_not_exist_is_refused_and_one_that_is_gone_grants_nothing() {
    let rig = Rig::new().await;
    let accounts = &rig.here.accounts;
    let ann = user_of(&json!({ "name": "ann", "roles": ["Auditor", "Clerk"] }));
    let refused = accounts.put_user(&rig.admin, &ann, None).await.unwrap_err();
    assert_eq!(
        (refused.field_errors()[0].field.as_str(), refused.field_errors()[0].code),
        ("/roles/1", "unknown")
    );
    rig.put_role(json!({ "name": "Clerk", "operations": ["replay"] })).await;
    accounts.put_user(&rig.admin, &ann, None).await.unwrap();
    accounts.remove_role(&rig.admin, "Clerk", None).await.unwrap();
    let ann = rig.here.directory.principal("ann").await.unwrap();
    assert!(permit(&ann, Permission::ReadOperations).is_ok());
    assert_eq!(code(permit(&ann, Permission::Replay)), ErrorCode::PermissionDenied);
    assert_eq!(code(accounts.role(&rig.admin, "Clerk").await), ErrorCode::RoleNotFound);
    assert_eq!(code(accounts.remove_role(&rig.admin, "Clerk", None).await), ErrorCode::RoleNotFound);
    assert_eq!(code(accounts.user(&rig.admin, "mallory").await), ErrorCode::UserNotFound);
}

#[tokio::test]
async fn a_change_of_what_someone_else_changed_is_refused() {
    let rig = Rig::new().await;
    rig.put_user(json!({ "name": "ann" })).await;
    rig.put_user(json!({ "name": "ann", "full_name": "Ann" })).await;
    let stale = user_of(&json!({ "name": "ann", "full_name": "Anne" }));
    let put = rig.here.accounts.put_user(&rig.admin, &stale, Some(Expect::Revision(1))).await;
    assert_eq!(code(put), ErrorCode::RevisionConflict);
    let removed = rig.here.accounts.remove_user(&rig.admin, "ann", Some(Expect::Revision(1))).await;
    assert_eq!(code(removed), ErrorCode::RevisionConflict);
    rig.here.accounts.remove_user(&rig.admin, "ann", Some(Expect::Revision(2))).await.unwrap();
}

#[tokio::test]
async fn only_who_manages_users_sees_or_changes_users_roles_and_keys() {
    let (rig, key, _) = Rig::with_key().await;
    let by = rig.here.directory.principal("ann").await.unwrap();
    let Instance { accounts, keyring, .. } = &rig.here;
    let refusals = [
        code(accounts.users(&by, 1, None).await),
        code(accounts.user(&by, "ann").await),
        code(accounts.put_user(&by, &user_of(&json!({ "name": "ann" })), None).await),
        code(accounts.remove_user(&by, "ann", None).await),
        code(accounts.roles(&by, 1, None).await),
        code(accounts.role(&by, "Clerk").await),
        code(accounts.put_role(&by, &role_of(&json!({ "name": "Clerk" })), None).await),
        code(accounts.remove_role(&by, "Clerk", None).await),
        code(keyring.list(&by, 1, None).await),
        code(keyring.get(&by, &key.id).await),
        code(keyring.create(&by, &new_key("ann"), None).await),
        code(keyring.rotate(&by, &key.id, grace(0), None, None).await),
        code(keyring.update(&by, &key.id, KeyChanges::default(), None).await),
        code(keyring.remove(&by, &key.id, None).await),
    ];
    assert!(refusals.iter().all(|code| *code == ErrorCode::PermissionDenied), "{refusals:?}");
}

#[tokio::test]
async fn nobody_gives_more_than_they_have() {
    let (rig, delegate) = Rig::with_delegate().await;
    let Instance { accounts, keyring, .. } = &rig.here;
    let more = role_of(&json!({ "name": "More", "documents": [{ "doctype": "Item", "write": true }] }));
    let refusals = [
        code(
            accounts
                .put_user(&delegate, &user_of(&json!({ "name": "del", "roles": ["System Manager"] })), None)
                .await,
        ),
        code(
            accounts
                .put_user(&delegate, &user_of(&json!({ "name": "eve", "roles": ["Auditor"] })), None)
                .await,
        ),
        code(accounts.put_role(&delegate, &more, None).await),
        code(accounts.put_role(&delegate, &role_of(&json!({ "name": "Auditor" })), None).await),
        code(keyring.create(&delegate, &new_key("Administrator"), None).await),
        code(keyring.create(&delegate, &new_key("integrations@causeway"), None).await),
    ];
    assert!(refusals.iter().all(|code| *code == ErrorCode::PermissionDenied), "{refusals:?}");
    // What is theirs they give.
    let less = role_of(&json!({ "name": "Less", "documents": [{ "doctype": "Item", "read": true }] }));
    accounts.put_role(&delegate, &less, None).await.unwrap();
    accounts.put_user(&delegate, &user_of(&json!({ "name": "eve", "roles": ["Less"] })), None).await.unwrap();
    keyring.create(&delegate, &new_key("eve"), None).await.unwrap();
}

#[tokio::test]
async fn nobody_takes_over_who_may_do_more() {
    let (rig, delegate) = Rig::with_delegate().await;
    let Instance { accounts, keyring, .. } = &rig.here;
    rig.put_user(json!({ "name": "boss", "roles": ["System Manager"] })).await;
    let (key, _) = keyring.create(&rig.admin, &new_key("boss"), None).await.unwrap();
    let weaker = user_of(&json!({ "name": "boss", "enabled": false }));
    // A replaced built-in role allows less than the one that would come back.
    rig.put_role(json!({ "name": "Auditor" })).await;
    rig.put_user(json!({ "name": "auditor@causeway" })).await;
    let refusals = [
        code(accounts.put_user(&delegate, &weaker, None).await),
        code(accounts.remove_user(&delegate, "boss", None).await),
        code(accounts.remove_role(&delegate, "Auditor", None).await),
        code(accounts.put_role(&delegate, &role_of(&json!({ "name": "Integration User" })), None).await),
        code(keyring.rotate(&delegate, &key.id, grace(0), None, None).await),
        code(keyring.update(&delegate, &key.id, KeyChanges::default(), None).await),
        code(keyring.remove(&delegate, &key.id, None).await),
    ];
    assert!(refusals.iter().all(|code| *code == ErrorCode::PermissionDenied), "{refusals:?}");
}

#[tokio::test]
async fn a_connector_acts_as_a_user_who_exists_and_may_no_more_than_who_writes_it() {
    let rig = Rig::new().await;
    rig.put_role(json!({ "name": "Plumber", "operations": ["manage_connectors"] })).await;
    rig.put_user(json!({ "name": "joe", "roles": ["Plumber"] })).await;
    let joe = rig.here.directory.principal("joe").await.unwrap();
    let repository = ConnectorRepository::new(rig.store.clone());
    let put = async |user: &str, by: &Principal| {
        repository.put(&settings(json!({ "user": user })), by, &rig.here.directory, None).await
    };
    let unknown = put("mallory", &rig.admin).await.unwrap_err();
    assert_eq!(
        (unknown.field_errors()[0].field.as_str(), unknown.field_errors()[0].code),
        ("/user", "unknown")
    );
    let mut wrong = settings(json!({ "user": "mallory" }));
    wrong.secrets.clear();
    let all = repository.put(&wrong, &rig.admin, &rig.here.directory, None).await.unwrap_err();
    let fields: Vec<_> = all.field_errors().iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(fields, ["/user", "/secrets"], "one answer names every fault");
    assert_eq!(code(put("integrations@causeway", &joe).await), ErrorCode::PermissionDenied);
    assert!(put("joe", &joe).await.unwrap().created);
    put("Administrator", &rig.admin).await.unwrap();
    let auditor = rig.here.directory.principal("auditor@causeway").await.unwrap();
    assert_eq!(code(put("auditor@causeway", &auditor).await), ErrorCode::PermissionDenied);
}

// ---- Keys ----------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_new_key_acts_as_its_user_and_nothing_else_does() {
    let (rig, key, secret) = Rig::with_key().await;
    assert_eq!(secret.len(), 43, "32 bytes in base64url");
    assert_eq!(rig.elsewhere.caller(&key.id, &secret).await.unwrap(), "ann");
    assert_eq!(rig.elsewhere.caller("key_admin", "s3cret").await.unwrap(), "Administrator");
    let other = key.id.replace("key_0", "key_1");
    for (id, wrong) in [
        (key.id.as_str(), "s3cret"),
        (&key.id, &secret[..42]),
        (&key.id, &secret.to_uppercase()),
        (&other, &secret),
        ("key_admin", &secret),
        ("key_admin", "s3cre"),
    ] {
        assert!(rig.elsewhere.refuses(id, wrong).await, "{id}.{wrong}");
    }
    let (second, other_secret) = rig.here.keyring.create(&rig.admin, &new_key("ann"), None).await.unwrap();
    assert!(second.id != key.id && text(&other_secret) != secret);
}

#[tokio::test]
async fn no_secret_and_no_hash_leaves_the_store() {
    let (rig, key, secret) = Rig::with_key().await;
    let stored = rig.store.inner.get(&DocumentKey::new("API Key", key.id.as_str()).unwrap()).await.unwrap();
    let stored = serde_json::to_string(&stored.unwrap().fields).unwrap();
    let hash = serde_json::to_string(&presented_key::SecretHash::of(secret.as_bytes())).unwrap();
    assert!(!stored.contains(&secret) && stored.contains(&hash), "{stored}");
    let parsed: api_key::StoredKey = serde_json::from_str(&stored).unwrap();
    let shown = rig.here.keyring.get(&rig.admin, &key.id).await.unwrap();
    let listed = rig.here.keyring.list(&rig.admin, 20, None).await.unwrap().items;
    let (made, new) = rig.here.keyring.create(&rig.admin, &new_key("ann"), None).await.unwrap();
    let printed = format!("{parsed:?} {shown:?} {listed:?} {made:?} {new:?}");
    assert!(!printed.contains(&secret) && !printed.contains(hash.trim_matches('"')), "{printed}");
    assert!(!printed.contains(&text(&new)));
}

#[tokio::test]
async fn a_rotated_key_works_until_its_grace_ends() {
    let (rig, key, old) = Rig::with_key().await;
    assert_eq!(rig.elsewhere.caller(&key.id, &old).await.unwrap(), "ann");
    rig.wait(2);
    let (rotated, new) = rig.here.keyring.rotate(&rig.admin, &key.id, grace(60), None, None).await.unwrap();
    assert_eq!(rotated.previous_valid_until, Some(start() + SignedDuration::from_secs(62)));
    for instance in [&rig.here, &rig.elsewhere] {
        assert_eq!(instance.caller(&key.id, &text(&new)).await.unwrap(), "ann", "the new one at once");
        assert_eq!(instance.caller(&key.id, &old).await.unwrap(), "ann");
    }
    rig.wait(59);
    assert_eq!(rig.elsewhere.caller(&key.id, &old).await.unwrap(), "ann");
    rig.wait(1);
    for instance in [&rig.here, &rig.elsewhere] {
        assert!(instance.refuses(&key.id, &old).await);
        assert_eq!(instance.caller(&key.id, &text(&new)).await.unwrap(), "ann");
    }
    assert_eq!(rig.here.keyring.get(&rig.admin, &key.id).await.unwrap().previous_valid_until, None);
}

#[tokio::test]
async fn a_second_rotation_leaves_the_first_its_grace_and_one_without_ends_all() {
    let (rig, key, first) = Rig::with_key().await;
    let rotate = async |seconds| {
        let rotated = rig.here.keyring.rotate(&rig.admin, &key.id, grace(seconds), None, None).await;
        text(&rotated.unwrap().1)
    };
    // Whoever lost the answer rotates again; the secret that is in use still works.
    let second = rotate(3_600).await;
    let third = rotate(3_600).await;
    for secret in [&first, &second, &third] {
        assert_eq!(rig.here.caller(&key.id, secret).await.unwrap(), "ann");
    }
    let fourth = rotate(3_600).await;
    assert!(rig.here.refuses(&key.id, &first).await, "at most two of before");
    let fifth = rotate(0).await;
    for secret in [&second, &third, &fourth] {
        assert!(rig.here.refuses(&key.id, secret).await);
    }
    assert_eq!(rig.here.caller(&key.id, &fifth).await.unwrap(), "ann");
    let long = rig.here.keyring.rotate(&rig.admin, &key.id, grace(MAX_GRACE_SECONDS + 1), None, None).await;
    assert_eq!(long.unwrap_err().field_errors()[0].field, "/grace_seconds");
    assert_eq!(rig.here.caller(&key.id, &fifth).await.unwrap(), "ann", "a refused rotation changes nothing");
}

#[tokio::test]
async fn a_disabled_key_is_refused_within_half_a_minute_and_works_again_at_once() {
    let (rig, key, secret) = Rig::with_key().await;
    rig.elsewhere.caller(&key.id, &secret).await.unwrap();
    let set = async |enabled| {
        let changes = KeyChanges { enabled: Some(enabled), ..KeyChanges::default() };
        rig.here.keyring.update(&rig.admin, &key.id, changes, None).await.unwrap()
    };
    assert!(!set(false).await.enabled);
    assert!(rig.here.refuses(&key.id, &secret).await, "at once where it was disabled");
    rig.wait(29);
    assert_eq!(rig.elsewhere.caller(&key.id, &secret).await.unwrap(), "ann", "it remembers");
    rig.wait(1);
    assert!(rig.elsewhere.refuses(&key.id, &secret).await);
    set(true).await;
    rig.wait(1);
    assert_eq!(rig.elsewhere.caller(&key.id, &secret).await.unwrap(), "ann");
}

#[tokio::test]
async fn a_key_expires_to_the_second_whatever_is_remembered() {
    let (rig, key, secret) = Rig::with_key().await;
    let set = async |expires_at| {
        let changes = KeyChanges { expires_at, ..KeyChanges::default() };
        rig.here.keyring.update(&rig.admin, &key.id, changes, None).await
    };
    set(ExpiryChange::At(start() + SignedDuration::from_secs(20))).await.unwrap();
    rig.wait(19);
    assert_eq!(rig.elsewhere.caller(&key.id, &secret).await.unwrap(), "ann");
    rig.wait(1);
    assert!(rig.elsewhere.refuses(&key.id, &secret).await);
    let past = set(ExpiryChange::At(rig.clock.now())).await.unwrap_err();
    assert_eq!(past.field_errors()[0].field, "/expires_at");
    set(ExpiryChange::Never).await.unwrap();
    rig.wait(1);
    assert_eq!(rig.elsewhere.caller(&key.id, &secret).await.unwrap(), "ann");
}

#[tokio::test]
async fn a_removed_key_is_gone() {
    let (rig, key, secret) = Rig::with_key().await;
    rig.here.caller(&key.id, &secret).await.unwrap();
    rig.here.keyring.remove(&rig.admin, &key.id, None).await.unwrap();
    assert!(rig.here.refuses(&key.id, &secret).await);
    assert_eq!(code(rig.here.keyring.get(&rig.admin, &key.id).await), ErrorCode::ApiKeyNotFound);
    assert_eq!(code(rig.here.keyring.remove(&rig.admin, &key.id, None).await), ErrorCode::ApiKeyNotFound);
    assert_eq!(code(rig.here.keyring.get(&rig.admin, "nonsense").await), ErrorCode::ApiKeyNotFound);
}

#[tokio::test]
async fn a_key_is_as_good_as_its_user() {
    let (rig, key, secret) = Rig::with_key().await;
    rig.put_user(json!({ "name": "ann", "enabled": false })).await;
    assert!(rig.here.refuses(&key.id, &secret).await);
    rig.put_user(json!({ "name": "ann", "full_name": "Ann", "roles": ["Auditor"] })).await;
    assert_eq!(rig.here.caller(&key.id, &secret).await.unwrap(), "ann");
    // A later user of the name is someone else.
    rig.here.accounts.remove_user(&rig.admin, "ann", None).await.unwrap();
    assert!(rig.here.refuses(&key.id, &secret).await);
    rig.wait(1);
    rig.put_user(json!({ "name": "ann" })).await;
    assert!(rig.here.refuses(&key.id, &secret).await);
}

#[tokio::test]
async fn a_built_in_users_key_stays_when_the_user_is_replaced() {
    let rig = Rig::new().await;
    let (key, secret) =
        rig.here.keyring.create(&rig.admin, &new_key("auditor@causeway"), None).await.unwrap();
    let secret = text(&secret);
    assert_eq!(rig.here.caller(&key.id, &secret).await.unwrap(), "auditor@causeway");
    rig.put_user(json!({ "name": "auditor@causeway", "roles": ["Auditor"] })).await;
    assert_eq!(rig.here.caller(&key.id, &secret).await.unwrap(), "auditor@causeway");
}

#[tokio::test]
async fn every_fault_of_a_new_key_names_its_field() {
    let rig = Rig::new().await;
    rig.put_user(json!({ "name": "off", "enabled": false })).await;
    for user in ["mallory", "off"] {
        let new = NewKey { expires_at: Some(start()), ..new_key(user) };
        let error = rig.here.keyring.create(&rig.admin, &new, None).await.unwrap_err();
        let fields: Vec<_> = error.field_errors().iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, ["/user", "/expires_at"]);
    }
    let long = NewKey { description: "x".repeat(141), ..new_key("Administrator") };
    let error = rig.here.keyring.create(&rig.admin, &long, None).await.unwrap_err();
    assert_eq!(error.field_errors()[0].field, "/description");
}

#[tokio::test]
async fn the_first_key_is_shown_and_cannot_be_changed_here() {
    let (rig, key, _) = Rig::with_key().await;
    let keyring = &rig.here.keyring;
    let first = keyring.get(&rig.admin, "key_admin").await.unwrap();
    assert_eq!((first.user.as_str(), first.record.clone()), ("Administrator", None));
    let page = keyring.list(&rig.admin, 1, None).await.unwrap();
    assert_eq!(page.items, [first]);
    let rest = keyring.list(&rig.admin, 1, page.next).await.unwrap();
    assert_eq!(rest.items, [keyring.get(&rig.admin, &key.id).await.unwrap()]);
    let refusals = [
        code(keyring.rotate(&rig.admin, "key_admin", grace(0), None, None).await),
        code(keyring.update(&rig.admin, "key_admin", KeyChanges::default(), None).await),
        code(keyring.remove(&rig.admin, "key_admin", None).await),
    ];
    assert_eq!(refusals, [ErrorCode::BuiltIn; 3]);
}

#[tokio::test]
async fn the_first_key_is_replaced_in_secrets_manager_without_a_restart() {
    let rig = Rig::new().await;
    rig.here.caller("key_admin", "s3cret").await.unwrap();
    *rig.secrets.texts.lock().unwrap() = BTreeMap::from([("admin".into(), "new".into())]);
    rig.wait(11);
    rig.here.caller("key_admin", "new").await.unwrap();
    assert!(rig.here.refuses("key_admin", "s3cret").await);
}

#[tokio::test]
async fn rotations_at_once_do_not_undo_each_other() {
    let (rig, key, _) = Rig::with_key().await;
    let rotate = || rig.here.keyring.rotate(&rig.admin, &key.id, grace(0), None, None);
    let mut accepted = 0;
    for rotated in futures::future::join_all((0..3).map(|_| rotate())).await {
        match rotated {
            Ok((_, secret)) if !rig.here.refuses(&key.id, &text(&secret)).await => accepted += 1,
            Ok(_) => {}
            Err(error) => assert_eq!(error.code(), ErrorCode::RevisionConflict),
        }
    }
    assert_eq!(accepted, 1);
    let stale = rig.here.keyring.rotate(&rig.admin, &key.id, grace(0), Some(Expect::Revision(1)), None).await;
    assert_eq!(code(stale), ErrorCode::RevisionConflict);
}

#[tokio::test]
async fn keys_come_from_memory_and_a_forger_costs_little() {
    let (rig, key, secret) = Rig::with_key().await;
    rig.elsewhere.caller(&key.id, &secret).await.unwrap();
    rig.reads();
    for _ in 0..10 {
        rig.elsewhere.caller(&key.id, &secret).await.unwrap();
    }
    assert_eq!(rig.reads(), 0);
    rig.wait(5);
    for _ in 0..10 {
        assert!(rig.elsewhere.refuses(&key.id, "guess").await);
    }
    assert_eq!(rig.reads(), 1, "one look a second before it is refused");
    let unknown = "key_0190aaaabbbb7cccdddd0123456789ab";
    for _ in 0..10 {
        assert!(rig.elsewhere.refuses(unknown, "guess").await);
    }
    assert_eq!(rig.reads(), 1, "an unknown id is remembered too");
    rig.wait(10);
    assert!(rig.elsewhere.refuses(unknown, "guess").await);
    assert_eq!(rig.reads(), 1);
}

#[test]
fn changes_tell_null_from_what_is_not_there() {
    let read = |text: &str| serde_json::from_str::<KeyChanges>(text).unwrap();
    assert_eq!(read("{}"), KeyChanges::default());
    assert_eq!(read(r#"{"expires_at":null}"#).expires_at, ExpiryChange::Never);
    let at = start();
    assert_eq!(read(&json!({ "expires_at": at.to_string() }).to_string()).expires_at, ExpiryChange::At(at));
    assert!(serde_json::from_str::<KeyChanges>(r#"{"secret":"x"}"#).is_err());
    assert_eq!(serde_json::from_str::<Rotation>("{}").unwrap().grace_seconds, DEFAULT_GRACE_SECONDS);
}

/// Handlers of the API are boxed futures that may change threads.
#[test]
fn everything_can_be_asked_by_a_handler() {
    fn boxed<'a, T>(
        _: impl FnOnce(&'a Instance, &'a Principal) -> futures::future::BoxFuture<'a, Result<T>>,
    ) {
    }
    boxed(|instance, by| Box::pin(instance.accounts.users(by, 1, None)));
    boxed(|instance, by| Box::pin(instance.accounts.roles(by, 1, None)));
    boxed(|instance, by| Box::pin(instance.keyring.list(by, 1, None)));
    boxed(|instance, by| Box::pin(async { instance.keyring.create(by, &new_key("ann"), None).await }));
    boxed(|instance, by| Box::pin(instance.keyring.rotate(by, "id", Rotation::default(), None, None)));
    boxed(|instance, by| Box::pin(instance.accounts.remove_user(by, "ann", None)));
}
