//! What clients send, byte for byte but for addresses and credentials, and the answers that they take for success.
//!
//! ddclient 3.10.0, inadyn 2.10.0, curl 7.88.1 and wget 1.21.3 were recorded; the others are as their sources and documents have them.

use shared::store::PgPool;

use crate::rig::Rig;

/// `router:se-cret_1`
const BASIC: &str = "Basic cm91dGVyOnNlLWNyZXRfMQ==";

/// A client, its request without the credentials, and the answer.
const CLIENTS: [(&str, &str, &str); 9] = [
    (
        "ddclient, two names",
        "GET /nic/update?system=dyndns&hostname=home.example.org,nas.example.org&myip=8.8.8.1 HTTP/1.1\r\n\
         Host: sync.example\r\nAuthorization: {basic}\r\nUser-Agent: ddclient/3.10.0\r\nConnection: close\r\n\r\n",
        "good 8.8.8.1\ngood 8.8.8.1\n",
    ),
    (
        "ddclient 4, both families",
        "GET /nic/update?hostname=home.example.org&myip=8.8.8.2,2a00:1450::2 HTTP/1.1\r\nHost: sync.example\r\n\
         Authorization: {basic}\r\nUser-Agent: ddclient/4.0.0\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        "good 8.8.8.2,2a00:1450::2\n",
    ),
    (
        "inadyn",
        "GET /nic/update?hostname=home.example.org&myip=8.8.8.3 HTTP/1.0\r\nHost: sync.example\r\n\
         Authorization: {basic}\r\nUser-Agent: inadyn/2.10.0 https://github.com/troglobit/inadyn/issues\r\n\r\n",
        "good 8.8.8.3\n",
    ),
    (
        "FRITZ!Box, URL of its own",
        "GET /nic/update?hostname=home.example.org&myip=8.8.8.4&myipv6=2a00:1450::4 HTTP/1.0\r\nHost: sync.example\r\n\
         Authorization: {basic}\r\nUser-Agent: Fritz!Box DDNS/1.0.1\r\n\r\n",
        "good 8.8.8.4,2a00:1450::4\n",
    ),
    (
        "FRITZ!Box without IPv4",
        "GET /nic/update?hostname=home.example.org&myip=&myipv6=2a00:1450::5 HTTP/1.0\r\nHost: sync.example\r\n\
         Authorization: {basic}\r\nUser-Agent: Fritz!Box DDNS/1.0.1\r\n\r\n",
        "good 2a00:1450::5\n",
    ),
    (
        "OpenWrt ddns-scripts with curl",
        "GET /nic/update?hostname=home.example.org&myip=8.8.8.6 HTTP/1.1\r\nHost: sync.example\r\n\
         Authorization: {basic}\r\nUser-Agent: curl/8.7.1\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        "good 8.8.8.6\n",
    ),
    (
        "UniFi gateway (inadyn)",
        "GET /nic/update?hostname=home.example.org&myip=8.8.8.7 HTTP/1.0\r\nHost: sync.example\r\n\
         Authorization: {basic}\r\nUser-Agent: inadyn/2.9.1 https://github.com/troglobit/inadyn/issues\r\n\r\n",
        "good 8.8.8.7\n",
    ),
    (
        "EdgeRouter (ddclient 3.8)",
        "GET /nic/update?system=dyndns&hostname=home.example.org&myip=8.8.8.8&wildcard=ON HTTP/1.0\r\n\
         Host: sync.example\r\nAuthorization: {basic}\r\nUser-Agent: ddclient/3.8.3\r\nConnection: close\r\n\r\n",
        "good 8.8.8.8\n",
    ),
    (
        "the path of Dyn's third version",
        "GET /v3/update?hostname=home.example.org&myip=8.8.8.9 HTTP/1.1\r\nHost: sync.example\r\n\
         Authorization: {basic}\r\nUser-Agent: Acme - Router - 1.0\r\nConnection: close\r\n\r\n",
        "good 8.8.8.9\n",
    ),
];

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn each_client_is_told_good_and_then_nochg(db: PgPool) {
    let rig = Rig::start(db).await;
    for (client, request, body) in CLIENTS {
        let request = request.replace("{basic}", BASIC);
        let (_, _, wanted) = rig.stands("home").await;
        let first = rig.send(&request).await;
        assert_eq!((first.status, first.body.as_str()), (200, body), "{client}");
        assert!(first.head.contains("content-type: text/plain"), "{client}: {}", first.head);
        assert!(first.head.contains("cache-control: no-store"), "{client}: {}", first.head);
        assert_eq!(rig.stands("home").await.2, wanted + 2, "{client}: both records are wanted once");
        let second = rig.send(&request).await;
        assert_eq!((second.status, second.body), (200, body.replace("good", "nochg")), "{client}");
        assert_eq!(rig.stands("home").await.2, wanted + 2, "{client}: nothing new wants nothing");
    }
    assert_eq!(rig.stands("home").await, (Some("8.8.8.9".to_owned()), Some("2a00:1450::5".to_owned()), 18));
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn gnu_wget_of_openwrt_is_asked_for_its_password(db: PgPool) {
    let rig = Rig::start(db).await;
    let bare = "GET /nic/update?hostname=home.example.org&myip=8.8.8.8 HTTP/1.1\r\nHost: sync.example\r\n\
        User-Agent: Wget/1.21.3\r\nAccept: */*\r\nAccept-Encoding: identity\r\nConnection: close\r\n";
    let asked = rig.send(&format!("{bare}\r\n")).await;
    assert_eq!((asked.status, asked.body.as_str()), (401, "badauth\n"));
    assert!(asked.head.contains("www-authenticate: basic realm="), "{}", asked.head);
    let answered = rig.send(&format!("{bare}Authorization: {BASIC}\r\n\r\n")).await;
    assert_eq!((answered.status, answered.body.as_str()), (200, "good 8.8.8.8\n"));
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn clients_of_duckdns_are_told_ok(db: PgPool) {
    let rig = Rig::start(db).await;
    let ask = async |query: &str, agent: &str| {
        let request = format!(
            "GET /update?{query} HTTP/1.1\r\nHost: sync.example\r\nUser-Agent: {agent}\r\nConnection: close\r\n\r\n"
        );
        let answer = rig.send(&request).await;
        (answer.status, answer.body)
    };
    let token = "token=router.se-cret_1";
    for (query, agent, body) in [
        (format!("domains=home.example.org&{token}&ip=8.8.4.1"), "ddclient/3.10.0", "OK"),
        (format!("domains=home.example.org&{token}&ip=8.8.4.1"), "inadyn/2.10.0", "OK"),
        (
            format!(
                "domains=home.example.org,nas.example.org&{token}&ip=8.8.4.1&ipv6=2a00:1450::1&verbose=true"
            ),
            "curl/7.88.1",
            "OK\n8.8.4.1\n2a00:1450::1\nUPDATED",
        ),
        (
            format!("domains=home.example.org&{token}&ipv6=2a00:1450::1&verbose=true"),
            "curl/7.88.1",
            "OK\n\n2a00:1450::1\nNOCHANGE",
        ),
        (format!("domains=home.example.org&{token}&clear=true"), "curl/7.88.1", "KO"),
        ("domains=home.example.org&ip=8.8.4.2".to_owned(), "curl/7.88.1", "KO"),
        (
            "domains=home.example.org&token=router.wrong&ip=8.8.4.2&verbose=true".to_owned(),
            "curl/7.88.1",
            "KO",
        ),
        // All or none: the first one alone would be good.
        (format!("domains=home.example.org,other.example.org&{token}&ip=8.8.4.2"), "curl/7.88.1", "KO"),
        // The caller is of the loopback.
        (format!("domains=home.example.org&{token}&ip="), "curl/7.88.1", "KO"),
    ] {
        assert_eq!(ask(&query, agent).await, (200, body.to_owned()), "{query}");
    }
    let stands = rig.stands("home").await;
    assert_eq!(stands, (Some("8.8.4.1".to_owned()), Some("2a00:1450::1".to_owned()), 4));
    rig.end().await;
}

/// The real one, as a cron job of a router has it.
#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn the_real_curl_is_understood(db: PgPool) {
    let rig = Rig::start(db).await;
    let curl = async |arguments: &[&str]| {
        let url = format!("http://{}/nic/update", rig.address);
        let output = tokio::process::Command::new("curl")
            .args(["--silent", "--show-error", "--noproxy", "*", "--max-time", "60", "--get"])
            .args(arguments)
            .args(["--write-out", " %{http_code}", &url])
            .output()
            .await
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let user = ["--user", "router:se-cret_1"];
    let of = |arguments: &[&'static str]| [&user, arguments].concat();
    let told = curl(&of(&["--data", "hostname=home.example.org", "--data", "myip=8.8.8.8"])).await;
    assert_eq!(told, "good 8.8.8.8\n 200");
    let list = of(&[
        "--data-urlencode",
        "hostname=home.example.org",
        "--data-urlencode",
        "myip=8.8.8.8,2a00:1450::1",
    ]);
    assert_eq!(curl(&list).await, "good 8.8.8.8,2a00:1450::1\n 200");
    assert_eq!(curl(&list).await, "nochg 8.8.8.8,2a00:1450::1\n 200");
    assert_eq!(curl(&["--data", "hostname=home.example.org"]).await, "badauth\n 401");
    // curl itself sends the password at once; the caller's address is of the loopback, and not told.
    assert_eq!(curl(&of(&["--data", "hostname=home.example.org"])).await, "dnserr\n 200");
    rig.end().await;
}
