use std::net::IpAddr;

use super::AddressError;

/// What one of those who were asked says: its name or URL, and the address or why there is none.
pub type Told = (String, Result<IpAddr, String>);

/// The address that at least `agree` say. It must have more voices than any other: a VPN, a proxy or a service that is wrong has few.
pub fn quorum(told: &[Told], agree: usize) -> Result<IpAddr, AddressError> {
    let mut voices: Vec<(IpAddr, usize)> = Vec::new();
    for address in told.iter().filter_map(|(_, found)| found.as_ref().ok()) {
        match voices.iter_mut().find(|(found, _)| found == address) {
            Some((_, count)) => *count += 1,
            None => voices.push((*address, 1)),
        }
    }
    voices.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let tie = matches!(voices.as_slice(), [(_, a), (_, b), ..] if a == b);
    match voices.first() {
        Some((address, count)) if *count >= agree && !tie => return Ok(*address),
        _ => {}
    }
    let who: Vec<String> = told
        .iter()
        .map(|(who, found)| match found {
            Ok(address) => format!("{who}: {address}"),
            Err(why) => format!("{who}: {why}"),
        })
        .collect();
    let who = who.join("; ");
    Err(if voices.is_empty() {
        AddressError::None(format!("nobody says the address: {who}"))
    } else {
        AddressError::Disagree(format!("fewer than {agree} of {} agree on an address: {who}", told.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_are_asked_for_must_agree() {
        let of = |texts: &[&str], agree| {
            let told: Vec<Told> = texts
                .iter()
                .enumerate()
                .map(|(nth, text)| (format!("s{nth}"), text.parse().map_err(|_| (*text).to_owned())))
                .collect();
            quorum(&told, agree).map(|address| address.to_string()).map_err(|error| error.to_string())
        };
        assert_eq!(of(&["1.1.1.1", "8.8.8.8", "1.1.1.1"], 2), Ok("1.1.1.1".to_owned()));
        assert_eq!(of(&["a page", "1.1.1.1", "1.1.1.1"], 2), Ok("1.1.1.1".to_owned()));
        assert_eq!(of(&["2a00::1", "2a00:0::1"], 2), Ok("2a00::1".to_owned()));
        assert_eq!(of(&["1.1.1.1"], 1), Ok("1.1.1.1".to_owned()));
        for (texts, agree, why) in [
            (
                vec!["1.1.1.1", "8.8.8.8", "a page"],
                2,
                "fewer than 2 of 3 agree on an address: s0: 1.1.1.1; s1: 8.8.8.8; s2: a page",
            ),
            (vec!["1.1.1.1", "8.8.8.8"], 1, "fewer than 1 of 2"),
            (vec!["1.1.1.1", "8.8.8.8", "1.1.1.1", "8.8.8.8"], 2, "fewer than 2 of 4"),
            (vec!["1.1.1.1", "1.1.1.1"], 3, "fewer than 3 of 2"),
            (vec!["no answer", "no answer"], 2, "nobody says the address: s0: no answer"),
            (vec![], 2, "nobody"),
        ] {
            let error = of(&texts, agree).unwrap_err();
            assert!(error.contains(why), "{texts:?}: {error}");
        }
    }
}
