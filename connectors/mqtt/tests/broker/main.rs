//! The source and the sink against a broker that says what the tests want.

mod peer;
mod sink;
mod source;
