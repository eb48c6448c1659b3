//! Random keys.

use base64::{Engine, engine::general_purpose::STANDARD};
use metalk8s_engine::{
    Change, ChangeKind, StateError,
    state::{RandomKey, Readers},
};

use super::{other_readers, own, pem, private, write};
use crate::Host;

/// More than any cipher takes.
const MOST_BYTES: usize = 4096;

pub(crate) fn check(host: &Host, wish: &RandomKey) -> Result<Option<Change>, StateError> {
    let path = wish.path.display();
    if wish.bytes == 0 || wish.bytes > MOST_BYTES {
        return Err(StateError::new(format!("`{path}` cannot hold {} random bytes", wish.bytes)));
    }
    // Whatever it holds is kept: what was sealed with it can be opened with nothing else.
    if pem(host, &wish.path)?.trim().is_empty() {
        return Ok(Some(Change::new(ChangeKind::Create, format!("make the random key {path}"))));
    }
    other_readers(host, &wish.path, &Readers::root())
}

pub(crate) fn apply(host: &Host, wish: &RandomKey) -> Result<(), StateError> {
    check(host, wish)?;
    if !pem(host, &wish.path)?.trim().is_empty() {
        return own(host, &wish.path, &Readers::root());
    }
    let mut bytes = vec![0; wish.bytes];
    rand::fill(&mut bytes[..]);
    write(host, &wish.path, &STANDARD.encode(bytes), private(&Readers::root()).numbers(host)?)
}
