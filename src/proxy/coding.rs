//! Compresses services' answers, piece by piece, where the rule asks for it. Never our own: they are not proxied, and so
//! never come here.
//!
//! Pingora's own compressor takes the first coding that is offered, whatever its weight, and holds back events. Here
//! every piece that comes is passed on at once: with the pieces of 16 to 64 KiB that services send, that costs less than
//! 2 % in size, and nobody can tell a service that pauses from one that has not sent the rest yet.

use std::io::{self, Write};

use brotli::CompressorWriter;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header;
use http::{Method, StatusCode, Version};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::{ErrorType, OrErr};
use zstd::stream::raw::CParameter;
use zstd::stream::write::Encoder as ZstdEncoder;

use crate::policy::coding::{self, Coding};

use super::places::Place;

/// Levels and sizes: one more level, or a window twice as large, saves less than 2 %. All windows are far below what
/// clients must take (zstd: 8 MiB, RFC 9659). An answer under way was seen to hold 0.35 MiB with gzip, 0.85 with zstd and
/// 1.1 with brotli, however long it is; with what waits to be taken by the client it may be twice as much. So there is
/// a bound to how many there are at a time.
const GZIP_LEVEL: u32 = 5;
const BROTLI_LEVEL: u32 = 4;
const BROTLI_WINDOW: u32 = 17;
const BROTLI_BUFFER: usize = 4096;
const ZSTD_LEVEL: i32 = 3;
const ZSTD_SIZES: [CParameter; 3] = [
    CParameter::WindowLog(18),
    CParameter::HashLog(16),
    CParameter::ChainLog(15),
];

/// What is said of an encoder that fails.
const FAULT: &str = "compressing an answer";

/// An answer that is being compressed.
pub struct Coder {
    encoder: Encoder,
    /// Held for as long as the memory is.
    _place: Place,
}

#[expect(clippy::large_enum_variant, reason = "it is always in a box")]
enum Encoder {
    Zstd(ZstdEncoder<'static, Vec<u8>>),
    Brotli(CompressorWriter<Vec<u8>>),
    Gzip(GzEncoder<Vec<u8>>),
}

/// Says of an answer in which of these codings it comes, and begins it. None when it goes out as it is: also when there
/// is no `place` left for one more.
///
/// # Errors
/// When there is no memory for it.
pub fn begin(
    order: &[Coding],
    request: &RequestHeader,
    answer: &mut ResponseHeader,
    place: impl FnOnce() -> Option<Place>,
) -> pingora::Result<Option<Box<Coder>>> {
    if answer.status == StatusCode::NOT_MODIFIED {
        stay_weak(request, answer)?;
        return Ok(None);
    }
    if !coding::may_be_coded(answer.status, &answer.headers) {
        return Ok(None);
    }
    tell_caches(answer)?;
    // HTTP/1.0 has no chunks, and so no way to tell a whole answer of unknown length from a broken one.
    let taken =
        (request.version != Version::HTTP_10).then(|| coding::choose(order, &request.headers));
    let Some(coding) = taken.flatten() else {
        return Ok(None);
    };
    if request.method == Method::HEAD {
        return tell_client(coding, answer).map(|()| None);
    }
    let Some(place) = place() else {
        return Ok(None);
    };
    tell_client(coding, answer)?;
    // HTTP/2 has no use for it, and Pingora takes it out there.
    answer.insert_header(header::TRANSFER_ENCODING, "chunked")?;
    let encoder = Encoder::new(coding).or_err(ErrorType::InternalError, FAULT)?;
    Ok(Some(Box::new(Coder {
        encoder,
        _place: place,
    })))
}

/// Puts the next piece of an answer into its coding, `end` when none follows. An answer that breaks off has no end here
/// either: what the client gets of it is as broken.
///
/// # Errors
/// When the encoder fails.
pub fn code(
    coder: &mut Option<Box<Coder>>,
    piece: &mut Option<Bytes>,
    end: bool,
) -> pingora::Result<()> {
    let plain = piece.as_deref().unwrap_or_default();
    let coded = match coder {
        None => return Ok(()),
        Some(_) if plain.is_empty() && !end => return Ok(()),
        Some(coder) if !end => coder.encoder.piece(plain).map(Some),
        _ => coder
            .take()
            .map(|coder| coder.encoder.last(plain))
            .transpose(),
    };
    *piece = coded.or_err(ErrorType::InternalError, FAULT)?;
    Ok(())
}

/// The last bytes of an answer that ends with trailers; none where nothing is compressed. Pingora sends those or the
/// trailers, and without them the answer is broken, whereas trailers may be dropped (RFC 9110 section 6.5.1). Answers that
/// announce theirs are not compressed.
///
/// # Errors
/// When the encoder fails.
pub fn end(coder: &mut Option<Box<Coder>>) -> pingora::Result<Option<Bytes>> {
    let rest = coder.take().map(|coder| coder.encoder.last(&[]));
    rest.transpose().or_err(ErrorType::InternalError, FAULT)
}

/// What a 304 confirms is what the client holds, and it holds what was given out under a weak tag.
fn stay_weak(request: &RequestHeader, answer: &mut ResponseHeader) -> pingora::Result<()> {
    if coding::is_held_weakly(&request.headers, &answer.headers) {
        weaken(answer)?;
        tell_caches(answer)?;
    }
    Ok(())
}

fn tell_caches(answer: &mut ResponseHeader) -> pingora::Result<()> {
    match coding::vary(&answer.headers) {
        Some(vary) => answer.insert_header(header::VARY, vary),
        None => Ok(()),
    }
}

fn tell_client(coding: Coding, answer: &mut ResponseHeader) -> pingora::Result<()> {
    answer.insert_header(header::CONTENT_ENCODING, coding.token())?;
    answer.remove_header(&header::CONTENT_LENGTH);
    answer.remove_header(&header::ACCEPT_RANGES);
    weaken(answer)
}

fn weaken(answer: &mut ResponseHeader) -> pingora::Result<()> {
    match coding::weakened(&answer.headers) {
        Some(tag) => answer.insert_header(header::ETAG, tag),
        None => Ok(()),
    }
}

impl Encoder {
    fn new(coding: Coding) -> io::Result<Self> {
        let out = Vec::new();
        Ok(match coding {
            Coding::Zstd => {
                let mut encoder = ZstdEncoder::new(out, ZSTD_LEVEL)?;
                for size in ZSTD_SIZES {
                    encoder.set_parameter(size)?;
                }
                Self::Zstd(encoder)
            }
            Coding::Brotli => Self::Brotli(CompressorWriter::new(
                out,
                BROTLI_BUFFER,
                BROTLI_LEVEL,
                BROTLI_WINDOW,
            )),
            Coding::Gzip => Self::Gzip(GzEncoder::new(out, Compression::new(GZIP_LEVEL))),
        })
    }

    /// All of a piece, in its coding: nothing of it is held back.
    fn piece(&mut self, plain: &[u8]) -> io::Result<Bytes> {
        self.writer().write_all(plain)?;
        self.writer().flush()?;
        Ok(Bytes::from(std::mem::take(self.coded())))
    }

    /// The last piece, and the end.
    fn last(mut self, plain: &[u8]) -> io::Result<Bytes> {
        self.writer().write_all(plain)?;
        let coded = match self {
            Self::Zstd(encoder) => encoder.finish()?,
            Self::Brotli(encoder) => encoder.into_inner(),
            Self::Gzip(encoder) => encoder.finish()?,
        };
        Ok(Bytes::from(coded))
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Zstd(encoder) => encoder,
            Self::Brotli(encoder) => encoder,
            Self::Gzip(encoder) => encoder,
        }
    }

    fn coded(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Zstd(encoder) => encoder.get_mut(),
            Self::Brotli(encoder) => encoder.get_mut(),
            Self::Gzip(encoder) => encoder.get_mut(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::proxy::places::Places;

    /// What can be read of what has come so far.
    fn plain(coding: Coding, coded: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        let _ = match coding {
            Coding::Zstd => zstd::Decoder::new(coded).unwrap().read_to_end(&mut plain),
            Coding::Brotli => brotli::Decompressor::new(coded, 4096).read_to_end(&mut plain),
            Coding::Gzip => flate2::read::GzDecoder::new(coded).read_to_end(&mut plain),
        };
        plain
    }

    #[test]
    fn every_piece_can_be_read_when_it_comes() {
        for coding in Coding::ALL {
            let mut coder = Some(Box::new(Coder {
                encoder: Encoder::new(coding).unwrap(),
                _place: Places::default().take(1).unwrap(),
            }));
            let (mut said, mut sent) = (Vec::new(), Vec::new());
            for at in 0..100_usize {
                let event = format!("data: {at}\n\n").repeat(1 + at * at % 700);
                let mut piece = Some(Bytes::from(event.clone()));
                code(&mut coder, &mut piece, false).unwrap();
                said.extend_from_slice(event.as_bytes());
                sent.extend_from_slice(&piece.unwrap());
                assert!(plain(coding, &sent) == said, "{coding:?} {at}");
            }
            let mut none = Some(Bytes::new());
            code(&mut coder, &mut none, false).unwrap();
            assert!(none.unwrap().is_empty() && coder.is_some(), "{coding:?}");
            let mut last = None;
            code(&mut coder, &mut last, true).unwrap();
            sent.extend_from_slice(&last.unwrap());
            assert!(
                plain(coding, &sent) == said && coder.is_none(),
                "{coding:?}"
            );
            assert!(sent.len() * 4 < said.len(), "{coding:?} {}", sent.len());
        }
    }
}
