//! Verilated models of cards. A model is made at its first use and loaded once in a process,
//! however many cards use it.

use std::collections::HashMap;
use std::env;
use std::fs;
use std::mem::size_of;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use nitor_hdl::CardSpec;
use nitor_model::{digest, Cache, Counts, Library, Recipe, Units};

use crate::card::{Beat, MgmtReply, Record, ShimConfig};
use crate::emitted;

pub use nitor_model::{stop_when, Error};

/// The environment variable that names a folder of Verilog files to use in place of what is
/// emitted: `nitor_128.v` and the like, each a card by the name of its top module.
pub const VERILOG: &str = "NITOR_SIM_VERILOG_DIR";

/// The Verilog of `card`: emitted, or from the folder that [`VERILOG`] names.
fn verilog(card: &'static CardSpec) -> Result<String, ModelError> {
    let Some(folder) = env::var_os(VERILOG) else {
        return emitted::once(&Cache::of_user()?, card.name, || {
            let design = nitor_hdl::emit_card(card);
            Ok(design.map_err(|error| ModelError::Verilog(error.to_string()))?.to_string())
        });
    };
    let file = Path::new(&folder).join(format!("{}.v", card.top()));
    fs::read_to_string(&file)
        .map_err(|error| ModelError::Verilog(format!("{VERILOG}: {}: {error}", file.display())))
}

/// Optional abilities of a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Features {
    /// The model can write waves.
    pub waves: bool,
    /// The model counts the branches of the Verilog that are taken.
    pub branches: bool,
}

impl From<ModelError> for std::io::Error {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::Model(Error::Stopped) => std::io::ErrorKind::Interrupted.into(),
            error => std::io::Error::other(error),
        }
    }
}

/// Why there is no model.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The Verilog of the card could not be emitted or read.
    #[error("{0}")]
    Verilog(String),
    #[error(transparent)]
    Model(#[from] Error),
}

/// A loaded model of a card.
pub struct Model {
    /// The address of the library's `NewCard`.
    pub(crate) maker: usize,
    _library: Library,
}

/// Verilator's flags for cards.
const VERILATE: &[&str] = &[
    "--prefix",
    "Vcard",
    "--x-assign",
    "fast",
    // Initial values are drawn from the seed of each card, so that a test finds a register that no
    // reset sets.
    "--x-initial",
    "unique",
    "--noassert",
    "--output-split",
    "20000",
    // The Verilog is linted on its own, with every waiver explained.
    "-Wno-lint",
    "-Wno-style",
    "-Wno-fatal",
];

/// Headers that the program and the libraries are both compiled with. [`Abi`] has their hash.
const HEADERS: [(&str, &str); 4] = [
    ("nitor-sim/src/shim/card.h", include_str!("shim/card.h")),
    ("nitor-sim/src/shim/bridge.h", include_str!("shim/bridge.h")),
    (
        "nitor-sim/src/card.rs.h",
        include_str!(concat!(env!("OUT_DIR"), "/cxxbridge/include/nitor-sim/src/card.rs.h")),
    ),
    ("rust/cxx.h", include_str!(concat!(env!("OUT_DIR"), "/cxxbridge/include/rust/cxx.h"))),
];

const ABI: (&str, &str) = ("abi.cc", include_str!("shim/abi.cc"));

const PINS: [(&str, &str); 5] = [
    ABI,
    ("exports.h", include_str!("shim/exports.h")),
    ("pins.h", include_str!("shim/pins.h")),
    ("queues.h", include_str!("shim/queues.h")),
    ("queues.cc", include_str!("shim/queues.cc")),
];

/// The same layout as `nitor::Abi` in card.h.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Abi {
    headers: [u8; 40],
    sizes: [u32; 5],
}

impl Abi {
    fn ours() -> Abi {
        let mut headers = [0; 40];
        headers[..32].copy_from_slice(headers_digest().as_bytes());
        let (config, record) = (size_of::<ShimConfig>(), size_of::<Record>());
        let (reply, beat) = (size_of::<MgmtReply>(), size_of::<Beat>());
        let sizes = [size_of::<usize>(), config, record, reply, beat].map(|size| size as u32);
        Abi { headers, sizes }
    }
}

fn headers_digest() -> String {
    digest(&HEADERS.map(|(_, text)| text))
}

fn headers_define(digest: &str) -> String {
    format!("-DNITOR_HEADERS=\"{digest}\"")
}

/// The place of one model, empty until the model is made.
type Slot = Arc<Mutex<Option<&'static Model>>>;
/// Models by card and features. No card stands for the scripted card.
type Slots = HashMap<(Option<&'static str>, Features), Slot>;
static MODELS: LazyLock<Mutex<Slots>> = LazyLock::new(Mutex::default);

impl Model {
    /// The model of a card. It is made if it does not exist yet.
    pub fn of(card: &'static CardSpec, features: Features) -> Result<&'static Model, ModelError> {
        Model::once(Some(card.name), features, || {
            let mut counts = Counts::wanted();
            if features.branches {
                counts = counts.and_lines();
            }
            let verilog = verilog(card)?;
            let recipe = Recipe {
                told: true,
                verilog: &[("card.v", &verilog)],
                waves: features.waves,
                counts,
                // At level 0 a model is 25 times slower, and level 3 gains nothing. A model that
                // counts toggles takes longer to compile than to run.
                level: if counts.toggles { 1 } else { 2 },
                ..recipe(card.name)
            };
            Model::make(recipe, ("model.cc", include_str!("shim/model.cc")))
        })
    }

    /// The model of the scripted card, whose output pins follow a script.
    pub(crate) fn scripted() -> Result<&'static Model, ModelError> {
        Model::once(None, Features::default(), || {
            let scripted = ("scripted.cc", include_str!("shim/scripted.cc"));
            Model::make(recipe("card-scripted"), scripted)
        })
    }

    /// If several threads ask for the same model, one makes it and the others wait.
    fn once(
        card: Option<&'static str>,
        features: Features,
        make: impl FnOnce() -> Result<Model, ModelError>,
    ) -> Result<&'static Model, ModelError> {
        let mut models = MODELS.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = models.entry((card, features)).or_default().clone();
        drop(models);
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(model) = *slot {
            return Ok(model);
        }
        // The model is never unloaded: cards may exist until the process ends.
        let model = &*Box::leak(Box::new(make()?));
        *slot = Some(model);
        Ok(model)
    }

    fn make(recipe: Recipe, source: (&str, &str)) -> Result<Model, ModelError> {
        let headers = headers_define(&headers_digest());
        let sources = [&HEADERS[..], &PINS, &[source]].concat();
        let recipe = Recipe { sources: &sources, defines: &[&headers], ..recipe };
        Ok(Model::load(recipe.library()?)?)
    }

    fn load(library: Library) -> Result<Model, Error> {
        // SAFETY: abi.cc gives the symbol this type in every library.
        let abi = unsafe { *library.get::<*const Abi>("nitor_card_abi")? };
        if abi != Abi::ours() {
            return Err(Error::Abi(library.path().into()));
        }
        // SAFETY: only its address is taken; the library stays as long as the model.
        let maker = unsafe { library.get::<*const ()>("nitor_card_new")? };
        Ok(Model { maker: maker as usize, _library: library })
    }
}

/// The part that the recipes of all cards have in common.
fn recipe(name: &str) -> Recipe<'_> {
    Recipe {
        name,
        told: false,
        verilog: &[],
        verilate: VERILATE,
        sources: &[],
        defines: &[],
        runtime: true,
        level: 2,
        units: Units::Many,
        waves: false,
        counts: Counts::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The error from loading a library that was compiled for `headers` and exports nothing but its
    /// ABI.
    fn load(headers: &str) -> Error {
        let folder = tempfile::tempdir().unwrap();
        let sources = [&HEADERS[..], &[ABI]].concat();
        let define = headers_define(headers);
        let recipe = Recipe {
            sources: &sources,
            defines: &[&define],
            runtime: false,
            level: 0,
            ..recipe("card-of-another-time")
        };
        let library = recipe.library_in(&Cache::new(folder.path(), u64::MAX)).unwrap();
        Model::load(library).err().expect("it makes no cards")
    }

    #[test]
    fn a_library_for_another_program_is_refused() {
        let refused = load("0123456789abcdef0123456789abcdef");
        assert!(matches!(refused, Error::Abi(_)), "{refused}");
        assert!(refused.to_string().contains("card-of-another-time"), "{refused}");
        // With our own headers the ABI check passes, and the load fails at the next export.
        assert!(matches!(load(&headers_digest()), Error::Load(..)));
    }
}
