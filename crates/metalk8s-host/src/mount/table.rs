//! The words of fstab(5) and of /proc/self/mountinfo (proc(5)).

use std::{
    ffi::OsString,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

use crate::lines;

/// A mount that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mounted {
    pub(super) target: PathBuf,
    pub(super) fs_type: String,
    pub(super) source: PathBuf,
    pub(super) read_only: bool,
}

/// A line of fstab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) source: PathBuf,
    pub(super) target: PathBuf,
    pub(super) fs_type: String,
    pub(super) options: Vec<String>,
}

impl Mounted {
    /// Reads a line such as
    /// `36 35 98:0 / /mnt ro,noatime master:1 - ext3 /dev/root rw,errors=continue`.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let (mount, system) = line.split_once(" - ")?;
        let mount: Vec<&str> = mount.split(' ').collect();
        let mut system = system.split(' ');
        let (fs_type, source) = (system.next()?, system.next()?);
        Some(Self {
            target: unescaped(mount.get(4)?),
            fs_type: fs_type.to_owned(),
            source: unescaped(source),
            read_only: mount.get(5)?.split(',').any(|option| option == "ro"),
        })
    }

    /// Whether a program serves it. With a source of its own a FUSE mount loses its subtype.
    pub(super) fn is_fuse(&self) -> bool {
        self.fs_type == "fuse" || self.fs_type == "fuse.fuseiso"
    }
}

impl Entry {
    fn line(&self) -> String {
        let options = escaped(Path::new(&self.options.join(",")));
        format!("{}\t{}\t{}\t{options}\t0\t0", escaped(&self.source), escaped(&self.target), self.fs_type)
    }
}

/// fstab with this entry as the only one for its target.
pub(super) fn with_entry(text: &str, entry: &Entry) -> String {
    let target = escaped(&entry.target);
    let wished = entry.line();
    let is_ours = |line: &str| lines::words(line).get(1) == Some(&&*target);
    let mut ours = text.lines().filter(|line| is_ours(line));
    if let (Some(line), None) = (ours.next(), ours.next())
        && lines::words(line).iter().take(4).eq(lines::words(&wished).iter().take(4))
    {
        return text.to_owned();
    }
    lines::with_line(text, &wished, is_ours)
}

/// Where a line of fstab mounts something.
pub(super) fn target(line: &str) -> Option<PathBuf> {
    lines::words(line).get(1).map(|target| unescaped(target))
}

/// fstab without any line of this target.
pub(super) fn without(text: &str, target: &Path) -> String {
    let target = escaped(target);
    let kept = text.split_inclusive('\n').filter(|line| lines::words(line).get(1) != Some(&&*target));
    kept.collect()
}

/// Options of fstab without those that only the boot reads, which helpers of mount(8) may refuse.
pub(super) fn options_for_mount(options: &[String]) -> String {
    let kept = options.iter().filter(|option| !matches!(&***option, "nofail" | "noauto" | "auto"));
    kept.map(String::as_str).collect::<Vec<_>>().join(",")
}

fn escaped(path: &Path) -> String {
    let mut text = String::new();
    for letter in path.to_string_lossy().chars() {
        match letter {
            ' ' | '\t' | '\n' | '\\' | '#' => text.push_str(&format!("\\{:03o}", letter as u32)),
            other => text.push(other),
        }
    }
    text
}

fn unescaped(text: &str) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        let octal = (*first == b'\\')
            .then(|| more.get(..3))
            .flatten()
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        match octal {
            Some(byte) => {
                bytes.push(byte);
                rest = &more[3..];
            }
            None => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn names_with_blanks_survive_both_ways() {
        for name in ["/srv/a b#c\\d", "/srv/ä"] {
            assert_eq!(unescaped(&escaped(Path::new(name))), Path::new(name));
        }
        assert_eq!(unescaped("\\04").as_os_str().as_bytes(), b"\\04");
    }

    #[test]
    fn a_line_of_the_kernel_is_read() {
        let mounted =
            Mounted::parse("36 35 7:0 / /srv/a\\040b ro,noatime shared:1 - iso9660 /dev/loop0 rw").unwrap();
        assert_eq!(mounted.target, Path::new("/srv/a b"));
        assert_eq!((&*mounted.fs_type, mounted.source.to_str().unwrap()), ("iso9660", "/dev/loop0"));
        assert!(mounted.read_only);
        assert_eq!(Mounted::parse("no line of mounts"), None);
    }
}
