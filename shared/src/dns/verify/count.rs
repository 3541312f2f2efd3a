//! Whose word counts, where a name server has several addresses.
//!
//! A server is known by its name. It need not answer by each of its addresses: a machine without IPv6 reaches none of that family, and
//! one address of two may be dead. What it says by any address counts.

use std::net::SocketAddr;

use crate::dns::exchange::Unanswered;

/// What came of asking one address of a server.
pub(in crate::dns) struct Heard<'a, T> {
    /// The server's name.
    pub(in crate::dns) name: &'a str,
    pub(in crate::dns) server: SocketAddr,
    pub(in crate::dns) answer: Result<T, Unanswered>,
}

impl<T> Heard<'_, T> {
    /// Which server it is. Whoever names servers may run two at one name, on ports of their own.
    pub(in crate::dns) fn who(&self) -> (&str, u16) {
        (self.name, self.server.port())
    }
}

/// What counts: every answer; of a server that gave none its silence; and if nobody answered, also that there is no way to an address.
pub(in crate::dns) fn counted<'h, T>(heard: &'h [Heard<'_, T>]) -> Vec<&'h Heard<'h, T>> {
    let anybody = heard.iter().any(|one| one.answer.is_ok());
    heard
        .iter()
        .filter(|one| match &one.answer {
            Ok(_) => true,
            Err(Unanswered::NoWay(_)) => !anybody,
            Err(Unanswered::Silent(_)) => {
                !heard.iter().any(|other| other.who() == one.who() && other.answer.is_ok())
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_silent_if_it_answers_by_none_of_its_addresses() {
        let silent = || Err(Unanswered::Silent("silent".to_owned()));
        let no_way = || Err(Unanswered::NoWay("no way".to_owned()));
        for (heard, counts) in [
            // As on a machine without IPv6.
            (vec![("a", Ok(())), ("a", no_way()), ("b", Ok(())), ("b", no_way())], vec![0, 2]),
            // A server with nothing but IPv6 there.
            (vec![("a", Ok(())), ("b", no_way())], vec![0]),
            // A dead address; all addresses of a server dead.
            (vec![("a", silent()), ("a", Ok(())), ("b", Ok(()))], vec![1, 2]),
            (vec![("a", Ok(())), ("b", silent()), ("b", silent())], vec![0, 1, 2]),
            (vec![("a", Ok(())), ("b", silent()), ("b", no_way())], vec![0, 1]),
            // Nobody answers.
            (vec![("a", no_way()), ("b", silent())], vec![0, 1]),
            (vec![("a", no_way()), ("b", no_way())], vec![0, 1]),
            (vec![], vec![]),
        ] {
            let server = |at: usize| SocketAddr::from(([192, 0, 2, u8::try_from(at).unwrap()], 53));
            let heard: Vec<_> = heard
                .into_iter()
                .enumerate()
                .map(|(at, (name, answer))| Heard { name, server: server(at), answer })
                .collect();
            let found: Vec<_> = counted(&heard).iter().map(|one| one.server).collect();
            assert_eq!(found, counts.into_iter().map(server).collect::<Vec<_>>());
        }
    }
}
