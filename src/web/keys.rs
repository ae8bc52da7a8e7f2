//! The keys and tokens of a running server: those of its environment, and those of the file, read again every second, so
//! that a key that was added or revoked counts without a restart.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use actix_web::web;
use rusqlite::Connection;

use crate::config::{Role, Secret};
use crate::domain::Millis;
use crate::store::keys::{self, Hash, Kind};
use crate::store::{Entry, Error, Readers, Writer};
use crate::wire::providers::Sender;
use crate::wire::signature;

/// How often the file is asked for its keys.
const READ_EVERY: Duration = Duration::from_secs(1);

/// How far the stored time of a key's last use may lie behind: each is a write.
const USED_WITHIN_MS: Millis = 60_000;

/// Clones share their keys.
#[derive(Clone, Default)]
pub struct Keys(Arc<RwLock<Arc<KeySet>>>);

/// The keys of a moment.
#[derive(Default)]
pub struct KeySet {
    /// By kind and hash: whether a key is known takes the same time for all that are wrong, and tells nothing of them.
    known: HashMap<(Kind, Hash), Key>,
    /// By whose they are; of Customer.io's it is none.
    signing: HashMap<Option<&'static str>, Signing>,
    /// Kinds of which there is a key, or was one: revoking the last one opens nothing.
    set: HashSet<Kind>,
    ended_sessions: HashMap<Hash, Millis>,
}

/// The signing keys of one sender, each with its use at the same place.
#[derive(Default)]
struct Signing {
    keys: Vec<signature::Key>,
    used: Vec<Used>,
}

/// A key in use, which is not a signing key.
#[derive(Clone)]
pub struct Key {
    pub name: String,
    pub hash: Hash,
    used: Used,
}

/// When a key was last used; of one from the environment, nobody asks.
#[derive(Clone, Default)]
struct Used {
    /// Its number in the file.
    id: i64,
    at_ms: Arc<AtomicI64>,
}

impl Used {
    fn touch(&self) {
        self.at_ms.store(chrono::Utc::now().timestamp_millis(), Relaxed);
    }
}

impl Keys {
    /// Reads the keys of the file.
    pub fn load(environment: &[(Kind, Secret)], connection: &Connection) -> Result<Keys, Error> {
        let keys = Keys::default();
        keys.reload(environment, connection)?;
        Ok(keys)
    }

    /// The keys as they are now.
    pub fn now(&self) -> Arc<KeySet> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the file's keys again, and returns those whose last use it does not know: number and time.
    fn reload(&self, environment: &[(Kind, Secret)], connection: &Connection) -> Result<Vec<(i64, Millis)>, Error> {
        let rows = keys::list(connection)?;
        let before = self.now();
        let used: HashMap<i64, &Used> = before.used().map(|used| (used.id, used)).collect();
        let mut set = KeySet { set: before.set.clone(), ..KeySet::default() };
        set.ended_sessions = keys::ended_sessions(connection)?;
        for (kind, secret) in environment {
            let name = crate::config::variable(*kind).to_owned();
            // `sendgrid:KEY` is SendGrid's
            let (sender, secret) = of_sender(*kind, secret.as_bytes());
            set.insert((*kind, sender), name, keys::hash(secret), secret, Used::default());
        }
        let mut unknown = Vec::new();
        for row in rows {
            set.set.insert(row.kind);
            let Some(hash) = row.hash else { continue };
            let used = used.get(&row.id).map_or_else(|| Used { id: row.id, ..Used::default() }, |used| (*used).clone());
            let at_ms = used.at_ms.load(Relaxed);
            if at_ms > row.last_used_at_ms.map_or(0, |stored| stored + USED_WITHIN_MS) {
                unknown.push((row.id, at_ms));
            }
            let sender = row.sender.as_deref().and_then(Sender::parse).and_then(Sender::key_name);
            set.insert((row.kind, sender), row.name, hash, &row.secret.unwrap_or_default(), used);
        }
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(set);
        Ok(unknown)
    }
}

impl KeySet {
    fn insert(
        &mut self,
        (kind, sender): (Kind, Option<&'static str>),
        name: String,
        hash: Hash,
        secret: &[u8],
        used: Used,
    ) {
        self.set.insert(kind);
        if kind == Kind::Signing {
            let signing = self.signing.entry(sender).or_default();
            signing.keys.push(signature::Key::new(secret));
            signing.used.push(used);
        } else {
            self.known.insert((kind, hash), Key { name, hash, used });
        }
    }

    fn used(&self) -> impl Iterator<Item = &Used> {
        self.known.values().map(|key| &key.used).chain(self.signing.values().flat_map(|signing| &signing.used))
    }

    /// Whether there is a key of any kind, or was one.
    pub fn is_any_set(&self) -> bool {
        !self.set.is_empty()
    }

    /// Whether there is a token for the pages, or was one.
    pub fn has_token(&self) -> bool {
        self.set.contains(&Kind::Read) || self.set.contains(&Kind::Operate)
    }

    /// Whether a key of this kind is in use.
    pub fn has(&self, kind: Kind) -> bool {
        if kind == Kind::Signing {
            !self.signing.is_empty()
        } else {
            self.known.keys().any(|(known, _)| *known == kind)
        }
    }

    /// Whether this is a key of the kind. Then it counts as used.
    pub fn knows(&self, kind: Kind, key: &str) -> bool {
        let found = self.known.get(&(kind, keys::hash(key.as_bytes())));
        found.inspect(|key| key.used.touch()).is_some()
    }

    /// What a token allows.
    pub fn token(&self, token: &str) -> Option<(Role, &Key)> {
        let hash = keys::hash(token.as_bytes());
        let found = |kind: Kind, role: Role| self.known.get(&(kind, hash)).map(|key| (role, key));
        found(Kind::Operate, Role::Operate)
            .or_else(|| found(Kind::Read, Role::Read))
            .inspect(|(_, key)| key.used.touch())
    }

    /// The token in use that `is_right` accepts.
    pub fn token_where(&self, is_right: impl Fn(&Hash) -> bool) -> Option<(Role, &Key)> {
        let roles = [(Kind::Operate, Role::Operate), (Kind::Read, Role::Read)];
        let tokens = roles.iter().flat_map(|(kind, role)| {
            self.known.iter().filter(move |((known, _), _)| known == kind).map(move |(_, key)| (*role, key))
        });
        tokens.filter(|(_, key)| is_right(&key.hash)).max_by_key(|(role, _)| *role).inspect(|(_, key)| key.used.touch())
    }

    /// Until when sessions of this token are over.
    pub fn sessions_ended_at_ms(&self, token: &Hash) -> Millis {
        self.ended_sessions.get(token).copied().unwrap_or(Millis::MIN)
    }

    /// The keys that a sender's webhooks are signed with; `None`: Customer.io's.
    pub fn signing(&self, sender: Option<&'static str>) -> &[signature::Key] {
        self.signing.get(&sender).map_or(&[], |signing| &signing.keys)
    }

    /// Notes that one of them was used.
    pub fn signed_with(&self, sender: Option<&'static str>, place: usize) {
        if let Some(used) = self.signing.get(&sender).and_then(|signing| signing.used.get(place)) {
            used.touch();
        }
    }
}

/// A signing key of the environment, and whose it is.
fn of_sender(kind: Kind, secret: &[u8]) -> (Option<&'static str>, &[u8]) {
    let named =
        std::str::from_utf8(secret).ok().filter(|_| kind == Kind::Signing).and_then(|text| text.split_once(':'));
    let sender = named.and_then(|(name, key)| Some((Sender::parse(name)?.key_name()?, key)));
    sender.map_or((None, secret), |(name, key)| (Some(name), key.as_bytes()))
}

/// Follows the file while the server runs, and stores there when its keys were last used.
pub async fn follow(keys: Keys, environment: Arc<[(Kind, Secret)]>, readers: Readers, writer: Writer) {
    let mut every = tokio::time::interval(READ_EVERY);
    let mut failures = 0_u64;
    loop {
        every.tick().await;
        let read = read_again(&keys, &environment, &readers).await;
        failures = if read.is_err() { failures + 1 } else { 0 };
        match read {
            Ok(used) if used.is_empty() => {}
            Ok(used) => {
                let entries = used.into_iter().map(|(id, at_ms)| Entry::KeyUsed { id, at_ms }).collect();
                // what is not stored now is in a second
                let _ = writer.write(entries, chrono::Utc::now().timestamp_millis()).await;
            }
            // rarer and rarer
            Err(error) if !failures.is_power_of_two() => drop(error),
            Err(error) => {
                tracing::warn!(%error, "the keys of the file cannot be read; those that were read last count")
            }
        }
    }
}

/// Reads the keys again at once, as after a change.
pub async fn read_again(
    keys: &Keys,
    environment: &Arc<[(Kind, Secret)]>,
    readers: &Readers,
) -> Result<Vec<(i64, Millis)>, Error> {
    let (keys, environment, readers) = (keys.clone(), environment.clone(), readers.clone());
    // not of the pool, whose connections long questions hold
    let read = web::block(move || keys.reload(&environment, &readers.open_one()?));
    // the server is stopping
    read.await.unwrap_or_else(|_| Ok(Vec::new()))
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::store::sqlite;

    fn file() -> (tempfile::TempDir, Connection) {
        let folder = tempfile::tempdir().unwrap();
        let connection = sqlite::open(&folder.path().join("keys.db")).unwrap();
        (folder, connection)
    }

    #[test]
    fn revoking_the_last_key_opens_nothing() {
        let (_folder, connection) = file();
        let keys = Keys::load(&[], &connection).unwrap();
        assert!(!keys.now().is_any_set() && !keys.now().has_token());
        let id = keys::add(&connection, (Kind::Read, None), "ana", b"token", 1).unwrap().unwrap();
        keys.reload(&[], &connection).unwrap();
        assert_eq!(keys.now().token("token").map(|(role, _)| role), Some(Role::Read));
        keys::revoke(&connection, id, 2).unwrap().unwrap();
        keys.reload(&[], &connection).unwrap();
        assert!(keys.now().token("token").is_none());
        assert!(keys.now().is_any_set() && keys.now().has_token());
        // also where somebody deleted the row
        connection.execute("DELETE FROM _keys", []).unwrap();
        keys.reload(&[], &connection).unwrap();
        assert!(keys.now().has_token());
    }

    #[test]
    fn a_token_of_both_kinds_operates_and_keys_of_senders_do_not_sign_in() {
        let (_folder, connection) = file();
        let environment = [Kind::Read, Kind::Operate].map(|kind| (kind, Secret::from("both".to_owned())));
        keys::add(&connection, (Kind::Ingest, None), "sender", b"ingest", 1).unwrap();
        let keys = Keys::load(&environment, &connection).unwrap().now();
        assert_eq!(keys.token("both").map(|(role, _)| role), Some(Role::Operate));
        assert_eq!(keys.token_where(|_| true).map(|(role, _)| role), Some(Role::Operate));
        assert!(
            keys.token("ingest").is_none()
                && keys.knows(Kind::Ingest, "ingest")
                && !keys.knows(Kind::Browser, "ingest")
        );
    }

    #[test]
    fn the_last_use_is_stored_once_a_minute() {
        let (_folder, connection) = file();
        let id = keys::add(&connection, (Kind::Signing, None), "service", b"s", 1).unwrap().unwrap();
        let keys = Keys::load(&[], &connection).unwrap();
        assert!(keys.reload(&[], &connection).unwrap().is_empty());
        keys.now().signed_with(None, 0);
        let used = keys.reload(&[], &connection).unwrap();
        assert_eq!(used.len(), 1);
        keys::set_used(&connection, id, used[0].1).unwrap();
        keys.now().signed_with(None, 0);
        assert!(keys.reload(&[], &connection).unwrap().is_empty());
        keys::set_used(&connection, id, used[0].1 - 2 * USED_WITHIN_MS).unwrap();
        assert_eq!(keys.reload(&[], &connection).unwrap().len(), 1);
    }
}
