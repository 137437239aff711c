//! A trace: a recorded session of a driver with a card, and its file format.
//!
//! A trace has no times. It is a list of what was done to the card. Each step has the host memory
//! that the card read because of it, and what the card did until it was quiet. So a trace can be
//! replayed against a card whose timing has changed.
//!
//! The file is [`MAGIC`], then blocks: a length in two bytes, a CRC-32 in four, and as many bytes
//! as the length says. The last block has length 0, and nothing follows it. The CRC of a block
//! covers everything before it in the file, its length and its bytes, but no CRCs. So it detects
//! any changed bit, and blocks that are missing or moved. The bytes of the blocks are a deflate
//! stream of a [`Head`] and [`Step`]s as postcard writes them, each after its length.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crc32fast::Hasher;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use flate2::Compression;
use serde::{Deserialize, Serialize};

/// The first bytes of a trace; the last one is the version of the layout.
pub const MAGIC: [u8; 8] = *b"NITORTR\x03";
/// The longest step. A step is a few bytes longer than what it carries: frames and memory writes.
const LONGEST: u32 = 64 << 20;
/// The size of a block: how precisely an error locates damage in a file.
const BLOCK: usize = 4096;

/// How the card in the trace was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The name of the card.
    pub card: String,
    pub seed: u64,
    /// A description of the session, for people.
    pub about: String,
}

/// What was done to the card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    Map {
        iova: u64,
        len: u64,
        read: bool,
        write: bool,
    },
    Unmap {
        iova: u64,
        len: u64,
    },
    Config {
        offset: u64,
        bytes: Vec<u8>,
    },
    Read {
        region: u32,
        offset: u64,
        len: u32,
    },
    Write {
        region: u32,
        offset: u64,
        bytes: Vec<u8>,
    },
    Frame(Vec<u8>),
    Link(bool),
    Reset,
    /// The firmware's clock is put forward, in microseconds, and the firmware woken.
    Tick(u64),
}

/// A cause and its effects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Host memory that the card read, where it differs from what the card read or wrote there
    /// before.
    pub memory: Vec<(u64, Vec<u8>)>,
    pub cause: Cause,
    /// Frames that the card sent.
    pub frames: Vec<Vec<u8>>,
    /// Host memory that the card wrote, with its contents afterwards.
    pub writes: Vec<(u64, Vec<u8>)>,
    /// Vectors that interrupted, until the next step.
    pub interrupts: Vec<u16>,
}

impl Step {
    pub fn new(cause: Cause) -> Self {
        Step { memory: vec![], cause, frames: vec![], writes: vec![], interrupts: vec![] }
    }
}

/// What is wrong with a file's bytes.
fn bad(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

/// The length and the CRC before the bytes of a block. `sum` continues over all but the CRCs.
fn block_head(sum: &mut Hasher, bytes: &[u8]) -> [u8; 6] {
    let len = (bytes.len() as u16).to_le_bytes();
    sum.update(&len);
    sum.update(bytes);
    let [a, b, c, d] = sum.clone().finalize().to_le_bytes();
    [len[0], len[1], a, b, c, d]
}

/// Writes bytes as blocks of a file.
struct Blocks {
    file: BufWriter<File>,
    sum: Hasher,
    block: Vec<u8>,
}

impl Blocks {
    fn create(path: &Path) -> io::Result<Self> {
        let mut file = BufWriter::new(File::create(path)?);
        file.write_all(&MAGIC)?;
        let mut sum = Hasher::new();
        sum.update(&MAGIC);
        Ok(Blocks { file, sum, block: Vec::with_capacity(BLOCK) })
    }

    fn put(&mut self) -> io::Result<()> {
        self.file.write_all(&block_head(&mut self.sum, &self.block))?;
        self.file.write_all(&self.block)?;
        self.block.clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        if !self.block.is_empty() {
            self.put()?;
        }
        self.put()?;
        self.file.flush()
    }
}

impl Write for Blocks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..taken]);
        if self.block.len() == BLOCK {
            self.put()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Reads the bytes of a file's blocks. Each block is checked by its CRC before any of it is used.
struct Judged {
    file: BufReader<File>,
    sum: Hasher,
    /// Where the next block begins.
    at: u64,
    block: Vec<u8>,
    taken: usize,
    over: bool,
}

impl Judged {
    fn open(mut file: BufReader<File>) -> io::Result<Self> {
        file.seek(SeekFrom::Start(MAGIC.len() as u64))?;
        let mut sum = Hasher::new();
        sum.update(&MAGIC);
        let at = MAGIC.len() as u64;
        Ok(Judged { file, sum, at, block: Vec::new(), taken: 0, over: false })
    }

    /// The next block; the last one is empty.
    fn next(&mut self) -> io::Result<()> {
        let cut = |at: u64| bad(format!("it is cut off in the block at byte {at}"));
        let mut head = [0; 6];
        exactly(&mut self.file, &mut head)?.ok_or_else(|| cut(self.at))?;
        let len = usize::from(u16::from_le_bytes([head[0], head[1]]));
        self.block.resize(len, 0);
        self.taken = 0;
        let end = self.at + (head.len() + len) as u64;
        let damaged = |at: u64| bad(format!("it is damaged in its bytes {at} to {}", end - 1));
        match exactly(&mut self.file, &mut self.block)? {
            Some(()) if block_head(&mut self.sum, &self.block) == head => {}
            // An illegal length is damage, not the end of the file.
            None if len <= BLOCK => return Err(cut(self.at)),
            _ => return Err(damaged(self.at)),
        }
        self.at = end;
        self.over = len == 0;
        if self.over && self.file.read(&mut [0])? != 0 {
            return Err(bad(format!("there is something behind its end, from byte {end} on")));
        }
        Ok(())
    }
}

impl Read for Judged {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.block.len() && !self.over {
            self.next()?;
        }
        let len = into.len().min(self.block.len() - self.taken);
        into[..len].copy_from_slice(&self.block[self.taken..self.taken + len]);
        self.taken += len;
        Ok(len)
    }
}

/// Fills `into`; none if the file ends before.
fn exactly(file: &mut impl Read, into: &mut [u8]) -> io::Result<Option<()>> {
    match file.read_exact(into) {
        Ok(()) => Ok(Some(())),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(e) => Err(e),
    }
}

/// A trace being written.
pub struct Writer {
    file: DeflateEncoder<Blocks>,
}

impl Writer {
    pub fn create(path: &Path, head: &Head) -> io::Result<Self> {
        let file = Blocks::create(path)?;
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
        self.file.finish()?.finish()
    }
}

/// A trace being read.
pub struct Reader {
    pub head: Head,
    file: DeflateDecoder<Judged>,
}

impl Reader {
    /// Opens a trace, and fails if any of its bytes has changed.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = BufReader::new(File::open(path)?);
        let mut magic = [0; MAGIC.len()];
        exactly(&mut file, &mut magic)?.ok_or_else(|| bad("it is no trace"))?;
        if magic[..7] != MAGIC[..7] {
            return Err(bad("it is no trace, or its bytes 0 to 6 are damaged"));
        }
        if magic != MAGIC {
            let (theirs, ours) = (magic[7], MAGIC[7]);
            return Err(bad(format!("by its byte 7 it is of version {theirs}, not {ours}")));
        }
        // The whole file is checked before anything is done to a card.
        let mut judged = Judged::open(file)?;
        while !judged.over {
            judged.next()?;
        }
        let mut file = DeflateDecoder::new(Judged::open(judged.file)?);
        let head = take(&mut file)?.ok_or_else(|| bad("it ends before it has begun"))?;
        Ok(Reader { head, file })
    }

    /// The next step, if there is one.
    pub fn step(&mut self) -> io::Result<Option<Step>> {
        take(&mut self.file)
    }
}

fn take<T: for<'a> Deserialize<'a>>(file: &mut impl Read) -> io::Result<Option<T>> {
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
    use std::sync::LazyLock;

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

    /// The file of a trace that cannot be packed small.
    fn several_blocks() -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trace");
        let head = Head { card: "card-128".into(), seed: 7, about: "a test".into() };
        let mut writer = Writer::create(&path, &head).unwrap();
        let mut state = 1u64;
        for offset in 0..1200 {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            let bytes = (state >> 16).to_be_bytes().to_vec();
            writer.step(&Step::new(Cause::Config { offset, bytes })).unwrap();
        }
        writer.finish().unwrap();
        std::fs::read(&path).unwrap()
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            causes in prop::collection::vec(cause(), 0..20),
            memory in prop::collection::vec((any::<u64>(), prop::collection::vec(any::<u8>(), 0..90)), 0..5),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("trace");
            let head = Head { card: "card-128".into(), seed: 7, about: "a test".into() };
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

        /// Any damage to a file is an error, which is reported before anything is read from it.
        #[test]
        fn damage_is_an_error(at in any::<prop::sample::Index>(), bit in 0..8, kind in 0..3) {
            static WHOLE: LazyLock<Vec<u8>> = LazyLock::new(several_blocks);
            let mut bytes = WHOLE.clone();
            prop_assert!(bytes.len() > 2 * BLOCK, "more than one block");
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("trace");
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] ^= 1u8 << bit,
                1 => bytes.truncate(at),
                _ => bytes.push(1u8 << bit),
            }
            std::fs::write(&path, &bytes).unwrap();
            let Err(error) = Reader::open(&path) else { panic!("kind {kind} at byte {at} passes") };
            prop_assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            let words: Vec<_> = error.to_string().split(' ').map(str::to_string).collect();
            let numbers: Vec<usize> = words.iter().filter_map(|word| word.parse().ok()).collect();
            match (kind, &numbers[..]) {
                // The error names the damaged block: its bytes, or the whole rest of the file if
                // the block's length has changed.
                (0, [first, last]) if at >= MAGIC.len() => prop_assert!((first..=last).contains(&&at)),
                (0, [first]) => prop_assert!(at >= *first, "{error}"),
                _ => {}
            }
        }
    }
}
