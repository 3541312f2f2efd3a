//! config.json of qdm12/ddns-updater (<https://github.com/qdm12/ddns-updater#configuration>): an array `settings`, each with `provider`,
//! `domain` (before version 2.8 with `host`) and what that provider needs.

use serde_json::{Value, json};

use super::{Import, Kept, Keys, Places, dyndns2};
use crate::dns::address::Family;

/// <https://github.com/qdm12/ddns-updater#configuration>
const KEYS: Keys = Keys {
    left: &[
        (&["ipv6_suffix"], "`dns set --host-id` gives a host behind the router its last bits"),
        (&["provider_ip"], "the address has its sources (`dns address`)"),
        (&["email", "key", "user_service_key", "username", "password", "proxied", "zone_id"], ""),
    ],
    aliases: &[
        ("secret", "password"),
        ("pass", "password"),
        ("token", "password"),
        ("password", "token"),
        ("user", "username"),
        ("login", "username"),
    ],
};

/// What is taken over of how an entry's names are kept.
const KEPT: [&str; 2] = ["ip_version", "ttl"];

/// What is taken over of each provider's entries, beside `provider`, `domain` and `host`; none: it is not known here.
fn taken(provider: &str) -> Option<Vec<&'static str>> {
    let own: &[&str] = match provider {
        "duckdns" | "desec" => &["token"],
        "dd24" => &["password"],
        "dyn" => &["username", "client_key"],
        "noip" | "inwx" => &["username", "password"],
        "route53" => &["zone_id", "access_key", "secret_key"],
        "cloudflare" => &["token", "zone_identifier", "proxied"],
        _ => return None,
    };
    Some([&["provider", "domain", "host"], own].concat())
}

/// Reads a config.json. Of a file that is no JSON the line and column are told; entries are counted from 1 instead of lines.
#[must_use]
pub fn read(text: &str) -> Import {
    let mut import = Import::default();
    let config: Value = match serde_json::from_str(text) {
        Ok(config) => config,
        Err(error) => {
            // The error's own text could repeat what stands there.
            import.fault(error.line(), format!("no JSON from column {}", error.column()));
            return import;
        }
    };
    let Some(settings) = config["settings"].as_array() else {
        import.fault(0, "there is no array settings");
        return import;
    };
    import.places = Places::Settings;
    for key in config.as_object().into_iter().flat_map(serde_json::Map::keys) {
        KEYS.tell(&mut import, 0, key, (&["settings"], &[]));
    }
    for (at, entry) in settings.iter().enumerate() {
        take(&mut import, at + 1, entry);
    }
    import
}

fn take(import: &mut Import, at: usize, entry: &Value) {
    let get = |key: &str| entry[key].as_str().unwrap_or_default();
    let (domain, owner) = (get("domain"), get("host"));
    let domains: Vec<String> = domain
        .split(',')
        .map(str::trim)
        .filter(|domain| !domain.is_empty())
        .map(
            |domain| if ["", "@"].contains(&owner) { domain.to_owned() } else { format!("{owner}.{domain}") },
        )
        .collect();
    if domains.is_empty() {
        import.fault(at, "an entry without domain");
    }
    let mut misspelt = None;
    if let (Some(taken), Some(entry)) = (taken(get("provider")), entry.as_object()) {
        for key in entry.keys() {
            let meant = KEYS.tell(import, at, key, (&taken, &KEPT));
            misspelt = misspelt.or(meant.filter(|meant| !entry.contains_key(*meant)));
        }
    }
    let families: &[Family] = match taken(get("provider")) {
        Some(_) => families(import, at, get("ip_version")),
        None => &[],
    };
    let ttl = match &entry["ttl"] {
        Value::Null => None,
        Value::String(ttl) => Some(ttl.clone()),
        ttl => Some(ttl.to_string()),
    };
    let kept = Kept { families, ttl: ttl.as_deref() };
    for host in domains {
        if let Some(key) = misspelt {
            import.fault(at, format!("{host}: its {key} is misspelt: the name is left out"));
            continue;
        }
        let (settings, secret) = match get("provider") {
            "duckdns" => (json!({"provider": "duckdns"}), get("token")),
            "dd24" => (json!({"provider": "key-systems"}), get("password")),
            "desec" => (json!({"provider": "desec", "user": host}), get("token")),
            "dyn" => (dyndns2("members.dyndns.org", get("username")), get("client_key")),
            "noip" => (dyndns2("dynupdate.no-ip.com", get("username")), get("password")),
            "inwx" => (json!({"provider": "inwx", "user": get("username")}), get("password")),
            "route53" => (
                json!({"provider": "route53", "zone_id": get("zone_id"), "access_key_id": get("access_key")}),
                get("secret_key"),
            ),
            "cloudflare" if get("token").is_empty() => {
                import.fault(at, format!("{host}: only a token of Cloudflare is taken, not its global key"));
                continue;
            }
            "cloudflare" => {
                let zone = Some(get("zone_identifier")).filter(|id| !id.is_empty());
                let proxied = entry["proxied"].as_bool().unwrap_or_default();
                (json!({"provider": "cloudflare", "zone_id": zone, "proxied": proxied}), get("token"))
            }
            other => {
                import.fault(
                    at,
                    format!("{host}: the provider {other} cannot be taken over; add the name by hand"),
                );
                continue;
            }
        };
        import.take(at, &host, settings, secret, kept);
    }
}

/// The families of `ip_version`; empty: it chooses none.
fn families(import: &mut Import, at: usize, version: &str) -> &'static [Family] {
    match version {
        "ipv4" => &[Family::Ipv4],
        "ipv6" => &[Family::Ipv6],
        "" => &[],
        "ipv4 or ipv6" => {
            import.fault(
                at,
                "ip_version ipv4 or ipv6: not one of the two, but all families of the address are kept",
            );
            &[]
        }
        _ => {
            import.fault(
                at,
                "ip_version is none of ipv4, ipv6 and \"ipv4 or ipv6\": all families of the address are kept",
            );
            &[]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::import::tests::{assert_faults, kept, taken as names};

    #[test]
    fn entries_are_taken_over_or_told() {
        let import = read(
            &json!({"settings": [
                {"provider": "duckdns", "domain": "home.duckdns.org", "token": "t", "ip_version": "ipv4"},
                {"provider": "dd24", "domain": "example.org", "host": "a", "password": "k"},
                {"provider": "cloudflare", "domain": "x.example.org,y.example.org", "token": "c", "ttl": 600,
                    "zone_identifier": "0123456789abcdef0123456789abcdef"},
                {"provider": "cloudflare", "domain": "z.example.org", "email": "e", "key": "hunter2"},
                {"provider": "porkbun", "domain": "p.example.org", "api_key": "hunter2"},
                {"provider": "route53", "domain": "r.example.org", "zone_id": "/hostedzone/Z1", "access_key": "AK", "secret_key": "hunter2"},
                {"provider": "duckdns", "token": "hunter2"},
            ]})
            .to_string(),
        );
        assert_eq!(
            names(&import),
            [
                (1, "home.duckdns.org", "duckdns", "t"),
                (2, "a.example.org", "key-systems", "k"),
                (3, "x.example.org", "cloudflare", "c"),
                (3, "y.example.org", "cloudflare", "c")
            ]
        );
        let expected = [
            (4, "email is not"),
            (4, "key is not"),
            (4, "global key"),
            (5, "porkbun"),
            (6, "/hostedzone/"),
            (7, "without domain"),
        ];
        assert_faults(&import, &expected);
    }

    #[test]
    fn families_and_ttl_are_taken_over() {
        let entry = |host: &str, more: Value| {
            let mut entry = json!({"provider": "cloudflare", "domain": host, "token": "hunter2",
                "zone_identifier": "0123456789abcdef0123456789abcdef"});
            entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            entry
        };
        let import = read(
            &json!({"settings": [
                entry("a.example.org", json!({"ip_version": "ipv4", "ttl": 600})),
                entry("b.example.org", json!({"ip_version": "ipv6", "ttl": "120"})),
                entry("c.example.org", json!({"ip_version": "ipv4 or ipv6"})),
                entry("d.example.org", json!({"ip_version": "ipv5", "ttl": 0})),
                // One of each family.
                entry("e.example.org", json!({"ip_version": "ipv4"})),
                entry("e.example.org", json!({"ip_version": "ipv6"})),
                {"provider": "duckdns", "domain": "f.duckdns.org", "token": "hunter2", "ttl": 60},
            ]})
            .to_string(),
        );
        let [v4, v6] = Family::ALL;
        assert_eq!(
            kept(&import),
            [
                ("a.example.org", &[v4][..], Some(600)),
                ("b.example.org", &[v6], Some(120)),
                ("c.example.org", &[], None),
                ("d.example.org", &[], None),
                ("e.example.org", &[v4, v6], None),
                ("f.duckdns.org", &[], None),
            ]
        );
        let expected = [
            (3, "all families of the address are kept"),
            (4, "ip_version is none of ipv4, ipv6"),
            (4, "d.example.org: ttl is not taken over: 0 is not allowed"),
            (7, "f.duckdns.org: ttl is not taken over: duckdns lets none be chosen"),
        ];
        assert_faults(&import, &expected);
    }

    #[test]
    fn what_is_no_configuration_is_told() {
        for (text, what) in
            [("{\n\"hunter2", "no JSON"), ("[]", "no array"), ("{\"settings\": 7}", "no array")]
        {
            let import = read(text);
            assert_eq!(import.places, Places::Lines);
            assert!(
                import.faults[0].what.contains(what) && !import.faults[0].what.contains("hunter2"),
                "{import:?}"
            );
        }
    }

    #[test]
    fn every_key_is_taken_over_or_told() {
        let import = read(
            &json!({"settings": [
                {"provider": "duckdns", "domain": "a.duckdns.org", "tokn": "hunter2"},
                {"provider": "duckdns", "domain": "b.duckdns.org", "token": "t", "bogus": 1, "provider_ip": true},
            ], "sttings": 1})
            .to_string(),
        );
        let expected = [
            (0, "did you mean settings?"),
            (1, "did you mean token?"),
            (1, "a.duckdns.org: its token is misspelt"),
            (2, "key bogus is unknown"),
            (2, "provider_ip is not taken over"),
        ];
        assert_faults(&import, &expected);
        assert_eq!((import.places.name(0), import.places.name(2)), ("the file".into(), "setting 2".into()));
        assert_eq!(names(&import), [(2, "b.duckdns.org", "duckdns", "t")]);
    }
}
