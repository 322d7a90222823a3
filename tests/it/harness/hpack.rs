//! HPACK (RFC 7541) without a dynamic table: a literal encoder that sends any field whatsoever, and a decoder
//! for answers (the client announces a table of size 0).

use std::sync::OnceLock;

/// Static table of RFC 7541, Appendix A: names and values.
const STATIC: &str = "\
:authority|;:method|GET;:method|POST;:path|/;:path|/index.html;:scheme|http;:scheme|https;:status|200;\
:status|204;:status|206;:status|304;:status|400;:status|404;:status|500;accept-charset|;\
accept-encoding|gzip, deflate;accept-language|;accept-ranges|;accept|;access-control-allow-origin|;age|;\
allow|;authorization|;cache-control|;content-disposition|;content-encoding|;content-language|;\
content-length|;content-location|;content-range|;content-type|;cookie|;date|;etag|;expect|;expires|;from|;\
host|;if-match|;if-modified-since|;if-none-match|;if-range|;if-unmodified-since|;last-modified|;link|;\
location|;max-forwards|;proxy-authenticate|;proxy-authorization|;range|;referer|;refresh|;retry-after|;\
server|;set-cookie|;strict-transport-security|;transfer-encoding|;user-agent|;vary|;via|;www-authenticate|";

/// Lengths of the Huffman codes of the ASCII characters (Appendix B). The code is canonical, and every code
/// of a printable character comes before those of all other bytes of its length, so that these suffice.
const LENGTHS: [u8; 128] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5,
    5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6,
    6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
];

/// Header fields as never-indexed literals without Huffman coding.
pub fn encode(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0x10);
        string(&mut block, name);
        string(&mut block, value);
    }
    block
}

fn string(block: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text.len();
    if rest < 127 {
        block.push(u8::try_from(rest).unwrap());
    } else {
        block.push(127);
        rest -= 127;
        while rest >= 128 {
            block.push(u8::try_from(rest % 128).unwrap() | 128);
            rest /= 128;
        }
        block.push(u8::try_from(rest).unwrap());
    }
    block.extend_from_slice(text);
}

/// The fields of a header block.
pub fn decode(block: &[u8]) -> Vec<(String, String)> {
    let mut reader = Reader { block, at: 0 };
    let mut fields = Vec::new();
    while let Some(first) = block.get(reader.at).copied() {
        match first {
            0x80.. => fields.push(entry(reader.integer(7))),
            0x40.. => fields.push(reader.literal(6)),
            0x20.. => assert_eq!(reader.integer(5), 0, "a dynamic table we did not allow"),
            _ => fields.push(reader.literal(4)),
        }
    }
    fields
}

fn entry(index: usize) -> (String, String) {
    let entry = STATIC.split(';').nth(index - 1);
    let (name, value) = entry.unwrap().split_once('|').unwrap();
    (name.to_owned(), value.to_owned())
}

struct Reader<'a> {
    block: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn byte(&mut self) -> u8 {
        self.at += 1;
        self.block[self.at - 1]
    }

    fn integer(&mut self, bits: u32) -> usize {
        let most = (1 << bits) - 1;
        let mut number = usize::from(self.byte()) & most;
        if number < most {
            return number;
        }
        let mut shift = 0;
        loop {
            let byte = self.byte();
            number += usize::from(byte & 127) << shift;
            shift += 7;
            if byte & 128 == 0 {
                return number;
            }
        }
    }

    fn literal(&mut self, bits: u32) -> (String, String) {
        let index = self.integer(bits);
        let name = if index == 0 {
            self.text()
        } else {
            entry(index).0
        };
        (name, self.text())
    }

    fn text(&mut self) -> String {
        let huffman = self.block[self.at] & 128 != 0;
        let length = self.integer(7);
        let bytes = &self.block[self.at..self.at + length];
        self.at += length;
        if huffman {
            unpack(bytes)
        } else {
            super::message::latin(bytes)
        }
    }
}

/// (length, code, character), shortest first.
fn codes() -> &'static [(u8, u32, char)] {
    static CODES: OnceLock<Vec<(u8, u32, char)>> = OnceLock::new();
    CODES.get_or_init(|| {
        let mut symbols: Vec<(u8, u8)> = (0..128_u8)
            .map(|at| (LENGTHS[usize::from(at)], at))
            .collect();
        symbols.sort_unstable();
        let (mut code, mut last) = (0, symbols[0].0);
        let mut codes = Vec::new();
        for (at, (length, symbol)) in symbols.into_iter().enumerate() {
            code = (code + u32::from(at > 0)) << (length - last);
            last = length;
            codes.push((length, code, char::from(symbol)));
        }
        codes.retain(|(length, _, _)| *length <= 19);
        codes
    })
}

fn unpack(bytes: &[u8]) -> String {
    let mut text = String::new();
    let (mut code, mut length) = (0_u32, 0_u8);
    for bit in bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1))
    {
        code = code << 1 | u32::from(bit);
        length += 1;
        let found = codes()
            .iter()
            .find(|(bits, value, _)| (*bits, *value) == (length, code));
        if let Some((_, _, character)) = found {
            text.push(*character);
            (code, length) = (0, 0);
        }
    }
    text
}

#[test]
fn the_rfc_examples_decode() {
    let huffman = [
        0x82, 0x86, 0x84, 0x41, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90,
        0xf4, 0xff,
    ];
    let fields = decode(&huffman);
    assert_eq!(fields[0], (":method".into(), "GET".into()));
    assert_eq!(fields[3], (":authority".into(), "www.example.com".into()));
    let long = vec![b'x'; 300];
    assert_eq!(decode(&encode(&[(b"a", &long)]))[0].1.len(), 300);
}
