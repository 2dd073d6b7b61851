//! Timestamps: arithmetic, text, moments in options.

use super::testing::parser;
use super::*;

#[test]
fn any_year_can_be_written() {
    let days = |days: i128| {
        let mut out = Vec::new();
        write_civil(days * 86_400_000_000_000 + 500_000_000, &mut out)
            .map(|()| String::from_utf8(out).expect("text"))
    };
    assert_eq!(days(19_782).as_deref(), Ok("2024-02-29T00:00:00.500"));
    assert_eq!(days(2_932_896).as_deref(), Ok("9999-12-31T00:00:00.5"));
    assert_eq!(days(-719_528).as_deref(), Ok("0000-01-01T00:00:00.5"));
    assert_eq!(days(2_932_897), Err("before the year -9999 or after 9999".into()));
    assert!(days(i128::from(i64::MAX)).is_err());
}

#[test]
fn moments_in_options() {
    let berlin = parser("s", Some("Europe/Berlin"));
    let moment = |text| berlin.moment(text).map(|time| time.to_string());
    assert_eq!(moment("2024-07-01").as_deref(), Ok("2024-06-30T22:00:00Z"));
    assert_eq!(moment(" 2024-07-01T00:00:00Z ").as_deref(), Ok("2024-07-01T00:00:00Z"));
    assert_eq!(moment("2024-07-01 12:00:00").as_deref(), Ok("2024-07-01T10:00:00Z"));
    for text in ["2024-02-30", "2024", "now", "", "2024-07-01T", "1700000000"] {
        let error = moment(text).expect_err(text);
        assert!(error.contains("is not a time") && error.contains("2024-02-29T12:00:00Z"), "{error}");
    }
}

#[test]
fn timestamp_arithmetic_and_text() {
    let at = Timestamp::from_nanos;
    assert_eq!(at(5).checked_add(3), Some(at(8)));
    assert_eq!(at(5).checked_sub(8), Some(at(-3)));
    assert_eq!(Timestamp::MAX.checked_add(1), None);
    assert_eq!(Timestamp::MIN.checked_sub(1), None);
    assert_eq!(Timestamp::MIN.saturating_sub(1), Timestamp::MIN);
    assert_eq!(Timestamp::MAX.saturating_add(1), Timestamp::MAX);
    assert_eq!(at(5).checked_since(at(8)), Some(-3));
    assert_eq!(Timestamp::MAX.checked_since(at(-1)), None);
    assert_eq!(serde_json::to_string(&at(-7)).expect("a number"), "-7");
    assert_eq!(serde_json::from_str::<Timestamp>("42").expect("a timestamp"), at(42));
    assert_eq!(
        format!("{:>22}|{:?}", at(0), at(1_000)),
        "  1970-01-01T00:00:00Z|1970-01-01T00:00:00.000001Z"
    );
}
