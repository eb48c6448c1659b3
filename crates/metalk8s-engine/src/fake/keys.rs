//! Keys of the fake host: files whose text says what they would hold.

use std::path::{Path, PathBuf};

use super::{Entry, World};
use crate::{
    Change, ChangeKind, State, StateError,
    state::{Authority, Certificate, IssuingAuthority, KeyPair, Kubeconfig, RandomKey, Readers, Signer},
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
        let signed = |ca: &Path, signer: &Signer| {
            let can_sign = match signer {
                Signer::Here { certificate, key } => {
                    self.files.contains_key(certificate) && self.files.contains_key(key)
                }
                Signer::Api(_) => true,
            };
            if self.files.contains_key(ca) && can_sign {
                Ok(())
            } else {
                Err(StateError::new(format!("could not read the authority `{}`", ca.display())))
            }
        };
        Ok(match state {
            State::KeyPair(KeyPair { private, public, readers }) => {
                vec![secret(private, "private key", readers), open(public, "public key")]
            }
            State::RandomKey(RandomKey { path, bytes }) => {
                vec![secret(path, &format!("{bytes} random bytes"), &Readers::root())]
            }
            State::Authority(Authority { certificate, key, readers, common_name, lifetime_seconds: _ }) => {
                vec![
                    open(certificate, &format!("authority {common_name}")),
                    secret(key, "private key", readers),
                ]
            }
            State::IssuingAuthority(wanted) => {
                let IssuingAuthority { certificate, key, readers, common_name, .. } = wanted;
                let root = Signer::Here {
                    certificate: wanted.root_certificate.clone(),
                    key: wanted.root_key.clone(),
                };
                signed(&wanted.root_certificate, &root)?;
                let mut files = vec![
                    open(certificate, &format!("issuing authority {common_name}")),
                    secret(key, "private key", readers),
                ];
                files.extend(wanted.known.iter().map(|known| open(known, "known authorities")));
                files
            }
            State::Certificate(wanted) => {
                let Certificate { certificate, key, readers, ca_certificate, signer, .. } = wanted;
                signed(ca_certificate, signer)?;
                let Certificate { subject, usages, dns_names, addresses, .. } = wanted;
                let text = format!("certificate {subject:?} {usages:?} {dns_names:?} {addresses:?}");
                vec![open(certificate, &text), secret(key, "private key", readers)]
            }
            State::Kubeconfig(Kubeconfig {
                path,
                server,
                cluster,
                ca_certificate,
                signer,
                subject,
                lifetime_seconds: _,
                readers,
            }) => {
                signed(ca_certificate, signer)?;
                vec![secret(path, &format!("kubeconfig {server} {cluster} {subject:?}"), readers)]
            }
            _ => Vec::new(),
        })
    }
}

fn open(path: &Path, text: &str) -> (PathBuf, Entry) {
    file(path, text, 0o644, "root", "root")
}

fn secret(path: &Path, text: &str, readers: &Readers) -> (PathBuf, Entry) {
    file(path, text, readers.mode(), &readers.user, readers.group.as_deref().unwrap_or("root"))
}

fn file(path: &Path, text: &str, mode: u32, user: &str, group: &str) -> (PathBuf, Entry) {
    let (text, user, group) = (text.to_owned(), user.to_owned(), group.to_owned());
    (path.to_owned(), Entry::File { text, mode, user, group })
}
