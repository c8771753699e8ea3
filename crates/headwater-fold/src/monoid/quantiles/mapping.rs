//! From a value to its bucket, and back.

/// Buckets such that the ends of one differ by a factor γ = (1 + α) / (1 − α) at most.
///
/// Their borders are where a cubic that follows the logarithm within each power of two is a whole number (the interpolation
/// of DDSketch's reference implementations): additions and multiplications only, so that every machine finds the same bucket,
/// which the logarithms of mathematical libraries do not promise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Mapping {
    /// Buckets for each power of two.
    per_octave: f64,
}

const A: f64 = 6.0 / 35.0;
const B: f64 = -3.0 / 5.0;
const C: f64 = 10.0 / 7.0;

impl Mapping {
    pub(super) fn new(accuracy: f64) -> Self {
        // ln γ = 2·artanh α, by its series; the slope of the cubic by ln x is nowhere less than 10/7.
        let (mut power, mut half) = (accuracy, 0.0);
        for term in 0..64 {
            half += power / f64::from(2 * term + 1);
            power *= accuracy * accuracy;
        }
        Self {
            per_octave: 0.7 / (2.0 * half),
        }
    }

    /// The bucket of a normal, positive number.
    pub(super) fn index(&self, value: f64) -> i32 {
        let bits = value.to_bits();
        let exponent = f64::from((bits >> 52 & 0x7ff) as u16) - 1023.0;
        let fraction = f64::from_bits(bits & 0x000f_ffff_ffff_ffff | 0x3ff0_0000_0000_0000) - 1.0;
        ((exponent + cubic(fraction)) * self.per_octave).ceil() as i32
    }

    /// A value that differs from all of its bucket by α at most, relatively.
    pub(super) fn value(&self, index: i32) -> f64 {
        let low = self.border(f64::from(index) - 1.0);
        let high = self.border(f64::from(index));
        low * (2.0 / (1.0 + low / high))
    }

    fn border(&self, index: f64) -> f64 {
        let logarithm = index / self.per_octave;
        let exponent = logarithm.floor();
        let wanted = logarithm - exponent;
        let (mut low, mut high) = (0.0f64, 1.0f64);
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            match cubic(middle) < wanted {
                true => low = middle,
                false => high = middle,
            }
        }
        // In two steps, for the outermost powers of two.
        let exponent = exponent as i32;
        let half = exponent / 2;
        ((1.0 + high) * 2f64.powi(half) * 2f64.powi(exponent - half)).min(f64::MAX)
    }
}

fn cubic(fraction: f64) -> f64 {
    ((A * fraction + B) * fraction + C) * fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_within_the_accuracy_of_its_bucket() {
        for accuracy in [0.0001, 0.01, 0.1, 0.5] {
            let mapping = Mapping::new(accuracy);
            let mut value = f64::MIN_POSITIVE;
            let mut last = i32::MIN;
            while value.is_finite() {
                let index = mapping.index(value);
                assert!(index >= last, "buckets follow values");
                last = index;
                let error = (mapping.value(index) - value).abs() / value;
                assert!(
                    error <= accuracy * (1.0 + 1e-9),
                    "{value}: {error} of {accuracy}"
                );
                value *= 1.003_7;
            }
        }
    }
}
