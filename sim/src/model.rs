//! Cards' models: made at their first use, then loaded once a process, however many cards are made
//! of them.

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

/// Names a folder with `nitor_128.v` and the like, each a card by the name of its top module, to be taken in place of what is emitted.
pub const VERILOG: &str = "NITOR_SIM_VERILOG_DIR";

/// All that a card's model is made of.
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

/// What a model can do besides to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Features {
    /// To write waves.
    pub waves: bool,
    /// To count the branches of the Verilog that are taken.
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
    /// Nor its Verilog.
    #[error("{0}")]
    Verilog(String),
    #[error(transparent)]
    Model(#[from] Error),
}

/// A card's code, loaded.
pub struct Model {
    /// Where its `NewCard` is.
    pub(crate) maker: usize,
    _library: Library,
}

/// Verilator's flags for cards.
const VERILATE: &[&str] = &[
    "--prefix",
    "Vcard",
    "--x-assign",
    "fast",
    // Drawn from each card's seed: what no reset sets is found.
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

/// What the program was compiled with, and the libraries are: they agree on what is in here.
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

/// As in card.h.
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

/// A model by what it is of; empty while it is made.
type Slot = Arc<Mutex<Option<&'static Model>>>;
/// Of no card: the scripted one.
type Slots = HashMap<(Option<&'static str>, Features), Slot>;
static MODELS: LazyLock<Mutex<Slots>> = LazyLock::new(Mutex::default);

impl Model {
    /// The model of a card, which is made if nobody has yet.
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
                // At level 0 it is 25 times slower, and 3 gains nothing. What counts toggles is
                // compiled for longer than it runs.
                level: if counts.toggles { 1 } else { 2 },
                ..recipe(card.name)
            };
            Model::make(recipe, ("model.cc", include_str!("shim/model.cc")))
        })
    }

    /// The model of no card, whose pins do what they are told.
    pub(crate) fn scripted() -> Result<&'static Model, ModelError> {
        Model::once(None, Features::default(), || {
            let scripted = ("scripted.cc", include_str!("shim/scripted.cc"));
            Model::make(recipe("card-scripted"), scripted)
        })
    }

    /// Of threads that ask for the same, one makes it, and the others wait.
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
        // Never unloaded: cards may be there to the process's end.
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
        // SAFETY: that is what abi.cc says, whatever else the library is.
        let abi = unsafe { *library.get::<*const Abi>("nitor_card_abi")? };
        if abi != Abi::ours() {
            return Err(Error::Abi(library.path().into()));
        }
        // SAFETY: only its address is taken; the library stays as long as the model.
        let maker = unsafe { library.get::<*const ()>("nitor_card_new")? };
        Ok(Model { maker: maker as usize, _library: library })
    }
}

/// What all cards' recipes have in common.
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

    /// What a library is like that says it was made for `headers`, and exports nothing else.
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
        // Ours is taken, as far as it goes.
        assert!(matches!(load(&headers_digest()), Error::Load(..)));
    }
}
