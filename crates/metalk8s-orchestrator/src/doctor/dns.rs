//! One question to a DNS server over UDP (RFC 1035): the IPv4 addresses of a name.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::{net::UdpSocket, time::timeout};

/// How long the server has, each of several times: packets get lost.
const PATIENCE: Duration = Duration::from_secs(2);
const TRIES: u16 = 3;
/// The largest answer over UDP without extensions, in bytes.
const LIMIT: usize = 512;
/// Type and class of an IPv4 address.
const ADDRESS: [u8; 4] = [0, 1, 0, 1];

/// The addresses that `server` knows for `name`; none where it knows the name not.
pub(super) async fn addresses_of(server: IpAddr, name: &str) -> Result<Vec<IpAddr>, String> {
    let mut why = String::new();
    for id in 1..=TRIES {
        match timeout(PATIENCE, ask(server, name, id)).await {
            Ok(Ok(bytes)) => match read(&bytes, id) {
                Some(addresses) => return Ok(addresses),
                None => why = format!("{server} answered something that is no answer"),
            },
            Ok(Err(error)) => why = format!("{server} cannot be asked: {error}"),
            Err(_) => why = format!("{server} did not answer within {} s", PATIENCE.as_secs()),
        }
    }
    Err(why)
}

async fn ask(server: IpAddr, name: &str, id: u16) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect(SocketAddr::new(server, 53)).await?;
    socket.send(&question(name, id)).await?;
    let mut bytes = vec![0; LIMIT];
    let length = socket.recv(&mut bytes).await?;
    bytes.truncate(length);
    Ok(bytes)
}

/// One question, recursion desired.
fn question(name: &str, id: u16) -> Vec<u8> {
    let mut bytes = id.to_be_bytes().to_vec();
    bytes.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        let label = &label.as_bytes()[..label.len().min(63)];
        bytes.push(u8::try_from(label.len()).unwrap_or(63));
        bytes.extend(label);
    }
    bytes.push(0);
    bytes.extend(ADDRESS);
    bytes
}

/// The addresses of an answer to the question `id`; `None` where it is none, or the server failed.
fn read(bytes: &[u8], id: u16) -> Option<Vec<IpAddr>> {
    const NO_SUCH_NAME: u8 = 3;
    let header = bytes.get(..12)?;
    let is_answer = header[2] & 0x80 != 0;
    if header[..2] != id.to_be_bytes() || !is_answer {
        return None;
    }
    match header[3] & 0x0f {
        0 => {}
        NO_SUCH_NAME => return Some(Vec::new()),
        _ => return None,
    }
    let number = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let mut rest = bytes.get(12..)?;
    for _ in 0..number(4) {
        rest = after_name(rest)?.get(4..)?;
    }
    let mut addresses = Vec::new();
    for _ in 0..number(6) {
        rest = after_name(rest)?;
        let (head, data) = rest.split_at_checked(10)?;
        let length = usize::from(u16::from_be_bytes([head[8], head[9]]));
        let (data, after) = data.split_at_checked(length)?;
        if head[..4] == ADDRESS {
            addresses.push(IpAddr::from(<[u8; 4]>::try_from(data).ok()?));
        }
        rest = after;
    }
    Some(addresses)
}

/// What comes after a name: labels up to an empty one, or up to a pointer.
fn after_name(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        match *bytes.first()? {
            0 => return bytes.get(1..),
            pointer if pointer >= 0xc0 => return bytes.get(2..),
            length => bytes = bytes.get(usize::from(length) + 1..)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The answer of a server to the question 7: an alias, and the address of what it stands for.
    fn answer(code: u8) -> Vec<u8> {
        let mut bytes = question("kubernetes.default", 7);
        (bytes[2], bytes[3], bytes[7]) = (0x81, 0x80 | code, 2);
        bytes.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 30, 0, 3, 1, b'x', 0]);
        bytes.extend([1, b'x', 0, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4, 10, 96, 0, 1]);
        bytes
    }

    #[test]
    fn a_question_is_written_as_the_standard_says() {
        let expected = b"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x02bc\x00\x00\x01\x00\x01";
        assert_eq!(question("a.bc.", 7), expected);
    }

    #[test]
    fn the_addresses_of_an_answer_are_read() {
        assert_eq!(read(&answer(0), 7), Some(vec![[10, 96, 0, 1].into()]));
        assert_eq!(read(&answer(3), 7), Some(Vec::new()));
        assert_eq!(read(&answer(2), 7), None, "the server failed");
        assert_eq!(read(&answer(0), 8), None, "the answer to another question");
        assert_eq!(read(&question("a", 7), 7), None, "no answer at all");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..LIMIT), cut in 0..80_usize) {
            let _ = read(&bytes, 7);
            let whole = answer(0);
            let _ = read(&whole[..cut.min(whole.len())], 7);
        }
    }
}
