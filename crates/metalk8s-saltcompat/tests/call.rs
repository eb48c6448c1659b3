//! Functions of `salt-call` on a fake machine.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, error::Error, sync::Arc};

use async_trait::async_trait;
use jiff::tz::TimeZone;
use metalk8s_diagnostics::{Diagnose, Paint, explain};
use metalk8s_engine::{
    ApplyOptions, Graph, Hands, State,
    fake::{FakeClock, FakeHost, Unit},
    state::Mount,
};
use metalk8s_saltcompat::{
    About, CallError, FORMULAS, FileRoots, Formula, Minion, Returned, RunningJob, call, grains_tree,
    output::{Out, StateOutput},
    pillar_tree,
};
use metalk8s_types::{
    BootstrapConfiguration, Grains, VERSION, environment,
    grains::{Address, Cgroup, Disk, OperatingSystem, OsFamily},
};
use serde_json::{Value, json};

const CONFIGURATION: &str = "\
apiVersion: metalk8s.scality.com/v1alpha2
kind: BootstrapConfiguration
networks:
  controlPlane: 10.200.1.0/28
  workloadPlane: 10.200.2.0/28
proxies:
  http: http://proxy.example:3128
ca:
  minion: bootstrap
archives:
  - /archives/metalk8s.iso
";

/// The job that the fake machine carries out.
const JOB: &str = "20260112071130203596";

struct Fake {
    host: FakeHost,
    roots: BTreeMap<String, Vec<u8>>,
    grains: Grains,
    configuration: Option<BootstrapConfiguration>,
}

#[async_trait]
impl Minion for Fake {
    fn hands(&self) -> &dyn Hands {
        &self.host
    }

    fn roots(&self) -> &dyn FileRoots {
        &self.roots
    }

    fn grains(&self) -> Result<Value, Box<dyn Error + Send + Sync>> {
        Ok(grains_tree(
            &self.grains,
            self.configuration.as_ref().map(|configuration| &configuration.networks),
        ))
    }

    fn pillar(&self) -> Result<Value, Box<dyn Error + Send + Sync>> {
        Ok(self.configuration.as_ref().map_or(json!({}), pillar_tree))
    }

    fn formula(&self, formula: Formula, _test: bool) -> Result<Graph, Box<dyn Error + Send + Sync>> {
        if formula == Formula::Highstate {
            let mut graph = Graph::default();
            let file = metalk8s_engine::state::File::text("/etc/role", "node\n");
            graph.add("what the roles ask for", State::File(file));
            return Ok(graph);
        }
        assert_eq!(formula, Formula::ArchivesMounted);
        let configuration = self.configuration.as_ref().ok_or("there is no configuration")?;
        let mut graph = Graph::default();
        for archive in &configuration.archives {
            let mount = Mount {
                source: archive.clone(),
                target: "/srv/scality/metalk8s-1".into(),
                fs_type: "iso9660".to_owned(),
                options: Vec::new(),
                persistent: true,
                holds: None,
            };
            graph.add("archive mounted", State::Mount(mount));
        }
        Ok(graph)
    }

    fn environments(&self) -> Vec<String> {
        vec!["metalk8s-0.0.1".to_owned(), environment(VERSION)]
    }

    fn running(&self) -> Result<Vec<RunningJob>, Box<dyn Error + Send + Sync>> {
        let arguments = vec!["web".to_owned()];
        Ok(vec![RunningJob { jid: JOB.to_owned(), function: "state.apply".to_owned(), arguments, pid: 42 }])
    }

    fn end_job(&self, jid: &str, _hard: bool) -> Result<Option<u32>, Box<dyn Error + Send + Sync>> {
        Ok((jid == JOB).then_some(42))
    }

    async fn tell(&self, what: About) -> Result<Value, Box<dyn Error + Send + Sync>> {
        Ok(match what {
            About::Certificates => json!([{"file": "/etc/kubernetes/admin.conf"}]),
            About::Health => Err("the disk cannot be read")?,
        })
    }

    async fn packages(&self) -> Result<BTreeMap<String, String>, Box<dyn Error + Send + Sync>> {
        Ok(self.host.world().packages)
    }
}

impl Fake {
    fn call(&self, line: &[&str]) -> Result<Returned, CallError> {
        let words: Vec<String> = line[1..].iter().map(|word| (*word).to_owned()).collect();
        let options = ApplyOptions { clock: Arc::new(FakeClock::default()), ..ApplyOptions::in_order() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(call(line[0], &words, self, &options, &TimeZone::UTC))
    }

    fn prints(&self, line: &[&str]) -> String {
        self.call(line).unwrap().print("local", Out::Nested, StateOutput::Full, Paint::default()).unwrap()
    }

    fn value(&self, line: &[&str]) -> Value {
        match self.call(line).unwrap() {
            Returned::Value(value) | Returned::Ended { value, retcode: _ } => value,
            Returned::States(states) => states.into(),
        }
    }

    fn refuses(&self, line: &[&str]) -> String {
        let err = self.call(line).unwrap_err();
        assert_eq!(err.code(), Some(explain::WRONG_USAGE), "{line:?}: {err}");
        assert!(!err.hints().is_empty(), "{line:?}");
        err.to_string()
    }
}

fn address(interface: &str, network: &str) -> Address {
    Address { interface: interface.to_owned(), network: network.parse().unwrap() }
}

fn fake() -> Fake {
    Fake {
        host: FakeHost::default(),
        roots: BTreeMap::from([
            ("web.sls".to_owned(), b"/etc/motd: {file.managed: [{contents: hello}]}\n".to_vec()),
            ("db/init.sls".to_owned(), b"missing: {service.running: []}\n".to_vec()),
        ]),
        grains: Grains {
            hostname: "bootstrap.example.com".to_owned(),
            os: OperatingSystem {
                id: "debian".to_owned(),
                version: "12".to_owned(),
                codename: "bookworm".to_owned(),
                pretty_name: "Debian GNU/Linux 12 (bookworm)".to_owned(),
                family: OsFamily::Debian,
            },
            kernel: "6.1.0".to_owned(),
            cpus: 2,
            memory_bytes: 4 << 30,
            cgroup: Cgroup::V2,
            systemd_cgroups: true,
            container: false,
            swap: false,
            selinux_enforcing: false,
            conntrack_writable: true,
            oom_score_adjustable: true,
            addresses: vec![
                address("eth0", "10.200.1.2/28"),
                address("eth1", "10.200.2.2/28"),
                address("eth1", "fd00::2/64"),
            ],
            nameservers: vec!["10.0.0.53".parse().unwrap()],
            disk: Disk { total_bytes: 1 << 40, free_bytes: 1 << 39 },
        },
        configuration: Some(BootstrapConfiguration::parse(CONFIGURATION.as_bytes()).unwrap()),
    }
}

#[test]
fn the_address_in_the_control_plane_is_printed_below_local() {
    assert_eq!(fake().prints(&["grains.get", "metalk8s:control_plane_ip"]), "local:\n    10.200.1.2\n");
    assert_eq!(fake().prints(&["grains.get", "metalk8s:workload_plane_ip"]), "local:\n    10.200.2.2\n");
}

#[test]
fn without_a_configuration_or_with_two_addresses_a_plane_has_no_address() {
    let bare = Fake { configuration: None, ..fake() };
    assert_eq!(bare.prints(&["grains.get", "metalk8s:control_plane_ip"]), "local:\n");
    let mut two = fake();
    two.grains.addresses.push(address("eth0", "10.200.1.3/28"));
    assert_eq!(two.value(&["grains.get", "metalk8s"]), json!({"workload_plane_ip": "10.200.2.2"}));
}

#[test]
fn the_networks_are_shown_in_the_layout_of_the_file() {
    let fake = fake();
    assert_eq!(
        fake.prints(&["pillar.get", "networks"]),
        "\
local:
    ----------
    control_plane:
        10.200.1.0/28
    pod:
        10.233.0.0/16
    service:
        10.96.0.0/12
    workload_plane:
        10.200.2.0/28
"
    );
    let later = CONFIGURATION
        .replace("v1alpha2", "v1alpha3")
        .replace(
            "controlPlane: 10.200.1.0/28",
            "controlPlane: {cidr: 10.200.1.0/28, ingress: {ip: 10.200.1.9}}",
        )
        .replace("workloadPlane: 10.200.2.0/28", "workloadPlane: {cidr: [10.200.2.0/28], mtu: 1400}");
    let configuration = Some(BootstrapConfiguration::parse(later.as_bytes()).unwrap());
    let later = Fake { configuration, ..fake };
    assert_eq!(
        later.value(&["pillar.get", "networks:control_plane"]),
        json!({"cidr": ["10.200.1.0/28"], "ingress": {"ip": "10.200.1.9"}})
    );
    assert_eq!(
        later.value(&["pillar.get", "networks:workload_plane"]),
        json!({"cidr": ["10.200.2.0/28"], "mtu": 1400})
    );
}

#[test]
fn the_pillar_holds_archives_the_authority_and_the_proxies_that_were_given() {
    let pillar = fake().value(&["pillar.items"]);
    assert_eq!(
        pillar["metalk8s"],
        json!({"archives": ["/archives/metalk8s.iso"], "ca": {"minion": "bootstrap"}})
    );
    assert_eq!(pillar["proxies"], json!({"http": "http://proxy.example:3128"}));
    let bare = Fake { configuration: None, ..fake() };
    assert_eq!(bare.prints(&["pillar.get", "networks"]), "local:\n");
    assert_eq!(bare.value(&["pillar.get", "networks:pod", "[a]"]), json!(["a"]));
    assert_eq!(bare.value(&["pillar.get", "networks", "default=5"]), json!(5));
}

#[test]
fn grains_have_salts_names_and_are_listed_sorted() {
    let fake = fake();
    let grains = fake.value(&["grains.items"]);
    for (name, expected) in [
        ("id", json!("bootstrap.example.com")),
        ("host", json!("bootstrap")),
        ("domain", json!("example.com")),
        ("os", json!("Debian")),
        ("os_family", json!("Debian")),
        ("osfinger", json!("Debian-12")),
        ("osfullname", json!("Debian GNU/Linux")),
        ("osmajorrelease", json!(12)),
        ("osrelease", json!("12")),
        ("osrelease_info", json!([12])),
        ("mem_total", json!(4096)),
        ("ip4_interfaces", json!({"eth0": ["10.200.1.2"], "eth1": ["10.200.2.2"]})),
        ("ipv6", json!(["fd00::2"])),
    ] {
        assert_eq!(grains[name], expected, "{name}");
    }
    let names = fake.value(&["grains.ls"]);
    let names: Vec<&str> = names.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert!(names.is_sorted() && names.contains(&"metalk8s"), "{names:?}");
}

#[test]
fn systems_are_called_as_salt_calls_them() {
    let mut fake = fake();
    for (id, version, family, os, os_family, finger) in [
        ("ubuntu", "24.04", OsFamily::Debian, "Ubuntu", "Debian", "Ubuntu-24.04"),
        ("rocky", "9.4", OsFamily::RedHat, "Rocky", "RedHat", "Rocky Linux-9"),
        ("arch", "", OsFamily::Other, "arch", "arch", "arch-"),
    ] {
        fake.grains.os = OperatingSystem {
            id: id.to_owned(),
            version: version.to_owned(),
            codename: String::new(),
            pretty_name: id.to_owned(),
            family,
        };
        let get = |name: &str| fake.value(&["grains.get", name]);
        assert_eq!(
            (get("os"), get("os_family"), get("osfinger")),
            (json!(os), json!(os_family), json!(finger))
        );
    }
}

#[test]
fn states_are_applied_and_a_second_time_nothing_changes() {
    let fake = fake();
    assert!(fake.prints(&["state.apply", "web"]).contains("Succeeded: 1 (changed=1)\n"));
    assert!(fake.prints(&["state.sls", "mods=web"]).contains("Succeeded: 1\n"));
    assert_eq!(fake.host.world().text("/etc/motd"), Some("hello\n"));
}

#[test]
fn test_mode_changes_nothing_and_only_truth_values_ask_for_it() {
    let fake = fake();
    let before = fake.host.world();
    assert!(fake.prints(&["state.apply", "web", "test=True"]).contains("      Result: None\n"));
    let single = ["state.single", "file.managed", "/etc/x", "contents=x", "test=true"];
    assert!(fake.prints(&single).contains("      Result: None\n"));
    assert!(fake.prints(&["state.test", "web"]).contains("      Result: None\n"));
    assert_eq!(fake.refuses(&["state.apply", "web", "test=ture"]), "`test=ture` is neither True nor False");
    assert_eq!(fake.host.world(), before);
}

#[test]
fn the_status_is_2_when_a_state_failed() {
    let fake = fake();
    assert_eq!(fake.call(&["state.apply", "web,db"]).unwrap().retcode(), 2);
    assert_eq!(fake.call(&["state.apply", "web"]).unwrap().retcode(), 0);
    assert_eq!(fake.call(&["test.ping"]).unwrap().retcode(), 0);
}

#[test]
fn a_file_is_shown_without_being_applied() {
    let fake = fake();
    let before = fake.host.world();
    assert_eq!(
        fake.value(&["state.show_sls", "web"]),
        json!({"/etc/motd": {
            "__sls__": "web",
            "__env__": "base",
            "file": [{"contents": "hello"}, "managed", {"order": 10_000}],
        }})
    );
    assert_eq!(fake.host.world(), before);
}

#[test]
fn an_unknown_function_gets_its_nearest_neighbours() {
    let fake = fake();
    assert!(fake.refuses(&["state.aply", "web"]).contains("`state.apply`"));
    assert!(fake.refuses(&["grain.get", "os"]).contains("`grains.get`"));
    assert!(fake.refuses(&["pkg.remove", "vim"]).contains("it may be `pkg."));
}

#[test]
fn a_command_returns_what_it_said_and_its_status() {
    let fake = fake();
    let merged = ["/bin/sh", "-c", "exec 2>&1\n[ -e /x ]"].map(str::to_owned).to_vec();
    let plain = ["/bin/sh", "-c", "[ -e /x ]"].map(str::to_owned).to_vec();
    fake.host.change_world(|world| {
        world.failing.extend([merged.clone(), plain.clone()]);
        world.says.extend([(merged, "all\n".to_owned()), (plain, "out\n".to_owned())]);
    });
    let called = fake.call(&["cmd.run", "[ -e /x ]"]).unwrap();
    assert_eq!(called, Returned::Ended { value: json!("all"), retcode: 1 });
    assert_eq!(fake.value(&["cmd.retcode", "[ -e /x ]"]), json!(1));
    assert_eq!(fake.value(&["cmd.run_stdout", "[ -e /x ]"]), json!("out"));
    assert_eq!(fake.value(&["cmd.run_all", "[ -e /x ]"])["stdout"], json!("out"));
    assert_eq!(fake.call(&["cmd.run", "true"]).unwrap().retcode(), 0);
    fake.call(&["cmd.run", "id", "runas=alice", "env={A: 1}", "cwd=/tmp", "timeout=5"]).unwrap();
    let ran = fake.host.world().ran.pop().unwrap();
    assert_eq!(ran, ["runuser", "--user", "alice", "--", "/bin/sh", "-c", "exec 2>&1\nid"]);
}

#[test]
fn units_are_asked_for_and_changed() {
    let fake = fake();
    fake.host.change_world(|world| world.units.insert("web.service".to_owned(), Unit::default()));
    let is = |function: &str| fake.value(&[function, "web"]) == json!(true);
    assert!(!is("service.status") && !is("service.enabled"));
    assert!(is("service.start") && is("service.status") && !is("service.enabled"));
    assert!(is("service.enable") && is("service.enabled") && is("service.restart"));
    assert_eq!(fake.host.world().units["web.service"].starts, 2);
    assert!(is("service.stop") && is("service.disable"));
    assert!(!is("service.status") && !is("service.enabled"));
    assert_eq!(fake.value(&["service.status", "nonesuch"]), json!(false));
    let err = fake.call(&["service.start", "nonesuch"]).unwrap_err();
    assert_eq!(err.to_string(), "`service.start` could not be carried out");
}

#[test]
fn packages_addresses_and_file_systems_are_listed() {
    let fake = fake();
    let df = ["df", "--portability", "--block-size=1024"].map(str::to_owned).to_vec();
    let said =
        "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/vda1   10  4  6  40% /srv/a b\n";
    fake.host.change_world(|world| {
        world.packages.insert("bash".to_owned(), "5.2".to_owned());
        world.says.insert(df, said.to_owned());
    });
    assert_eq!(fake.value(&["pkg.list_pkgs"]), json!({"bash": "5.2"}));
    assert_eq!(fake.value(&["pkg.version", "bash"]), json!("5.2"));
    assert_eq!(fake.value(&["pkg.version", "bash", "vim"]), json!({"bash": "5.2", "vim": ""}));
    assert_eq!(fake.value(&["network.ip_addrs"]), json!(["10.200.1.2", "10.200.2.2"]));
    assert_eq!(fake.value(&["network.ip_addrs", "eth1"]), json!(["10.200.2.2"]));
    assert_eq!(fake.value(&["network.ip_addrs", "cidr=10.200.1.0/28"]), json!(["10.200.1.2"]));
    assert_eq!(
        fake.value(&["disk.usage"]),
        json!({"/srv/a b": {"filesystem": "/dev/vda1", "1K-blocks": "10", "used": "4", "available": "6", "capacity": "40%"}})
    );
}

#[test]
fn functions_tell_of_themselves() {
    let fake = fake();
    assert_eq!(fake.value(&["sys.list_functions", "pkg"]), json!(["pkg.list_pkgs", "pkg.version"]));
    let modules = fake.value(&["sys.list_modules"]);
    assert!(modules.as_array().unwrap().contains(&json!("sys")), "{modules}");
    let states = fake.value(&["sys.list_state_functions", "pkg"]);
    assert_eq!(states, json!(["pkg.installed", "pkg.purged", "pkg.removed"]));
    let doc = fake.value(&["sys.state_doc", "pkg.installed"]);
    let doc = doc["pkg.installed"].as_str().unwrap();
    assert!(doc.contains("\narguments: version, pkgs") && doc.contains("onlyif"), "{doc}");
    assert!(
        fake.value(&["sys.doc", "cmd.run"])["cmd.run"]
            .as_str()
            .unwrap()
            .contains("salt-call cmd.run COMMAND")
    );
}

#[test]
fn several_facts_and_settings_come_under_their_names() {
    let fake = fake();
    assert_eq!(fake.value(&["grains.item", "os", "nonesuch"]), json!({"os": "Debian", "nonesuch": ""}));
    assert_eq!(fake.value(&["pillar.item", "networks:pod"]), json!({"networks:pod": "10.233.0.0/16"}));
    assert_eq!(fake.value(&["pillar.ls"]), json!(["metalk8s", "networks", "proxies"]));
    assert_eq!(fake.value(&["config.get", "os"]), json!("Debian"));
    assert_eq!(fake.value(&["config.get", "networks:pod"]), json!("10.233.0.0/16"));
    assert_eq!(fake.value(&["test.echo", "hello"]), json!("hello"));
}

#[test]
fn words_that_would_be_ignored_are_refused() {
    let fake = fake();
    for line in [
        &["test.ping", "now"][..],
        &["grains.items", "os"],
        &["grains.get"],
        &["grains.get", "os", "a", "b"],
        &["pillar.items", "pillar={a: 1}"],
        &["state.apply", "web", "db"],
        &["state.apply", "web", "tset=True"],
        &["state.single"],
        &["cmd.run"],
        &["cmd.run", "id", "unless=true"],
        &["cmd.run", "id", "timeout=soon"],
        &["service.status"],
        &["pkg.version"],
        &["network.ip_addrs", "cidr=here"],
    ] {
        fake.refuses(line);
    }
    assert_eq!(fake.host.world(), FakeHost::default().world());
}

#[test]
fn mistakes_in_states_are_told_with_their_codes_and_change_nothing() {
    let fake = fake();
    for line in [
        &["state.apply", "nonesuch"][..],
        &["state.apply", "web", "saltenv=metalk8s-2.5.1"],
        &["state.single", "file.mangled", "/x"],
    ] {
        let Err(CallError::Mistakes { source, .. }) = fake.call(line) else { panic!("{line:?}") };
        assert!(source.problems[0].code.as_str().starts_with("MK18"), "{line:?}");
    }
    assert_eq!(fake.host.world(), FakeHost::default().world());
}

const ARCHIVES: &str = "metalk8s.archives.mounted";

#[test]
fn a_formula_of_the_program_is_applied_by_its_name() {
    let fake = fake();
    let saltenv = format!("saltenv={}", environment(VERSION));
    let printed = fake.prints(&["state.sls", ARCHIVES, &saltenv]);
    assert!(printed.contains("          ID: archive mounted\n    Function: mount.mounted\n"), "{printed}");
    assert!(printed.contains("Summary for local\n------------\nSucceeded: 1 (changed=1)\nFailed:    0\n"));
    let again = fake.prints(&["state.apply", ARCHIVES]);
    assert!(again.contains("Comment: Target was already mounted\n"), "{again}");
    assert!(again.contains("Succeeded: 1\n"), "{again}");
}

#[test]
fn a_formula_is_shown_as_if_it_were_a_file() {
    assert_eq!(
        fake().value(&["state.show_sls", ARCHIVES]),
        json!({"archive mounted": {
            "__sls__": ARCHIVES,
            "__env__": environment(VERSION),
            "mount": ["mounted"],
        }})
    );
}

/// What a call that did nothing says, with its causes.
#[track_caller]
fn mistakes(fake: &Fake, line: &[&str]) -> String {
    let before = fake.host.world();
    let CallError::Mistakes { source, .. } = fake.call(line).unwrap_err() else { panic!("{line:?}") };
    assert_eq!(fake.host.world(), before);
    let hints = source.hints.iter().map(|hint| hint.0.clone());
    let problems = source.problems.iter();
    let told = problems.map(|problem| format!("{problem} {}", problem.accepted.clone().unwrap_or_default()));
    told.chain(hints).collect::<Vec<_>>().join("\n")
}

#[test]
fn another_versions_formulas_are_left_to_its_own_program() {
    let fake = fake();
    let told = mistakes(&fake, &["state.sls", ARCHIVES, "saltenv=metalk8s-0.0.1"]);
    assert!(told.contains("installed: `metalk8s-0.0.1`, `metalk8s-"), "{told}");
    assert!(told.contains("`/srv/scality/metalk8s-0.0.1/bin/metalk8s salt-call ...`"), "{told}");
    let told = mistakes(&fake, &["state.sls", ARCHIVES, "saltenv=base"]);
    assert!(told.contains("not of `base`") && !told.contains("/bin/metalk8s"), "{told}");
}

#[test]
fn an_unknown_formula_gets_its_neighbours_and_is_not_looked_for_among_files() {
    let mut fake = fake();
    fake.roots.insert("metalk8s/own.sls".to_owned(), b"a: {file.absent: [{name: /a}]}\n".to_vec());
    let told = mistakes(&fake, &["state.sls", "metalk8s.archive.mounted"]);
    assert!(told.contains("MK1801") && told.contains(&format!(" `{ARCHIVES}`,")), "{told}");
    assert!(mistakes(&fake, &["state.sls", "metalk8s.own"]).contains("no formula `metalk8s.own`"));
    let told = mistakes(&fake, &["state.sls", &format!("web,{ARCHIVES}")]);
    assert!(told.contains("`web` is a file"), "{told}");
}

#[test]
fn jobs_of_the_agent_are_listed_found_and_ended() {
    let fake = fake();
    let running = fake.value(&["saltutil.running"]);
    assert_eq!(running[0]["jid"], JOB);
    assert_eq!(running[0]["arg"], json!(["web"]));
    assert_eq!(fake.value(&["saltutil.find_job", JOB])["pid"], 42);
    assert_eq!(fake.value(&["saltutil.find_job", "20260112071130203597"]), json!({}));
    let ended = format!("Signal 9 sent to job {JOB} at pid 42");
    assert_eq!(fake.value(&["saltutil.kill_job", JOB]), json!(ended));
    assert_eq!(fake.value(&["saltutil.term_job", "20260112071130203597"]), json!(""));
    assert!(fake.refuses(&["saltutil.find_job", "1"]).contains("20 digits"));
    assert!(fake.refuses(&["saltutil.kill_job"]).contains("20 digits"));
}

#[test]
fn without_a_name_the_roles_of_the_machine_are_applied() {
    for line in [&["state.apply"][..], &["state.highstate"], &["state.apply", ""]] {
        let fake = fake();
        let Returned::States(states) = fake.call(line).unwrap() else { panic!("{line:?}") };
        let state = states.values().next().unwrap();
        assert_eq!((states.len(), &state["__sls__"]), (1, &json!("metalk8s.roles")), "{line:?}");
        assert_eq!(fake.host.world().files.len(), 1, "{line:?}");
    }
}

#[test]
fn a_formula_without_settings_says_why() {
    let bare = Fake { configuration: None, ..fake() };
    let err = bare.call(&["state.sls", ARCHIVES]).unwrap_err();
    assert!(matches!(&err, CallError::Formula { name, .. } if *name == ARCHIVES), "{err}");
    assert_eq!(err.source().unwrap().to_string(), "there is no configuration");
    assert!(FORMULAS.iter().all(|(name, _)| name.starts_with("metalk8s.")));
}

#[test]
fn services_are_listed_and_looked_for() {
    let fake = fake();
    let argv = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    fake.host.change_world(|world| {
        let list = argv("systemctl list-unit-files --type=service --full --no-legend --no-pager");
        world.says.insert(list, "ssh.service enabled enabled\ncron.service  static -\n".to_owned());
        let show = argv("systemctl show --property=LoadState -- ssh.service");
        world.says.insert(show, "LoadState=loaded\n".to_owned());
        let show = argv("systemctl show --property=LoadState -- nope.service");
        world.says.insert(show, "LoadState=not-found\n".to_owned());
    });
    assert_eq!(fake.value(&["service.get_all"]), json!(["cron", "ssh"]));
    assert_eq!(fake.value(&["service.available", "ssh"]), json!(true));
    assert_eq!(fake.value(&["service.available", "nope"]), json!(false));
    fake.refuses(&["service.available"]);
}

#[test]
fn interfaces_are_told_in_salts_shape() {
    let fake = fake();
    let said = r#"[
        {"ifname": "lo", "flags": ["LOOPBACK", "UP"], "address": "00:00:00:00:00:00", "addr_info": [
            {"family": "inet", "local": "127.0.0.1", "prefixlen": 8, "scope": "host", "label": "lo"},
            {"family": "inet6", "local": "::1", "prefixlen": 128, "scope": "host"}]},
        {"ifname": "ifb0", "flags": ["NOARP"], "address": "ee:a9:6d:fe:0a:dd", "addr_info": []},
        {"ifname": "eth0", "flags": ["UP"], "address": "02:fc:00:00:00:01", "addr_info": [
            {"family": "inet", "local": "192.0.2.2", "prefixlen": 24, "broadcast": "192.0.2.255",
             "label": "eth0"}]}
    ]"#;
    fake.host.change_world(|world| {
        let argv = ["ip", "-json", "address", "show"].map(str::to_owned).to_vec();
        world.says.insert(argv, said.to_owned());
    });
    assert_eq!(
        fake.value(&["network.interfaces"]),
        json!({
            "lo": {
                "up": true, "hwaddr": "00:00:00:00:00:00",
                "inet": [{"address": "127.0.0.1", "netmask": "255.0.0.0", "broadcast": null, "label": "lo"}],
                "inet6": [{"address": "::1", "prefixlen": "128", "scope": "host"}],
            },
            "ifb0": {"up": false, "hwaddr": "ee:a9:6d:fe:0a:dd"},
            "eth0": {
                "up": true, "hwaddr": "02:fc:00:00:00:01",
                "inet": [{
                    "address": "192.0.2.2", "netmask": "255.255.255.0", "broadcast": "192.0.2.255",
                    "label": "eth0",
                }],
            },
        })
    );
    assert_eq!(fake.value(&["network.interface_ip", "eth0"]), json!("192.0.2.2"));
    assert_eq!(fake.value(&["network.interface_ip", "ifb0"]), json!(""));
    assert_eq!(fake.value(&["network.hw_addr", "eth0"]), json!("02:fc:00:00:00:01"));
    assert!(fake.refuses(&["network.hw_addr", "eth9"]).contains("`eth0`"));
    assert_eq!(fake.value(&["network.ip_addrs6"]), json!(["fd00::2"]));
}

#[test]
fn calls_can_be_tried() {
    let fake = fake();
    assert_eq!(
        fake.value(&["test.arg", "1", "two", "txt=hello", "wow={a: 1}"]),
        json!({"args": [1, "two"], "kwargs": {"txt": "hello", "wow": {"a": 1}}})
    );
    assert_eq!(fake.value(&["test.kwarg", "num=1"]), json!({"num": 1}));
    assert_eq!(fake.value(&["test.true"]), json!(true));
    assert_eq!(fake.value(&["test.false"]), json!(false));
    for (number, expect) in [("0", 0_u64), ("1", 1), ("2", 1), ("10", 55), ("93", 12_200_160_415_121_876_738)]
    {
        assert_eq!(fake.value(&["test.fib", number])[0], json!(expect), "{number}");
    }
    assert_eq!(fake.value(&["test.sleep", "86400"]), json!(true));
    let ended = |retcode| Returned::Ended { value: json!(true), retcode };
    assert_eq!(fake.call(&["test.retcode"]).unwrap(), ended(42));
    assert_eq!(fake.call(&["test.retcode", "7"]).unwrap(), ended(7));
    for line in [
        &["test.kwarg", "x"][..],
        &["test.true", "x"],
        &["test.fib"],
        &["test.fib", "94"],
        &["test.fib", "-1"],
        &["test.sleep", "86401"],
        &["test.sleep", "long"],
        &["test.retcode", "256"],
    ] {
        fake.refuses(line);
    }
}

#[test]
fn there_is_nothing_to_sync_or_to_refresh() {
    let fake = fake();
    let synced = fake.value(&["saltutil.sync_all", "saltenv=metalk8s-2.5.1"]);
    assert_eq!(synced["modules"], json!([]));
    assert_eq!(synced.as_object().unwrap().len(), 18);
    assert_eq!(fake.value(&["saltutil.sync_states"]), json!([]));
    for function in ["saltutil.refresh_pillar", "saltutil.refresh_grains", "mine.update"] {
        assert_eq!(fake.value(&[function]), json!(true), "{function}");
    }
    fake.refuses(&["saltutil.sync_all", "x=1"]);
}

#[test]
fn facts_cannot_be_set() {
    let message = fake().refuses(&["grains.setval", "os", "x"]);
    assert_eq!(
        message,
        "`grains.setval` is not offered: facts are told by the machine itself, and nobody sets them"
    );
}

#[test]
fn a_machine_tells_of_its_certificates_and_why_it_cannot_tell_of_its_health() {
    let fake = fake();
    let told = fake.value(&["metalk8s.certificates"]);
    assert_eq!(told, json!([{"file": "/etc/kubernetes/admin.conf"}]));
    let error = fake.call(&["metalk8s.health"]).unwrap_err();
    assert!(metalk8s_diagnostics::sentence(&error).contains("the disk cannot be read"), "{error}");
    assert!(fake.call(&["metalk8s.certificates", "node-1"]).is_err());
}
