//! What an archive holds: its manifest and signature, the ISO around it, image layouts, the bill of materials.
//! Written by the build chain; read by the bootstrap, the gateway and `metalk8s archive verify`.
//!
//! Begin at [`archive`] for reading, at [`layer`] and [`layout`] for writing.
//!
//! Invariants: no network, no container engine. Bytes that come out of an archive are foreign: every size,
//! count and path is checked before it is used. The same input gives the same output bytes.

pub mod archive;
pub mod digest;
pub mod iso;
pub mod layer;
pub mod layout;
pub mod manifest;
pub mod packages;
pub mod product;
pub mod sbom;
pub mod signature;
pub mod source;
pub mod verify;

pub use archive::{Archive, ReadArchiveError, read_archive};
pub use manifest::Manifest;
pub use product::Product;
pub use source::Source;
pub use verify::{Problem, verify};
