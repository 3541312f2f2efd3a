//! A name that follows its address, as README tells it: on one machine, a router that calls in, a name server of one's own.

use rustix::process::Signal;

use super::Data;
use crate::{
    bind::{Bind, SECRET},
    process::{LIMIT, until},
};

/// Another client's configuration: one name that can be taken over, and one that cannot.
const DDCLIENT: &str = "daemon=300\nuse=web\nprotocol=dyndns2, server=dyn.example.net, login=ada, password=hunter2-\nnas.example.org\n\
    protocol=freedns, login=ada, password=hunter2- old.example.org\n";

#[tokio::test]
async fn a_name_follows_what_a_router_tells() {
    let (data, bind) = (Data::new(), Bind::start().await);
    let mut up = data.up(&[]).await;
    up.ready().await;
    until("it says where to look", LIMIT, async || up.said("syncfleet is up") == 1).await;
    let run = |line: &str| {
        let (code, text) = data.shell(line);
        assert_eq!(code, 0, "{line}: {text}");
        text
    };
    run("syncfleet tenant add me");
    run("syncfleet dns address add home --tenant me --ipv4 router");
    let added = run("syncfleet dns login add fritz --tenant me --address home --host home.example.org");
    let password = added.lines().next().unwrap();
    let call = |address: &str| {
        run(&format!(
            "curl --silent --show-error --noproxy '*' --max-time 60 --user 'fritz:{password}' \
             'http://{}/nic/update?hostname=home.example.org&myip={address}'",
            up.public
        ))
    };
    assert_eq!(call("8.8.4.4"), "good 8.8.4.4\n");

    let place = tempfile::tempdir().unwrap();
    let (key, config) = (place.path().join("key"), place.path().join("ddclient.conf"));
    std::fs::write(&key, format!("{SECRET}\n")).unwrap();
    std::fs::write(&config, DDCLIENT).unwrap();
    let server = bind.server;
    run(&format!(
        "syncfleet dns add cloud.home.test --tenant me --address home --provider rfc2136 --server {server} \
         --zone home.test --key ddns-key --secret-file {} --verify-server {server}",
        key.display()
    ));
    let wait = "syncfleet dns update cloud.home.test --wait --timeout 60s";
    let waited = run(wait);
    assert!(waited.contains("8.8.4.4 follows"), "{waited}");
    assert_eq!(bind.dig("cloud.home.test", "A").await, ["8.8.4.4"]);

    assert_eq!(call("8.8.4.4"), "nochg 8.8.4.4\n");
    assert_eq!(call("8.8.8.8"), "good 8.8.8.8\n");
    until("the name follows", LIMIT, async || bind.dig("cloud.home.test", "A").await == ["8.8.8.8"]).await;
    let waited = run(wait);
    assert!(waited.contains("8.8.8.8 follows"), "{waited}");
    // Nothing is waited for that need not be done.
    let waited = run("syncfleet dns update cloud.home.test --wait --timeout 1s");
    assert!(waited.contains("8.8.8.8 follows"), "{waited}");
    let checked = run("syncfleet dns check cloud.home.test");
    assert!(checked.contains("8.8.8.8") && !checked.contains("BAD"), "{checked}");

    let import = format!("syncfleet dns import {} --tenant me --address home --dry-run", config.display());
    let imported = run(&import);
    for words in ["nas.example.org", "the protocol freedns is not known", "daemon is not taken over"] {
        assert!(imported.contains(words), "{words}: {imported}");
    }
    let listed = run("syncfleet dns ls");
    assert!(listed.contains("cloud.home.test") && !listed.contains("nas.example.org"), "{listed}");
    up.signal(Signal::TERM);
    let ended = up.ended(LIMIT).await;
    assert_eq!(ended.code, 0, "{}", ended.log);
    for secret in [SECRET, password, "hunter2-"] {
        assert!(!ended.log.contains(secret) && !imported.contains(secret), "{}{imported}", ended.log);
    }
}
