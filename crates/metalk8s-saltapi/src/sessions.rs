//! Who is logged in. A session is kept under the digest of its secret, in memory only.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use metalk8s_kube::fleet::Identity;
use metalk8s_saltcompat::api::Rights;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use crate::rate::{Bucket, Rate};

/// How many sessions one person has at once; the one that ends first makes room for another.
const EACH: usize = 64;
/// How long rights are taken for granted before they are asked for again.
const FRESH: Duration = Duration::from_secs(60);

/// The digest of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key([u8; 32]);

/// Somebody who is logged in.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) key: Key,
    pub(crate) who: Identity,
    pub(crate) rights: Rights,
    pub(crate) start: Timestamp,
    pub(crate) expire: Timestamp,
    /// It ended, before its time or at it.
    pub(crate) ended: CancellationToken,
    /// His rights were asked for a while ago.
    pub(crate) is_stale: bool,
}

struct Held {
    session: Session,
    bucket: Bucket,
    reviewed: Instant,
}

/// All sessions.
pub(crate) struct Sessions {
    most: usize,
    rate: Rate,
    held: Mutex<HashMap<Key, Held>>,
}

impl Key {
    /// Of the secret of a session.
    pub(crate) fn of_session(token: &str) -> Self {
        Self::of("session", token)
    }

    /// Of a token of the cluster, which is no secret of a session.
    pub(crate) fn of_bearer(token: &str) -> Self {
        Self::of("bearer", token)
    }

    fn of(kind: &str, token: &str) -> Self {
        let mut digest = Sha256::new();
        digest.update(kind);
        digest.update([0]);
        digest.update(token);
        Self(digest.finalize().into())
    }
}

/// A secret for a session: 40 digits, as clients expect it.
pub(crate) fn new_token() -> String {
    hex::encode(rand::random::<[u8; 20]>())
}

impl Sessions {
    pub(crate) fn new(most: usize, rate: Rate) -> Self {
        Self { most, rate, held: Mutex::default() }
    }

    /// Begins a session, or tells of one that goes on what was found out again.
    pub(crate) fn open(&self, key: Key, who: Identity, rights: Rights, expire: Timestamp) -> Session {
        let mut held = self.lock();
        forget(&mut held, |held| held.session.expire <= Timestamp::now());
        if let Some(known) = held.get_mut(&key) {
            known.reviewed = Instant::now();
            known.session.who = who;
            known.session.rights = rights;
            return known.session.clone();
        }
        let own = held.values().filter(|held| held.session.who.username == who.username).count();
        if own >= EACH {
            make_room(&mut held, |session| session.who.username == who.username);
        }
        if held.len() >= self.most {
            make_room(&mut held, |_| true);
        }
        let session = Session {
            key,
            who,
            rights,
            start: Timestamp::now(),
            expire,
            ended: CancellationToken::new(),
            is_stale: false,
        };
        let now = Instant::now();
        let bucket = Bucket::new(self.rate, now);
        held.insert(key, Held { session: session.clone(), bucket, reviewed: now });
        session
    }

    /// Whose this is, if the session goes on.
    pub(crate) fn find(&self, key: Key) -> Option<Session> {
        let mut held = self.lock();
        let known = held.get(&key)?;
        if known.session.expire <= Timestamp::now() {
            forget(&mut held, |held| held.session.key == key);
            return None;
        }
        Some(Session { is_stale: known.reviewed.elapsed() > FRESH, ..known.session.clone() })
    }

    /// Notes one request; where there were too many, how long to wait.
    pub(crate) fn take(&self, key: Key) -> Result<(), Duration> {
        self.lock().get_mut(&key).map_or(Ok(()), |held| held.bucket.take(Instant::now()))
    }

    /// Ends a session.
    pub(crate) fn close(&self, key: Key) {
        forget(&mut self.lock(), |held| held.session.key == key);
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn forget(held: &mut HashMap<Key, Held>, is: impl Fn(&Held) -> bool) {
    for (_, gone) in held.extract_if(|_, held| is(held)) {
        gone.session.ended.cancel();
    }
}

fn make_room(held: &mut HashMap<Key, Held>, among: impl Fn(&Session) -> bool) {
    let candidates = held.values().map(|held| &held.session).filter(|session| among(session));
    let Some(first) = candidates.min_by_key(|session| session.expire).map(|session| session.key) else {
        return;
    };
    forget(held, |held| held.session.key == first);
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;

    use super::*;

    fn sessions(most: usize) -> Sessions {
        Sessions::new(most, Rate { each_second: 1.0, at_once: 2.0 })
    }

    fn open(sessions: &Sessions, token: &str, name: &str, seconds: i64) -> Session {
        let who = Identity { username: name.to_owned(), groups: Vec::new() };
        sessions.open(Key::of_session(token), who, Rights::All, Timestamp::now() + seconds.seconds())
    }

    #[test]
    fn a_session_is_found_by_its_secret_until_it_ends() {
        let sessions = sessions(9);
        let one = open(&sessions, "a", "x", 60);
        assert!(sessions.find(Key::of_session("a")).is_some());
        assert!(sessions.find(Key::of_bearer("a")).is_none());
        assert!(sessions.find(Key::of_session("b")).is_none());
        sessions.close(one.key);
        assert!(sessions.find(one.key).is_none() && one.ended.is_cancelled());
        let old = open(&sessions, "c", "x", -1);
        assert!(sessions.find(old.key).is_none() && old.ended.is_cancelled());
    }

    #[test]
    fn room_is_made_by_the_one_that_ends_first() {
        let sessions = sessions(2);
        let (long, short) = (open(&sessions, "a", "x", 60), open(&sessions, "b", "y", 30));
        open(&sessions, "c", "z", 90);
        assert!(sessions.find(long.key).is_some());
        assert!(sessions.find(short.key).is_none() && short.ended.is_cancelled());
    }

    #[test]
    fn one_person_does_not_push_others_out() {
        let sessions = sessions(1000);
        let other = open(&sessions, "other", "y", 1);
        for number in 0..200 {
            open(&sessions, &number.to_string(), "x", 60);
        }
        assert!(sessions.find(other.key).is_some());
        assert_eq!(sessions.count(), EACH + 1);
    }

    #[test]
    fn requests_of_a_session_are_counted_by_themselves() {
        let sessions = sessions(9);
        let (one, other) = (open(&sessions, "a", "x", 60), open(&sessions, "b", "x", 60));
        assert!(sessions.take(one.key).is_ok() && sessions.take(one.key).is_ok());
        assert!(sessions.take(one.key).is_err());
        assert!(sessions.take(other.key).is_ok());
    }

    #[test]
    fn secrets_have_forty_digits_and_differ() {
        let (one, other) = (new_token(), new_token());
        assert!(one.len() == 40 && one.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_ne!(one, other);
    }
}
