//! `product.txt`: what an archive is, for people and for scripts (constants.md, section 8.9).

use metalk8s_types::PRODUCT;

use crate::manifest::shown;

/// The largest `product.txt` that is read, in bytes.
pub const LIMIT: u64 = 64 * 1024;

/// The seven values of `product.txt`, one `KEY=value` each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// `NAME`, always `MetalK8s` in an archive of ours.
    pub name: String,
    /// `VERSION`, such as `0.1.0` or `0.1.0-dev`.
    pub version: String,
    /// `SHORT_VERSION`, such as `0.1`.
    pub short_version: String,
    /// `GIT`: the commit; empty without git.
    pub git: String,
    /// `DEVELOPMENT_RELEASE`: `1` or `0`.
    pub development: bool,
    /// `BUILD_TIMESTAMP`: UTC, `2026-11-21T00:00:00Z`.
    pub timestamp: String,
    /// `BUILD_HOST`.
    pub host: String,
}

/// Why a text is no `product.txt` of ours.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ProductError {
    /// Something that is no text.
    #[error("`product.txt` is not UTF-8 text")]
    NotText,
    /// A line that is neither empty nor `KEY=value`.
    #[error("line {0} of `product.txt` is not `KEY=value`")]
    Line(usize),
    /// No such key, or an empty value.
    #[error("`product.txt` has no `{0}`")]
    Missing(&'static str),
    /// The archive of something else.
    #[error("`product.txt` names the product `{0}`, not `{PRODUCT}`")]
    OtherProduct(String),
    /// A version that could not be part of a path.
    #[error("`product.txt` has the version `{0}`, which is none")]
    Version(String),
}

impl Product {
    /// Reads the text of a `product.txt`. Unknown keys are for later versions and are ignored.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProductError> {
        let text = std::str::from_utf8(bytes).map_err(|_| ProductError::NotText)?;
        let mut pairs = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            pairs.push(line.split_once('=').ok_or(ProductError::Line(number + 1))?);
        }
        let value = |key| pairs.iter().find(|(found, _)| *found == key).map(|(_, value)| value.to_string());
        let needed = |key| value(key).filter(|value| !value.is_empty()).ok_or(ProductError::Missing(key));
        let product = Self {
            name: needed("NAME")?,
            version: needed("VERSION")?,
            short_version: value("SHORT_VERSION").unwrap_or_default(),
            git: value("GIT").unwrap_or_default(),
            development: value("DEVELOPMENT_RELEASE").as_deref() == Some("1"),
            timestamp: value("BUILD_TIMESTAMP").unwrap_or_default(),
            host: value("BUILD_HOST").unwrap_or_default(),
        };
        if product.name != PRODUCT {
            return Err(ProductError::OtherProduct(shown(&product.name)));
        }
        if !is_version(&product.version) {
            return Err(ProductError::Version(shown(&product.version)));
        }
        Ok(product)
    }

    /// The text of `product.txt`.
    pub fn render(&self) -> String {
        let Self { name, version, short_version, git, development, timestamp, host } = self;
        let development = u8::from(*development);
        format!(
            "NAME={name}\nVERSION={version}\nSHORT_VERSION={short_version}\nGIT={git}\n\
             DEVELOPMENT_RELEASE={development}\nBUILD_TIMESTAMP={timestamp}\nBUILD_HOST={host}\n"
        )
    }
}

/// Whether `text` may be the version of a product: it becomes part of paths, names and addresses.
pub fn is_version(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|first: char| first.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_' | '~'))
        && !text.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Product {
        Product {
            name: "MetalK8s".into(),
            version: "0.1.0-dev".into(),
            short_version: "0.1".into(),
            git: String::new(),
            development: true,
            timestamp: "2026-11-21T00:00:00Z".into(),
            host: "build".into(),
        }
    }

    #[test]
    fn what_is_rendered_is_read_again() {
        assert_eq!(Product::parse(example().render().as_bytes()), Ok(example()));
    }

    #[test]
    fn the_archive_of_another_product_is_refused() {
        let text = example().render().replace("MetalK8s", "Other");
        assert_eq!(Product::parse(text.as_bytes()), Err(ProductError::OtherProduct("Other".into())));
    }

    #[test]
    fn a_version_that_climbs_out_of_its_folder_is_refused() {
        let text = example().render().replace("0.1.0-dev", "../../etc");
        assert_eq!(Product::parse(text.as_bytes()), Err(ProductError::Version("../../etc".into())));
    }

    #[test]
    fn binary_and_empty_files_are_refused() {
        assert_eq!(Product::parse(&[0xff, 0xfe, 0]), Err(ProductError::NotText));
        assert_eq!(Product::parse(b""), Err(ProductError::Missing("NAME")));
        assert_eq!(Product::parse(b"NAME=MetalK8s\nwhat\n"), Err(ProductError::Line(2)));
    }
}
