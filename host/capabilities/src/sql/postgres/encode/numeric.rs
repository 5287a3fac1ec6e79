//! `numeric`: digits to the base 10,000, none of them lost.

/// Bytes of the text of a number.
const TEXT_BYTES_MAX: usize = 160 * 1024;
/// Places that an exponent may move the point, and digits after it.
const PLACES_MAX: i64 = 16_383;
/// Digits before the point.
const WHOLE_MAX: usize = 131_072;
const NEGATIVE: u16 = 0x4000;

/// # Errors
/// If it is no number as JSON writes it.
pub(super) fn encode(text: &str) -> Result<Vec<u8>, String> {
    let special = match text {
        "NaN" => Some(0xC000_u16),
        "Infinity" => Some(0xD000),
        "-Infinity" => Some(0xF000),
        _ => None,
    };
    if let Some(sign) = special {
        return Ok(written(&[], 0, sign, 0));
    }
    let invalid = || "it is a number, or a string of its digits".to_owned();
    let too_large = || "the number has too many digits".to_owned();
    if text.len() > TEXT_BYTES_MAX {
        return Err(too_large());
    }
    let (sign, digits) = text.strip_prefix('-').map_or((0, text), |digits| (NEGATIVE, digits));
    let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
    let exponent: i64 = exponent.parse().map_err(|_| invalid())?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) {
        return Err(invalid());
    }
    if exponent.abs() > PLACES_MAX {
        return Err(too_large());
    }
    let fraction = if mantissa.contains('.') { fraction } else { "" };
    let (whole, fraction) = moved(whole, fraction, exponent);
    let whole = whole.trim_start_matches('0');
    if whole.len() > WHOLE_MAX || i64::try_from(fraction.len()).is_ok_and(|places| places > PLACES_MAX) {
        return Err(too_large());
    }
    let scale = u16::try_from(fraction.len()).map_err(|_| too_large())?;
    // Groups of four, counted from the point.
    let whole = format!("{}{whole}", "0".repeat((4 - whole.len() % 4) % 4));
    let fraction = format!("{fraction}{}", "0".repeat((4 - fraction.len() % 4) % 4));
    let mut weight = i16::try_from(whole.len() / 4).map_err(|_| too_large())? - 1;
    let all = whole + &fraction;
    let mut groups: Vec<u16> =
        all.as_bytes().chunks(4).map(|four| four.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'))).collect();
    let zeros = groups.iter().take_while(|group| **group == 0).count();
    groups.drain(..zeros);
    weight = weight.saturating_sub(i16::try_from(zeros).unwrap_or(i16::MAX));
    while groups.last() == Some(&0) {
        groups.pop();
    }
    let (weight, sign) = if groups.is_empty() { (0, 0) } else { (weight, sign) };
    Ok(written(&groups, weight, sign, scale))
}

/// Digits before and after the point, once it has moved to the right by `exponent`.
fn moved(whole: &str, fraction: &str, exponent: i64) -> (String, String) {
    let places = usize::try_from(exponent.unsigned_abs()).unwrap_or(usize::MAX);
    if exponent >= 0 {
        let taken = places.min(fraction.len());
        (format!("{whole}{}{}", &fraction[..taken], "0".repeat(places - taken)), fraction[taken..].to_owned())
    } else {
        let kept = whole.len().saturating_sub(places);
        (whole[..kept].to_owned(), format!("{}{}{fraction}", "0".repeat(places.saturating_sub(whole.len())), &whole[kept..]))
    }
}

fn written(groups: &[u16], weight: i16, sign: u16, scale: u16) -> Vec<u8> {
    let count = u16::try_from(groups.len()).unwrap_or(u16::MAX);
    let mut bytes = [count.to_be_bytes(), weight.to_be_bytes(), sign.to_be_bytes(), scale.to_be_bytes()].concat();
    bytes.extend(groups.iter().flat_map(|group| group.to_be_bytes()));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_refused() {
        for bad in
            ["", "-", "1.", ".5", "1e", "1e99999", "0x1", "1_000", "١", " 1", "--1", "1e5.0", "inf", "nan", &"1".repeat(TEXT_BYTES_MAX + 1)]
        {
            assert!(encode(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn groups_are_counted_from_the_point() {
        for (text, groups, weight, scale) in [
            ("0", vec![], 0, 0),
            ("-0.00", vec![], 0, 2),
            ("12345.678", vec![1, 2345, 6780], 1, 3),
            ("1e4", vec![1], 1, 0),
            ("1.5e-5", vec![1500], -2, 6),
            ("123e-1", vec![12, 3000], 0, 1),
        ] {
            let sign = 0;
            assert_eq!(encode(text).unwrap(), written(&groups, weight, sign, scale), "{text}");
        }
    }
}
