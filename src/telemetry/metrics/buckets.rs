//! A histogram of fixed buckets: plain numbers, so that it neither grows nor needs upkeep.

/// Values counted by the bucket that they fall into.
#[derive(Clone, Debug)]
pub struct Buckets {
    /// Upper bounds, ascending.
    bounds: &'static [f64],
    /// One for each bound, and one for what is above all.
    counts: Box<[u64]>,
    sum: f64,
}

impl Buckets {
    /// Empty buckets with these upper bounds, which ascend.
    pub fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1].into(), sum: 0.0 }
    }

    /// Buckets with values that somebody else has counted: one count for each bound, and one for what is above all.
    pub fn of(bounds: &'static [f64], counts: &[u64], sum: f64) -> Self {
        let counts = (0..=bounds.len()).map(|index| counts.get(index).copied().unwrap_or_default()).collect();
        Self { bounds, counts, sum }
    }

    /// Counts a value.
    pub fn record(&mut self, value: f64) {
        let index = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get_mut(index) {
            *count += 1;
            self.sum += value;
        }
    }

    /// Each bound with how many values were not above it.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let sums = self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        self.bounds.iter().copied().zip(sums)
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The sum of all values.
    pub const fn sum(&self) -> f64 {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_on_a_bound_belongs_below_it() {
        let mut buckets = Buckets::new(&[1.0, 2.0]);
        [1.0, 1.5, 2.0, 2.5].into_iter().for_each(|value| buckets.record(value));
        assert_eq!(buckets.cumulative().collect::<Vec<_>>(), [(1.0, 1), (2.0, 3)]);
        assert_eq!((buckets.count(), buckets.sum()), (4, 7.0));
    }
}
