//! Roots that seem to be nine years old.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use jiff::{Timestamp, ToSpan, Zoned, tz::TimeZone};

use super::certificates;
use crate::Machine;

/// The certificate of each root, and its name. The key is beside it.
pub(super) const ROOTS: [(&str, &str); 4] = [
    ("/etc/kubernetes/pki/ca.crt", "kubernetes"),
    ("/etc/kubernetes/pki/etcd/ca.crt", "etcd-ca"),
    ("/etc/kubernetes/pki/front-proxy-ca.crt", "front-proxy-ca"),
    ("/etc/metalk8s/pki/repositories/ca.crt", "metalk8s-repositories-ca"),
];
/// How old they seem, and how long they live then: two thirds of their life are over. In years.
const AGE: i32 = 9;
const LEFT: i32 = 2;
/// How long a renewed one lives at least, in years.
const YOUNG: i32 = 9;
/// For `openssl ca`, which alone makes certificates that have begun before. Without an identifier of its key a root
/// is known by its name, as whoever signed with it wrote another kind of identifier.
const SETTINGS: &str = "
[ca]
default_ca = root
[root]
database = index
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = names
x509_extensions = authority
[names]
commonName = supplied
[authority]
basicConstraints = critical, CA:true
keyUsage = critical, digitalSignature, keyCertSign, cRLSign
subjectKeyIdentifier = none
authorityKeyIdentifier = none
";

/// The machine that holds the authorities has old certificates of its roots, with the keys that they have.
pub(super) fn grow_old(machine: &Machine) -> Result<()> {
    let now = Timestamp::now().to_zoned(TimeZone::UTC);
    let (begin, end) = (now.checked_sub(AGE.years())?, now.checked_add(LEFT.years())?);
    for (certificate, name) in ROOTS {
        let key = machine.run_checked(&format!("cat {}", certificate.replace(".crt", ".key")))?;
        let old = certified(&key, name, &begin, &end).with_context(|| format!("the root {name}"))?;
        machine.write(certificate, &old, 0o644)?;
    }
    Ok(())
}

/// Whether every machine has roots that live for long.
pub(super) fn are_young(machines: &[Machine]) -> Result<(), String> {
    let young = || Timestamp::now().to_zoned(TimeZone::UTC).checked_add(YOUNG.years());
    let young = young().map_err(|error| error.to_string())?.timestamp();
    for machine in machines {
        let found = certificates(machine).map_err(|error| format!("{}: {error:#}", machine.name))?;
        for (root, _) in ROOTS {
            let end = found.get(root).and_then(|(_, end)| end.parse::<Timestamp>().ok());
            if end.is_none_or(|end| end < young) {
                return Err(format!("{}: {root} ends at {end:?}", machine.name));
            }
        }
    }
    Ok(())
}

fn certified(key: &str, name: &str, begin: &Zoned, end: &Zoned) -> Result<Vec<u8>> {
    let folder = tempfile::tempdir()?;
    let file = |name: &str| folder.path().join(name);
    fs::write(file("key"), key)?;
    fs::write(file("settings"), SETTINGS)?;
    fs::write(file("index"), "")?;
    let moment = |moment: &Zoned| moment.strftime("%Y%m%d%H%M%SZ").to_string();
    let subject = format!("/CN={name}");
    openssl(folder.path(), &["req", "-new", "-key", "key", "-subj", &subject, "-out", "request"])?;
    let (begin, end) = (moment(begin), moment(end));
    let dates = ["-startdate", &*begin, "-enddate", &*end];
    let signed = ["ca", "-selfsign", "-batch", "-notext", "-config", "settings", "-keyfile", "key"];
    let files = ["-in", "request", "-out", "certificate"];
    openssl(folder.path(), &[&signed[..], &dates, &files].concat())?;
    Ok(fs::read(file("certificate"))?)
}

fn openssl(folder: &Path, arguments: &[&str]) -> Result<()> {
    let done = Command::new("openssl").args(arguments).current_dir(folder).output().context("openssl")?;
    ensure!(done.status.success(), "openssl: {}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}
