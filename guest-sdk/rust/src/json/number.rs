//! Numbers in JSON text.

/// The bytes of the number that `bytes` begins with, and whether it is an integer; none if it begins with no number.
pub(super) fn scan(bytes: &[u8]) -> Option<(usize, bool)> {
    let digits = |from: usize| bytes.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
    let at = |index: usize| bytes.get(index).copied();
    let mut end = usize::from(at(0) == Some(b'-'));
    let whole = digits(end);
    // No zeros before others.
    if whole == 0 || (whole > 1 && at(end) == Some(b'0')) {
        return None;
    }
    end += whole;
    let mut is_integer = true;
    if at(end) == Some(b'.') {
        is_integer = false;
        let fraction = digits(end + 1);
        if fraction == 0 {
            return None;
        }
        end += 1 + fraction;
    }
    if matches!(at(end), Some(b'e' | b'E')) {
        is_integer = false;
        let sign = usize::from(matches!(at(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        if exponent == 0 {
            return None;
        }
        end += 1 + sign + exponent;
    }
    Some((end, is_integer))
}
