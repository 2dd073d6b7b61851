//! The reasons that brokers give, in words: codes of CONNACK, SUBACK, PUBACK and DISCONNECT. Both versions of the protocol share the words.

/// Why a connection was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) why: &'static str,
    /// What the user can do.
    pub(super) help: &'static str,
    /// Another attempt may succeed.
    pub(super) passes: bool,
}

const fn lasting(why: &'static str, help: &'static str) -> Refusal {
    Refusal { why, help, passes: false }
}

const fn passing(why: &'static str) -> Refusal {
    Refusal { why, help: "", passes: true }
}

pub(super) const LOGIN: Refusal = lasting("wrong user or password", "check `user` and `password`");
pub(super) const NOT_AUTHORIZED: Refusal =
    lasting("not authorized", "check `user`, `password`, and the broker's rules for this client");
pub(super) const CLIENT_ID: Refusal = lasting("the client id is not valid", "set another `client_id`");
pub(super) const VERSION: Refusal =
    lasting("it does not speak this version of MQTT", "set version = \"3.1.1\" or \"5\"");
pub(super) const BANNED: Refusal = lasting("this client is banned", "ask whoever runs the broker");
pub(super) const AUTHENTICATION: Refusal = lasting(
    "it requires another way of authentication",
    "use a user and a password, or a client certificate",
);
pub(super) const MALFORMED: Refusal =
    lasting("it does not understand the request to connect", "set version = \"3.1.1\"");
pub(super) const MOVED: Refusal = lasting("another server is to be used", "set `url` to that server");
pub(super) const UNSUPPORTED: Refusal =
    lasting("it does not support an option of the connection", "lower `qos`, or leave out `retain`");
pub(super) const TOO_LARGE: Refusal = lasting("the request to connect is too large", "use shorter options");
pub(super) const UNAVAILABLE: Refusal = passing("it is not available");
pub(super) const BUSY: Refusal = passing("it is busy");
pub(super) const RATE: Refusal = passing("too many connections in a short time");
pub(super) const QUOTA: Refusal = passing("a quota is exceeded");
pub(super) const UNSPECIFIED: Refusal = passing("for a reason that it does not give");

/// Why a subscription or a message was refused.
pub(super) const ACCESS: &str = "not authorized";
pub(super) const FAILURE: &str = "refused without a reason: perhaps not authorized";
pub(super) const FILTER: &str = "the topic is not valid";
pub(super) const OVER_QUOTA: &str = "a quota is exceeded";
pub(super) const SHARED: &str = "shared subscriptions are not supported";
pub(super) const WILDCARDS: &str = "wildcards are not supported";
pub(super) const INTERNAL: &str = "an error of the broker";
pub(super) const PAYLOAD: &str = "the payload is not in the format that was announced";
