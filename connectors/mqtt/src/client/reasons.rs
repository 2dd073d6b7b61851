//! The reasons that brokers give, in words: codes of CONNACK, SUBACK, PUBACK, PUBREC and DISCONNECT. Both versions of the protocol share the words, and all packets of MQTT 5 the codes.

use tidemill_engine::error::Error;

/// Why a broker refuses a connection, a subscription or a message, or ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Unspecified,
    Malformed,
    Implementation,
    Version,
    ClientId,
    Login,
    NotAuthorized,
    Unavailable,
    Busy,
    Banned,
    Authentication,
    Idle,
    TakenOver,
    Filter,
    InUse,
    TooLarge,
    Rate,
    Quota,
    Administrator,
    Payload,
    Unsupported,
    Moved,
    Shared,
    Lifetime,
    Wildcards,
    /// A subscription, in MQTT 3.1.1: it has no other code.
    Refused,
}

impl Reason {
    /// By its code in MQTT 5.
    pub(super) const fn of(code: u8) -> Self {
        match code {
            0x81 | 0x82 => Self::Malformed,
            0x83 => Self::Implementation,
            0x84 => Self::Version,
            0x85 => Self::ClientId,
            0x86 => Self::Login,
            0x87 => Self::NotAuthorized,
            0x88 | 0x8b => Self::Unavailable,
            0x89 => Self::Busy,
            0x8a => Self::Banned,
            0x8c => Self::Authentication,
            0x8d => Self::Idle,
            0x8e => Self::TakenOver,
            0x8f | 0x90 => Self::Filter,
            0x91 => Self::InUse,
            0x95 => Self::TooLarge,
            0x96 | 0x9f => Self::Rate,
            0x97 => Self::Quota,
            0x98 => Self::Administrator,
            0x99 => Self::Payload,
            0x9a | 0x9b | 0xa1 => Self::Unsupported,
            0x9c | 0x9d => Self::Moved,
            0x9e => Self::Shared,
            0xa0 => Self::Lifetime,
            0xa2 => Self::Wildcards,
            _ => Self::Unspecified,
        }
    }

    /// In words; and what the user can do, if another attempt is of no use without that.
    const fn words(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Unspecified => ("for a reason that it does not give", None),
            Self::Malformed => ("it does not understand the request", Some("set version = \"3.1.1\"")),
            Self::Implementation => ("for a reason of its own", None),
            Self::Version => {
                ("it does not speak this version of MQTT", Some("set version = \"3.1.1\" or \"5\""))
            }
            Self::ClientId => ("the client id is not valid", Some("set another `client_id`")),
            Self::Login => ("wrong user or password", Some("check `user` and `password`")),
            Self::NotAuthorized => (
                "not authorized",
                Some("check `user`, `password` and `topic`, and the broker's rules for this client"),
            ),
            Self::Unavailable => ("it is not available", None),
            Self::Busy => ("it is busy", None),
            Self::Banned => ("this client is banned", Some("ask whoever runs the broker")),
            Self::Authentication => (
                "it requires another way of authentication",
                Some("use a user and a password, or a client certificate"),
            ),
            Self::Idle => ("nothing has come for too long", None),
            Self::TakenOver => {
                ("another client has the same client id", Some("give each its own `client_id`"))
            }
            Self::Filter => ("the topic is not valid", Some("check `topic`")),
            Self::InUse => ("a number of a message is in use", None),
            Self::TooLarge => {
                ("a packet is larger than it accepts", Some("send less at once, or raise its limit"))
            }
            Self::Rate => ("too much in a short time", None),
            Self::Quota => ("a quota is exceeded", None),
            Self::Administrator => ("its administrator wants it", None),
            Self::Payload => (
                "the payload is not in the format that was announced",
                Some("check `payload`, and the broker's rules for this topic"),
            ),
            Self::Unsupported => {
                ("it does not support an option", Some("lower `qos`, or leave out `retain`"))
            }
            Self::Moved => ("another server is to be used", Some("set `url` to that server")),
            Self::Shared => {
                ("shared subscriptions are not supported", Some("leave out `share`, or use another broker"))
            }
            Self::Lifetime => ("the connection was as long as it may be", None),
            Self::Wildcards => ("wildcards are not supported", Some("name each topic in `topic`")),
            Self::Refused => (
                "refused without a reason: perhaps not authorized",
                Some("check `topic`, and the broker's rules for this client"),
            ),
        }
    }

    /// An error about `what` was refused: one that another attempt may mend, or one that says what to do.
    pub(crate) fn error(self, what: &str) -> Error {
        let (why, help) = self.words();
        let error = Error::unavailable(format!("{what}: {why}"));
        match help {
            Some(help) => error.with_help(help),
            None => error.transient(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_told_from_what_lasts() {
        let passing =
            [0x80, 0x83, 0x88, 0x89, 0x8b, 0x8d, 0x91, 0x92, 0x93, 0x94, 0x96, 0x97, 0x98, 0x9f, 0xa0];
        let lasting = [
            0x81, 0x82, 0x84, 0x85, 0x86, 0x87, 0x8a, 0x8c, 0x8e, 0x8f, 0x90, 0x95, 0x99, 0x9a, 0x9b, 0x9c,
            0x9d, 0x9e, 0xa1, 0xa2,
        ];
        for code in 0x80..=0xa2_u8 {
            let error = Reason::of(code).error("mqtt://plant");
            assert_eq!(error.is_transient(), passing.contains(&code), "{code:#x}: {error}");
            assert_eq!(error.help().is_some(), lasting.contains(&code), "{code:#x}: {error}");
            assert!(error.message().starts_with("mqtt://plant: "), "{error}");
        }
        // Codes of later versions: nobody knows.
        assert!(Reason::of(0xff).error("").is_transient());
        assert!(!Reason::Refused.error("").is_transient());
    }
}
