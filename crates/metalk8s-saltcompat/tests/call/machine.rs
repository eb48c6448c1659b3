//! Commands, services, packages and jobs.

use metalk8s_engine::fake::Unit;
use metalk8s_saltcompat::{Returned, must_not_be_repeated};
use serde_json::json;

use crate::fake::{JOB, fake};

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
    assert!(!is("service.status") && !is("service.enabled") && is("service.disabled"));
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
    assert_eq!(fake.value(&["network.ipaddrs6"]), fake.value(&["network.ip_addrs6"]));
    assert_eq!(fake.value(&["network.ip_addrs", "eth1"]), json!(["10.200.2.2"]));
    assert_eq!(fake.value(&["network.ip_addrs", "cidr=10.200.1.0/28"]), json!(["10.200.1.2"]));
    assert_eq!(
        fake.value(&["disk.usage"]),
        json!({"/srv/a b": {"filesystem": "/dev/vda1", "1K-blocks": "10", "used": "4", "available": "6", "capacity": "40%"}})
    );
}

#[test]
fn a_block_device_is_asked_and_what_is_none_is_told_as_false() {
    let fake = fake();
    let argv = |device: &str| {
        let line = "blockdev --getro --getsz --getss --getpbsz --getiomin --getioopt --getalignoff --getmaxsect \
                    --getsize64 --getra --getfra";
        line.split_whitespace().chain([device]).map(str::to_owned).collect::<Vec<_>>()
    };
    fake.host.change_world(|world| {
        world.says.insert(argv("/dev/vda"), "0\n16\n512\n4096\n4096\n0\n0\n255\n8192\n256\n256\n".to_owned());
        world.failing.insert(argv("/dev/nope"));
    });
    let told = fake.value(&["disk.dump", "/dev/vda"]);
    assert_eq!(
        (&told["getro"], &told["getss"], &told["getsize64"]),
        (&json!("0"), &json!("512"), &json!("8192"))
    );
    assert_eq!(fake.value(&["disk.dump", "/dev/nope"]), json!(false));
    fake.refuses(&["disk.dump"]);
    fake.refuses(&["disk.dump", "--setro"]);
}

#[test]
fn only_what_may_do_anything_must_not_be_repeated() {
    for function in ["cmd.run", "cmd.run_all", "service.restart"] {
        assert!(must_not_be_repeated(function), "{function}");
    }
    for function in ["state.apply", "test.ping", "service.start", "nonesuch"] {
        assert!(!must_not_be_repeated(function), "{function}");
    }
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
    assert_eq!(fake.value(&["service.missing", "nope"]), json!(true));
    assert_eq!(fake.value(&["service.get_enabled"]), json!(["ssh"]));
    assert_eq!(fake.value(&["service.get_disabled"]), json!([]));
    assert_eq!(fake.value(&["service.get_static"]), json!(["cron"]));
    fake.refuses(&["service.available"]);
}

#[test]
fn units_are_reloaded_and_masked_as_systemctl_does_it() {
    let fake = fake();
    let argv = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    for verb in ["reload", "mask", "unmask"] {
        let function = format!("service.{verb}");
        assert_eq!(fake.value(&[function.as_str(), "web"]), json!(true));
        assert_eq!(fake.host.world().ran.pop(), Some(argv(&format!("systemctl {verb} -- web.service"))));
        fake.refuses(&[function.as_str()]);
    }
    fake.host.change_world(|world| {
        world.failing.insert(argv("systemctl reload -- dead.service"));
        let show = argv("systemctl show --property=UnitFileState -- shut.service");
        world.says.insert(show, "UnitFileState=masked\n".to_owned());
        let show = argv("systemctl show --property=UnitFileState -- boot.service");
        world.says.insert(show, "UnitFileState=masked-runtime\n".to_owned());
    });
    let err = fake.call(&["service.reload", "dead"]).unwrap_err();
    assert_eq!(err.to_string(), "`service.reload` could not be carried out");
    assert_eq!(fake.value(&["service.masked", "shut"]), json!(true));
    assert_eq!(fake.value(&["service.masked", "boot"]), json!(false));
}

#[test]
fn a_unit_is_shown_in_salts_forms_and_running_services_are_named() {
    let fake = fake();
    let argv = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    fake.host.change_world(|world| {
        let said =
            "Id=web.service\nWants=a.service b.service\nExecStart={ path=/bin/a ; argv[]=/bin/a -x=1 }\n";
        world.says.insert(argv("systemctl show -- web.service"), said.to_owned());
        let list =
            "systemctl list-units --type=service --state=running --full --plain --no-legend --no-pager";
        let said = "web.service loaded active running The web\ncron.service loaded active running Cron\n";
        world.says.insert(argv(list), said.to_owned());
    });
    let start = json!({"path": "/bin/a", "argv[]": "/bin/a -x=1"});
    assert_eq!(
        fake.value(&["service.show", "web"]),
        json!({"Id": "web.service", "Wants": ["a.service", "b.service"], "ExecStart": start})
    );
    assert_eq!(fake.value(&["service.get_running"]), json!(["cron", "web"]));
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
