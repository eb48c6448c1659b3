//! What the book shows as a configuration is one.

use std::fs;

use metalk8s_types::BootstrapConfiguration;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/installation/configuration.md");

#[track_caller]
fn accepted(text: &str) -> BootstrapConfiguration {
    BootstrapConfiguration::parse(text.as_bytes()).unwrap_or_else(|mistakes| panic!("{mistakes:#?}\n{text}"))
}

#[test]
fn every_configuration_on_the_page_about_it_is_accepted() {
    let page = fs::read_to_string(PAGE).unwrap();
    let blocks: Vec<&str> = page
        .split("```yaml\n")
        .skip(1)
        .map(|rest| rest.split_once("```").expect("a block has an end").0)
        .collect();
    let (whole, parts): (Vec<&str>, Vec<&str>) =
        blocks.iter().partition(|block| block.starts_with("apiVersion:"));
    assert_eq!((whole.len(), parts.len()), (2, 2));
    for text in &whole {
        accepted(text);
    }
    // Parts stand beside the keys that are needed.
    let configuration = accepted(&format!("{}{}", whole[0], parts.concat()));
    assert_eq!(configuration.api_server_names.len(), 2);
    assert_eq!(configuration.proxies.no_proxy.len(), 2);
}
