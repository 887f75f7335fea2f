//! (being built)
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).init();
    let path = std::env::args().nth(1).unwrap();
    let loaded = match trunkway::config::load(std::path::Path::new(&path)) { Ok(l) => l, Err(f) => { eprintln!("{}", f.render(false)); std::process::exit(64) } };
    eprintln!("{}", loaded.warnings.render(false));
    let n = std::thread::available_parallelism().unwrap().get();
    let rt = if n == 1 { tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap() } else { tokio::runtime::Builder::new_multi_thread().worker_threads(n).enable_all().build().unwrap() };
    rt.block_on(async {
        let mut d = trunkway::daemon::Daemon::bind(loaded).await.unwrap();
        d.run();
        eprintln!("{:?}", d.listeners());
        let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
        term.recv().await;
        eprintln!("{:?}", d.status());
        d.stop().await;
    });
}
