use proptest::prelude::*;

use super::*;

const GOOD: &str = "\
apiVersion: metalk8s.scality.com/v1alpha2
kind: BootstrapConfiguration
networks:
  controlPlane: 10.200.1.0/28
  workloadPlane: 10.200.1.0/28
ca:
  minion: bootstrap
archives:
  - /archives/metalk8s.iso
";

fn good(text: &str) -> BootstrapConfiguration {
    BootstrapConfiguration::parse(text.as_bytes()).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"))
}

/// The mistakes of a text, one line each.
fn mistakes(text: &str) -> Vec<String> {
    let mistakes = BootstrapConfiguration::parse(text.as_bytes()).expect_err("the text is wrong");
    mistakes.iter().map(ToString::to_string).collect()
}

/// The only mistake of the good text with one piece replaced.
#[track_caller]
fn mistake(old: &str, new: &str) -> String {
    assert!(GOOD.contains(old), "{old}");
    let mut found = mistakes(&GOOD.replacen(old, new, 1));
    assert_eq!(found.len(), 1, "{found:#?}");
    found.remove(0)
}

fn nets(texts: &[&str]) -> Vec<ipnet::IpNet> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn the_shortest_file_is_read_and_defaults_are_filled_in() {
    let configuration = good(GOOD);
    assert_eq!(configuration.version, Version::V1Alpha2);
    let networks = Networks::from(&configuration);
    assert_eq!(networks.control_plane, nets(&["10.200.1.0/28"]));
    assert_eq!(networks.pods.to_string(), "10.233.0.0/16");
    assert_eq!(networks.services.to_string(), "10.96.0.0/12");
    assert_eq!(networks.workload_plane_mtu, None);
    assert_eq!(Proxies::from(&configuration), Proxies::default());
    assert_eq!(configuration.ca_minion, "bootstrap");
    assert_eq!(configuration.archives, [PathBuf::from("/archives/metalk8s.iso")]);
}

#[test]
fn everything_that_can_be_said_is_read() {
    let configuration = good(
        "# all keys\n\
         apiVersion: metalk8s.scality.com/v1alpha3\n\
         kind: BootstrapConfiguration\n\
         networks:\n\
         \x20 controlPlane:\n\
         \x20   cidr: [10.1.0.0/24, 10.2.0.0/24]\n\
         \x20   ingress: {ip: 10.1.0.9}\n\
         \x20   metalLB: {enabled: false}\n\
         \x20 workloadPlane: {cidr: 10.3.0.0/24, mtu: 1460}\n\
         \x20 pods: 10.100.0.0/16\n\
         \x20 services: 10.200.0.0/16\n\
         proxies:\n\
         \x20 http: http://user:geheim@proxy.example.org:3128\n\
         \x20 https: https://10.0.0.1:3129/\n\
         \x20 no_proxy: [localhost, 127.0.0.1, 10.10.0.0/16, .example.org, '*.lan']\n\
         certificates: {lifetime: 90d}\n\
         ca: {minion: node-1.example.org}\n\
         archives: /archives//a.iso\n\
         kubernetes: {apiServer: {certSANs: [api.example.org, 10.1.0.100], featureGates: {TTLAfterFinished: true, Other1: false}}}\n",
    );
    assert_eq!(configuration.version, Version::V1Alpha3);
    assert_eq!(configuration.networks.control_plane, nets(&["10.1.0.0/24", "10.2.0.0/24"]));
    assert_eq!(configuration.networks.workload_plane_mtu, Some(1460));
    assert_eq!(configuration.ingress_ip, Some([10, 1, 0, 9].into()));
    assert_eq!(configuration.certificates.lifetime_seconds, 90 * 86_400);
    assert_eq!(configuration.proxies.https.as_deref(), Some("https://10.0.0.1:3129/"));
    assert_eq!(configuration.proxies.no_proxy.len(), 5);
    assert_eq!(configuration.archives, [PathBuf::from("/archives/a.iso")]);
    assert_eq!(configuration.api_server_names, ["api.example.org", "10.1.0.100"]);
    assert!(configuration.feature_gates["TTLAfterFinished"]);
    assert_eq!(configuration.feature_gates.len(), 2);
}

#[test]
fn what_no_server_is_called_by_is_told() {
    for name in ["10.1.0.300", "10.1.0.0/24", "'*.example.org'", "API.example.org", "a_b", "0.0.0.0", "''"] {
        let end = format!(
            "archives:\n  - /archives/metalk8s.iso\nkubernetes: {{apiServer: {{certSANs: [api, {name}]}}}}\n"
        );
        let told = mistake("archives:\n  - /archives/metalk8s.iso\n", &end);
        assert!(told.contains("certSANs[1]"), "{name}: {told}");
    }
}

#[test]
fn planes_are_read_in_each_form_in_both_versions() {
    for version in ["v1alpha2", "v1alpha3"] {
        for plane in
            ["10.200.1.0/28", "[10.200.1.0/28]", "{cidr: 10.200.1.0/28}", "{cidr: ['10.200.1.0/28']}"]
        {
            let text = GOOD.replace("v1alpha2", version).replacen("10.200.1.0/28", plane, 1);
            assert_eq!(good(&text).networks.control_plane, nets(&["10.200.1.0/28"]), "{plane}");
        }
    }
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let found = mistakes(
        "apiVersion: v1\n\
         kind: Configuration\n\
         networks:\n\
         \x20 controlPlane: 10.200.1.0\n\
         \x20 workloadplane: 10.200.1.0/28\n\
         \x20 pods: 10.96.0.0/16\n\
         archives: [a.iso, /b.iso, /b.iso]\n",
    );
    let expected = [
        "MK1103 line 1, column 1: `ca`: this key is missing; accepted: a mapping with `minion`",
        "MK1107 line 1, column 13: `apiVersion`: this file is of another kind or version; found `v1`; \
         accepted: `metalk8s.scality.com/v1alpha2`, `metalk8s.scality.com/v1alpha3`",
        "MK1107 line 2, column 7: `kind`: this file is of another kind or version; found `Configuration`; \
         accepted: `BootstrapConfiguration`",
        "MK1103 line 4, column 3: `networks.workloadPlane`: this key is missing; accepted: a range such as \
         `10.200.1.0/28`, or a list of ranges",
        "MK1105 line 4, column 17: `networks.controlPlane`: this is an address without the length of its \
         prefix; found `10.200.1.0`; accepted: an IPv4 range such as `10.200.1.0/28`",
        "MK1104 line 5, column 3: `networks.workloadplane`: this key is not known; did you mean \
         `workloadPlane`?; accepted: `controlPlane`, `workloadPlane`, `pods`, `services`",
        "MK1106 line 6, column 9: `networks.pods`: this range overlaps `networks.services` (10.96.0.0/12, \
         which is the default); found `10.96.0.0/16`; accepted: a range that is used nowhere else in the \
         infrastructure",
        "MK1108 line 7, column 12: `archives[0]`: this path is not absolute; found `a.iso`; accepted: an \
         absolute path such as `/archives/metalk8s.iso`",
        "MK1105 line 7, column 27: `archives[2]`: this archive stands already in line 7; found `/b.iso`; \
         accepted: each archive once",
    ];
    assert_eq!(found, expected);
}

#[test]
fn an_empty_file_is_called_empty() {
    for text in ["", "\n\n", "# only a comment\n", "---\n", "---\n...\n", "null\n", "\u{feff}"] {
        assert_eq!(mistakes(text), ["MK1102 line 1, column 1: the file is empty"], "{text:?}");
    }
}

#[test]
fn what_is_no_text_is_not_read() {
    let found = BootstrapConfiguration::parse(b"kind: a\nk\xc3\xa4\xff\xfe\n").unwrap_err();
    assert_eq!(
        found[0].to_string(),
        "MK1102 line 2, column 3: the file is not a text; found the byte 0xff; accepted: text in UTF-8"
    );
    let found = BootstrapConfiguration::parse(b"kind: a\0\n").unwrap_err();
    assert!(found[0].to_string().contains("a zero byte"));
}

#[test]
fn a_file_that_is_too_large_is_not_parsed() {
    let found = BootstrapConfiguration::parse(&vec![b'['; MAX_BYTES + 1]).unwrap_err();
    assert_eq!(found[0].code, MistakeCode::TooLarge);
    assert_eq!(found[0].found.as_deref(), Some("1048577 bytes"));
}

#[test]
fn what_is_no_yaml_is_told_with_its_place() {
    let found = mistakes("apiVersion: a\nkind: [b\nca: c\n");
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("MK1102 line 3, column "), "{found:?}");
    let tab = mistakes("a:\n\tb: c\n");
    assert!(tab[0].starts_with("MK1102 line 2, column "), "{tab:?}");
}

#[test]
fn yaml_that_means_more_than_it_says_is_refused() {
    let bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n";
    assert_eq!(
        mistakes(bomb),
        ["MK1102 line 2, column 8: aliases (`*name`) are not accepted; write the value out"]
    );
    assert!(mistakes(&format!("{GOOD}---\n{GOOD}"))[0].contains("several YAML documents"));
    assert!(mistakes("a: !include /etc/shadow\n")[0].contains("the tag `!include` is not accepted"));
    assert!(mistakes(&"[".repeat(200))[0].contains("nested deeper"));
    assert!(mistakes(&"[".repeat(100_000))[0].starts_with("MK1102 line 1, column "));
    assert!(mistakes("{[a]: b}")[0].contains("a key must be a plain word"));
    assert_eq!(
        mistakes("kind: a\nkind: b\n"),
        ["MK1102 line 2, column 1: the key `kind` stands already in line 1"]
    );
}

#[test]
fn a_file_that_is_no_mapping_says_what_a_mapping_holds() {
    assert!(mistakes("just words\n")[0].contains("this must be a mapping; found `just words`"));
    assert!(
        mistake("10.200.1.0/28\n  workloadPlane: 10.200.1.0/28", "\n  workloadPlane: 10.200.1.0/28")
            .contains("`networks.controlPlane`: this key has no value")
    );
}

#[test]
fn ranges_are_checked_one_by_one() {
    let plane = |range: &str| mistake("controlPlane: 10.200.1.0/28", &format!("controlPlane: {range}"));
    assert!(plane("fd00::/64").contains("IPv6 is not supported"));
    assert!(plane("10.200.1.5/28").contains("accepted: `10.200.1.0/28`"));
    assert!(plane("10.200.1.0/33").contains("this is no range"));
    assert!(plane("<CIDR>").contains("found `<CIDR>`"));
    assert!(plane("10.200.1.1/32").contains("too small"));
    assert!(plane("127.0.0.0/16").contains("loopback"));
    assert!(plane("0.0.0.0/0").contains("this network"));
    assert!(plane("224.0.0.0/16").contains("multicast"));
    assert!(plane("[]").contains("at least one range is needed"));
    assert!(plane("{cidr: []}").contains("`networks.controlPlane.cidr`"));
    assert!(plane("[10.200.1.0/28, {a: b}]").contains("`networks.controlPlane[1]`"));
    assert!(plane("{}").contains("`networks.controlPlane.cidr`: this key is missing"));
}

#[test]
fn ranges_of_the_cluster_have_room() {
    let with = |line: &str| mistake("ca:\n", &format!("  {line}\nca:\n"));
    assert!(with("pods: 10.233.0.0/25").contains("from /8 to /24"));
    assert!(with("services: 10.96.0.0/28").contains("from /12 to /27"));
    assert!(with("services: 10.0.0.0/11").contains("too large"));
    assert!(with("pods: [10.233.0.0/16]").contains("this must be one value"));
}

#[test]
fn ranges_of_the_cluster_overlap_nothing_and_planes_may_be_one() {
    let with = |line: &str| mistakes(&GOOD.replace("ca:\n", &format!("  {line}\nca:\n")));
    let found = with("pods: 10.200.0.0/16");
    assert_eq!(found.len(), 2, "it overlaps both planes: {found:#?}");
    assert!(found[0].contains("overlaps `networks.controlPlane` (10.200.1.0/28)"));
    let text = GOOD.replacen("10.200.1.0/28", "10.233.7.0/24", 1);
    assert!(mistakes(&text)[0].starts_with("MK1106 line 4, column 17: `networks.controlPlane`"));
    good(&GOOD.replacen("10.200.1.0/28", "10.200.0.0/16", 1));
}

#[test]
fn the_authorities_live_on_a_machine_whose_name_a_node_can_have() {
    let minion = |name: &str| mistake("minion: bootstrap", &format!("minion: {name}"));
    assert!(minion("Bootstrap").contains("accepted: `bootstrap`"));
    for name in ["-a", "a-", "a_b", "a..b", "'a b'", "ä", &"a".repeat(64), "<hostname>"] {
        assert!(minion(name).contains("this is no name for a Node"), "{name}");
    }
    good(&GOOD.replace("minion: bootstrap", "minion: 7"));
    assert!(mistake("  minion: bootstrap\n", "  {}\n").contains("`ca.minion`: this key is missing"));
}

#[test]
fn archives_are_absolute_and_clean_paths() {
    let archive = |path: &str| mistake("- /archives/metalk8s.iso", &format!("- {path}"));
    assert!(archive("metalk8s.iso").starts_with("MK1108"));
    assert!(archive("/a/../b.iso").contains("`..`"));
    assert!(archive("/").contains("root of the file system"));
    assert!(archive("{a: b}").contains("this must be one value"));
    assert!(mistake("\n  - /archives/metalk8s.iso", " []").contains("at least one archive"));
    let twice = GOOD.to_owned() + "  - /archives/./metalk8s.iso\n";
    assert!(mistakes(&twice)[0].contains("stands already in line 9"));
}

#[test]
fn proxies_are_addresses_and_their_passwords_are_not_shown() {
    let with = |lines: &str| mistake("ca:\n", &format!("proxies: {lines}\nca:\n"));
    assert!(with("{http: proxy:3128}").contains("begins with `http://`"));
    assert!(with("{http: 'http://proxy:0'}").contains("from 1 to 65535"));
    assert!(with("{http: 'http://'}").contains("names no host"));
    assert!(with("{http: 'http://a/b'}").contains("ends with its port"));
    assert!(with("{https: 'http://a b'}").contains("no white space"));
    assert!(with("{no_proxy: [10.0.0.300]}").contains("`proxies.no_proxy[0]`"));
    assert!(with("{no_proxy: 'a, b'}").contains("no host, address or range"));
    assert!(with("{noproxy: []}").contains("did you mean `no_proxy`?"));
    let shown = with("{http: 'http://user:geheim@proxy:x'}");
    assert!(shown.contains("proxy:x") && !shown.contains("geheim"), "{shown}");
}

#[test]
fn addons_are_left_out_unless_they_are_enabled() {
    let with = |line: &str| BootstrapConfiguration::parse(format!("{GOOD}{line}").as_bytes());
    let read = |line: &str| with(line).unwrap().addons;
    for line in [
        "",
        "addons: {}\n",
        "addons: {metallb: {}, calico: {}}\n",
        "addons: {metallb: {enabled: false}, calico: {bgp: {}}}\n",
    ] {
        assert_eq!(read(line), Addons::default(), "{line}");
    }
    let (metallb, calico_bgp) = (true, true);
    let one = Addons { metallb, ..Addons::default() };
    assert_eq!(read("addons: {metallb: {enabled: true}}\n"), one);
    let both = "addons: {metallb: {enabled: true}, calico: {bgp: {enabled: true}}}\n";
    assert_eq!(read(both), Addons { metallb, calico_bgp });
    for (line, words) in [
        ("addons: {calico: {bgp: {enabled: 1}}}\n", "`addons.calico.bgp.enabled`"),
        ("addons: {calico: {bird: {}}}\n", "`addons.calico.bird`"),
        ("addons: {metallb: {enabled: often}}\n", "`addons.metallb.enabled`"),
        ("addons: {metallb: true}\n", "`addons.metallb`"),
        ("addons: {metalb: {enabled: true}}\n", "did you mean `metallb`?"),
    ] {
        assert!(mistakes(&format!("{GOOD}{line}"))[0].contains(words), "{line}");
    }
}

#[test]
fn what_this_version_cannot_do_is_refused_instead_of_ignored() {
    let plane = "controlPlane: {cidr: 10.200.1.0/28, metalLB: {enabled: true}}";
    assert!(mistake("controlPlane: 10.200.1.0/28", plane).contains("MetalLB gives no address to the GUIs"));
    assert!(mistake("ca:\n", "debug: true\nca:\n").starts_with("MK1104 line 6, column 1: `debug`"));
}

#[test]
fn foreign_text_in_a_message_is_short_and_printable() {
    let long = "x".repeat(10_000);
    let found = mistake("controlPlane: 10.200.1.0/28", &format!("controlPlane: \"\\e[31m{long}\""));
    assert!(found.chars().count() < 300 && !found.contains('\u{1b}'), "{found}");
    let found = mistake("ca:\n", &format!("\"\\e{long}\": 1\nca:\n"));
    assert!(found.chars().count() < 400 && !found.contains('\u{1b}'), "{found}");
}

proptest! {
    #[test]
    fn whatever_is_read_nothing_panics_and_every_mistake_has_a_place(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Err(mistakes) = BootstrapConfiguration::parse(&bytes) {
            prop_assert!(!mistakes.is_empty());
            prop_assert!(mistakes.iter().all(|mistake| mistake.line > 0 && mistake.column > 0));
        }
    }

    #[test]
    fn a_damaged_file_is_read_or_explained(at in 0..GOOD.len(), piece in "[ -~\n\t]{0,4}", cut in 0..6_usize) {
        let mut text = GOOD.to_owned();
        let end = (at + cut).min(text.len());
        text.replace_range(at..end, &piece);
        if let Err(mistakes) = BootstrapConfiguration::parse(text.as_bytes()) {
            prop_assert!(!mistakes.is_empty());
        }
    }
}

#[test]
fn the_example_of_the_archive_is_accepted() {
    let text = include_bytes!("../../../../examples/bootstrap.yaml");
    assert_eq!(BootstrapConfiguration::parse(text).unwrap().ca_minion, "bootstrap");
}

#[test]
fn a_lifetime_of_certificates_has_a_unit_and_bounds() {
    let of = |lifetime: &str| {
        let text = GOOD.replacen("ca:\n", &format!("certificates: {{lifetime: {lifetime}}}\nca:\n"), 1);
        BootstrapConfiguration::parse(text.as_bytes()).map(|read| read.certificates.lifetime_seconds)
    };
    for (text, seconds) in [("5m", 300), ("12h", 43_200), ("1825d", 157_680_000)] {
        assert_eq!(of(text), Ok(seconds), "{text}");
    }
    for text in ["4m", "1826d", "365", "-5m", "1.5h", "m", "5 m", "99999999999999999999d"] {
        let mistakes = of(text).unwrap_err();
        assert!(mistakes.len() == 1 && mistakes[0].to_string().contains("`5m` to `1825d`"), "{mistakes:?}");
    }
    assert_eq!(good(GOOD).certificates.lifetime_seconds, 365 * 86_400);
}
