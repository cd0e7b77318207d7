//! Numbers as people write them: whole ones, and decimals that are kept exactly.

use super::ValueError;

/// Reads a whole number from 0 to 2^64 - 1.
///
/// # Errors
/// When the text is anything else, a sign, a fraction or a unit included.
pub fn parse_whole_number(text: &str) -> Result<u64, ValueError> {
    text.parse().map_err(|_| {
        let why = if !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit()) {
            "the number is too large"
        } else {
            "this is not a whole number"
        };
        ValueError::new(why, format!("give a whole number from 0 to {}", u64::MAX))
    })
}

/// A decimal number and the unit after it, as `1.5` and `ms` in `1.5ms`.
pub(super) struct Quantity<'a> {
    /// The digits without the point.
    digits: u128,
    /// How many of the digits stood after the point.
    decimals: u32,
    /// What follows the number, blanks removed.
    pub(super) unit: &'a str,
}

impl<'a> Quantity<'a> {
    /// Splits a text into its number and its unit; `None` if it does not begin with a plain decimal number.
    pub(super) fn split(text: &'a str) -> Option<Self> {
        let text = text.trim();
        let end = text.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let decimals_are_missing = number.contains('.') && fraction.is_empty();
        if whole.is_empty() || decimals_are_missing || fraction.contains('.') {
            return None;
        }
        let digits = format!("{whole}{fraction}").parse().ok()?;
        Some(Self { digits, decimals: u32::try_from(fraction.len()).ok()?, unit: unit.trim() })
    }

    /// The number times `factor`, if that is a whole number: nothing is ever rounded.
    ///
    /// # Errors
    /// [`Inexact`] when a fraction would be left, or the product has more than 128 bits.
    pub(super) fn times(&self, factor: u128) -> Result<u128, Inexact> {
        let divisor = 10u128.checked_pow(self.decimals).ok_or(Inexact::Fraction)?;
        let product = self.digits.checked_mul(factor).ok_or(Inexact::TooLarge)?;
        if product.is_multiple_of(divisor) { Ok(product / divisor) } else { Err(Inexact::Fraction) }
    }
}

/// Why a product is not exact.
pub(super) enum Inexact {
    /// A fraction would be left over.
    Fraction,
    /// It does not fit.
    TooLarge,
}

/// Prints `amount` / `scale` as a decimal with no superfluous zeros; `scale` is a power of ten.
pub(super) fn decimal(amount: u128, scale: u128) -> String {
    let (whole, fraction) = (amount / scale, amount % scale);
    if fraction == 0 {
        return whole.to_string();
    }
    let width = scale.ilog10() as usize;
    let fraction = format!("{fraction:0width$}");
    format!("{whole}.{}", fraction.trim_end_matches('0'))
}
