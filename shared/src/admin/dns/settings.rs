//! Settings of providers as people give them: `key=value`, over what is there or what a file holds.

use serde_json::{Map, Value};

use crate::dns::{FieldError, Provider};

/// Words that stand for secrets: what looks like one is not a setting.
const SECRETS: [&str; 6] = ["password", "secret", "token", "api_token", "secret_access_key", "key_file"];

/// Reads a provider's settings. A value is a text, or JSON where a text does not fit, as `proxied=true`. An empty value takes the
/// setting away, so that its default counts.
pub fn read(base: Map<String, Value>, pairs: &[(String, String)]) -> Result<Provider, FieldError> {
    let mut settings = base;
    for (key, value) in pairs {
        if SECRETS.contains(&key.as_str()) {
            return Err(FieldError {
                field: key.clone(),
                why: "a secret is no setting: give it by --secret-file or stdin, where others cannot see it"
                    .to_owned(),
            });
        }
        if value.is_empty() {
            settings.remove(key);
        } else {
            settings.insert(key.clone(), Value::String(value.clone()));
        }
    }
    if settings.contains_key("ttl") {
        let why = "it is the name's, not the provider's: give it by --ttl".to_owned();
        return Err(FieldError { field: "ttl".to_owned(), why });
    }
    let mut read = Provider::parse(Value::Object(settings.clone()));
    // Once for each that could be something else than a text.
    for _ in pairs {
        let Err(error) = &read else { break };
        let misfit = pairs.iter().find_map(|(key, value)| {
            let meant = error.field == *key && settings.get(key).is_some_and(Value::is_string);
            let json: Value =
                serde_json::from_str(value).ok().filter(|json: &Value| meant && !json.is_string())?;
            Some((key, json))
        });
        let Some((key, json)) = misfit else { break };
        settings.insert(key.clone(), json);
        read = Provider::parse(Value::Object(settings.clone()));
    }
    read
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(base: Value, pairs: &[(&str, &str)]) -> Result<Value, String> {
        let Value::Object(base) = base else { unreachable!("{base}") };
        let pairs: Vec<_> =
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let provider = read(base, &pairs).map_err(|error| error.to_string())?;
        Ok(serde_json::to_value(provider).unwrap())
    }

    #[test]
    fn texts_stay_texts_and_the_rest_is_json() {
        let cloudflare = json!({ "provider": "cloudflare" });
        let digits = "01234567890123456789012345678901";
        let read =
            of(cloudflare.clone(), &[("zone_id", digits), ("proxied", "true"), ("owner", "7")]).unwrap();
        assert_eq!(
            (&read["zone_id"], &read["proxied"], &read["owner"]),
            (&json!(digits), &json!(true), &json!("7"))
        );
        let again = of(read, &[("zone_id", ""), ("proxied", "false")]).unwrap();
        assert_eq!((&again["zone_id"], &again["proxied"]), (&json!(null), &json!(false)));
        let template =
            json!({ "provider": "template", "url": "https://a.example/", "good": { "first_word": ["ok"] } });
        let parameters = r#"[{"name": "a", "is": "address"}]"#;
        let read = of(template, &[("parameters", parameters), ("minimum_interval_seconds", "90")]).unwrap();
        assert_eq!(
            (&read["minimum_interval_seconds"], &read["parameters"][0]["is"]),
            (&json!(90), &json!("address"))
        );
    }

    #[test]
    fn what_makes_no_sense_is_told_and_no_secret_repeated() {
        let inwx = json!({ "provider": "inwx" });
        for (pairs, why) in [
            (&[("user", "u"), ("password", "hunter2")][..], "--secret-file"),
            (&[("usr", "u")], "unknown field `usr`"),
            (&[("user", "u"), ("ttl", "60")], "by --ttl"),
            (&[], "missing field `user`"),
            (&[("user", "u"), ("url", "http://a.example/")], "https://"),
        ] {
            let error = of(inwx.clone(), pairs).unwrap_err();
            assert!(error.contains(why) && !error.contains("hunter2"), "{error}");
        }
        assert!(
            of(json!({ "provider": "cloudflare" }), &[("proxied", "maybe")])
                .unwrap_err()
                .starts_with("proxied:")
        );
    }
}
