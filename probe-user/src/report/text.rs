//! Numbers and lines as people read them.

/// A count with its thousands set apart: `1,000,000`.
pub(super) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A count and its noun: `1 packet`, `2 packets`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(count))
}

/// A number rounded to so many significant digits, with no more than `most_decimals` of them after the point.
pub(super) fn significant(value: f64, digits: u8, most_decimals: u8) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let digits = i32::from(digits.max(1));
    // Rounding may carry into a new digit (9.996 to 10.0), so the exponent is taken from what was rounded.
    let rounded = format!("{value:.*e}", (digits - 1) as usize);
    let exponent: i32 = rounded.rsplit_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0);
    let rounded: f64 = rounded.parse().unwrap_or(value);
    let decimals = (digits - 1 - exponent).clamp(0, i32::from(most_decimals));
    format!("{rounded:.*}", decimals as usize)
}

/// A ratio in per cent with three significant digits, or as many as it takes not to claim that none or all is meant.
pub(super) fn percent(ratio: f64) -> String {
    let percent = ratio * 100.0;
    let text = (3..=17).map(|digits| significant(percent, digits, 17)).find(|text| {
        let printed: f64 = text.parse().unwrap_or(0.0);
        ratio >= 1.0 || printed < 100.0
    });
    let text = text.unwrap_or_else(|| percent.to_string());
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text} %")
}

/// A unit of time for delays.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unit {
    pub(super) name: &'static str,
    nanoseconds: f64,
    /// Decimals down to the nanosecond.
    decimals: u8,
}

impl Unit {
    const MICROSECONDS: Self = Self { name: "µs", nanoseconds: 1e3, decimals: 3 };
    const MILLISECONDS: Self = Self { name: "ms", nanoseconds: 1e6, decimals: 6 };
    const SECONDS: Self = Self { name: "s", nanoseconds: 1e9, decimals: 9 };

    /// The unit in which a typical value reads best.
    pub(super) fn suiting(nanoseconds: i64) -> Self {
        match nanoseconds.unsigned_abs() {
            0..1_000_000 => Self::MICROSECONDS,
            1_000_000..1_000_000_000 => Self::MILLISECONDS,
            _ => Self::SECONDS,
        }
    }

    /// A value in this unit, without its name.
    pub(super) fn number(self, nanoseconds: f64, digits: u8) -> String {
        significant(nanoseconds / self.nanoseconds, digits, self.decimals)
    }
}

/// A time in the unit that suits it: `9.55 µs`.
pub(super) fn time(nanoseconds: i64, digits: u8) -> String {
    let unit = Unit::suiting(nanoseconds);
    format!("{} {}", unit.number(nanoseconds as f64, digits), unit.name)
}

/// The text in lines of at most `width` characters, broken at blanks; every line after the first is indented by `indent`.
pub(crate) fn wrapped(text: &str, width: usize, indent: usize) -> String {
    let mut lines = String::new();
    let mut column = indent;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > indent && column + 1 + length > width {
            lines.push('\n');
            lines.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        } else if column > indent {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += length;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_their_thousands_apart() {
        for (count, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (123_456, "123,456"), (1_000_000, "1,000,000")] {
            assert_eq!(grouped(count), text);
        }
        assert_eq!((counted(1, "packet"), counted(0, "packet")), ("1 packet".into(), "0 packets".into()));
    }

    #[test]
    fn digits_are_honest() {
        for (value, text) in [
            (8.2149, "8.21"),
            (9.996, "10.0"),
            (12.34, "12.3"),
            (999.6, "1000"),
            (1234.5, "1230"),
            (0.0421, "0.042"),
            (-0.5, "-0.500"),
            (0.0, "0"),
        ] {
            assert_eq!(significant(value, 3, 3), text);
        }
    }

    #[test]
    fn per_cent_never_claims_none_or_all() {
        for (ratio, text) in [
            (0.0, "0 %"),
            (1.0, "100 %"),
            (0.5, "50 %"),
            (0.000_012, "0.0012 %"),
            (1e-9, "0.0000001 %"),
            (0.999_999, "99.9999 %"),
            (0.123_456, "12.3 %"),
        ] {
            assert_eq!(percent(ratio), text);
        }
    }

    #[test]
    fn times_take_the_unit_that_suits_them() {
        for (nanoseconds, text) in [
            (42, "0.042 µs"),
            (9_551, "9.55 µs"),
            (999_999, "1000 µs"),
            (1_000_000, "1.00 ms"),
            (51_700_000, "51.7 ms"),
            (3_000_000_000, "3.00 s"),
            (-1_500, "-1.50 µs"),
        ] {
            assert_eq!(time(nanoseconds, 3), text);
        }
    }

    #[test]
    fn lines_break_at_blanks() {
        assert_eq!(wrapped("one two three", 9, 2), "one two\n  three");
        assert_eq!(wrapped("incomprehensible", 5, 0), "incomprehensible");
    }
}
