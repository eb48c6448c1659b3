//! Authorities, certificates, kubeconfigs and the rules by which they are made anew.
//!
//! Begin with [`authority`], [`issuing_authority`], [`issue`] and [`check_certificate`].
//!
//! Invariants: text in, text out; this crate does not know that disks exist. The clock is an argument.
//! Randomness comes from the operating system, because the cryptographic library takes no other. Private
//! keys never appear in `Debug` output or in an error.

mod certificate;
mod check;
mod inspect;
mod issue;
mod kubeconfig;
mod life;
mod material;
mod protect;
mod requested;

pub use check::{
    Part, Reason, check_authority, check_certificate, check_issuing_authority, check_key_pair,
    known_authorities,
};
pub use inspect::{Inspected, inspect_certificate, inspect_kubeconfig};
pub use issue::{
    IssueError, authority, authority_again, certificate_request, issue, issuing_authority, key_pair,
    sign_request,
};
pub use kubeconfig::{check_kubeconfig, kubeconfig};
pub use life::Life;
pub use material::{AuthorityMaterial, Issued, KeyPairPem, NewRequest, Request, Usage};
pub use protect::{ProtectError, is_protected, protect, unprotect};
pub use requested::{ReadRequestError, RequestedCertificate};
