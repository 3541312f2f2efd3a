//! Sources of addresses, against fakes: web services that echo, a gateway of UPnP, routers of NAT-PMP (RFC 6886) and PCP (RFC 6887).

use std::time::Duration;

use serde_json::json;
use shared::{
    dns::{
        Limits,
        address::{
            AddressError, Family, Finder, Known, Rules, Source, port_mapping, quorum,
            whoami::{self, Service},
        },
    },
    guard::system,
};
use tokio::{net::UdpSocket, task::JoinSet};

use crate::{
    bind::Bind,
    fake::{Fake, Says, says},
    limits, loopback,
};

const LIMIT: Duration = Duration::from_secs(30);

fn finder(limits: Limits) -> Finder {
    Finder::with(limits, &loopback(), &system()).unwrap()
}

async fn echo(answers: Vec<Says>, family: Family, limits: Limits) -> Result<String, AddressError> {
    let mut fakes = Vec::new();
    for answer in answers {
        fakes.push(Fake::start([answer]).await);
    }
    let urls: Vec<&String> = fakes.iter().map(|fake| &fake.url).collect();
    let source: Source = serde_json::from_value(json!({"echo": {"services": urls, "agree": 2}})).unwrap();
    let found = finder(limits).find(&source, family, &Rules::default()).await;
    for fake in &fakes {
        if family == Family::Ipv4 {
            assert_eq!(fake.lines(), ["GET /"]);
        }
    }
    found.map(|address| address.to_string())
}

#[tokio::test]
async fn two_of_three_services_must_agree() {
    let v4 = Family::Ipv4;
    let page = || says(200, "<html>Sign in</html>");
    assert_eq!(
        echo(vec![says(200, "8.8.8.8"), page(), says(200, "fl=1\nip=8.8.8.8\n")], v4, limits()).await,
        Ok("8.8.8.8".to_owned())
    );
    let error =
        echo(vec![says(200, "8.8.8.8"), says(200, "8.8.4.4"), page()], v4, limits()).await.unwrap_err();
    assert!(
        matches!(&error, AddressError::Disagree(why) if why.contains("8.8.4.4") && why.contains("web page")),
        "{error}"
    );
    // A byte order mark is none of the address, and hides no page.
    let marked = |body: &str| says(200, format!("\u{feff}{body}"));
    let portal = || Says::With(200, "content-type", "text/html".to_owned(), "ip=1.1.1.1\n<html>".to_owned());
    assert_eq!(
        echo(vec![says(200, "8.8.8.8"), marked("8.8.8.8"), portal()], v4, limits()).await,
        Ok("8.8.8.8".to_owned())
    );
    let error = echo(vec![marked("<html>ip=8.8.8.8"), portal()], v4, limits()).await.unwrap_err();
    assert!(matches!(&error, AddressError::None(why) if why.matches("web page").count() == 2), "{error}");
    let error = echo(vec![page(), says(503, ""), says(302, "")], v4, limits()).await.unwrap_err();
    assert!(matches!(&error, AddressError::None(_)), "{error}");
    // Each is named by its own URL, as several may be at one host.
    let told = error.to_string();
    let urls: Vec<&str> = told.split("http://127.0.0.1:").skip(1).collect();
    assert!(urls.len() == 3 && urls.iter().all(|url| url.contains("/: ")), "{told}");
    let error = echo(vec![says(200, "10.0.0.1"), says(200, "10.0.0.1")], v4, limits()).await.unwrap_err();
    assert!(matches!(&error, AddressError::Forbidden(why) if why.contains("private")), "{error}");
    let quick = Limits { call: Duration::from_secs(5), ..limits() };
    let error = echo(vec![says(200, "8.8.8.8"), Says::Nothing, Says::Nothing], v4, quick).await.unwrap_err();
    assert!(matches!(&error, AddressError::Disagree(why) if why.contains("no answer within 5 s")), "{error}");
}

#[tokio::test]
async fn a_family_is_asked_for_by_itself_alone() {
    // The fakes listen on IPv4: by IPv6 nobody is reached.
    let fake = Fake::start([]).await;
    let source: Source =
        serde_json::from_value(json!({"echo": {"services": [fake.url], "agree": 1}})).unwrap();
    let error = finder(limits()).find(&source, Family::Ipv6, &Rules::default()).await.unwrap_err();
    assert!(matches!(error, AddressError::None(_)), "{error}");
    assert!(fake.asked().is_empty());
}

#[tokio::test]
async fn a_router_tells_its_address_by_nat_pmp_and_pcp() {
    let router = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = router.local_addr().unwrap();
    let answering = async {
        let mut buffer = [0; 100];
        // The first message is lost.
        router.recv_from(&mut buffer).await.unwrap();
        let (length, from) = router.recv_from(&mut buffer).await.unwrap();
        assert_eq!(buffer[..length], [0, 0]);
        router.send_to(&[0, 128, 0, 0, 0, 0, 0, 9, 8, 8, 4, 4], from).await.unwrap();
    };
    let (found, ()) = tokio::join!(port_mapping::nat_pmp(address, LIMIT), answering);
    assert_eq!(found, Ok("8.8.4.4".parse().unwrap()));

    let answering = async {
        let mut buffer = [0; 100];
        let (length, from) = loop {
            // What NAT-PMP has sent again is of two bytes.
            let (length, from) = router.recv_from(&mut buffer).await.unwrap();
            if length > 2 {
                break (length, from);
            }
        };
        assert_eq!((length, buffer[0], buffer[1]), (60, 2, 1));
        let mut answer = buffer[..length].to_vec();
        answer[1] = 0x81;
        answer[3] = 0;
        let mut other = answer.clone();
        other[24] ^= 1;
        router.send_to(&other, from).await.unwrap();
        answer[44..60].copy_from_slice(&"::ffff:8.8.4.4".parse::<std::net::Ipv6Addr>().unwrap().octets());
        router.send_to(&answer, from).await.unwrap();
        // The mapping is given up: the same, of no lifetime.
        loop {
            router.recv_from(&mut buffer).await.unwrap();
            if buffer[4..8] == [0; 4] {
                return;
            }
        }
    };
    let (found, ()) = tokio::join!(port_mapping::pcp(address, LIMIT), answering);
    assert_eq!(found, Ok("8.8.4.4".parse().unwrap()));

    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let error =
        port_mapping::nat_pmp(silent.local_addr().unwrap(), Duration::from_millis(300)).await.unwrap_err();
    assert!(error.contains("no answer within"), "{error}");
}

#[tokio::test]
async fn a_gateway_tells_its_address_by_upnp() {
    let description = "<?xml version=\"1.0\"?><root xmlns=\"urn:schemas-upnp-org:device-1-0\"><device><deviceList><device><serviceList>\
        <service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType>\
        <serviceId>urn:upnp-org:serviceId:WANIPConn1</serviceId><controlURL>/ctl/IPConn</controlURL></service>\
        </serviceList></device></deviceList></device></root>";
    let answer = "<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>\
        <u:GetExternalIPAddressResponse xmlns:u=\"urn:schemas-upnp-org:service:WANIPConnection:1\">\
        <NewExternalIPAddress>8.8.4.4</NewExternalIPAddress></u:GetExternalIPAddressResponse></s:Body></s:Envelope>";
    let gateway = Fake::start([says(200, description), says(200, answer)]).await;
    let neighbour = Fake::start([]).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let search = socket.local_addr().unwrap();
    let answering = async {
        let mut buffer = [0; 2048];
        let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
        assert!(buffer[..length].starts_with(b"M-SEARCH * HTTP/1.1\r\n"));
        for location in [neighbour.url.replace("127.0.0.1", "127.0.0.2"), gateway.url.clone()] {
            let found = format!(
                "HTTP/1.1 200 OK\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\nLOCATION: {location}/root.xml\r\n\r\n"
            );
            socket.send_to(found.as_bytes(), from).await.unwrap();
        }
    };
    let finder = finder(limits()).knowing(Known { search, ..Known::default() });
    let rules = Rules::default();
    let (found, ()) = tokio::join!(finder.find(&Source::Upnp, Family::Ipv4, &rules), answering);
    assert_eq!(found, Ok("8.8.4.4".parse().unwrap()));
    assert_eq!(gateway.lines(), ["GET /root.xml", "POST /ctl/IPConn"]);
    assert!(gateway.asked()[1].body.contains("GetExternalIPAddress"));
    assert!(neighbour.asked().is_empty());
}

#[tokio::test]
async fn name_servers_that_tell_an_address_must_agree_too() {
    let bind = Bind::start().await;
    bind.nsupdate(
        "update add v6.dyn.home.test. 60 AAAA 2001:db8::7\nupdate add text.dyn.home.test. 60 TXT 192.0.2.1",
    )
    .await;
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = |name, text, chaos| Service { server: bind.server, name, text, chaos };
    let cloud = || at("cloud.home.test.", false, false);
    let text = || at("text.dyn.home.test.", true, false);
    let version = || at("version.bind.", true, true);
    let nobody = || Service { server: silent.local_addr().unwrap(), ..cloud() };
    let ask = async |services: &[Service], family| {
        let told = whoami::ask(services, family, Duration::from_secs(5)).await;
        quorum(&told, 2).map(|address| address.to_string()).map_err(|error| error.to_string())
    };
    let v4 = Family::Ipv4;
    // Two of three: one says something that is no address, one is dead.
    assert_eq!(ask(&[cloud(), text(), version()], v4).await, Ok("192.0.2.1".to_owned()));
    let (two, one) = ([cloud(), nobody(), text()], [cloud(), nobody(), version()]);
    // Nobody is waited for twice.
    let (two, one) = tokio::join!(ask(&two, v4), ask(&one, v4));
    assert_eq!(two, Ok("192.0.2.1".to_owned()));
    let error = one.unwrap_err();
    assert!(error.contains("fewer than 2 of 3") && error.contains("no answer within"), "{error}");
    // One way out is a VPN's.
    let error = ask(&[cloud(), at("ns1.home.test.", false, false)], v4).await.unwrap_err();
    assert!(error.contains("192.0.2.1") && error.contains("127.0.0.1"), "{error}");
    let v6 = at("v6.dyn.home.test.", false, false);
    assert_eq!(ask(&[v6.clone(), v6], Family::Ipv6).await, Ok("2001:db8::7".to_owned()));
    assert!(ask(&[text(), text()], Family::Ipv6).await.unwrap_err().contains("no address of IPv6"));
    assert!(ask(&[at("other.test.", false, false)], v4).await.is_err());
}

#[tokio::test]
async fn a_router_without_an_address_of_the_internet_is_told_as_such() {
    for (address, why) in [
        (Some("100.64.3.4"), "shared by a provider's customers"),
        (Some("192.168.1.2"), "private"),
        (Some("0.0.0.0"), "this network"),
        (Some("203.0.113.9"), "for documentation"),
        (Some(""), "does not tell its address"),
        (None, "does not tell its address"),
    ] {
        let description = "<?xml version=\"1.0\"?><root><device><serviceList><service>\
            <serviceType>urn:schemas-upnp-org:service:WANPPPConnection:1</serviceType><controlURL>/c</controlURL>\
            </service></serviceList></device></root>";
        let answer = address.map_or_else(
            || says(500, "<s:Envelope xmlns:s=\"x\"><s:Fault>501</s:Fault></s:Envelope>"),
            |address| says(200, format!("<E><NewExternalIPAddress>{address}</NewExternalIPAddress></E>")),
        );
        let gateway = Fake::start([says(200, description), answer]).await;
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let search = socket.local_addr().unwrap();
        let answering = async {
            let (_, from) = socket.recv_from(&mut [0; 2048]).await.unwrap();
            let found = format!(
                "HTTP/1.1 200 OK\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:2\r\nLocation: {}/d.xml\r\n\r\n",
                gateway.url
            );
            socket.send_to(found.as_bytes(), from).await.unwrap();
        };
        let finder = finder(limits()).knowing(Known { search, ..Known::default() });
        let rules = Rules::default();
        let (found, ()) = tokio::join!(finder.find(&Source::Upnp, Family::Ipv4, &rules), answering);
        let told = found.unwrap_err().to_string();
        assert!(told.contains(why) || told.contains("500"), "{address:?}: {told}");
        gateway.asked();
    }
}

/// A router at this address of loopback, which answers whatever comes as it is told.
async fn router(address: &str, answer: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> JoinSet<()> {
    let socket = UdpSocket::bind((address, port_mapping::PORT)).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut buffer = [0; 1100];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            socket.send_to(&answer(&buffer[..length]), from).await.unwrap();
        }
    });
    tasks
}

#[tokio::test]
async fn each_source_is_asked_in_its_own_way() {
    // Each has its own address, so that none is taken for another.
    let finder = finder(limits());
    let find = async |finder: &Finder, source: serde_json::Value| {
        let source: Source = serde_json::from_value(source).unwrap();
        source.check(Family::Ipv4).unwrap();
        let found = finder.find(&source, Family::Ipv4, &Rules::default()).await;
        found.map(|address| address.to_string()).map_err(|error| error.to_string())
    };
    let _nat_pmp = router("127.53.51.1", |asked| {
        assert_eq!(asked, [0, 0]);
        vec![0, 128, 0, 0, 0, 0, 0, 9, 8, 8, 4, 1]
    })
    .await;
    let _pcp = router("127.53.51.2", |asked| {
        assert_eq!((asked.len(), asked[0], asked[1]), (60, 2, 1));
        let mut answer = asked.to_vec();
        (answer[1], answer[3]) = (0x81, 0);
        answer[44..].copy_from_slice(&"::ffff:8.8.4.2".parse::<std::net::Ipv6Addr>().unwrap().octets());
        answer
    })
    .await;
    let nat_pmp = find(&finder, json!({"nat_pmp": {"gateway": "127.53.51.1"}})).await;
    assert_eq!(nat_pmp, Ok("8.8.4.1".to_owned()));
    assert_eq!(find(&finder, json!({"pcp": {"gateway": "127.53.51.2"}})).await, Ok("8.8.4.2".to_owned()));

    let bind = Bind::start().await;
    bind.nsupdate(
        "update add ip.dyn.home.test. 60 A 8.8.4.3\nupdate add text.dyn.home.test. 60 TXT 8.8.4.3\n\
         update add six.dyn.home.test. 60 AAAA 2a00:1450:4001::4",
    )
    .await;
    let at = |name, text| Service { server: bind.server, name, text, chaos: false };
    let known = Known {
        whoami_v4: vec![at("ip.dyn.home.test.", false), at("text.dyn.home.test.", true)],
        whoami_v6: vec![at("six.dyn.home.test.", false); 2],
        ..Known::default()
    };
    let finder = finder.knowing(known);
    assert_eq!(find(&finder, json!({"whoami": {}})).await, Ok("8.8.4.3".to_owned()));
    assert!(find(&finder, json!({"whoami": {"agree": 3}})).await.unwrap_err().contains("fewer than 3 of 2"));
    let six = finder.find(&Source::Whoami { agree: 2 }, Family::Ipv6, &Rules::default()).await;
    assert_eq!(six, Ok("2a00:1450:4001::4".parse().unwrap()));
    assert_eq!(find(&finder, json!({"fixed": {"address": "8.8.4.5"}})).await, Ok("8.8.4.5".to_owned()));
}

#[tokio::test]
async fn without_a_gateway_or_where_it_must_not_be_called_upnp_tells_why() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let known = || Known { search: silent.local_addr().unwrap(), ..Known::default() };
    let quick = Limits { connect: Duration::from_millis(300), ..limits() };
    let rules = Rules::default();
    let error = finder(quick).knowing(known()).find(&Source::Upnp, Family::Ipv4, &rules).await.unwrap_err();
    assert!(matches!(&error, AddressError::None(why) if why.contains("no gateway answers")), "{error}");
    // Both kinds of device were searched for.
    let mut buffer = [0; 2048];
    for kind in ["InternetGatewayDevice:1", "InternetGatewayDevice:2"] {
        let (length, _) = silent.recv_from(&mut buffer).await.unwrap();
        let search = String::from_utf8_lossy(&buffer[..length]).into_owned();
        assert!(search.starts_with("M-SEARCH * HTTP/1.1\r\n") && search.contains(kind), "{search}");
    }

    // A gateway in a network that is not allowed is not called, though it has answered.
    let gateway = Fake::start([]).await;
    let answering = async {
        let (_, from) = silent.recv_from(&mut [0; 2048]).await.unwrap();
        let found = format!(
            "HTTP/1.1 200 OK\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\nLOCATION: {}/d.xml\r\n\r\n",
            gateway.url
        );
        silent.send_to(found.as_bytes(), from).await.unwrap();
    };
    let strict = Finder::new(limits()).unwrap().knowing(known());
    let (found, ()) = tokio::join!(strict.find(&Source::Upnp, Family::Ipv4, &rules), answering);
    let error = found.unwrap_err().to_string();
    assert!(error.contains("must not be called") && error.contains("SYNCFLEET_DNS_ALLOW"), "{error}");
    assert!(gateway.asked().is_empty());
}
