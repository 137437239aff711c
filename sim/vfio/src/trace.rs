//! A recorded session of a driver with a card, and its file.
//!
//! A trace has no times. It is a list of what was done to the card, each with the host memory that the card read because of it and
//! with what the card did then until it was quiet: so it can be replayed against a card whose timing has changed since.
//!
//! The file is [`MAGIC`], then, deflated, a [`Head`] and [`Step`]s as postcard writes them, each after its length.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use flate2::Compression;
use serde::{Deserialize, Serialize};

/// What a trace begins with; the last byte is the layout's version.
pub const MAGIC: [u8; 8] = *b"NITORTR\x01";
/// Steps are a few bytes more than what they carry, and a carried block is a frame or a memory write at most.
const LONGEST: u32 = 64 << 20;

/// How the card was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub width: u32,
    pub seed: u64,
    /// What was recorded, for people.
    pub about: String,
}

/// What was done to the card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    Map { iova: u64, len: u64, read: bool, write: bool },
    Unmap { iova: u64, len: u64 },
    Config { offset: u64, bytes: Vec<u8> },
    Read { region: u32, offset: u64, len: u32 },
    Write { region: u32, offset: u64, bytes: Vec<u8> },
    Frame(Vec<u8>),
    Link(bool),
    Reset,
}

/// A cause and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Host memory that the card read and that differs from what it read or wrote there before.
    pub memory: Vec<(u64, Vec<u8>)>,
    pub cause: Cause,
    /// Frames that the card sent.
    pub frames: Vec<Vec<u8>>,
    /// Host memory that the card wrote, as it was afterwards.
    pub writes: Vec<(u64, Vec<u8>)>,
    /// Vectors that interrupted, until the next step.
    pub interrupts: Vec<u16>,
}

impl Step {
    pub fn new(cause: Cause) -> Self {
        Step { memory: vec![], cause, frames: vec![], writes: vec![], interrupts: vec![] }
    }
}

/// A trace being written.
pub struct Writer {
    file: DeflateEncoder<BufWriter<File>>,
}

impl Writer {
    pub fn create(path: &Path, head: &Head) -> io::Result<Self> {
        let mut file = BufWriter::new(File::create(path)?);
        file.write_all(&MAGIC)?;
        let mut writer = Writer { file: DeflateEncoder::new(file, Compression::best()) };
        writer.put(head)?;
        Ok(writer)
    }

    fn put(&mut self, value: &impl Serialize) -> io::Result<()> {
        let bytes = postcard::to_stdvec(value).map_err(io::Error::other)?;
        let len = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        self.file.write_all(&len.to_le_bytes())?;
        self.file.write_all(&bytes)
    }

    pub fn step(&mut self, step: &Step) -> io::Result<()> {
        self.put(step)
    }

    pub fn finish(self) -> io::Result<()> {
        self.file.finish()?.flush()
    }
}

/// A trace being read.
pub struct Reader {
    pub head: Head,
    file: DeflateDecoder<BufReader<File>>,
}

impl Reader {
    pub fn open(path: &Path) -> io::Result<Self> {
        let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_string());
        let mut file = BufReader::new(File::open(path)?);
        let mut magic = [0; MAGIC.len()];
        file.read_exact(&mut magic).map_err(|_| bad("it is no trace"))?;
        if magic[..7] != MAGIC[..7] {
            return Err(bad("it is no trace"));
        }
        if magic != MAGIC {
            return Err(bad("it is a trace of another version"));
        }
        let mut file = DeflateDecoder::new(file);
        let head = take(&mut file)?.ok_or_else(|| bad("it ends before it has begun"))?;
        Ok(Reader { head, file })
    }

    /// The next step, if there is one.
    pub fn step(&mut self) -> io::Result<Option<Step>> {
        take(&mut self.file)
    }
}

fn take<T: for<'a> Deserialize<'a>>(file: &mut impl Read) -> io::Result<Option<T>> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_string());
    let mut len = [0; 4];
    let mut have = 0;
    while have < len.len() {
        match file.read(&mut len[have..])? {
            0 if have == 0 => return Ok(None),
            0 => return Err(bad("it is cut off")),
            more => have += more,
        }
    }
    let len = u32::from_le_bytes(len);
    if len > LONGEST {
        return Err(bad("it is damaged"));
    }
    let mut bytes = Vec::new();
    file.take(len.into()).read_to_end(&mut bytes)?;
    if bytes.len() != len as usize {
        return Err(bad("it is cut off"));
    }
    postcard::from_bytes(&bytes).map(Some).map_err(|_| bad("it is damaged"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cause() -> impl Strategy<Value = Cause> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..200);
        prop_oneof![
            any::<(u64, u64)>().prop_map(|(iova, len)| Cause::Unmap { iova, len }),
            (any::<u64>(), bytes()).prop_map(|(offset, bytes)| Cause::Config { offset, bytes }),
            (any::<u32>(), any::<u64>(), bytes())
                .prop_map(|(region, offset, bytes)| Cause::Write { region, offset, bytes }),
            bytes().prop_map(Cause::Frame),
            any::<bool>().prop_map(Cause::Link),
            Just(Cause::Reset),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            causes in prop::collection::vec(cause(), 0..20),
            memory in prop::collection::vec((any::<u64>(), prop::collection::vec(any::<u8>(), 0..90)), 0..5),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("trace");
            let head = Head { width: 128, seed: 7, about: "a test".into() };
            let mut writer = Writer::create(&path, &head).unwrap();
            let steps: Vec<_> = causes
                .into_iter()
                .map(|cause| Step { memory: memory.clone(), interrupts: vec![1], ..Step::new(cause) })
                .collect();
            for step in &steps {
                writer.step(step).unwrap();
            }
            writer.finish().unwrap();
            let mut reader = Reader::open(&path).unwrap();
            prop_assert_eq!(&reader.head, &head);
            for step in &steps {
                prop_assert_eq!(&reader.step().unwrap().unwrap(), step);
            }
            prop_assert!(reader.step().unwrap().is_none());
        }

        /// Whatever is wrong with a file, it is an error and no panic.
        #[test]
        fn damage_is_an_error(at in 0..1000usize, flip in 1..=255u8, cut in any::<bool>()) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("trace");
            let head = Head { width: 128, seed: 7, about: "a test".into() };
            let mut writer = Writer::create(&path, &head).unwrap();
            for n in 0..20u64 {
                writer.step(&Step::new(Cause::Unmap { iova: n << 33, len: n * n })).unwrap();
            }
            writer.finish().unwrap();
            let mut bytes = std::fs::read(&path).unwrap();
            let at = at % bytes.len();
            if cut { bytes.truncate(at) } else { bytes[at] ^= flip }
            std::fs::write(&path, bytes).unwrap();
            if let Ok(mut reader) = Reader::open(&path) {
                while let Ok(Some(_)) = reader.step() {}
            }
        }
    }
}
