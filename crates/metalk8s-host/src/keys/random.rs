//! Random keys.

use base64::{Engine, engine::general_purpose::STANDARD};
use metalk8s_engine::{Change, ChangeKind, StateError, state::RandomKey};

use super::{PRIVATE, own, ownership, pem, private, write};
use crate::{Host, files::owner::Numbers};

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
    let differences = ownership(host, &wish.path, private(None, PRIVATE))?;
    Ok((!differences.is_empty())
        .then(|| Change::new(ChangeKind::Update, format!("change {path}: {}", differences.join(", ")))))
}

pub(crate) fn apply(host: &Host, wish: &RandomKey) -> Result<(), StateError> {
    check(host, wish)?;
    if !pem(host, &wish.path)?.trim().is_empty() {
        return own(host, &wish.path, private(None, PRIVATE));
    }
    let mut bytes = vec![0; wish.bytes];
    rand::fill(&mut bytes[..]);
    write(host, &wish.path, &STANDARD.encode(bytes), Numbers::root(PRIVATE))
}
