//! Numbers as decimals. Nothing here, or anywhere in a mapping, passes through a binary float.

use rust_decimal::Decimal;
use serde_json::{Number, Value};

/// The longest text read as a number. A decimal has 28 digits; the rest is room for zeros and an exponent.
const MAX_CHARS: usize = 100;

/// The number that `text` says exactly: `-12.50`, `+7`, `.5`, `1.2e3`. No separators, no rounding: what a decimal
/// cannot hold is none.
pub(super) fn parse(text: &str) -> Option<Decimal> {
    if text.len() > MAX_CHARS {
        return None;
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse().ok()?),
        None => (text, 0_i32),
    };
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let plain = shift(&digits, i32::try_from(whole.len()).ok()?.checked_add(exponent)?)?;
    Decimal::from_str_exact(&format!("{sign}{plain}")).ok()
}

/// `digits` with the decimal point after the first `point` of them.
fn shift(digits: &str, point: i32) -> Option<String> {
    let zeros = |count: usize| (count <= MAX_CHARS).then(|| "0".repeat(count));
    let Ok(point) = usize::try_from(point) else {
        return Some(format!("0.{}{digits}", zeros(usize::try_from(point.unsigned_abs()).ok()?)?));
    };
    let (whole, fraction) = match digits.split_at_checked(point) {
        Some((whole, fraction)) => (whole.to_owned(), fraction),
        None => (format!("{digits}{}", zeros(point - digits.len())?), ""),
    };
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") })
}

/// The number that a value is or, as text, says.
pub(crate) fn of(value: &Value) -> Option<Decimal> {
    match value {
        Value::Number(number) => parse(number.as_str()),
        Value::String(text) => parse(text.trim()),
        _ => None,
    }
}

/// The same, if it has no fraction (`12`, `12.00`).
pub(super) fn whole(value: &Value) -> Option<Decimal> {
    of(value).filter(|number| number.fract().is_zero()).map(|number| number.trunc())
}

/// The JSON number of these very digits.
pub(crate) fn json(number: Decimal) -> Option<Value> {
    number.to_string().parse::<Number>().ok().map(Value::Number)
}

/// Whether two values are the same, numbers by what they are worth: `1`, `1.0` and `1e0` are one number.
pub(crate) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => match (parse(x.as_str()), parse(y.as_str())) {
            (Some(x), Some(y)) => x == y,
            _ => x == y,
        },
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_read_exactly_or_not_at_all() {
        for (text, digits) in [
            ("10.50", "10.50"),
            ("-0.001", "-0.001"),
            ("+7", "7"),
            (".5", "0.5"),
            ("5.", "5"),
            ("0000000000000000000000000000000000012.30", "12.30"),
            ("1.25e3", "1250"),
            ("1.25E+1", "12.5"),
            ("125e-4", "0.0125"),
            ("125e-1", "12.5"),
            ("79228162514264337593543950335", "79228162514264337593543950335"),
        ] {
            assert_eq!(parse(text).map(|n| n.to_string()).as_deref(), Some(digits), "{text}");
        }
        for text in [
            "",
            "-",
            ".",
            "1,000",
            "1_000",
            "0x10",
            "1e",
            "1e400",
            "1e-40",
            "1e9999999999",
            "NaN",
            "१",
            "79228162514264337593543950336",
            "0.12345678901234567890123456789",
            "--1",
            &"1".repeat(200),
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn decimals_survive_digit_for_digit(whole in "(0|[1-9][0-9]{0,17})", fraction in "[0-9]{1,10}", minus: bool) {
            let sign = if minus && (whole != "0" || fraction.contains(|c| c != '0')) { "-" } else { "" };
            let text = format!("{sign}{whole}.{fraction}");
            let number = parse(&text).unwrap();
            prop_assert_eq!(json(number).unwrap().to_string(), text);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[-+0-9.eE]{0,40}|.{0,20}") {
            let _ = parse(&text);
        }
    }
}
