//! The bill of materials, SPDX 2.3 in JSON: every package of others that is inside an archive.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::digest::sha256;

/// Where an archive carries it.
pub const SBOM: &str = "sbom/metalk8s.spdx.json";
/// The same for people, in the same folder: name, version and licence, a line each.
pub const LICENCES: &str = "licences.txt";
/// What stands where a licence is not known.
pub const UNKNOWN: &str = "NOASSERTION";

/// One package of others, or one program of ours.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    /// Its name, such as `go.etcd.io/etcd/server/v3` or `libc6`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Package URL without the version, such as `pkg:golang/go.etcd.io/etcd/server/v3`.
    pub purl: String,
    /// SPDX licence expression; [`UNKNOWN`] where it is not known.
    pub license: String,
}

/// What an archive contains: parts (programs, images, packages of ours) and what each is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bill {
    /// Parts, each with what is inside.
    pub parts: BTreeMap<Package, BTreeSet<Package>>,
    /// Texts of the licences that SPDX does not list, by the `LicenseRef-` that expressions call them.
    pub texts: BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    spdx_version: &'a str,
    data_license: &'a str,
    #[serde(rename = "SPDXID")]
    id: &'a str,
    name: String,
    document_namespace: String,
    creation_info: CreationInfo<'a>,
    packages: Vec<SpdxPackage>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    has_extracted_licensing_infos: Vec<ExtractedText<'a>>,
    relationships: Vec<Relationship>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExtractedText<'a> {
    license_id: &'a str,
    extracted_text: &'a str,
}

#[derive(Serialize)]
struct CreationInfo<'a> {
    created: &'a str,
    creators: [&'a str; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SpdxPackage {
    name: String,
    #[serde(rename = "SPDXID")]
    id: String,
    version_info: String,
    download_location: &'static str,
    files_analyzed: bool,
    license_concluded: &'static str,
    license_declared: String,
    copyright_text: &'static str,
    external_refs: [ExternalRef; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExternalRef {
    reference_category: &'static str,
    reference_type: &'static str,
    reference_locator: String,
}

#[derive(Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
struct Relationship {
    spdx_element_id: String,
    relationship_type: &'static str,
    related_spdx_element: String,
}

impl Bill {
    /// The document. `created` is UTC, `2026-11-21T00:00:00Z`; the same bill gives the same bytes.
    pub fn render(&self, product: &str, version: &str, created: &str) -> Vec<u8> {
        let everything = self.packages();
        let mut relationships = BTreeSet::new();
        for (part, inside) in &self.parts {
            relationships.insert(relation("SPDXRef-DOCUMENT", "DESCRIBES", part.id()));
            for package in inside.iter().filter(|package| *package != part) {
                relationships.insert(relation(&part.id(), "CONTAINS", package.id()));
            }
        }
        let packages: Vec<SpdxPackage> = everything.into_iter().map(Package::spdx).collect();
        let names: String =
            packages.iter().map(|package| format!("{} {} ", package.id, package.license_declared)).collect();
        let texts =
            self.texts.iter().map(|(id, text)| ExtractedText { license_id: id, extracted_text: text });
        let document = Document {
            spdx_version: "SPDX-2.3",
            data_license: "CC0-1.0",
            id: "SPDXRef-DOCUMENT",
            name: format!("{product}-{version}"),
            document_namespace: format!(
                "https://metalk8s.scality.com/spdx/{product}-{version}-{}",
                &sha256(names.as_bytes())[..16]
            ),
            creation_info: CreationInfo { created, creators: ["Tool: metalk8s-build"] },
            packages,
            has_extracted_licensing_infos: texts.collect(),
            relationships: relationships.into_iter().collect(),
        };
        let mut bytes = serde_json::to_vec_pretty(&document).expect("a document has only text keys");
        bytes.push(b'\n');
        bytes
    }

    /// All parts and all that is inside, each once.
    pub fn packages(&self) -> BTreeSet<&Package> {
        self.parts.iter().flat_map(|(part, inside)| inside.iter().chain([part])).collect()
    }

    /// [`LICENCES`]: without layers and repositories, which are only collections of the others.
    pub fn licences(&self) -> String {
        let works = self.packages().into_iter().filter(|package| !package.is_collection());
        let lines = works.map(|found| format!("{} {} {}\n", found.name, found.version, found.license));
        lines.collect::<BTreeSet<String>>().into_iter().collect()
    }
}

impl Package {
    /// Whether it is only a collection of others: a layer of images, a repository.
    pub fn is_collection(&self) -> bool {
        self.purl.starts_with("pkg:oci/") || self.purl.starts_with("pkg:generic/")
    }

    fn locator(&self) -> String {
        format!("{}@{}", self.purl, self.version.replace('+', "%2B"))
    }

    fn id(&self) -> String {
        let word: String =
            self.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        format!("SPDXRef-{word}-{}", &sha256(self.locator().as_bytes())[..12])
    }

    fn spdx(&self) -> SpdxPackage {
        SpdxPackage {
            name: self.name.clone(),
            id: self.id(),
            version_info: self.version.clone(),
            download_location: UNKNOWN,
            files_analyzed: false,
            license_concluded: UNKNOWN,
            license_declared: self.license.clone(),
            copyright_text: UNKNOWN,
            external_refs: [ExternalRef {
                reference_category: "PACKAGE-MANAGER",
                reference_type: "purl",
                reference_locator: self.locator(),
            }],
        }
    }
}

fn relation(from: &str, kind: &'static str, to: String) -> Relationship {
    Relationship { spdx_element_id: from.to_owned(), relationship_type: kind, related_spdx_element: to }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str) -> Package {
        Package {
            name: name.into(),
            version: "1.0".into(),
            purl: format!("pkg:golang/{name}"),
            license: "Apache-2.0".into(),
        }
    }

    #[test]
    fn a_package_inside_two_parts_is_listed_once_and_related_twice() {
        let mut bill = Bill::default();
        bill.parts.insert(package("one"), [package("lib")].into());
        bill.parts.insert(package("two"), [package("lib"), package("two")].into());
        let text = bill.render("MetalK8s", "0.1.0", "2026-01-01T00:00:00Z");
        let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(json["packages"].as_array().unwrap().len(), 3);
        assert_eq!(json["relationships"].as_array().unwrap().len(), 4);
        assert_eq!(text, bill.render("MetalK8s", "0.1.0", "2026-01-01T00:00:00Z"));
    }
    #[test]
    fn the_licence_is_declared_and_not_concluded_and_its_text_is_quoted() {
        let own = Package { license: "LicenseRef-own AND MIT".into(), ..package("lib") };
        let mut bill = Bill::default();
        bill.parts.insert(package("one"), [own].into());
        let render = |bill: &Bill| -> serde_json::Value {
            serde_json::from_slice(&bill.render("MetalK8s", "0.1.0", "2026-01-01T00:00:00Z")).unwrap()
        };
        assert_eq!(render(&bill).get("hasExtractedLicensingInfos"), None);
        bill.texts.insert("LicenseRef-own".into(), "Do what you like.".into());
        let json = render(&bill);
        assert_eq!(json["packages"][0]["licenseDeclared"], "LicenseRef-own AND MIT");
        assert_eq!(json["packages"][0]["licenseConcluded"], "NOASSERTION");
        let quoted = serde_json::json!({"licenseId": "LicenseRef-own", "extractedText": "Do what you like."});
        assert_eq!(json["hasExtractedLicensingInfos"], serde_json::json!([quoted]));
    }

    #[test]
    fn the_list_for_people_leaves_out_collections() {
        let layer = Package { purl: "pkg:oci/layer".into(), ..package("layer") };
        let mut bill = Bill::default();
        bill.parts.insert(layer, [package("lib"), package("a")].into());
        bill.parts.insert(package("one"), [package("lib")].into());
        assert_eq!(bill.licences(), "a 1.0 Apache-2.0\nlib 1.0 Apache-2.0\none 1.0 Apache-2.0\n");
    }
}
