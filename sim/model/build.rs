//! Hands the places of zlib and lz4, which only their crates' build scripts know, to the crate.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for library in ["Z", "LZ4"] {
        for (what, variable) in [("ROOT", "LIB"), ("INCLUDE", "INCLUDE")] {
            let place = env::var(format!("DEP_{library}_{what}")).unwrap_or_default();
            println!("cargo:rustc-env=NITOR_{library}_{variable}={place}");
        }
    }
}
