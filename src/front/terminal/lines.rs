//! Lines of limited length.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// Why there is no line.
#[derive(Debug)]
pub(super) enum LineError {
    /// The line is too long. What follows cannot be read, because it is unknown where the next line begins.
    TooLong,
    /// The connection failed.
    Io(io::Error),
}

/// Reads up to the next line feed, which is not included; `None` at the end of input. The last line may lack its line
/// feed.
pub(super) async fn read(
    from: &mut (impl AsyncBufRead + Unpin),
    longest: usize,
) -> Result<Option<Vec<u8>>, LineError> {
    let mut line = Vec::new();
    let most = u64::try_from(longest).unwrap_or(u64::MAX).saturating_add(1);
    let mut bounded = from.take(most);
    bounded
        .read_until(b'\n', &mut line)
        .await
        .map_err(LineError::Io)?;
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.is_empty() {
        return Ok(None);
    } else if line.len() > longest {
        return Err(LineError::TooLong);
    }
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn lines_are_read_one_by_one_and_too_long_ones_are_not() {
        let mut text: &[u8] = b"one\n\nfour\nlast";
        let mut next = async || read(&mut text, 4).await.unwrap();
        assert_eq!(next().await.unwrap(), b"one");
        assert_eq!(next().await.unwrap(), b"");
        assert_eq!(next().await.unwrap(), b"four");
        assert_eq!(next().await.unwrap(), b"last");
        assert_eq!(next().await, None);
        let mut text: &[u8] = b"lasts\nx\n";
        assert!(matches!(read(&mut text, 4).await, Err(LineError::TooLong)));
    }
}
