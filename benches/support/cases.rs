//! Runs the cases of a bench: under criterion, or a fixed number of times for an instrument such as callgrind.

use std::hint::black_box;

use criterion::Criterion;

use crate::allocations;

/// One thing to measure.
pub struct Case {
    pub name: &'static str,
    pub run: Box<dyn FnMut()>,
}

impl Case {
    /// A case whose result is not thrown away by the compiler.
    pub fn new<T>(name: &'static str, mut run: impl FnMut() -> T + 'static) -> Self {
        Self { name, run: Box::new(move || drop(black_box(run()))) }
    }
}

/// Prints what each case allocates, then measures.
///
/// With `TRUNKWAY_ITERATIONS=n` each case runs `n` times and nothing else is done; `TRUNKWAY_CASE=name` picks one.
pub fn measure(group: &str, mut cases: Vec<Case>) {
    if let Some(iterations) = std::env::var("TRUNKWAY_ITERATIONS").ok().and_then(|text| text.parse::<u64>().ok()) {
        let wanted = std::env::var("TRUNKWAY_CASE").ok();
        for case in cases.iter_mut().filter(|case| wanted.as_deref().is_none_or(|wanted| wanted == case.name)) {
            for _ in 0..iterations {
                (case.run)();
            }
        }
        return;
    }
    const ROUNDS: u64 = 100;
    for case in &mut cases {
        // Once before, so that buffers which are kept have grown.
        (case.run)();
        let (allocations, ()) = allocations::during(|| (0..ROUNDS).for_each(|_| (case.run)()));
        println!("{group}/{}: {:.2} allocations", case.name, allocations as f64 / ROUNDS as f64);
    }
    let mut criterion = Criterion::default().without_plots().configure_from_args();
    let mut measured = criterion.benchmark_group(group);
    for mut case in cases {
        measured.bench_function(case.name, |bencher| bencher.iter(|| (case.run)()));
    }
    measured.finish();
}
