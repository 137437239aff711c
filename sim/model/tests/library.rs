//! Tests of recipes, from Verilog to a call of a function in the library.

use nitor_model::{Cache, Counts, Error, Library, Recipe, Units};
use std::fs;
use std::path::Path;

const ANSWER: &str =
    "extern \"C\" __attribute__((visibility(\"default\"))) int answer() { return N; }\n";

fn recipe<'a>(sources: &'a [(&'a str, &'a str)], defines: &'a [&'a str]) -> Recipe<'a> {
    Recipe {
        name: "thing",
        told: true,
        verilog: &[],
        verilate: &[],
        sources,
        defines,
        runtime: false,
        level: 0,
        units: Units::Many,
        waves: false,
        counts: Counts::default(),
    }
}

fn answer(library: &Library) -> i32 {
    // SAFETY: the library exports the function with this type.
    unsafe { library.get::<extern "C" fn() -> i32>("answer").unwrap()() }
}

fn library(folder: &Path, number: &str) -> Result<Library, Error> {
    let define = format!("-DN={number}");
    recipe(&[("answer.cc", ANSWER)], &[&define]).library_in(&Cache::new(folder, u64::MAX))
}

/// The folders of libraries in the cache.
fn things(folder: &Path) -> Vec<std::path::PathBuf> {
    let listed = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    listed.filter(|path| path.is_dir() && path.to_string_lossy().contains("thing-")).collect()
}

#[test]
fn what_differs_is_another_library() {
    let folder = tempfile::tempdir().unwrap();
    let libraries = ["1", "2", "1"].map(|number| library(folder.path(), number).unwrap());
    assert_eq!(libraries.each_ref().map(answer), [1, 2, 1]);
    assert_eq!(things(folder.path()).len(), 2);
}

#[test]
fn what_is_damaged_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let whole = library(folder.path(), "3").unwrap();
    let path = whole.path().to_owned();
    let bytes = fs::read(&path).unwrap();
    // The library in use gets another file, so the user's stays as it is.
    for damage in [&bytes[..bytes.len() / 2], &[], &[0; 100]] {
        fs::remove_file(&path).unwrap();
        fs::write(&path, damage).unwrap();
        assert_eq!(answer(&library(folder.path(), "3").unwrap()), 3);
        assert_eq!(fs::read(&path).unwrap().len(), bytes.len());
    }
    fs::remove_file(path).unwrap();
    assert_eq!(answer(&library(folder.path(), "3").unwrap()), 3);
    assert_eq!(answer(&whole), 3);
}

#[test]
fn a_compiler_that_refuses_is_told_on_one_line_with_the_place_of_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let error = library(folder.path(), "no_such_name").unwrap_err();
    let said = error.to_string();
    assert!(said.contains("failed") && said.contains("'no_such_name' was not declared"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    let Error::Tool { log: Some(log), .. } = error else { panic!("{error:?}") };
    assert!(said.contains(log.to_str().unwrap()));
    assert!(fs::read_to_string(log).unwrap().contains("answer.cc:1"));
    assert_eq!(things(folder.path()), [""; 0].map(std::path::PathBuf::from));

    let missing = ("missing.cc", "int elsewhere(); int here() { return elsewhere(); }\n");
    let error = recipe(&[missing], &[]).library_in(&Cache::new(folder.path(), u64::MAX));
    let said = error.unwrap_err().to_string();
    assert!(said.contains("undefined reference to `elsewhere()'"), "{said}");
}

#[test]
fn verilator_has_its_say_too() {
    let folder = tempfile::tempdir().unwrap();
    let verilog = [("wrong.v", "module wrong(input a, output b); assign b = ; endmodule\n")];
    let wrong = Recipe { verilog: &verilog, verilate: &["--prefix", "V"], ..recipe(&[], &[]) };
    let said = wrong.library_in(&Cache::new(folder.path(), u64::MAX)).unwrap_err().to_string();
    assert!(said.contains("verilator_bin failed") && said.contains("wrong.v:1"), "{said}");
}
