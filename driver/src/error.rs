//! The errors of the driver.

use nitor_abi::admin::{Opcode, Status};
use nitor_abi::bar::ResetReason;
use thiserror::Error;

use crate::pci::PciError;

#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Error {
    #[error(transparent)]
    Pci(#[from] PciError),
    #[error("{vendor:04x}:{device:04x} is no ENA card")]
    NotEna { vendor: u16, device: u16 },
    #[error("the card is not ready")]
    NotReady,
    #[error("controller version {0:#x} is too old")]
    TooOld(u32),
    #[error("register {register:#x} was not read in time")]
    ReadTimeout { register: u32 },
    #[error("the card does not {0} in time")]
    ResetTimeout(&'static str),
    #[error("no answer to {0:?}")]
    AdminTimeout(Opcode),
    /// The admin queue has stopped after a timeout or an illegal answer; only a reset helps.
    #[error("the admin queue has stopped")]
    AdminStopped,
    #[error("{what} failed: {status:?}")]
    Command { what: &'static str, status: Status },
    /// The card has given an illegal answer.
    #[error("the card answers nonsense: {0}")]
    Nonsense(&'static str),
    /// The configuration asks for more than the card offers, or makes no sense.
    #[error("{0}")]
    Config(String),
    #[error("queue {queue} has failed: {fault}")]
    Queue { queue: u16, fault: QueueFault },
}

/// Why a queue does no more work until the card is reset.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum QueueFault {
    #[error("completion of a packet that was not sent")]
    TxReqId,
    #[error("completion of a buffer that was not posted")]
    RxReqId,
    #[error("a packet in more buffers than agreed")]
    TooManyBuffers,
    #[error("a malformed receive completion")]
    RxMalformed,
}

impl QueueFault {
    /// The reason for the reset that this fault needs.
    pub fn reset_reason(self) -> ResetReason {
        match self {
            QueueFault::TxReqId => ResetReason::InvalidTxReqId,
            QueueFault::RxReqId => ResetReason::InvalidRxReqId,
            QueueFault::TooManyBuffers => ResetReason::TooManyRxDescs,
            QueueFault::RxMalformed => ResetReason::RxDescriptorMalformed,
        }
    }
}

pub type Result<T, E = Error> = std::result::Result<T, E>;
