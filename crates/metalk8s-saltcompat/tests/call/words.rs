//! Functions and words that there are, and that there are not.

use metalk8s_engine::fake::FakeHost;
use serde_json::json;

use crate::fake::fake;

#[test]
fn an_unknown_function_gets_its_nearest_neighbours() {
    let fake = fake();
    assert!(fake.refuses(&["state.aply", "web"]).contains("`state.apply`"));
    assert!(fake.refuses(&["grain.get", "os"]).contains("`grains.get`"));
    assert!(fake.refuses(&["pkg.remove", "vim"]).contains("it may be `pkg."));
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
fn words_that_would_be_ignored_are_refused() {
    let fake = fake();
    for line in [
        &["test.ping", "now"][..],
        &["grains.items", "os"],
        &["grains.get"],
        &["grains.get", "os", "a", "b"],
        &["pillar.items", "a"],
        &["pillar.item", "a", "pillar={a: 1}"],
        &["pillar.get", "a", "pillar={a: 1}"],
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
