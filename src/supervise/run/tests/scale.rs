//! What many services cost. The figures are printed; only what is far off fails.

use super::*;

fn clock() -> std::time::Instant {
    std::time::Instant::now()
}

async fn all_up(rig: &mut Rig, n: usize) {
    while rig.world.alive() < n {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let _ = rig.events.try_recv();
    }
}

/// The bytes of memory that this process holds.
fn memory() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
#[ignore = "it measures: run it alone, in a release build"]
fn what_many_services_cost() {
    real(async |dir| {
        let mut rig = Rig::new(dir);
        let mut known = 0;
        for n in [100, 1000, 5000] {
            let before = memory();
            let specs: Vec<_> = (known..n).map(|i| spec(&format!("s-{i:04}"), "on TERM exit 0")).collect();
            let count = u32::try_from(n - known).unwrap();
            let begun = clock();
            rig.define(specs).await.unwrap();
            let defined = begun.elapsed();
            let begun = clock();
            rig.start("").await.unwrap();
            all_up(&mut rig, n).await;
            let started = begun.elapsed();
            let each = (memory().saturating_sub(before)) / (n - known);
            println!(
                "{count} more of {n}: defined in {defined:?}, started in {started:?} ({:?} each), {each} bytes each",
                started / count
            );
            known = n;
        }
        let begun = clock();
        for _ in 0..100 {
            rig.restart("s-2500").await.unwrap();
            rig.ready("s-2500").await;
        }
        println!("a restart among 5000: {:?}", begun.elapsed() / 100);
        let begun = clock();
        rig.stop("").await.unwrap();
        while rig.world.alive() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        println!("5000 stopped in {:?}", begun.elapsed());
    });
}
