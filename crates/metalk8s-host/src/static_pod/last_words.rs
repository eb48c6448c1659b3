//! What containers of the control plane said before they ended, from the kubelet's folder of logs
//! (KEP-1495's `/var/log/pods/NAMESPACE_NAME_UID/CONTAINER/RESTARTS.log`, in the form of CRI).

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use crate::Host;

const LOGS: &str = "/var/log/pods";
/// Pods of ours, and no application's.
const NAMESPACE: &str = "kube-system_";
/// How many containers are told of, how many lines of each, and how many characters of a line.
const CONTAINERS: usize = 3;
const LINES: usize = 3;
const LINE: usize = 400;
/// How many bytes of a log are read, from its end.
const END: u64 = 16 << 10;

/// How often containers of the control plane were started anew until a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restarts(BTreeMap<PathBuf, u32>);

impl Restarts {
    /// As it is now; what cannot be read counts as not there.
    pub fn of(host: &Host) -> Self {
        let Ok(logs) = host.real(Path::new(LOGS)) else { return Self(BTreeMap::new()) };
        let pods = folders(&logs).into_iter().filter(|pod| name(pod).starts_with(NAMESPACE));
        let containers = pods.flat_map(|pod| folders(&pod));
        Self(
            containers
                .filter_map(|folder| Some((newest(&folder)?, folder)))
                .map(|(count, folder)| (folder, count))
                .collect(),
        )
    }

    /// What those said last that were started anew since then, a line for each container.
    pub fn last_words(&self, host: &Host) -> Vec<String> {
        let ended = Self::of(host).0.into_iter().filter(|(folder, count)| {
            let known = self.0.get(folder).copied().unwrap_or(0);
            *count > known
        });
        let told = ended.filter_map(|(folder, count)| {
            // The newest may not have said anything yet.
            let said =
                [count, count - 1].into_iter().map(|number| end_of(&folder.join(format!("{number}.log"))));
            let said = said.filter_map(Result::ok).find(|lines| !lines.is_empty())?.join(" | ");
            let pod = folder.parent().map(name).unwrap_or_default();
            let pod =
                pod.strip_prefix(NAMESPACE).and_then(|rest| rest.rsplit_once('_')).map_or("", |(pod, _)| pod);
            Some(format!("`{}` of the pod `{pod}` ends again and again, and says: {said}", name(&folder)))
        });
        told.take(CONTAINERS).collect()
    }
}

fn folders(of: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(of) else { return Vec::new() };
    let mut found: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

/// The highest number of a log in a container's folder.
fn newest(folder: &Path) -> Option<u32> {
    let entries = fs::read_dir(folder).ok()?;
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.strip_suffix(".log")?.parse().ok();
    entries.filter_map(Result::ok).filter_map(number).max()
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// The last lines of a log, each without what CRI puts before it.
fn end_of(log: &Path) -> io::Result<Vec<String>> {
    let mut file = File::open(log)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(END)))?;
    let mut bytes = Vec::new();
    file.take(END).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut lines: Vec<String> = text.lines().map(message).filter(|line| !line.is_empty()).collect();
    // What follows is where in a Go program that was, and nothing that a person can mend.
    if let Some(trace) = lines.iter().rposition(|line| line.starts_with("goroutine ")) {
        lines.truncate(trace);
    }
    Ok(lines.split_off(lines.len().saturating_sub(LINES)))
}

/// A line such as `2026-01-12T07:11:30.2Z stderr F message`.
fn message(line: &str) -> String {
    let said = line.splitn(4, ' ').nth(3).unwrap_or_default();
    said.chars().filter(|letter| !letter.is_control()).take(LINE).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Lab;

    #[test]
    fn who_ends_again_and_again_is_told_with_its_last_words() {
        let lab = Lab::new();
        let container = |pod: &str, name: &str| {
            let folder = lab.host.real(&Path::new(LOGS).join(pod).join(name)).unwrap();
            fs::create_dir_all(&folder).unwrap();
            folder
        };
        let line = |text: &str| format!("2026-01-12T07:11:30.203596Z stderr F {text}\n");
        let well = container("kube-system_kube-apiserver-node1_ab", "kube-apiserver");
        fs::write(well.join("3.log"), line("it serves")).unwrap();
        let other = container("shop_web_cd", "web");
        fs::write(other.join("1.log"), line("secret")).unwrap();
        let before = Restarts::of(&lab.host);
        assert_eq!(before.0.values().copied().collect::<Vec<_>>(), [3]);
        assert_eq!(before.last_words(&lab.host), [""; 0]);

        let etcd = container("kube-system_etcd-node1_ef", "etcd");
        fs::write(etcd.join("0.log"), line("the first time")).unwrap();
        assert_eq!(before.last_words(&lab.host), [""; 0], "it has not ended");
        let text = [
            "one",
            "two",
            "three",
            "no space\u{1b}[1m left on device",
            "",
            "goroutine 1 [running]:",
            "main()",
        ];
        let text = text.map(line).concat();
        fs::write(etcd.join("1.log"), text).unwrap();
        fs::write(etcd.join("2.log"), "").unwrap();
        fs::write(other.join("2.log"), line("secret")).unwrap();
        let told = "`etcd` of the pod `etcd-node1` ends again and again, and says: two | three | no space[1m left on device";
        assert_eq!(before.last_words(&lab.host), [told]);
    }
}
