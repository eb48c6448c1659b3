use std::collections::BTreeMap;

use metalk8s_engine::{
    RequisiteKind, Retry, State,
    state::{Contents, Extracted, File},
};

use super::{Compiled, compile, single};
use crate::parse_words;

type Files = BTreeMap<String, Vec<u8>>;

fn files(files: &[(&str, &str)]) -> Files {
    files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
}

fn read(text: &str) -> Compiled {
    compile(&["web".to_owned()], &files(&[("web.sls", text)]))
        .unwrap_or_else(|err| panic!("{:#?}", err.problems))
}

fn mistakes_in(roots: &Files) -> Vec<String> {
    let problems = compile(&["web".to_owned()], roots).unwrap_err().problems;
    let shown = problems.iter().map(|problem| {
        let accepted =
            problem.accepted.as_deref().map(|accepted| format!(" [{accepted}]")).unwrap_or_default();
        format!("{problem}{accepted}")
    });
    shown.collect()
}

fn mistakes(text: &str) -> Vec<String> {
    mistakes_in(&files(&[("web.sls", text)]))
}

fn keys(compiled: &Compiled) -> Vec<&str> {
    compiled.graph.steps().iter().map(|step| step.id.as_str()).collect()
}

fn state<'c>(compiled: &'c Compiled, key: &str) -> &'c State {
    &compiled.graph.get(key).unwrap_or_else(|| panic!("{key} is none of {:?}", keys(compiled))).state
}

fn needs(compiled: &Compiled, key: &str) -> Vec<(RequisiteKind, String)> {
    let step = compiled.graph.get(key).unwrap();
    step.requisites.iter().map(|requisite| (requisite.kind, requisite.on.to_string())).collect()
}

#[test]
fn all_ways_to_write_a_state_mean_the_same() {
    let ways = [
        "/etc/motd:\n  file.managed:\n    - contents: hello\n    - mode: 0600\n",
        "/etc/motd: {file.managed: [{contents: hello}, {mode: '600'}]}\n",
        "/etc/motd:\n  file.managed: {contents: hello, mode: 0o600}\n",
        "/etc/motd:\n  file:\n    - managed\n    - contents: hello\n    - mode: 600\n",
    ];
    for way in ways {
        let compiled = read(way);
        let expected = State::File(File::text("/etc/motd", "hello\n").mode(0o600));
        assert_eq!(state(&compiled, "file_|-/etc/motd_|-/etc/motd_|-managed"), &expected, "{way}");
    }
}

#[test]
fn without_a_mode_none_is_wished_for() {
    let compiled = read("/x: {file.managed: [{contents: hello}]}\n/d: {file.directory: []}\n");
    for step in compiled.graph.steps() {
        match &step.state {
            State::File(file) => assert_eq!(file.mode, None),
            State::Directory(directory) => assert_eq!(directory.mode, None),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_id_may_hold_several_functions_and_names() {
    let compiled = read(
        "nginx:\n  pkg.installed: []\n  service.running:\n    - enable: True\n    - require: [{pkg: nginx}]\n\
         dirs:\n  file.directory:\n    - names: [/a, {/b: [{mode: 0700}]}]\n    - mode: 0750\n\
         motd:\n  file.absent:\n    - name: /etc/motd\nvim: pkg.installed\n",
    );
    assert_eq!(
        keys(&compiled),
        [
            "pkg_|-nginx_|-nginx_|-installed",
            "service_|-nginx_|-nginx_|-running",
            "file_|-dirs_|-/a_|-directory",
            "file_|-dirs_|-/b_|-directory",
            "file_|-motd_|-/etc/motd_|-absent",
            "pkg_|-vim_|-vim_|-installed",
        ]
    );
    let modes =
        ["/a", "/b"].map(|name| match state(&compiled, &format!("file_|-dirs_|-{name}_|-directory")) {
            State::Directory(directory) => directory.mode,
            other => panic!("{other:?}"),
        });
    assert_eq!(modes, [Some(0o750), Some(0o700)]);
}

#[test]
fn requisites_are_found_by_id_by_name_and_by_file() {
    let roots = files(&[
        (
            "web.sls",
            "include: [users]\nconf:\n  file.managed:\n    - name: /etc/x\n    - contents: a\n    - require: [sls: users]\n\
             x:\n  service.running:\n    - watch: [{file: /etc/x}]\n    - require_in: [{cmd: done}]\n\
             done:\n  cmd.run:\n    - onchanges: [conf]\n    - require_in: [{service: x}]\n    - onfail: [{file: conf}]\n",
        ),
        ("users/init.sls", "alice: {user.present: [{uid: 1000}]}\n"),
    ]);
    let err = compile(&["web".to_owned()], &roots).unwrap_err();
    assert_eq!(
        err.problems[0].to_string(),
        "web.sls:8:3: these states wait for one another: service: x -> cmd: done -> service: x (MK1811)"
    );
    let text = String::from_utf8(roots["web.sls"].clone())
        .unwrap()
        .replace("    - require_in: [{service: x}]\n", "");
    let roots = files(&[("web.sls", &text), ("users/init.sls", "alice: {user.present: [{uid: 1000}]}\n")]);
    let compiled = compile(&["web".to_owned()], &roots).unwrap();
    let (conf, done) = ("file_|-conf_|-/etc/x_|-managed", "cmd_|-done_|-done_|-run");
    assert_eq!(keys(&compiled)[0], "user_|-alice_|-alice_|-present", "what is included comes first");
    assert_eq!(
        needs(&compiled, conf),
        [(RequisiteKind::Require, "user_|-alice_|-alice_|-present".to_owned())]
    );
    assert_eq!(needs(&compiled, "service_|-x_|-x_|-running"), [(RequisiteKind::Watch, conf.to_owned())]);
    let mut done = needs(&compiled, done);
    done.sort_by_key(|(kind, _)| format!("{kind:?}"));
    assert_eq!(
        done,
        [
            (RequisiteKind::OnChanges, conf.to_owned()),
            (RequisiteKind::OnFail, conf.to_owned()),
            (RequisiteKind::Require, "service_|-x_|-x_|-running".to_owned()),
        ]
    );
}

#[test]
fn prereq_and_its_inverse_mean_the_same() {
    for text in [
        "stop: {cmd.run: [{prereq: [{file: /x}]}]}\n/x: {file.absent: []}\n",
        "stop: {cmd.run: []}\n/x: {file.absent: [{prereq_in: [cmd: stop]}]}\n",
    ] {
        let on = "file_|-/x_|-/x_|-absent".to_owned();
        assert_eq!(needs(&read(text), "cmd_|-stop_|-stop_|-run"), [(RequisiteKind::Prereq, on)], "{text}");
    }
}

#[test]
fn includes_are_followed_once_and_cycles_are_named() {
    let roots = files(&[
        ("web.sls", "include: [.db.users, common]\n"),
        ("db/users.sls", "include: [common, .roles]\na: {group.present: []}\n"),
        ("db/roles.sls", "b: {group.present: []}\n"),
        ("common.sls", "c: {group.present: []}\n"),
    ]);
    let compiled = compile(&["web".to_owned(), "common".to_owned()], &roots).unwrap();
    let groups: Vec<&str> = keys(&compiled).iter().map(|key| key.split("_|-").nth(1).unwrap()).collect();
    assert_eq!(groups, ["c", "b", "a"]);
    let roots = files(&[("web.sls", "include: [a.b]\n"), ("a/b.sls", "include:\n  - web\n")]);
    assert_eq!(
        mistakes_in(&roots),
        ["a/b.sls:2:5: these files include one another: web -> a.b -> web (MK1811)"]
    );
}

#[test]
fn templates_are_refused_with_their_place() {
    assert_eq!(
        mistakes("# {{ a comment }}\nx:\n  file.managed:\n    - name: {{ pillar.x }}\n{% if a %}\n"),
        [
            "web.sls:4:13: templates are not supported (MK1803) [plain YAML]",
            "web.sls:5:1: templates are not supported (MK1803) [plain YAML]"
        ]
    );
    assert_eq!(mistakes("#!py\nx\n"), ["web.sls:1:1: the renderer `py` is not supported (MK1803)"]);
}

#[test]
fn all_mistakes_of_all_files_are_told_at_once() {
    let roots = files(&[
        (
            "web.sls",
            "include: [missing, other]\n\
             a:\n  file.manged: []\n\
             /b:\n  file.managed:\n    - content: x\n    - mode: rw\n\
             c:\n  file.directory: []\n\
             d:\n  pkg.installed:\n    - hold: maybe\n    - require: [{pkg: nothing}, {service: c}]\n\
             e: 5\n",
        ),
        ("other.sls", "a: {b: [\n"),
    ]);
    let mistakes = mistakes_in(&roots);
    let expected = [
        "web.sls:1:11: the file of `missing` does not exist (MK1801) [`missing.sls` or `missing/init.sls` in the file roots]",
        "other.sls:2:1: ",
        "web.sls:3:3: `a`: the function `file.manged` is not known (MK1804) [`file.managed`, `file.directory`, `file.symlink`, `file.absent`, `file.append`, ",
        "web.sls:6:7: `/b: file.managed`: `file.managed` does not take `content` (MK1805) [`contents`, ",
        "web.sls:14:4: the id `e` declares no function (MK1808)",
        "web.sls:5:3: `/b: file.managed: contents`: `contents` is missing (MK1807)",
        "web.sls:7:13: `/b: file.managed: mode`: this value is not accepted (MK1806) [octal",
        "web.sls:9:3: `c: file.directory: name`: the name of this state must be a path (MK1806)",
        "web.sls:12:13: `d: pkg.installed: hold`: this value is not accepted (MK1806) [`True` or `False`]",
        "web.sls:13:17: `d`: no state is called `pkg: nothing` (MK1810)",
        "web.sls:13:33: `d`: no state is called `service: c` (MK1810) [`file: c`]",
    ];
    assert_eq!(mistakes.len(), expected.len(), "{mistakes:#?}");
    for (mistake, expected) in mistakes.iter().zip(expected) {
        assert!(mistake.starts_with(expected), "{mistake}\n{expected}");
    }
}

#[test]
fn ids_are_unique_over_all_files() {
    let roots = files(&[
        ("web.sls", "include: [b]\n\nx: {group.present: []}\n"),
        ("b.sls", "x: {user.present: []}\n"),
    ]);
    assert_eq!(mistakes_in(&roots), ["web.sls:3:5: the id `x` is declared twice, first at b.sls:1 (MK1809)"]);
    assert_eq!(
        mistakes("x:\n  file.absent:\n    - names: [/a, /a]\n"),
        ["web.sls:2:3: `x` is declared twice with the name `/a` (MK1809)"]
    );
}

#[test]
fn an_id_declares_one_function_of_a_module() {
    assert_eq!(
        mistakes("/x:\n  file.absent: []\n  file.directory: []\n"),
        ["web.sls:3:3: the id `/x` declares two functions of `file` (MK1809) [one of them under another id]"]
    );
    let mistake = mistakes("x: {file.directory: [{names: [{/a: [{owner: b}]}]}]}\n").remove(0);
    assert!(mistake.contains("does not take `owner`"), "{mistake}");
}

#[test]
fn paths_do_not_leave_the_file_roots() {
    let roots = files(&[("web.sls", "/x: {file.managed: [{source: 'salt://../../etc/shadow'}]}\n")]);
    assert!(mistakes_in(&roots)[0].contains("leaves the file roots"));
    let names = ["../x".to_owned(), "..".to_owned(), "/etc/x".to_owned(), String::new()];
    assert_eq!(compile(&names, &files(&[])).unwrap_err().problems.len(), 4);
    assert!(mistakes("/a/../b: {file.absent: []}\n")[0].contains("must be a path"));
    assert!(mistakes("/: {file.absent: []}\n")[0].contains("never removed"));
}

#[test]
fn sources_come_from_the_file_roots_or_the_host() {
    let mut roots = files(&[
        (
            "web.sls",
            "/a: {file.managed: [{source: 'salt://web/a.conf'}]}\n\
             /b: {file.managed: [{source: /usr/share/b}]}\n\
             /c: {file.managed: [{source: ['salt://none', 'salt://web/c.bin']}]}\n",
        ),
        ("web/a.conf", "a\n"),
    ]);
    roots.insert("web/c.bin".to_owned(), vec![0xff, 0xfe]);
    let compiled = compile(&["web".to_owned()], &roots).unwrap();
    let contents: Vec<Contents> = compiled
        .graph
        .steps()
        .iter()
        .map(|step| match &step.state {
            State::File(file) => file.contents.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        contents,
        [
            Contents::Text("a\n".to_owned()),
            Contents::CopyOf("/usr/share/b".into()),
            Contents::CopyOf("web/c.bin".into())
        ]
    );
    assert!(mistakes("/a: {file.managed: [{source: 'salt://none'}]}\n")[0].contains("MK1812"));
}

#[test]
fn commands_run_through_a_shell() {
    let compiled = read(
        "echo hi > /x:\n  cmd.run:\n    - creates: /x\n    - unless: [a, b]\n    - cwd: /tmp\n    - env: [{A: 1}, {B: '2'}]\n    - timeout: 5\n",
    );
    let State::Command(command) = &compiled.graph.steps()[0].state else { panic!("no command") };
    assert_eq!(command.argv, ["/bin/sh", "-c", "echo hi > /x"]);
    assert_eq!((&command.creates, &command.unless, &command.only_if), (&None, &None, &None));
    let guards = &compiled.graph.steps()[0].guards;
    let reasons: Vec<&str> = guards.iter().map(|guard| &*guard.because).collect();
    assert_eq!(reasons, ["unless condition is true", "/x exists"]);
    assert_eq!(guards[0].command.unless.as_ref().unwrap()[2], "{ a\n} && { b\n}");
    assert_eq!(guards[1].command.unless.as_ref().unwrap()[2], "test -e '/x'");
    assert_eq!(guards[0].command.environment, command.environment, "asked where it runs");
    assert_eq!(guards[0].command.directory, command.directory);
    assert_eq!(command.environment, BTreeMap::from([("A".into(), "1".into()), ("B".into(), "2".into())]));
    assert_eq!(command.timeout_seconds, 5);
    assert!(!command.only_on_change);
}

#[test]
fn conditions_of_a_command_are_asked_as_the_user_that_runs_it() {
    let compiled = read("id: {cmd.run: [{runas: alice}, {unless: test -e /x}]}\n");
    let step = &compiled.graph.steps()[0];
    let State::Command(command) = &step.state else { panic!("no command") };
    let as_alice =
        |text: &str| ["runuser", "--user", "alice", "--", "/bin/sh", "-c", text].map(str::to_owned);
    assert_eq!(command.argv, as_alice("id"));
    assert_eq!(step.guards[0].command.unless.as_deref(), Some(&as_alice("test -e /x")[..]));
}

#[test]
fn versions_keep_their_zeroes() {
    let compiled = read(
        "kubelet: {pkg.installed: [{version: 1.10}, {hold: True}]}\nb: {pkg.installed: [{pkgs: [x, {y: 2.0}]}]}\n",
    );
    let packages: Vec<_> = compiled
        .graph
        .steps()
        .iter()
        .map(|step| match &step.state {
            State::Packages(packages) => (packages.packages.clone(), packages.hold),
            other => panic!("{other:?}"),
        })
        .collect();
    let version = |text: &str| Some(text.to_owned());
    assert_eq!(
        packages,
        [
            (BTreeMap::from([("kubelet".to_owned(), version("1.10"))]), true),
            (BTreeMap::from([("x".to_owned(), None), ("y".to_owned(), version("2.0"))]), false)
        ]
    );
}

#[test]
fn every_function_makes_its_state() {
    let compiled = read(
        "/mnt: {mount.mounted: [{device: /dev/sdb1}, {fstype: ext4}, {opts: 'ro,nofail'}]}\n\
         net.ipv4.ip_forward: {sysctl.present: [{value: 1}]}\n\
         br_netfilter: {kmod.present: [{persist: True}]}\n\
         alice: {user.present: [{uid: 1000}, {gid: staff}], group.present: [{gid: 1000}]}\n\
         db.local: {host.present: [{ip: 10.0.0.1}]}\n\
         /l: {file.symlink: [{target: /t}]}\n\
         a: {service.enabled: []}\nb: {service.disabled: []}\nc: {service.masked: []}\nd.timer: {service.dead: [{enable: False}]}\n\
         notify: {cmd.wait: []}\n\
         /u: {mount.unmounted: [{persist: True}]}\nbob: {user.absent: [{purge: True}], group.absent: []}\n\
         old.local: {host.absent: []}\nvim: {pkg.purged: []}\nrm: {pkg.removed: [{pkgs: [b, a]}]}\n\
         /e: {file.append: [{text: [x, y]}]}\n/f: {file.prepend: [{text: x}]}\n\
         /g: {file.replace: [{pattern: '^a=.*$'}, {repl: a=1}, {append_if_not_found: True}]}\n\
         /opt/a: {archive.extracted: [{source: /srv/a.tgz}]}\n\
         t: {test.succeed_with_changes: []}\n\
         /d: {loop_device.attached: [{size: 10Gi}]}\n/e/d: {loop_device.detached: []}\n",
    );
    let labels: Vec<String> = compiled.graph.steps().iter().map(|step| step.state.label()).collect();
    assert_eq!(
        labels,
        [
            "Mount /mnt",
            "Sysctl net.ipv4.ip_forward=1",
            "Kernel module br_netfilter",
            "User alice",
            "Group alice",
            "Hosts entry 10.0.0.1 db.local",
            "Symlink /l",
            "Service a.service",
            "Service b.service",
            "Service c.service",
            "Service d.timer",
            "Command /bin/sh -c notify",
            "No mount /u",
            "No user bob",
            "No group bob",
            "No hosts name old.local",
            "No packages vim",
            "No packages a, b",
            "Part of /e",
            "Part of /f",
            "Part of /g",
            "Archive /srv/a.tgz in /opt/a",
            "Trial t",
            "Loop device of /d",
            "No loop device of /e/d",
        ]
    );
}

#[test]
fn one_state_can_be_given_in_words() {
    let words = parse_words(&["file.managed", "/etc/motd", "contents=hello", "mode=0600", "test=True"]);
    let compiled = single(&words, &files(&[])).unwrap();
    let expected = State::File(File::text("/etc/motd", "hello\n").mode(0o600));
    assert_eq!(state(&compiled, "file_|-/etc/motd_|-/etc/motd_|-managed"), &expected);
    let words = parse_words(&["file.managed", "name=/etc/motd", "content=hello"]);
    let problems = single(&words, &files(&[])).unwrap_err().problems;
    assert!(problems[0].to_string().contains("does not take `content`"), "{problems:?}");
    assert!(single(&parse_words::<&str>(&[]), &files(&[])).is_err());
}

#[test]
fn the_high_data_are_shown_as_salt_shows_them() {
    let compiled = read("/etc/motd:\n  file.managed:\n    - contents: hello\n");
    assert_eq!(
        compiled.high,
        serde_json::json!({"/etc/motd": {
            "__sls__": "web",
            "__env__": "base",
            "file": [{"contents": "hello"}, "managed", {"order": 10000}],
        }})
    );
}

#[test]
fn hostile_bytes_are_refused() {
    let mut roots = files(&[]);
    roots.insert("web.sls".to_owned(), vec![0xff, 0x00]);
    assert_eq!(mistakes_in(&roots), ["web.sls: the file is not text (UTF-8) (MK1802)"]);
    assert!(mistakes("- a\n- b\n")[0].contains("not a map of ids"));
    assert!(
        mistakes("x: {file.managed: {contents: {a: 1}}}\n").iter().any(|mistake| mistake.contains("no text"))
    );
}

#[test]
fn every_state_may_have_conditions_tries_and_a_place() {
    let compiled = read(
        "last: {file.absent: [{name: /l}, {order: last}]}\n\
         a: {file.absent: [{name: /a}, {onlyif: 'true'}, {retry: {attempts: 5, interval: 2}}]}\n\
         b: {file.absent: [{name: /b}, {retry: True}, {failhard: True}]}\n\
         late: {file.absent: [{name: /d}, {order: -1}]}\n\
         first: {file.absent: [{name: /f}, {order: 1}, {creates: [/x, /y]}]}\n",
    );
    let ids: Vec<&str> = keys(&compiled).iter().map(|key| key.split("_|-").nth(1).unwrap()).collect();
    assert_eq!(ids, ["first", "a", "b", "late", "last"]);
    let [first, a, b, ..] = compiled.graph.steps() else { panic!("{ids:?}") };
    assert_eq!(first.guards[0].because, "All files in creates exist");
    assert_eq!(a.guards[0].command.only_if.as_ref().unwrap(), &["/bin/sh", "-c", "true"]);
    assert_eq!(a.retry, Some(Retry { attempts: 5, interval_seconds: 2 }));
    assert_eq!(b.retry, Some(Retry { attempts: 2, interval_seconds: 30 }));
    assert!(b.stops_run && !a.stops_run);
    for (rule, expected) in [
        ("order: later", "this is no place among the states (MK1806) [a whole number below 10000"),
        ("retry: 5", "this value is not accepted (MK1806) [`True`, or `attempts`"),
        ("retry: {attempts: 0}", "`attempts` is not supported with this value"),
        ("retry: {until: False}", "`until` is not supported with this value"),
        ("unless: {fun: test.true}", "this value is not accepted (MK1806) [a value or a list of values]"),
        ("failhard: maybe", "this value is not accepted (MK1806) [`True` or `False`]"),
        ("reqire: [a]", "`file.absent` does not take `reqire` (MK1805) [`require`"),
    ] {
        let mistakes = mistakes(&format!("/x:\n  file.absent:\n    - {rule}\n"));
        assert!(mistakes.len() == 1 && mistakes[0].contains(expected), "{rule}: {mistakes:?}");
        assert!(mistakes[0].starts_with("web.sls:3:"), "{mistakes:?}");
    }
}

#[test]
fn what_listens_reacts_behind_all_others() {
    for text in [
        "x: {service.running: [{listen: [{file: /a}, {file: /b}]}]}\n/a: {file.absent: []}\n/b: {file.absent: []}\n",
        "x: {service.running: []}\n/a: {file.absent: [{listen_in: [{service: x}]}]}\n/b: {file.absent: [{listen_in: [service: x]}]}\n",
    ] {
        let compiled = read(text);
        let listener = "service_|-listener_x_|-x_|-mod_watch";
        assert_eq!(keys(&compiled).last(), Some(&listener));
        let needs = needs(&compiled, listener);
        assert_eq!(needs.len(), 4, "{needs:?}");
        assert!(compiled.graph.get("service_|-x_|-x_|-running").unwrap().requisites.is_empty());
    }
    let mistakes = mistakes("/a: {file.absent: [{listen: [{file: /b}]}]}\n/b: {file.absent: []}\n");
    assert!(mistakes[0].contains("`file.absent` has nothing to do when it listens"), "{mistakes:?}");
}

#[test]
fn functions_that_are_not_offered_say_why_and_what_to_use() {
    assert_eq!(
        mistakes("vim: {pkg.latest: []}\n"),
        [
            "web.sls:1:7: `vim`: `pkg.latest` is not supported: without a network nobody knows which version is the latest \
          (MK1804) [`pkg.installed` with `version`]"
        ]
    );
    let near = mistakes("x: {srevice.running: []}\n").remove(0);
    assert!(near.contains("`service.running`"), "{near}");
}

#[test]
fn expressions_are_read_before_anything_is_changed() {
    let mistakes = mistakes("/x:\n  file.replace:\n    - pattern: '(a'\n    - repl: b\n");
    assert_eq!(
        mistakes,
        ["web.sls:3:16: `/x: file.replace: pattern`: this is not supported: unclosed group (MK1806) \
          [a regular expression without backreferences and look-around]"]
    );
}

#[test]
fn an_archive_is_unpacked_with_its_digest_and_without_leading_folders() {
    let digest = "AB".repeat(32);
    let plain = Extracted {
        source: "/srv/app.tar.gz".into(),
        target: "/opt/app".into(),
        sha256: None,
        strip_components: 0,
        user: None,
        group: None,
    };
    let full = Extracted {
        source: "web/app.tar".into(),
        sha256: Some(digest.to_lowercase()),
        strip_components: 2,
        user: Some("app".to_owned()),
        group: Some("staff".to_owned()),
        ..plain.clone()
    };
    let more = "{options: --strip-components=2}, {user: app}, {group: staff}, {enforce_toplevel: False}";
    for (arguments, expected) in [
        ("{source: /srv/app.tar.gz}, {archive_format: tar}, {skip_verify: True}".to_owned(), &plain),
        ("{source: ['salt://none.tar', 'file:///srv/app.tar.gz']}".to_owned(), &plain),
        (format!("{{source: 'salt://web/app.tar'}}, {{source_hash: sha256={digest}}}, {more}"), &full),
        (
            format!(
                "{{source: 'salt://web/app.tar'}}, {{source_hash: {digest}}}, {}",
                more.replace("components=", "components ")
            ),
            &full,
        ),
    ] {
        let text = format!("/opt/app: {{archive.extracted: [{arguments}]}}\n");
        let roots = files(&[("web.sls", &text), ("web/app.tar", "")]);
        let compiled =
            compile(&["web".to_owned()], &roots).unwrap_or_else(|err| panic!("{text}{:#?}", err.problems));
        let found = state(&compiled, "archive_|-/opt/app_|-/opt/app_|-extracted");
        assert_eq!(found, &State::Extracted(expected.clone()), "{text}");
    }
}

#[test]
fn what_an_archive_cannot_be_is_told_with_what_it_can() {
    let formats = "a tar archive, plain or compressed by gzip or zstd";
    let sources = "`salt://path`, or an absolute path of this host without `..`";
    for (arguments, message, accepted) in [
        ("{user: app}", "`source` is missing", "`salt://path`, or an absolute path of this host"),
        ("{source: /a.zip}", "archives of this format are not supported", formats),
        ("{source: 'salt://a.tar.XZ'}", "archives of this format are not supported", formats),
        ("{source: 'https://x.org/a.tgz'}", "this source is not supported", sources),
        ("{source: /srv/../a.tar}", "this source is not supported", sources),
        ("{source: 'salt://../a.tar'}", "the path leaves the file roots", "a path without `..`"),
        ("{source: 'salt://a.tar'}", "the source does not exist", "a path below the file roots"),
        ("{source: /a.tar}, {archive_format: zip}", "archives of this format are not supported", "`tar`"),
        ("{source: /a.tar}, {options: xvf}", "only one is supported", "`--strip-components=N`"),
        ("{source: /a.tar}, {options: --strip-components=x}", "only one is", "`--strip-components=N`"),
        ("{source: /a.tar}, {enforce_toplevel: True}", "is not examined", "`False`"),
        ("{source: /a.tar}, {source_hash: md5=00}", "no digest", "`sha256=` and 64 hexadecimal digits"),
        ("{source: /a.tar}, {source_hash: abcd}", "no digest", "`sha256=` and 64 hexadecimal digits"),
        ("{source: /a.tar}, {clean: True}", "does not take `clean`", "`source`, `source_hash`"),
    ] {
        let mistakes = mistakes(&format!("/opt/app:\n  archive.extracted: [{arguments}]\n"));
        assert!(mistakes.len() == 1, "{arguments}: {mistakes:#?}");
        let is_told = mistakes[0].contains(message) && mistakes[0].contains(&format!("[{accepted}"));
        assert!(is_told && mistakes[0].starts_with("web.sls:2:"), "{arguments}: {mistakes:#?}");
    }
}

#[test]
fn the_systems_own_account_stays() {
    for function in ["user.absent", "group.absent"] {
        assert!(mistakes(&format!("root: {{{function}: []}}\n"))[0].contains("`root` is never removed"));
    }
}
