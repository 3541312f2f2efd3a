//! The router's address by UPnP: Internet Gateway Device (<https://openconnectivity.org/upnp-specs/UPnP-gw-WANIPConnection-v2-Service.pdf>).
//!
//! Three steps: a search by multicast, whose answers name a description; that description, which names where the service of the
//! connection is controlled; `GetExternalIPAddress` there, by SOAP. Both URLs must be of the very machine that answered the search: a
//! neighbour cannot lead elsewhere by them.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use reqwest::Method;
use tokio::{
    net::UdpSocket,
    time::{Instant, timeout_at},
};
use url::Url;

use crate::dns::{http::Caller, xml};

/// Where devices listen to searches: UPnP Device Architecture 2.0 section 1.3.2.
pub const EVERYBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(239, 255, 255, 250)), 1900);

/// The devices that are searched for.
const DEVICES: [&str; 2] = [
    "urn:schemas-upnp-org:device:InternetGatewayDevice:1",
    "urn:schemas-upnp-org:device:InternetGatewayDevice:2",
];

/// The services that know the address.
const SERVICES: [&str; 3] = [
    "urn:schemas-upnp-org:service:WANIPConnection:2",
    "urn:schemas-upnp-org:service:WANIPConnection:1",
    "urn:schemas-upnp-org:service:WANPPPConnection:1",
];

/// Asks the first gateway that answers a search.
pub(super) async fn address(caller: &Caller, limit: Duration, search: SocketAddr) -> Result<IpAddr, String> {
    let told = |why: String| format!("UPnP: {why}");
    let location = find(limit, search).await.map_err(told)?;
    let description = fetch(caller, caller.request(Method::GET, location.clone())).await.map_err(told)?;
    let (service, control) = control(&description, &location)
        .ok_or_else(|| told("the gateway describes no connection".to_owned()))?;
    let body = format!(
        "<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         s:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\"><s:Body>\
         <u:GetExternalIPAddress xmlns:u=\"{service}\"/></s:Body></s:Envelope>"
    );
    let call = caller
        .request(Method::POST, control)
        .header("content-type", "text/xml; charset=\"utf-8\"")
        .header("soapaction", format!("\"{service}#GetExternalIPAddress\""))
        .body(body);
    let answer = fetch(caller, call).await.map_err(told)?;
    let texts = xml::texts(&answer).unwrap_or_default();
    match xml::first(&texts, "NewExternalIPAddress").map(str::parse) {
        Some(Ok(address)) => Ok(address),
        _ => Err(told("the gateway does not tell its address".to_owned())),
    }
}

/// The description's URL, of the first gateway that answers.
async fn find(limit: Duration, search: SocketAddr) -> Result<Url, String> {
    let told = |error: std::io::Error| format!("no search is possible: {error}");
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await.map_err(told)?;
    for device in DEVICES {
        let message = format!(
            "M-SEARCH * HTTP/1.1\r\nHOST: {EVERYBODY}\r\nMAN: \"ssdp:discover\"\r\nMX: 2\r\nST: {device}\r\n\r\n"
        );
        socket.send_to(message.as_bytes(), search).await.map_err(told)?;
    }
    let end = Instant::now() + limit;
    let mut buffer = [0; 2048];
    while let Ok(received) = timeout_at(end, socket.recv_from(&mut buffer)).await {
        let (length, from) = received.map_err(told)?;
        if let Some(url) = location(&String::from_utf8_lossy(&buffer[..length]), from.ip()) {
            return Ok(url);
        }
    }
    Err("no gateway answers: it is switched off at the router, or multicast does not reach it".to_owned())
}

/// The `LOCATION` of an answer to a search, if it is of who answered.
fn location(answer: &str, from: IpAddr) -> Option<Url> {
    let mut lines = answer.lines();
    lines.next()?.starts_with("HTTP/1.1 200").then_some(())?;
    let headers: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(':')).collect();
    let header = |name: &str| {
        headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    DEVICES.contains(&header("st")?).then_some(())?;
    let url: Url = header("location")?.parse().ok()?;
    of(&url, from).then_some(url)
}

fn of(url: &Url, machine: IpAddr) -> bool {
    url.scheme() == "http" && url.host_str().and_then(|host| host.parse().ok()) == Some(machine)
}

/// The service that knows the address, with its URL.
fn control(description: &str, location: &Url) -> Option<(&'static str, Url)> {
    let machine: IpAddr = location.host_str()?.parse().ok()?;
    let texts = xml::texts(description)?;
    // Fields of a service stand together, in whatever order.
    let (mut services, mut kind, mut path) = (Vec::new(), None, None);
    for (name, text) in &texts {
        if name.ends_with("service/serviceType") {
            if let Some(kind) = kind.replace(text.as_str()) {
                services.push((kind, path.take()));
            }
        } else if name.ends_with("service/controlURL") {
            path = Some(text.as_str());
        }
    }
    services.extend(kind.map(|kind| (kind, path)));
    SERVICES.iter().find_map(|service| {
        let (_, path) = services.iter().find(|(kind, path)| kind == service && path.is_some())?;
        let url = location.join((*path)?).ok()?;
        of(&url, machine).then_some((*service, url))
    })
}

async fn fetch(caller: &Caller, call: reqwest::RequestBuilder) -> Result<String, String> {
    let reply = caller.send(call).await?;
    if reply.status.is_success() { Ok(reply.body) } else { Err(reply.by_status("").said) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOUND: &str = "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\nLocation: http://192.168.1.1:5000/root.xml\r\nSERVER: x\r\n\r\n";

    #[test]
    fn an_answer_to_a_search_leads_to_who_answered_alone() {
        let at = |from: &str| location(FOUND, from.parse().unwrap()).map(String::from);
        assert_eq!(at("192.168.1.1").as_deref(), Some("http://192.168.1.1:5000/root.xml"));
        assert_eq!(at("192.168.1.66"), None);
        for bad in [
            "",
            "NOTIFY * HTTP/1.1\r\n",
            &FOUND.replace("InternetGatewayDevice", "MediaServer"),
            &FOUND.replace("http:", "https:"),
        ] {
            assert_eq!(location(bad, "192.168.1.1".parse().unwrap()), None, "{bad}");
        }
    }

    #[test]
    fn the_service_of_the_connection_is_found_in_a_description() {
        let service = |kind: &str, path: &str| {
            format!(
                "<service><serviceType>urn:schemas-upnp-org:service:{kind}</serviceType><serviceId>i</serviceId><controlURL>{path}</controlURL></service>"
            )
        };
        let of = |services: &str| {
            let document = format!(
                "<?xml version=\"1.0\"?><root xmlns=\"u\"><device><serviceList>{services}</serviceList></device></root>"
            );
            control(&document, &"http://192.168.1.1:5000/root.xml".parse().unwrap())
                .map(|(_, url)| String::from(url))
        };
        let both = service("Layer3Forwarding:1", "/l3") + &service("WANIPConnection:1", "/ctl/IPConn");
        assert_eq!(of(&both).as_deref(), Some("http://192.168.1.1:5000/ctl/IPConn"));
        assert_eq!(of(&service("WANPPPConnection:1", "ppp")).as_deref(), Some("http://192.168.1.1:5000/ppp"));
        assert_eq!(of(&service("WANIPConnection:1", "http://192.168.1.9/x")), None);
        assert_eq!(of(&service("Layer3Forwarding:1", "/l3")), None);
        assert_eq!(control("not xml", &"http://192.168.1.1/".parse().unwrap()), None);
    }
}
