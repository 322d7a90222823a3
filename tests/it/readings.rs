//! What services make of a path: the more or less lenient readings that a gateway must not be fooled by.

use std::collections::BTreeSet;

/// The path of a target: what stands before `?` (and `#`), and behind the authority of an absolute form.
fn path(target: &[u8]) -> Vec<u8> {
    let end = target.iter().position(|byte| matches!(byte, b'?' | b'#'));
    let path = &target[..end.unwrap_or(target.len())];
    let lower = path.to_ascii_lowercase();
    if !lower.starts_with(b"http://") {
        return path.to_vec();
    }
    let slash = path[7..].iter().position(|byte| *byte == b'/');
    slash.map_or(b"/".to_vec(), |at| path[7 + at..].to_vec())
}

fn percent_decoded(path: &[u8]) -> Vec<u8> {
    let digit = |at: usize| path.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut decoded = Vec::new();
    let mut at = 0;
    while at < path.len() {
        match (path[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).unwrap());
                at += 3;
            }
            (byte, _, _) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}

fn merged(path: &[u8]) -> Vec<u8> {
    let mut merged = path.to_vec();
    merged.dedup_by(|next, last| *next == b'/' && *last == b'/');
    merged
}

fn without_parameters(path: &[u8]) -> Vec<u8> {
    let segments = path.split(|byte| *byte == b'/');
    let bare: Vec<&[u8]> = segments
        .map(|segment| {
            segment
                .split(|byte| *byte == b';')
                .next()
                .unwrap_or_default()
        })
        .collect();
    bare.join(&b'/')
}

/// Dot segments resolved as most servers do it: empty segments gone, `..` above the root ignored.
fn resolved(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    for segment in path.split(|byte| *byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => {
                kept.pop();
            }
            other => kept.push(other),
        }
    }
    [b"/", kept.join(&b'/').as_slice()].concat()
}

/// Whether this path is the protected tree, after one last resolution.
pub fn is_admin(path: &[u8]) -> bool {
    let path = resolved(path);
    path == b"/admin" || path.starts_with(b"/admin/")
}

/// What a service in front of us may have meant by a target: decoded once or twice, more or less lenient about
/// backslashes and parameters, resolved at the end. (Resolving before decoding, as some do, reads `/admin/%2e/../x`
/// as a page below `/admin`; it is harmless here, because the service gets `/x`.)
pub fn meanings(target: &[u8]) -> BTreeSet<Vec<u8>> {
    let once = percent_decoded(&path(target));
    let twice = percent_decoded(&once);
    let decoded = [once, twice].into_iter();
    let slashed = decoded.flat_map(|path| [slashes(&path), path]);
    slashed
        .flat_map(|path| [resolved(&without_parameters(&path)), resolved(&path)])
        .collect()
}

fn slashes(path: &[u8]) -> Vec<u8> {
    let turned = path
        .iter()
        .map(|byte| if *byte == b'\\' { b'/' } else { *byte });
    turned.collect()
}

type Step = fn(&[u8]) -> Vec<u8>;

/// Every reading that some service might arrive at: the transformations in any order, as often as they change it.
pub fn readings(path: &[u8]) -> BTreeSet<Vec<u8>> {
    let steps: [Step; 5] = [
        percent_decoded,
        merged,
        slashes,
        without_parameters,
        resolved,
    ];
    let mut all = BTreeSet::from([path.to_vec()]);
    let mut fresh = vec![path.to_vec()];
    while let Some(reading) = fresh.pop() {
        for step in steps {
            let next = step(&reading);
            if all.len() < 256 && all.insert(next.clone()) {
                fresh.push(next);
            }
        }
    }
    all
}

#[test]
fn the_readings_find_what_they_must() {
    for path in [
        "/public/../admin",
        "/%61dmin",
        "//admin/x",
        "/%2561dmin",
        "/public%2f..%5cadmin",
        "/public/..;/admin",
        "/public/%252e%252e/admin",
    ] {
        assert!(
            readings(path.as_bytes()).iter().any(|path| is_admin(path)),
            "{path}"
        );
        assert!(
            meanings(path.as_bytes()).iter().any(|path| is_admin(path)),
            "{path}"
        );
    }
    for path in [
        "/public/admin",
        "/adminX",
        "/ADMIN",
        "/public/x;/admin",
        "/app/%2e/x",
    ] {
        assert!(
            !readings(path.as_bytes()).iter().any(|path| is_admin(path)),
            "{path}"
        );
    }
}
