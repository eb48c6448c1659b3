#![allow(missing_docs, clippy::all, clippy::print_stdout, clippy::unwrap_used)]
use metalk8s_engine::{Hands, State};
use std::error::Error;
fn chain(err: &dyn Error) -> String {
    let mut t = err.to_string();
    let mut n = err.source();
    while let Some(e) = n {
        t = format!("{t}: {e}");
        n = e.source();
    }
    t
}
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let a: Vec<String> = std::env::args().collect();
    let host = match a.get(1).map(String::as_str) {
        Some("-") | None => metalk8s_host::Host::new(),
        Some(root) if a.len() > 2 => metalk8s_host::Host::in_root_with_programs(root, &a[2]),
        Some(root) => metalk8s_host::Host::in_root(root),
    };
    if std::env::var("GRAINS").is_ok() {
        println!("{}", serde_json::to_string_pretty(&host.collect_grains().unwrap()).unwrap());
        return;
    }
    if let Ok(n) = std::env::var("FILES") {
        let n: usize = n.parse().unwrap();
        let states: Vec<State> = (0..n)
            .map(|i| {
                State::File(metalk8s_engine::state::File {
                    user: Some("root".into()),
                    group: Some("root".into()),
                    ..metalk8s_engine::state::File::text(
                        format!("/tmp/fz/many/f{i}"),
                        format!("line {i}\n").repeat(20),
                    )
                })
            })
            .collect();
        for round in 0..3 {
            let start = std::time::Instant::now();
            let mut changes = 0;
            for s in &states {
                if let Some(c) = host.check(s).await.unwrap() {
                    changes += 1;
                    host.apply(s, &c).await.unwrap();
                }
            }
            println!("round {round}: {changes} changes, {:?}", start.elapsed());
        }
        return;
    }
    for state in serde_json::from_reader::<_, Vec<State>>(std::io::stdin()).unwrap() {
        let start = std::time::Instant::now();
        match host.check(&state).await {
            Err(e) => println!("CHECK ERROR {}", chain(&e)),
            Ok(None) => println!("nothing to change ({:?})", start.elapsed()),
            Ok(Some(c)) => {
                println!("change: {:?} {} ({:?})", c.kind, c.summary, start.elapsed());
                let start = std::time::Instant::now();
                match host.apply(&state, &c).await {
                    Err(e) => println!("APPLY ERROR {}", chain(&e)),
                    Ok(_) => println!("  applied ({:?})", start.elapsed()),
                }
                match host.check(&state).await {
                    Err(e) => println!("  CHECK ERROR {}", chain(&e)),
                    Ok(None) => println!("  then nothing"),
                    Ok(Some(c)) => println!("  STILL {}", c.summary),
                }
            }
        }
    }
}
