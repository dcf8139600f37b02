//! Metrics that policies count by themselves (the filter `metric`): their labels have values that requests bring, so no more than so
//! many sets of them are kept apart.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use policy::ports::{Meter, MeterShape};
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

/// What is counted beyond the most sets of values.
const OTHER: &str = "other";

/// Longer values of labels are cut: a label is a word, not a document.
const LONGEST: usize = 128;

/// All of them. They live as long as a filter counts on them.
#[derive(Debug, Default)]
pub(crate) struct Meters(Mutex<Vec<Weak<CountedMeter>>>);

/// One of them.
#[derive(Debug)]
pub(crate) struct CountedMeter {
    pub(crate) shape: MeterShape,
    series: RwLock<HashMap<Labels, Arc<Series>>>,
}

/// The values of a metric's labels.
pub(crate) type Labels = Box<[Box<str>]>;

/// The numbers under one set of values.
#[derive(Debug)]
struct Series {
    /// The sum, as the bits of a float.
    sum: AtomicU64,
    count: AtomicU64,
    buckets: Box<[AtomicU64]>,
}

/// Labels, sum, count, and the counts of buckets.
pub(crate) type Read = (Labels, f64, u64, Vec<u64>);

impl Meters {
    /// The metric of this shape.
    pub(crate) fn meter(&self, shape: MeterShape) -> Arc<CountedMeter> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|meter| meter.strong_count() > 0);
        if let Some(known) = all.iter().filter_map(Weak::upgrade).find(|meter| meter.shape == shape) {
            return known;
        }
        let meter = Arc::new(CountedMeter { shape, series: RwLock::default() });
        all.push(Arc::downgrade(&meter));
        meter
    }

    /// Those that are counted on, by name. While a generation that is about to go has one of another shape under a name, the newer counts.
    pub(crate) fn all(&self) -> Vec<Arc<CountedMeter>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut meters: Vec<Arc<CountedMeter>> = Vec::new();
        for meter in all.iter().rev().filter_map(Weak::upgrade) {
            if meters.iter().all(|known| known.shape.name != meter.shape.name) {
                meters.push(meter);
            }
        }
        meters.sort_by(|a, b| a.shape.name.cmp(&b.shape.name));
        meters
    }

    pub(crate) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        for meter in self.all() {
            let shape = &meter.shape;
            let name = format!("custom_{}", shape.name);
            let of = if shape.bounds.is_some() { MetricType::Histogram } else { MetricType::Counter };
            let mut family = encoder.encode_descriptor(&name, &shape.help, None, of)?;
            for (values, sum, count, buckets) in meter.read() {
                let values = values.iter().map(|value| &**value);
                let labels: Vec<(&str, &str)> = shape.labels.iter().map(String::as_str).zip(values).collect();
                let labels: &[(&str, &str)] = &labels;
                let mut encoder = family.encode_family(&labels)?;
                match &shape.bounds {
                    None => ConstCounter::new(sum).encode(encoder)?,
                    Some(bounds) => {
                        let bounds = bounds.iter().copied().chain([f64::MAX]);
                        let buckets: Vec<(f64, u64)> = bounds.zip(buckets).collect();
                        encoder.encode_histogram::<[(&str, &str); 0]>(sum, count, &buckets, None)?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl CountedMeter {
    /// Everything that is counted, in the order of the labels' values.
    pub(crate) fn read(&self) -> Vec<Read> {
        let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
        let read = |(labels, series): (&Labels, &Arc<Series>)| {
            let buckets = series.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
            let sum = f64::from_bits(series.sum.load(Ordering::Relaxed));
            (labels.clone(), sum, series.count.load(Ordering::Relaxed), buckets)
        };
        let mut read: Vec<Read> = series.iter().map(read).collect();
        read.sort_by(|a, b| a.0.cmp(&b.0));
        read
    }

    fn series(&self, labels: &[Cow<'_, str>]) -> Arc<Series> {
        let key: Labels = labels.iter().map(|value| cut(value).into()).collect();
        let other = || -> Labels { labels.iter().map(|_| OTHER.into()).collect() };
        {
            let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
            // Clients may bring ever new values: where there is no room for them, nobody waits for anybody.
            let full = series.len() >= self.shape.most;
            if let Some(known) = series.get(&key).or_else(|| series.get(&other()).filter(|_| full)) {
                return known.clone();
            }
        }
        let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
        let full = series.len() >= self.shape.most && !series.contains_key(&key);
        let key = if full { other() } else { key };
        let buckets = self.shape.bounds.as_ref().map_or(0, |bounds| bounds.len() + 1);
        let new = || Arc::new(Series::new(buckets));
        series.entry(key).or_insert_with(new).clone()
    }
}

/// At most [`LONGEST`] bytes of it, up to the end of a character.
fn cut(value: &str) -> &str {
    let mut end = value.len().min(LONGEST);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    &value[..end]
}

impl Series {
    fn new(buckets: usize) -> Series {
        let buckets = (0..buckets).map(|_| AtomicU64::new(0)).collect();
        Series { sum: AtomicU64::new(0_f64.to_bits()), count: AtomicU64::new(0), buckets }
    }
}

impl Meter for CountedMeter {
    fn count(&self, labels: &[Cow<'_, str>], amount: f64) {
        let series = self.series(labels);
        let add = |sum| Some((f64::from_bits(sum) + amount).to_bits());
        let _ = series.sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        series.count.fetch_add(1, Ordering::Relaxed);
        if let Some(bounds) = &self.shape.bounds {
            let bucket = bounds.partition_point(|bound| *bound < amount);
            series.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(bounds: Option<Vec<f64>>) -> MeterShape {
        let labels = vec![String::from("partner")];
        MeterShape { name: String::from("orders"), help: String::from("Orders"), bounds, labels, most: 2 }
    }

    #[test]
    fn what_is_beyond_the_most_values_is_other() {
        let meters = Meters::default();
        let meter = meters.meter(shape(None));
        for partner in ["a", "b", "c", "d", "a"] {
            meter.count(&[partner.into()], 1.5);
        }
        let read: Vec<_> = meter.read().into_iter().map(|(labels, sum, ..)| (labels[0].to_string(), sum)).collect();
        assert_eq!(read, [("a".into(), 3.0), ("b".into(), 1.5), ("other".into(), 3.0)]);
        assert!(Arc::ptr_eq(&meter, &meters.meter(shape(None))), "one shape is one metric");
        let other = meters.meter(shape(Some(vec![1.0, 10.0])));
        other.count(&["é".repeat(100).into()], 2.0);
        assert!(meters.all().len() == 1 && Arc::ptr_eq(&meters.all()[0], &other), "the newer counts");
        assert_eq!(other.read()[0].3, [0, 1, 0]);
        assert_eq!(other.read()[0].0[0].len(), 128);
        drop(other);
        assert!(Arc::ptr_eq(&meters.all()[0], &meter));
    }
}
