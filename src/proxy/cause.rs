//! Why a service could not be reached, as far as that may be told: what the system said, and what was wrong with its TLS.
//! Neither holds anything that a service sent but names in certificates.

use std::error::Error as StdError;
use std::io;

use pingora::{Error, ErrorType};

/// What is at the bottom of a failure; none of what may quote a service.
#[must_use]
pub fn why(error: &Error) -> Option<String> {
    let is_tls = matches!(
        error.etype,
        ErrorType::TLSHandshakeFailure | ErrorType::InvalidCert | ErrorType::TLSHandshakeTimedout
    );
    if is_tls {
        of_tls(error)
    } else {
        of_system(error)
    }
}

/// The error of the system, such as that there is no such socket.
fn of_system(error: &Error) -> Option<String> {
    let mut cause: &(dyn StdError + 'static) = error.root_cause();
    loop {
        let of_system = cause.downcast_ref::<io::Error>();
        if let Some(found) = of_system.filter(|it| it.raw_os_error().is_some()) {
            return Some(found.to_string());
        }
        cause = cause.source()?;
    }
}

/// Pingora explains its errors by others, and by addresses, beside what they were caused by.
fn of_tls(error: &Error) -> Option<String> {
    let mut deepest: &(dyn StdError + 'static) = error.root_cause();
    loop {
        // An error of the system that wraps another has that one's causes for its own.
        let wrapped = deepest
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        match wrapped
            .map(|it| it as &(dyn StdError + 'static))
            .or(deepest.source())
        {
            Some(cause) => deepest = cause,
            None => break,
        }
    }
    let deepest = deepest.to_string();
    if deepest.starts_with("local address ") {
        // It was caused by nothing that was kept: only the text of what was is left, in what stands around it.
        return error.context.as_ref().map(|text| last_cause(text.as_str()));
    }
    Some(deepest)
}

/// The last cause in Pingora's text of an error, without the name that was asked for.
fn last_cause(text: &str) -> String {
    let told = text.rsplit_once("cause: ").map_or(text, |(_, cause)| cause);
    let told = told.rsplit_once(", SNI: ").map_or(told, |(told, _)| told);
    told.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingora::OrErr as _;

    #[test]
    fn only_the_system_and_tls_are_quoted() {
        let missing = io::Error::from_raw_os_error(2);
        let system = Err::<(), _>(missing)
            .or_err(ErrorType::ConnectError, "x")
            .unwrap_err();
        assert!(why(&system).unwrap().starts_with("No such file"));
        let said = io::Error::other("what a service said");
        let said = Err::<(), _>(said)
            .or_err(ErrorType::ReadError, "x")
            .unwrap_err();
        assert_eq!(why(&said), None);
        let tls = io::Error::other("invalid peer certificate: UnknownIssuer");
        let tls = Err::<(), _>(tls)
            .or_err(ErrorType::TLSHandshakeFailure, "x")
            .unwrap_err();
        assert_eq!(
            why(&tls).unwrap(),
            "invalid peer certificate: UnknownIssuer"
        );
    }

    #[test]
    fn what_is_left_of_a_cause_is_its_text() {
        for (text, expected) in [
            (
                "TLS connect() failed:  TLSHandshakeFailure context: tls connect error cause: invalid peer certificate: UnknownIssuer, SNI: a.test",
                "invalid peer certificate: UnknownIssuer",
            ),
            ("cause: one cause: two", "two"),
            ("nothing of the kind", "nothing of the kind"),
        ] {
            assert_eq!(last_cause(text), expected);
        }
    }
}
