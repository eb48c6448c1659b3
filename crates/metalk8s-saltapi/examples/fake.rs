//! The API over a fleet in memory, to try clients on: `fake ADDRESS:PORT`. The token of `admin` is `admin-token`.
#![expect(clippy::unwrap_used, reason = "nobody depends on it")]

#[expect(dead_code, reason = "tests use all of it")]
#[path = "../tests/salt_api/fake.rs"]
mod fake;

use std::sync::Arc;

use metalk8s_saltapi::{Api, Limits, Server, TlsFiles};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let files = TlsFiles { certificate: folder.path().join("certificate"), key: folder.path().join("key") };
    let (certificate, key) = fake::certificate();
    std::fs::write(&files.certificate, certificate)?;
    std::fs::write(&files.key, key)?;
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:4507".to_owned());
    let server = Server::bind(address.parse()?, files).await?;
    let fleet = fake::FakeFleet::new(&["node-1", "node-2", "node-3"]);
    server
        .serve(Api::new(fleet, Arc::new(fake::FakePeople), Limits::default()), std::future::pending())
        .await;
    Ok(())
}
