//! Keys of the fake host: files whose text says what they would hold.

use std::path::{Path, PathBuf};

use super::{Entry, World};
use crate::{
    Change, ChangeKind, State, StateError,
    state::{Authority, Certificate, KeyPair, Kubeconfig, RandomKey},
};

impl World {
    pub(super) fn check_key(&self, state: &State) -> Result<Option<Change>, StateError> {
        let wanted = self.wanted_keys(state)?;
        let differs = wanted.iter().any(|(path, entry)| self.files.get(path) != Some(entry));
        Ok(differs.then(|| Change::new(ChangeKind::Create, format!("make {}", state.label()))))
    }

    pub(super) fn make_key(&mut self, state: &State) -> Result<(), StateError> {
        let wanted = self.wanted_keys(state)?;
        self.files.extend(wanted);
        Ok(())
    }

    fn wanted_keys(&self, state: &State) -> Result<Vec<(PathBuf, Entry)>, StateError> {
        let signed = |ca: &Path, key: &Path| {
            if self.files.contains_key(ca) && self.files.contains_key(key) {
                Ok(())
            } else {
                Err(StateError::new(format!("could not read the authority `{}`", ca.display())))
            }
        };
        Ok(match state {
            State::KeyPair(KeyPair { private, public }) => {
                vec![file(private, "private key", 0o600), file(public, "public key", 0o644)]
            }
            State::RandomKey(RandomKey { path, bytes }) => {
                vec![file(path, &format!("{bytes} random bytes"), 0o600)]
            }
            State::Authority(Authority { certificate, key, common_name, days: _ }) => {
                vec![
                    file(certificate, &format!("authority {common_name}"), 0o644),
                    file(key, "private key", 0o600),
                ]
            }
            State::Certificate(wanted) => {
                let Certificate { certificate, key, key_mode, user: _, ca_certificate, ca_key, .. } = wanted;
                signed(ca_certificate, ca_key)?;
                let Certificate { subject, usages, dns_names, addresses, .. } = wanted;
                let text = format!("certificate {subject:?} {usages:?} {dns_names:?} {addresses:?}");
                vec![file(certificate, &text, 0o644), file(key, "private key", *key_mode)]
            }
            State::Kubeconfig(Kubeconfig {
                path,
                server,
                cluster,
                ca_certificate,
                ca_key,
                subject,
                days: _,
                user: _,
            }) => {
                signed(ca_certificate, ca_key)?;
                vec![file(path, &format!("kubeconfig {server} {cluster} {subject:?}"), 0o600)]
            }
            _ => Vec::new(),
        })
    }
}

fn file(path: &Path, text: &str, mode: u32) -> (PathBuf, Entry) {
    let root = || "root".to_owned();
    (path.to_owned(), Entry::File { text: text.to_owned(), mode, user: root(), group: root() })
}
