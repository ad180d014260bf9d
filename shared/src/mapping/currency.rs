//! How many decimals a currency has (ISO 4217, list one, as of 2026).

/// The currencies that have another number of decimals than two.
const EXCEPTIONS: [(u32, &[&str]); 3] = [
    (
        0,
        &[
            "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV",
            "XAF", "XOF", "XPF",
        ],
    ),
    (3, &["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"]),
    (4, &["CLF", "UYW"]),
];

/// The decimals of the currency with this code, in capitals or not; none if it is no code at all.
pub(crate) fn decimals(code: &str) -> Option<u32> {
    if code.len() != 3 || !code.bytes().all(|b| b.is_ascii_alphabetic()) {
        return None;
    }
    let code = code.to_ascii_uppercase();
    let exception = EXCEPTIONS.iter().find(|(_, codes)| codes.contains(&code.as_str()));
    Some(exception.map_or(2, |(decimals, _)| *decimals))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_currencies_have_two_decimals() {
        for (code, expected) in
            [("CHF", 2), ("eur", 2), ("JPY", 0), ("krw", 0), ("KWD", 3), ("BHD", 3), ("CLF", 4)]
        {
            assert_eq!(decimals(code), Some(expected), "{code}");
        }
        for code in ["", "EU", "EURO", "E R", "€€€", "12X"] {
            assert_eq!(decimals(code), None, "{code}");
        }
    }
}
