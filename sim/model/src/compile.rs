//! Compiles the C++ of a model and links it to a shared library. [`Recipe`] uses it.

use crate::cache::{Cache, Entry};
use crate::jobs::{run, run_all};
use crate::library::{digest, Recipe, LIBRARY};
use crate::verilate::OUT;
use crate::{Error, Toolchain};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiler flags for all files of all models.
pub(crate) const FLAGS: &[&str] = &[
    "-std=gnu++17",
    "-fPIC",
    // Warnings about generated code are of no use.
    "-w",
    "-pthread",
    // Each model in a process has its own copy of Verilator's run time, which no other sees.
    "-fvisibility=hidden",
    "-fno-gnu-unique",
    "-DVL_TIME_CONTEXT=1",
    "-DVL_USER_FATAL=1",
    "-DVM_SC=0",
    "-DVM_TIMING=0",
    "-DVM_TRACE_SAIF=0",
    "-DVM_TRACE_VCD=0",
];

const RUNTIME_LEVEL: u8 = 2;

/// Flags for models that can write waves.
const WAVES: [&str; 4] = [
    "-DVM_TRACE=1",
    "-DVM_TRACE_FST=1",
    concat!("-I", env!("NITOR_Z_INCLUDE")),
    concat!("-I", env!("NITOR_LZ4_INCLUDE")),
];
const NO_WAVES: [&str; 2] = ["-DVM_TRACE=0", "-DVM_TRACE_FST=0"];
const ARCHIVES: [&str; 2] =
    [concat!(env!("NITOR_Z_LIB"), "/lib/libz.a"), concat!(env!("NITOR_LZ4_LIB"), "/liblz4.a")];

fn compiler(tools: &Toolchain, recipe: &Recipe, level: u8) -> Command {
    let mut compiler = tools.compiler();
    compiler.arg(format!("-O{level}")).args(FLAGS);
    compiler.args(if recipe.waves { &WAVES[..] } else { &NO_WAVES[..] });
    compiler.args(recipe.counts.defines());
    compiler.arg("-I").arg(tools.include()).arg("-I").arg(tools.include().join("vltstd"));
    compiler
}

/// The cache key of [`runtime`].
fn runtime_key(tools: &Toolchain, recipe: &Recipe) -> String {
    let variant = format!("{RUNTIME_LEVEL} {} {}", recipe.waves, recipe.counts.lines);
    digest(&[&tools.identity, &format!("{FLAGS:?}"), &variant])
}

/// Verilator's run time, compiled once for all models.
pub(crate) fn runtime(cache: &Cache, tools: &Toolchain, recipe: &Recipe) -> Result<Entry, Error> {
    let name = format!("runtime-{}", runtime_key(tools, recipe));
    if recipe.waves {
        let missing = ARCHIVES.iter().map(Path::new).find(|archive| !archive.is_file());
        missing.map_or(Ok(()), |archive| Err(Error::NoArchives(archive.into())))?;
    }
    cache.entry(
        &name,
        || (),
        |work| {
            let mut files = vec!["verilated.cpp", "verilated_threads.cpp"];
            files.extend(recipe.waves.then_some("verilated_fst_c.cpp"));
            files.extend(recipe.counts.lines.then_some("verilated_cov.cpp"));
            let compile = |file| {
                let mut compiler = compiler(tools, recipe, RUNTIME_LEVEL);
                compiler.current_dir(work).arg("-c").arg(tools.include().join(file));
                compiler
            };
            run_all(files.into_iter().map(compile).collect(), |_| ())
        },
    )
}

/// Compiles all files as one unit, and links it. A small model compiles sooner this way, since most
/// of the time goes into Verilator's headers.
pub(crate) fn as_one(
    tools: &Toolchain,
    recipe: &Recipe,
    work: &Path,
    generated: &[String],
    runtime: &[PathBuf],
) -> Result<(), Error> {
    let units = generated.iter().map(String::as_str).chain(recipe.units());
    let all: String = units.map(|unit| format!("#include \"{unit}\"\n")).collect();
    let path = work.join("all.cc");
    fs::write(&path, all).map_err(crate::at(&path))?;
    let mut compiler = compiler(tools, recipe, recipe.level);
    compiler.current_dir(work).args(recipe.defines).args(["-I.", "-I", OUT, "all.cc"]);
    link(compiler, recipe, &[], runtime)
}

/// Compiles each file by itself, in parallel, and links them. `done` is called with how many of how
/// many are compiled.
pub(crate) fn as_many(
    tools: &Toolchain,
    recipe: &Recipe,
    work: &Path,
    generated: &[String],
    runtime: &[PathBuf],
    done: impl Fn(usize, usize) + Sync,
) -> Result<(), Error> {
    // Code that runs once, or only while waves are written, takes half of the compile time at level
    // 2.
    let level = |unit: &str| match unit.contains("__Slow") || unit.contains("__Trace") {
        true => 0,
        false => recipe.level,
    };
    let generated = generated.iter().map(|unit| (format!("{OUT}/{unit}"), level(unit)));
    let ours = recipe.units().map(|unit| (unit.to_owned(), recipe.level));
    let mut units: Vec<_> = generated.chain(ours).collect();
    // The longest compilation starts first, so that none runs alone at the end.
    let cost = |(unit, level): &(String, u8)| {
        let size = fs::metadata(work.join(unit)).map_or(0, |file| file.len());
        if *level == 0 {
            size / 4
        } else {
            size
        }
    };
    units.sort_by_key(|unit| std::cmp::Reverse(cost(unit)));
    let mut objects = Vec::new();
    let mut commands = Vec::new();
    for (i, (unit, level)) in units.iter().enumerate() {
        let object = format!("{i}.o");
        let mut compiler = compiler(tools, recipe, *level);
        compiler.current_dir(work).args(recipe.defines);
        compiler.args(["-I.", "-I", OUT, "-c", unit, "-o", &object]);
        commands.push(compiler);
        objects.push(object);
    }
    let all = commands.len();
    done(0, all);
    run_all(commands, |n| done(n, all))?;
    let mut linker = compiler(tools, recipe, recipe.level);
    linker.current_dir(work);
    link(linker, recipe, &objects, runtime)
}

fn link(
    mut compiler: Command,
    recipe: &Recipe,
    objects: &[String],
    runtime: &[PathBuf],
) -> Result<(), Error> {
    // A missing symbol fails the link here, not a load later.
    compiler.args(["-shared", "-Wl,--no-undefined", "-o", LIBRARY]).args(objects);
    compiler.args(runtime);
    if recipe.waves {
        compiler.args(ARCHIVES);
    }
    run(&mut compiler).map(drop)
}
