//! Frames: a big-endian `u32` length, then that many bytes of JSON.

use std::io::{self, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Longest frame after the handshake, in bytes.
pub const MAX_FRAME_BYTES: usize = 2 * 1024 * 1024;
/// Longest frame of the handshake, in bytes.
pub const MAX_HANDSHAKE_BYTES: usize = 4096;
/// Longest payload of a message, in bytes of JSON.
pub const MAX_PAYLOAD_BYTES: usize = 1024 * 1024;

/// Why a frame can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Longer than allowed; the length is refused before anything of it is read.
    #[error("a frame of {bytes} bytes is longer than the {limit} that are allowed here")]
    TooLong {
        /// The announced or encoded length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Not the JSON that is expected here.
    #[error("the frame is not a message of this protocol: {0}")]
    Malformed(#[source] serde_json::Error),
    /// The connection failed or ended within a frame.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
}

/// Encodes `value` as one frame.
///
/// # Errors
/// When the frame would be longer than `limit` bytes.
pub fn encode<T: Serialize>(value: &T, limit: usize) -> Result<Vec<u8>, FrameError> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, value).map_err(FrameError::Malformed)?;
    let bytes = frame.len() - 4;
    match u32::try_from(bytes) {
        Ok(length) if bytes <= limit => {
            frame[..4].copy_from_slice(&length.to_be_bytes());
            Ok(frame)
        }
        _ => Err(FrameError::TooLong { bytes, limit }),
    }
}

/// Decodes the body of a frame.
///
/// # Errors
/// When it is not JSON of the wanted shape.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, FrameError> {
    serde_json::from_slice(body).map_err(FrameError::Malformed)
}

fn checked_length(prefix: [u8; 4], limit: usize) -> Result<usize, FrameError> {
    let announced = u32::from_be_bytes(prefix);
    match usize::try_from(announced) {
        Ok(bytes) if bytes <= limit => Ok(bytes),
        _ => Err(FrameError::TooLong { bytes: usize::try_from(announced).unwrap_or(usize::MAX), limit }),
    }
}

/// Reads the body of one frame; none when the peer has closed between frames.
///
/// # Errors
/// When the frame is longer than `limit`, or the connection ends within it.
pub async fn read<R: AsyncRead + Unpin>(reader: &mut R, limit: usize) -> Result<Option<Vec<u8>>, FrameError> {
    let mut prefix = [0; 4];
    if reader.read(&mut prefix[..1]).await? == 0 {
        return Ok(None);
    }
    reader.read_exact(&mut prefix[1..]).await?;
    let mut body = vec![0; checked_length(prefix, limit)?];
    reader.read_exact(&mut body).await?;
    Ok(Some(body))
}

/// As [`read`], for a blocking reader.
///
/// # Errors
/// As [`read`].
pub fn read_blocking<R: Read>(reader: &mut R, limit: usize) -> Result<Option<Vec<u8>>, FrameError> {
    let mut prefix = [0; 4];
    loop {
        match reader.read(&mut prefix[..1]) {
            Ok(0) => return Ok(None),
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    reader.read_exact(&mut prefix[1..])?;
    let mut body = vec![0; checked_length(prefix, limit)?];
    reader.read_exact(&mut body)?;
    Ok(Some(body))
}

/// Writes one frame to a blocking writer.
///
/// # Errors
/// When the frame is longer than `limit`, or the connection fails.
pub fn write_blocking<W: Write, T: Serialize>(
    writer: &mut W,
    value: &T,
    limit: usize,
) -> Result<(), FrameError> {
    writer.write_all(&encode(value, limit)?)?;
    writer.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_encoded_is_read_back(text in ".{0,200}") {
            let frame = encode(&text, MAX_FRAME_BYTES).unwrap();
            let body = read_blocking(&mut frame.as_slice(), MAX_FRAME_BYTES).unwrap().unwrap();
            prop_assert_eq!(decode::<String>(&body).unwrap(), text);
        }
    }

    #[test]
    fn the_length_is_big_endian() {
        assert_eq!(encode(&1, 10).unwrap(), [0, 0, 0, 1, b'1']);
    }

    #[tokio::test]
    async fn an_end_between_frames_is_no_error() {
        assert!(read(&mut [].as_slice(), 10).await.unwrap().is_none());
        assert!(read_blocking(&mut [].as_slice(), 10).unwrap().is_none());
    }

    #[tokio::test]
    async fn too_long_cut_off_and_malformed_frames_are_denied() {
        let long: &[u8] = &[0xff, 0xff, 0xff, 0xff, b'1'];
        assert!(matches!(read(&mut { long }, 10).await, Err(FrameError::TooLong { limit: 10, .. })));
        assert!(matches!(read_blocking(&mut { long }, 10), Err(FrameError::TooLong { .. })));
        let cut: &[u8] = &[0, 0, 0, 9, b'1'];
        assert!(matches!(read(&mut { cut }, 10).await, Err(FrameError::Io(_))));
        let cut: &[u8] = &[0, 0];
        assert!(matches!(read(&mut { cut }, 10).await, Err(FrameError::Io(_))));
        assert!(matches!(encode(&"0123456789", 10), Err(FrameError::TooLong { bytes: 12, limit: 10 })));
        assert!(matches!(decode::<u32>(b"{"), Err(FrameError::Malformed(_))));
    }
}
