use chrono::{DateTime, Utc};
use hickory_proto::{
    op::{Message, ResponseCode},
    rr::rdata::tsig::{TSIG, TsigError},
};

use crate::dns::{Answer, Outcome, Park};

/// What an answer means. `signed`: its signature is the key's, and of this time.
pub(super) fn meaning(answer: &Message, signed: bool, now: DateTime<Utc>) -> Answer {
    let code = answer.metadata.response_code;
    let tsig = answer.signature().map(|record| &record.data);
    match tsig.and_then(|tsig| tsig.error) {
        Some(TsigError::BadSig) => {
            return Answer::park(
                Park::BadSig,
                "BADSIG: the secret is not that of the server's key of this name",
            );
        }
        Some(TsigError::BadKey) => {
            return Answer::park(Park::BadKey, "BADKEY: the server knows no key of this name and algorithm");
        }
        Some(TsigError::BadTime) => return Answer::park(Park::BadTime, bad_time(tsig, now)),
        Some(other) => return Answer::new(Outcome::Refused, format!("{code}, TSIG {other:?}")),
        None => {}
    }
    if !signed {
        return Answer::retry(format!("{code}, but the answer is not signed by the key"));
    }
    match code {
        ResponseCode::NoError => Answer::new(Outcome::Good, "NOERROR"),
        ResponseCode::Refused => Answer::park(
            Park::NotPermitted,
            "REFUSED: the key may not change this name (update-policy, allow-update), or the server is not the zone's primary",
        ),
        ResponseCode::NotAuth | ResponseCode::NotZone | ResponseCode::NotImp => Answer::park(
            Park::NotZone,
            format!("{code}: the server is not the primary of this zone; SOA names that server"),
        ),
        ResponseCode::NXRRSet => {
            Answer::park(Park::NoHost, "NXRRSET: the record is not there, and require says records")
        }
        ResponseCode::YXRRSet | ResponseCode::YXDomain | ResponseCode::NXDomain | ResponseCode::ServFail => {
            Answer::retry(code.to_string())
        }
        _ => Answer::new(Outcome::Refused, code.to_string()),
    }
}

/// The server tells its own time: RFC 8945 section 5.2.3.
fn bad_time(tsig: Option<&TSIG>, now: DateTime<Utc>) -> String {
    let theirs = tsig.and_then(|tsig| <[u8; 6]>::try_from(tsig.other.as_slice()).ok());
    let apart = theirs.map(|bytes| {
        let theirs = bytes.iter().fold(0_i64, |seconds, byte| seconds << 8 | i64::from(*byte));
        now.timestamp() - theirs
    });
    match apart {
        Some(seconds) if seconds > 0 => format!("BADTIME: this clock is {seconds} s ahead of the server's"),
        Some(seconds) => format!("BADTIME: this clock is {} s behind the server's", -seconds),
        None => "BADTIME: this clock and the server's differ by more than 300 s".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::OpCode;

    use super::*;

    #[test]
    fn an_answer_that_is_not_signed_changes_nothing() {
        let mut answer = Message::response(1, OpCode::Update);
        for code in [ResponseCode::NoError, ResponseCode::Refused, ResponseCode::NotAuth] {
            answer.metadata.response_code = code;
            assert_eq!(meaning(&answer, false, DateTime::UNIX_EPOCH).outcome, Outcome::Retry, "{code}");
        }
        for (code, outcome) in [
            (ResponseCode::NoError, Outcome::Good),
            (ResponseCode::Refused, Outcome::Park(Park::NotPermitted)),
            (ResponseCode::NotAuth, Outcome::Park(Park::NotZone)),
            (ResponseCode::NotZone, Outcome::Park(Park::NotZone)),
            (ResponseCode::NXRRSet, Outcome::Park(Park::NoHost)),
            (ResponseCode::ServFail, Outcome::Retry),
            (ResponseCode::FormErr, Outcome::Refused),
        ] {
            answer.metadata.response_code = code;
            assert_eq!(meaning(&answer, true, DateTime::UNIX_EPOCH).outcome, outcome, "{code}");
        }
    }
}
