//! What every request costs before a byte of its answer is looked for.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use metalk8s_gateway::Limits;
use metalk8s_gateway::http::{decode_path, parse_head, parse_range};
use metalk8s_gateway::repositories::read_index;

const PULL: &str = "GET /v2/metalk8s-0.1.0/etcd/blobs/sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\
                    ?ns=metalk8s-registry-from-config.invalid HTTP/1.1\r\nHost: 10.200.1.1:8080\r\n\
                    User-Agent: containerd/2.4.2\r\nAccept: application/vnd.oci.image.layer.v1.tar+zstd, */*\r\n\
                    Range: bytes=1048576-\r\nAccept-Encoding: zstd;q=1.0, gzip;q=0.8\r\n\r\n";

fn requests(criterion: &mut Criterion) {
    let limits = Limits::default();
    let mut group = criterion.benchmark_group("request");
    group.throughput(Throughput::Elements(1));
    group.bench_function("head", |bencher| bencher.iter(|| parse_head(black_box(PULL.as_bytes()), &limits)));
    group.bench_function("path", |bencher| {
        bencher.iter(|| {
            decode_path(black_box("/metalk8s-0.1.0/debian/bookworm/pool/kubelet_1.35.4%2Ba_amd64.deb"))
        });
    });
    group.bench_function("range", |bencher| {
        bencher.iter(|| parse_range(black_box("bytes=1048576-"), 1 << 30))
    });
    group.finish();
}

fn index(criterion: &mut Criterion) {
    let entry = |number: usize| {
        format!(
            r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:{number:064x}","size":700,"annotations":{{"org.opencontainers.image.ref.name":"image-{number}:1.2.3"}}}}"#
        )
    };
    let entries: Vec<String> = (0..50).map(entry).collect();
    let index = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entries.join(","));
    criterion.bench_function("index of 50 images", |bencher| {
        bencher.iter(|| read_index(black_box(index.as_bytes())));
    });
}

criterion_group!(benches, requests, index);
criterion_main!(benches);
