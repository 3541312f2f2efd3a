//! The router's address by the protocols of port mappings.
//!
//! NAT-PMP has a question for it (RFC 6886 section 3.2). PCP has none: a mapping is asked for, whose answer has the address (RFC 6887
//! section 11), and is given up at once. Both go by UDP to the gateway, and are sent again after 250 ms, 500 ms and so on.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    net::UdpSocket,
    time::{Instant, timeout_at},
};

/// The port of both protocols.
pub const PORT: u16 = 5351;

/// The first pause before a message is sent again.
const PAUSE: Duration = Duration::from_millis(250);

/// The port of the mapping, which nobody listens to: discard.
const DISCARD: u16 = 9;

/// UDP, by its number: <https://www.iana.org/assignments/protocol-numbers>.
const UDP: u8 = 17;

/// Seconds that the mapping lasts if it cannot be given up: the least of RFC 6887 section 15.
const LIFETIME: u32 = 120;

/// Asks by NAT-PMP.
pub async fn nat_pmp(router: SocketAddr, limit: Duration) -> Result<IpAddr, String> {
    let socket = socket(router).await?;
    let answer = exchange(&socket, &[0, 0], limit, |answer| answer.len() >= 4 && answer[1] == 128).await;
    read_nat_pmp(&answer.map_err(|why| format!("NAT-PMP, {router}: {why}"))?)
        .map_err(|why| format!("NAT-PMP, {router}: {why}"))
}

/// Version, operation, result (2), seconds (4), address (4).
fn read_nat_pmp(answer: &[u8]) -> Result<IpAddr, String> {
    // RFC 6886 section 3.5; a router that speaks PCP alone answers with its version.
    let result = u16::from_be_bytes([answer[2], answer[3]]);
    match (answer[0], result) {
        (0, 0) => {}
        (0, 1) => return Err("the router does not speak this version; try PCP".to_owned()),
        (0, 2) => return Err("it is switched off at the router".to_owned()),
        (0, 3) => return Err("the router has no address itself".to_owned()),
        (0, other) => return Err(format!("refused ({other})")),
        (version, _) => return Err(format!("an answer of version {version}; try PCP")),
    }
    let address = answer.get(8..12).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
    address.map(|bytes| Ipv4Addr::from(bytes).into()).ok_or_else(|| "the answer is too short".to_owned())
}

/// Asks by PCP.
pub async fn pcp(router: SocketAddr, limit: Duration) -> Result<IpAddr, String> {
    let told = |why: String| format!("PCP, {router}: {why}");
    let socket = socket(router).await?;
    let own = socket.local_addr().map_err(|error| told(error.to_string()))?.ip();
    let nonce: [u8; 12] = rand::random();
    let same = |answer: &[u8]| {
        answer.len() >= 4 && answer[1] == 0x81 && (answer.len() < 60 || answer[24..36] == nonce)
    };
    let answer = exchange(&socket, &map(own, nonce, LIFETIME), limit, same).await.map_err(told)?;
    let address = read_pcp(&answer).map_err(told)?;
    // Without an answer it ends by itself.
    let _ = socket.send(&map(own, nonce, 0)).await;
    Ok(address)
}

/// A request for a mapping: RFC 6887 sections 7.1 and 11.1.
fn map(own: IpAddr, nonce: [u8; 12], lifetime: u32) -> Vec<u8> {
    let mapped = |address: IpAddr| match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    };
    let mut message = vec![2, 1, 0, 0];
    message.extend(lifetime.to_be_bytes());
    message.extend(mapped(own));
    message.extend(nonce);
    message.extend([UDP, 0, 0, 0]);
    message.extend(DISCARD.to_be_bytes());
    message.extend([0, 0]);
    message.extend(mapped(Ipv4Addr::UNSPECIFIED.into()));
    message
}

fn read_pcp(answer: &[u8]) -> Result<IpAddr, String> {
    // RFC 6887 section 7.4.
    match (answer[0], answer[3]) {
        (2, 0) => {}
        (2, 2) => return Err("the router does not let this machine ask".to_owned()),
        (2, 7) => return Err("the router has no address itself".to_owned()),
        (2, other) => return Err(format!("refused ({other})")),
        (version, _) => return Err(format!("an answer of version {version}; try NAT-PMP")),
    }
    let bytes = answer.get(44..60).and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    let address = Ipv6Addr::from(bytes.ok_or_else(|| "the answer is too short".to_owned())?);
    Ok(address.to_canonical())
}

async fn socket(router: SocketAddr) -> Result<UdpSocket, String> {
    let any: IpAddr =
        if router.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let connected = async {
        let socket = UdpSocket::bind((any, 0)).await?;
        socket.connect(router).await?;
        Ok::<_, std::io::Error>(socket)
    };
    connected.await.map_err(|error| format!("{router}: {error}"))
}

async fn exchange(
    socket: &UdpSocket,
    message: &[u8],
    limit: Duration,
    fits: impl Fn(&[u8]) -> bool,
) -> Result<Vec<u8>, String> {
    let end = Instant::now() + limit;
    let mut pause = PAUSE;
    let mut buffer = [0; 1100];
    while Instant::now() < end {
        socket.send(message).await.map_err(|error| error.to_string())?;
        let again = end.min(Instant::now() + pause);
        while let Ok(received) = timeout_at(again, socket.recv(&mut buffer)).await {
            let length = received.map_err(|error| error.to_string())?;
            if fits(&buffer[..length]) {
                return Ok(buffer[..length].to_vec());
            }
        }
        pause *= 2;
    }
    Err(format!("no answer within {} s", limit.as_secs_f32()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_nat_pmp_are_read() {
        assert_eq!(read_nat_pmp(&[0, 128, 0, 0, 0, 0, 0, 9, 8, 8, 4, 4]), Ok("8.8.4.4".parse().unwrap()));
        for (answer, why) in [
            (vec![0, 128, 0, 2, 0, 0, 0, 9, 0, 0, 0, 0], "switched off"),
            (vec![0, 128, 0, 3, 0, 0, 0, 9, 0, 0, 0, 0], "no address itself"),
            (vec![0, 128, 0, 1, 0, 0, 0, 9], "try PCP"),
            (vec![2, 128, 0, 1], "version 2"),
            (vec![0, 128, 0, 0, 0, 0, 0, 9, 8, 8], "too short"),
            (vec![0, 128, 0, 99], "99"),
        ] {
            assert!(read_nat_pmp(&answer).unwrap_err().contains(why), "{answer:?}");
        }
    }

    #[test]
    fn a_mapping_of_pcp_is_asked_for_and_its_answer_read() {
        let message = map("192.168.1.5".parse().unwrap(), [7; 12], 120);
        assert_eq!(message.len(), 60);
        assert_eq!(message[..8], [2, 1, 0, 0, 0, 0, 0, 120]);
        assert_eq!(message[18..24], [0xff, 0xff, 192, 168, 1, 5]);
        let mut answer = message.clone();
        answer[1] = 0x81;
        answer[44..60].copy_from_slice(&"::ffff:8.8.4.4".parse::<Ipv6Addr>().unwrap().octets());
        assert_eq!(read_pcp(&answer), Ok("8.8.4.4".parse().unwrap()));
        answer[3] = 2;
        assert!(read_pcp(&answer).unwrap_err().contains("does not let"));
        assert!(read_pcp(&[0, 128, 0, 1]).unwrap_err().contains("try NAT-PMP"));
        assert!(read_pcp(&[2, 0x81, 0, 0, 1]).unwrap_err().contains("too short"));
    }
}
