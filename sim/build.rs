//! Compiles the bridge to the models, which are made when they are first used.

fn main() {
    for file in ["src/card.rs", "src/shim"] {
        println!("cargo::rerun-if-changed={file}");
    }
    let mut bridge = cxx_build::bridge("src/card.rs");
    bridge.file("src/shim/bridge.cc").std("c++17").warnings(true).extra_warnings(true);
    bridge.compile("nitor-sim-shim");
}
