//! Integers as text, without the machinery of `std::fmt`.

pub(crate) fn push_u64(out: &mut String, mut value: u64) {
    let mut digits = [0_u8; 20];
    let mut count = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
        count += 1;
        if value == 0 {
            break;
        }
    }
    out.extend(digits.iter().skip(digits.len() - count).map(|&digit| digit as char));
}

pub(crate) fn push_i64(out: &mut String, value: i64) {
    if value < 0 {
        out.push('-');
    }
    push_u64(out, value.unsigned_abs());
}

/// The shortest decimal up to 15 places that is this number; beyond that 15 digits and an exponent.
/// For numbers that people wrote: bounds and defaults.
pub(crate) fn push_decimal(out: &mut String, value: f64) {
    if value < 0.0 {
        out.push('-');
    }
    let value = value.abs();
    let mut scale = 1.0;
    for places in 0..16 {
        let scaled = (value * scale + 0.5).trunc();
        if scaled >= 9e15 {
            break;
        }
        if scaled / scale == value {
            push_u64(out, scaled as u64 / scale as u64);
            push_places(out, scaled as u64 % scale as u64, places);
            return;
        }
        scale *= 10.0;
    }
    push_exponential(out, value);
}

fn push_places(out: &mut String, mut fraction: u64, places: usize) {
    let mut digits = [b'0'; 16];
    for digit in digits.iter_mut().take(places).rev() {
        *digit = b'0' + (fraction % 10) as u8;
        fraction /= 10;
    }
    if places > 0 {
        out.push('.');
    }
    out.extend(digits.iter().take(places).map(|&digit| digit as char));
}

fn push_exponential(out: &mut String, mut value: f64) {
    let mut exponent = 0;
    while value >= 1e15 {
        value /= 10.0;
        exponent += 1;
    }
    while value < 1e14 {
        value *= 10.0;
        exponent -= 1;
    }
    push_u64(out, value as u64);
    out.push('e');
    push_i64(out, exponent);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_read_back() {
        for (value, expected) in
            [(0.0, "0"), (-1.0, "-1"), (0.1, "0.1"), (-12.375, "-12.375"), (1e-9, "0.000000001"), (123_456.789, "123456.789")]
        {
            let mut text = String::new();
            push_decimal(&mut text, value);
            assert_eq!(text, expected);
        }
        for value in [1e300, 1.5e-300, 1e21, f64::MAX, f64::MIN_POSITIVE, std::f64::consts::PI] {
            let mut text = String::new();
            push_decimal(&mut text, value);
            let read: f64 = text.parse().unwrap();
            assert!((read / value - 1.0).abs() < 1e-12, "{value} {text}");
        }
    }
}
