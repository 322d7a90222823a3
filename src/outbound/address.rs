//! Which addresses may be asked: pure, and by the ranges that the IANA registries name, not by what is known to
//! be dangerous today.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where a question may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// To addresses that anybody on the internet could ask.
    Public,
    /// To this machine and its own networks as well: the operator has said so. Never to link-local addresses,
    /// where clouds keep the keys of their machines, nor to none, all or many at once; nor to what may be any of them.
    Private,
}

/// What kind of place an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Public,
    Private,
    Never,
}

impl Reach {
    /// Whether a connection to this address may be made.
    #[must_use]
    pub fn covers(self, ip: IpAddr) -> bool {
        match place(ip) {
            Place::Public => true,
            Place::Private => self == Self::Private,
            Place::Never => false,
        }
    }
}

fn place(ip: IpAddr) -> Place {
    match ip {
        IpAddr::V4(v4) => place_v4(v4),
        IpAddr::V6(v6) => place_v6(v6),
    }
}

/// <https://www.iana.org/assignments/iana-ipv4-special-registry>
fn place_v4(ip: Ipv4Addr) -> Place {
    match ip.octets() {
        [10 | 127, ..] | [172, 16..=31, ..] | [192, 168, ..] => Place::Private,
        // Carriers' and overlay networks' own (RFC 6598).
        [100, 64..=127, ..] => Place::Private,
        // This network, link-local, protocol assignments and 6to4 relays, documentation, benchmarks.
        [0, ..] | [169, 254, ..] | [192, 0, 0 | 2, _] | [192, 88, 99, _] => Place::Never,
        [198, 18..=19, ..] | [198, 51, 100, _] | [203, 0, 113, _] => Place::Never,
        // Multicast, reserved, broadcast.
        [224..=255, ..] => Place::Never,
        _ => Place::Public,
    }
}

/// <https://www.iana.org/assignments/iana-ipv6-special-registry>
fn place_v6(ip: Ipv6Addr) -> Place {
    if let Some(v4) = inner_v4(ip) {
        return place_v4(v4);
    }
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Place::Private,
        // Local NAT64 (RFC 8215): networks choose how long its prefix is, and with it where the IPv4 address lies (RFC
        // 6052 section 2.2), so which one is meant cannot be known.
        [0x64, 0xff9b, 1, ..] => Place::Never,
        // Unique local (RFC 4193).
        [0xfc00..=0xfdff, ..] => Place::Private,
        // Teredo, ORCHID, benchmarks and their neighbours; documentation.
        [0x2001, 0..=0x01ff | 0xdb8, ..] | [0x3fff, 0..=0x0fff, ..] => Place::Never,
        // All that is global unicast is in 2000::/3; the rest is link-local, multicast, unspecified, reserved.
        [0x2000..=0x3fff, ..] => Place::Public,
        _ => Place::Never,
    }
}

/// The IPv4 address that a packet to this one ends at: mapped (RFC 4291), NAT64 (RFC 6052) and 6to4 (RFC
/// 3056) clothes taken off.
fn inner_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let pair = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match ip.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(pair(high, low))
        }
        [0x2002, high, low, ..] => Some(pair(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f_01_places() {
        let cases = [
            (
                Place::Public,
                "1.1.1.1 8.8.8.8 172.15.0.1 172.32.0.1 100.63.0.1 100.128.0.1 192.0.1.1 2606:4700::1 2a00::1",
            ),
            (
                Place::Public,
                "::ffff:8.8.8.8 64:ff9b::808:808 2002:808:808::1 2001:4860::1 2001:200::1",
            ),
            (
                Place::Private,
                "127.0.0.1 127.9.9.9 10.1.2.3 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 ::1 fd00::1 fc00::1",
            ),
            (
                Place::Private,
                "::ffff:127.0.0.1 ::ffff:10.0.0.1 64:ff9b::7f00:1 2002:a00:1::1 2002:7f00:1::",
            ),
            (
                Place::Never,
                "0.0.0.0 0.1.2.3 169.254.169.254 192.0.0.1 192.0.2.1 192.88.99.1 198.18.0.1 203.0.113.1",
            ),
            (
                Place::Never,
                "224.0.0.1 240.0.0.1 255.255.255.255 :: ::7f00:1 fe80::1 fec0::1 ff02::1 2001:db8::1 2001::1 3fff::1",
            ),
            (
                Place::Never,
                "::ffff:169.254.169.254 64:ff9b::a9fe:a9fe 2002:a9fe:a9fe:: 100::1 4000::1",
            ),
            (
                // 169.254.169.254 and 10.0.0.1 behind 48, 56, 64 and 96 bits, each of which reads as another with others.
                Place::Never,
                "64:ff9b:1:a9fe:a9:fe00:: 64:ff9b:1:a9:fe:a9fe:808:808 64:ff9b:1:0:a9:fea9:fe08:808 64:ff9b:1::808:808",
            ),
            (
                Place::Never,
                "64:ff9b:1:a00:0:100:808:808 64:ff9b:1::a00:1 64:ff9b:1::a9fe:a9fe 64:ff9b:1:ffff:ffff:ffff:ffff:ffff",
            ),
        ];
        for (expected, texts) in cases {
            for text in texts.split(' ') {
                let ip: IpAddr = text.parse().unwrap();
                assert_eq!(place(ip), expected, "{text}");
                assert_eq!(
                    Reach::Public.covers(ip),
                    expected == Place::Public,
                    "{text}"
                );
                assert_eq!(
                    Reach::Private.covers(ip),
                    expected != Place::Never,
                    "{text}"
                );
            }
        }
    }
}
