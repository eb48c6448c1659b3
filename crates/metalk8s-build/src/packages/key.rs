//! The OpenPGP key that signs packages and repositories.
//!
//! RSA, because the rpm of EL 8 (4.14) knows no newer kind. One key signs for both families.

use std::{
    fs,
    io::{self, BufReader, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use anyhow::{Context as _, Result};
use pgp::{
    composed::{
        ArmorOptions, CleartextSignedMessage, Deserializable as _, DetachedSignature, EncryptionCaps,
        KeyType, SecretKeyParamsBuilder, SignedKeyDetails, SignedPublicKey, SignedSecretKey,
    },
    crypto::hash::HashAlgorithm,
    packet::{KeyFlags, PacketTrait as _, SignatureConfig, SignatureType, Subpacket, SubpacketData, UserId},
    types::{KeyDetails as _, KeyVersion, Password, SignedUser, Timestamp},
};
use rand_08::rngs::OsRng;

use super::EARLIEST_DATE;

const FILE: &str = "packages.key";
const LOCK: &str = ".packages.lock";
const BITS: u32 = 3072;
const OWNER: &str = "MetalK8s packages";

/// The key, with its secret part.
pub struct SigningKey {
    secret: SignedSecretKey,
}

impl SigningKey {
    /// Reads the key from a folder, or makes one there: readable for its owner only.
    ///
    /// Two builds that begin at once end up with the same key.
    pub fn load_or_create(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let lock = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .and_then(|()| fs::File::create(folder.join(LOCK)))
            .and_then(|lock| lock.lock().map(|()| lock))
            .with_context(|| format!("could not lock the folder of keys `{}`", folder.display()))?;
        if !path.exists() {
            let armored = generate()
                .and_then(|key| Ok(key.to_armored_bytes(ArmorOptions::default())?))
                .context("could not make a signing key")?;
            keep(&armored, &path)
                .with_context(|| format!("could not keep the signing key `{}`", path.display()))?;
        }
        drop(lock);
        let file = fs::File::open(&path)
            .with_context(|| format!("could not open the signing key `{}`", path.display()))?;
        let (secret, _) = SignedSecretKey::from_armor_single(BufReader::new(file))
            .with_context(|| format!("could not read the signing key `{}`", path.display()))?;
        Ok(Self { secret })
    }

    /// The public part, as `apt` and `dnf` take it.
    pub fn public_armored(&self) -> Result<String> {
        SignedPublicKey::from(self.secret.clone())
            .to_armored_string(ArmorOptions::default())
            .context("could not write out the public key")
    }

    /// A signature over the header of an `.rpm` file, as it stands in there: a packet without armour.
    pub fn sign_header(&self, header: &[u8], date: u64) -> Result<Vec<u8>> {
        let mut config = self.config(SignatureType::Binary, date)?;
        // rpm itself signs the key's id too.
        config.hashed_subpackets.append(&mut config.unhashed_subpackets);
        let mut packet = Vec::new();
        config
            .sign(&self.secret.primary_key, &Password::empty(), header)
            .and_then(|signature| signature.to_writer_with_header(&mut packet))
            .context("could not sign the header of a package")?;
        Ok(packet)
    }

    /// The text with the signature around it, as in `InRelease`; dated `date`, in seconds since 1970.
    pub fn sign_inline(&self, text: &str, date: u64) -> Result<String> {
        // Between the text and its signature stands one end of line that belongs to neither.
        let text = text.strip_suffix('\n').unwrap_or(text);
        let config = self.config(SignatureType::Text, date)?;
        CleartextSignedMessage::new(text, config, &self.secret.primary_key, &Password::empty())
            .and_then(|message| message.to_armored_string(ArmorOptions::default()))
            .context("could not sign the list of packages")
    }

    /// A signature to lie beside the text, as in `Release.gpg` and `repomd.xml.asc`.
    pub fn sign_detached(&self, text: &str, date: u64) -> Result<String> {
        let config = self.config(SignatureType::Binary, date)?;
        config
            .sign(&self.secret.primary_key, &Password::empty(), text.as_bytes())
            .and_then(|signature| {
                DetachedSignature::new(signature).to_armored_string(ArmorOptions::default())
            })
            .context("could not sign the list of packages")
    }

    fn config(&self, kind: SignatureType, date: u64) -> Result<SignatureConfig> {
        config(&self.secret, kind, date)
    }
}

/// Whole or not at all, and for its owner only from the first byte on.
fn keep(armored: &[u8], path: &Path) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(armored)?;
    file.sync_all()?;
    fs::rename(&new, path)
}

fn config(key: &SignedSecretKey, kind: SignatureType, date: u64) -> Result<SignatureConfig> {
    let key = &key.primary_key;
    let mut config = SignatureConfig::v4(kind, key.algorithm(), HashAlgorithm::Sha256);
    let date = Timestamp::from_secs(u32::try_from(date).context("the date is beyond OpenPGP's")?);
    config.hashed_subpackets = vec![
        Subpacket::regular(SubpacketData::SignatureCreationTime(date))?,
        Subpacket::regular(SubpacketData::IssuerFingerprint(key.fingerprint()))?,
    ];
    config.unhashed_subpackets = vec![Subpacket::regular(SubpacketData::IssuerKeyId(key.legacy_key_id()))?];
    Ok(config)
}

/// A key that is dated [`EARLIEST_DATE`] throughout.
///
/// The crate dates the signature over the owner's name by the clock; strict programs then take the key as not
/// yet valid for packages that carry an earlier date. So that signature is made anew.
fn generate() -> Result<SignedSecretKey> {
    let date = Timestamp::from_secs(u32::try_from(EARLIEST_DATE)?);
    let mut key = SecretKeyParamsBuilder::default()
        .version(KeyVersion::V4)
        .key_type(KeyType::Rsa(BITS))
        .can_certify(true)
        .can_sign(true)
        .can_encrypt(EncryptionCaps::None)
        .created_at(date)
        .primary_user_id(OWNER.to_owned())
        .build()?
        .generate(OsRng)?;
    let mut flags = KeyFlags::default();
    flags.set_certify(true);
    flags.set_sign(true);
    let mut config = config(&key, SignatureType::CertPositive, EARLIEST_DATE)?;
    config.hashed_subpackets.extend([
        Subpacket::regular(SubpacketData::KeyFlags(flags))?,
        Subpacket::regular(SubpacketData::IsPrimary(true))?,
        Subpacket::regular(SubpacketData::PreferredHashAlgorithms(
            [HashAlgorithm::Sha256, HashAlgorithm::Sha512].into_iter().collect(),
        ))?,
    ]);
    let owner = UserId::from_str(Default::default(), OWNER)?;
    let signature = config.sign_certification(
        &key.primary_key,
        key.primary_key.public_key(),
        &Password::empty(),
        pgp::types::Tag::UserId,
        &owner,
    )?;
    key.details = SignedKeyDetails::new(
        Vec::new(),
        Vec::new(),
        vec![SignedUser::new(owner, vec![signature])],
        Vec::new(),
    );
    Ok(key)
}
