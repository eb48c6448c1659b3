use std::fs;

use metalk8s_engine::{Hands, State};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::*;
use crate::testing::{Lab, chain};

const REFERENCE: &str = "metalk8s-registry-from-config.invalid/metalk8s-0.1.0/etcd:3.6.16";

/// containerd with one image at most: it takes what an archive's index says.
const CTR: &str = r#"
    shift 3; store="$ROOT/fake/image"
    case "$1" in
    list) echo "REF TYPE DIGEST SIZE PLATFORMS LABELS"; test ! -e "$store" || cat "$store" ;;
    import) mkdir -p "$ROOT/fake/in"; tar -x -C "$ROOT/fake/in" || exit 1
            digest=$(sed 's/.*"digest":"\([^"]*\)".*/\1/' "$ROOT/fake/in/index.json")
            name=$(sed 's/.*"io.containerd.image.name":"\([^"]*\)".*/\1/' "$ROOT/fake/in/index.json")
            echo "$name application/x $digest 1.2 MiB linux/amd64 io.cri-containerd.image=managed" > "$store" ;;
    label) case "$3" in *=) sed -i 's/,io.*pinned=pinned//' "$store" ;; *) sed -i "s|$|,$3|" "$store" ;; esac ;;
    esac"#;

fn blob(lab: &Lab, bytes: &str) -> String {
    let hex = hex::encode(Sha256::digest(bytes));
    lab.file(&format!("/images/blobs/sha256/{hex}"), bytes);
    format!("sha256:{hex}")
}

/// A layout with two images that share a layer; returns the digests of their manifests.
fn layout(lab: &Lab) -> [String; 2] {
    let layer = blob(lab, "a layer");
    ["one", "two"].map(|name| {
        let config = blob(lab, name);
        let manifest = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"digest": config}, "layers": [{"digest": layer}, {"digest": layer}],
        });
        blob(lab, &manifest.to_string())
    })
}

fn wish(digest: &str) -> Image {
    Image {
        reference: REFERENCE.to_owned(),
        digest: digest.to_owned(),
        source: ImageSource::Layout("/images".into()),
        pinned: true,
    }
}

#[tokio::test]
async fn an_image_is_imported_alone_and_pinned() {
    let lab = Lab::new();
    let [one, two] = layout(&lab);
    assert!(lab.check(&State::Image(wish(&one))).await.unwrap().is_some(), "no runtime yet");
    lab.program("ctr", CTR);
    lab.settles(&State::Image(wish(&one))).await;
    let names = lab.names("/fake/in/blobs/sha256");
    assert_eq!(names.len(), 3, "manifest, configuration and layer: {names:?}");
    lab.settles(&State::Image(wish(&two))).await;
    lab.settles(&State::Image(Image { pinned: false, ..wish(&two) })).await;
}

#[tokio::test]
async fn a_registry_that_gives_another_image_is_found_out() {
    let lab = Lab::new();
    let [one, two] = layout(&lab);
    lab.program("ctr", CTR);
    lab.program("crictl", &format!("echo '{REFERENCE} application/x {one} 1 B - -' > \"$ROOT/fake/image\""));
    lab.file("/fake/x", "");
    let state = |digest: &str| State::Image(Image { source: ImageSource::Registry, ..wish(digest) });
    lab.settles(&state(&one)).await;
    let change = lab.check(&state(&two)).await.unwrap().unwrap();
    let err = lab.host.apply(&state(&two), &change).await.unwrap_err();
    assert!(err.to_string().contains("was asked for"), "{err}");
}

#[tokio::test]
async fn a_missing_layer_is_named_and_nothing_hangs() {
    let lab = Lab::new();
    let [one, _] = layout(&lab);
    lab.program("ctr", CTR);
    let layer = hex::encode(Sha256::digest("a layer"));
    fs::remove_file(lab.path(&format!("/images/blobs/sha256/{layer}"))).unwrap();
    let err = apply(&lab.host, &wish(&one)).await.unwrap_err();
    assert!(chain(&err).contains(&layer), "{}", chain(&err));
}

#[tokio::test]
async fn a_damaged_layer_that_containerd_refuses_is_named() {
    let lab = Lab::new();
    let [one, _] = layout(&lab);
    lab.program("ctr", "case \"$*\" in *import*) cat > /dev/null; echo 'not found' >&2; exit 1;; esac");
    let path = format!("/images/blobs/sha256/{}", hex::encode(Sha256::digest("a layer")));
    lab.file(&path, "a lAyer");
    let err = apply(&lab.host, &wish(&one)).await.unwrap_err();
    assert!(
        chain(&err).ends_with(&format!("the file `{}` is damaged", lab.path(&path).display())),
        "{}",
        chain(&err)
    );
}

#[tokio::test]
async fn a_runtime_that_ends_before_the_stream_does_not_hang_it() {
    let lab = Lab::new();
    let layer = blob(&lab, &"x".repeat(4 << 20));
    let config = blob(&lab, "{}");
    let manifest = json!({"config": {"digest": config}, "layers": [{"digest": layer}]});
    let digest = blob(&lab, &manifest.to_string());
    lab.program("ctr", "case \"$*\" in *import*) echo 'no space left' >&2; exit 1;; esac");
    let err = apply(&lab.host, &wish(&digest)).await.unwrap_err();
    assert!(chain(&err).contains("no space left"), "{}", chain(&err));
}

#[test]
fn lines_of_ctr_are_read() {
    // Captured from containerd 2.
    let line = "a.invalid/b:1 application/vnd.oci.image.manifest.v1+json sha256:aa 318.4 KiB linux/amd64 \
                io.cri-containerd.image=managed,io.cri-containerd.pinned=pinned ";
    assert_eq!(parse(line, "a.invalid/b:1"), Some(Found { digest: "sha256:aa".to_owned(), pinned: true }));
    assert_eq!(parse(line, "a.invalid/b"), None);
    assert_eq!(parse("REF TYPE DIGEST SIZE PLATFORMS LABELS", "REF"), None);
    let bare = "a:1 application/x sha256:bb - - -";
    assert_eq!(parse(bare, "a:1"), Some(Found { digest: "sha256:bb".to_owned(), pinned: false }));
}
