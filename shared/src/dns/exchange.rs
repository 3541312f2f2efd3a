//! Messages of DNS, sent and awaited: by TCP (RFC 7766), or by UDP with TCP for what does not fit.
//!
//! An answer must have the id and the question of what was asked; one by UDP must also come from the server that was asked, and others
//! are not waited with. Each exchange has a time limit.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use hickory_proto::{
    op::{Edns, Message, Query},
    rr::{DNSClass, Name, RecordType},
};
use rustix::io::Errno;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::{Instant, sleep_until, timeout},
};

/// What is announced as the longest answer by UDP: <https://www.dnsflagday.net/2020/>.
const UDP_ANSWER: u16 = 1232;

/// How often a question is sent by UDP within its time.
const TRIES: u32 = 3;

/// Host and port of a server, as people write them.
pub(super) fn server(text: &str) -> Result<(&str, u16), String> {
    let bad = || {
        format!(
            "{text:?} is no server: allowed are ns1.example.org, ns1.example.org:5353, 192.0.2.1 or [2001:db8::1]:53"
        )
    };
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        rest.split_once(']').ok_or_else(bad)?
    } else if text.matches(':').count() > 1 {
        (text, "")
    } else {
        text.find(':').map_or((text, ""), |at| text.split_at(at))
    };
    let port = match port.strip_prefix(':') {
        Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or_else(bad)?,
        None if port.is_empty() => 53,
        None => return Err(bad()),
    };
    let fits = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:".contains(&b));
    if fits { Ok((host, port)) } else { Err(bad()) }
}

/// Sends a message by TCP, and reads one.
pub(super) async fn tcp(server: SocketAddr, message: &[u8], limit: Duration) -> Result<Vec<u8>, String> {
    let exchange = async {
        let mut stream = TcpStream::connect(server).await?;
        let length = u16::try_from(message.len()).map_err(std::io::Error::other)?;
        stream.write_all(&[&length.to_be_bytes()[..], message].concat()).await?;
        let mut answer = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    match timeout(limit, exchange).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(format!("{server}: {error}")),
        Err(_) => Err(format!("{server}: no answer within {} s", limit.as_secs_f32())),
    }
}

/// A question.
pub(super) struct Question<'a> {
    pub(super) name: &'a Name,
    pub(super) kind: RecordType,
    pub(super) class: DNSClass,
    /// Whether the server is to ask others.
    pub(super) recurse: bool,
}

impl Question<'_> {
    fn message(&self) -> Message {
        let mut message = Message::query();
        message.metadata.recursion_desired = self.recurse;
        let mut query = Query::query(self.name.clone(), self.kind);
        query.set_query_class(self.class);
        message.add_query(query);
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_ANSWER);
        message.set_edns(edns);
        message
    }
}

/// Why there is no answer, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// This machine has no way to the address, so nothing was sent: as to IPv6 without a route.
    NoWay(String),
    /// It was asked, and nothing came that makes sense.
    Silent(String),
}

impl From<Unanswered> for String {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::NoWay(why) | Unanswered::Silent(why) => why,
        }
    }
}

/// Asks a server.
pub(super) async fn ask(
    server: SocketAddr,
    question: &Question<'_>,
    limit: Duration,
) -> Result<Message, Unanswered> {
    let message = question.message();
    let bytes = message
        .to_vec()
        .map_err(|error| Unanswered::Silent(format!("{} cannot be asked for: {error}", question.name)))?;
    let answer = udp(server, &message, &bytes, limit).await?;
    if !answer.metadata.truncation {
        return Ok(answer);
    }
    let answer = tcp(server, &bytes, limit).await.map_err(Unanswered::Silent)?;
    Message::from_vec(&answer)
        .ok()
        .filter(|answer| fits(answer, &message))
        .ok_or_else(|| Unanswered::Silent(format!("{server}: the answer makes no sense")))
}

async fn udp(
    server: SocketAddr,
    message: &Message,
    bytes: &[u8],
    limit: Duration,
) -> Result<Message, Unanswered> {
    let told = |error: std::io::Error| Unanswered::Silent(format!("{server}: {error}"));
    let no_way = |error: std::io::Error| Unanswered::NoWay(format!("{server}: {error}"));
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // Connected: what comes from elsewhere is left out by the system.
    let socket = UdpSocket::bind((any, 0)).await.map_err(|error| {
        let family = error.raw_os_error() == Some(Errno::AFNOSUPPORT.raw_os_error());
        if family { no_way(error) } else { told(error) }
    })?;
    // By UDP this sends nothing: it fails by this machine's routes alone.
    socket.connect(server).await.map_err(no_way)?;
    let mut buffer = vec![0; usize::from(u16::MAX)];
    for _ in 0..TRIES {
        socket.send(bytes).await.map_err(told)?;
        let end = Instant::now() + limit / TRIES;
        loop {
            let length = tokio::select! {
                length = socket.recv(&mut buffer) => length.map_err(told)?,
                () = sleep_until(end) => break,
            };
            match Message::from_vec(&buffer[..length]) {
                Ok(answer) if fits(&answer, message) => return Ok(answer),
                _ => {}
            }
        }
    }
    Err(Unanswered::Silent(format!("{server}: no answer within {} s", limit.as_secs_f32())))
}

fn fits(answer: &Message, asked: &Message) -> bool {
    answer.metadata.id == asked.metadata.id
        && answer.queries.len() == asked.queries.len()
        && answer.queries.iter().zip(&asked.queries).all(|(a, b)| {
            a.name() == b.name() && a.query_type() == b.query_type() && a.query_class() == b.query_class()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_names_or_addresses_with_a_port() {
        for (text, host, port) in [
            ("ns1.example.org", "ns1.example.org", 53),
            ("ns1.example.org:5353", "ns1.example.org", 5353),
            ("192.0.2.1:54", "192.0.2.1", 54),
            ("2001:db8::1", "2001:db8::1", 53),
            ("[2001:db8::1]:54", "2001:db8::1", 54),
            ("[2001:db8::1]", "2001:db8::1", 53),
        ] {
            assert_eq!(server(text), Ok((host, port)));
        }
        for bad in ["", ":53", "a:0", "a:x", "[::1", "[::1]x", "a b", "https://a/"] {
            assert!(server(bad).unwrap_err().contains("allowed are"), "{bad}");
        }
    }
}
