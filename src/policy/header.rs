//! Header names that a client may not speak for us, and values that no service can misread.
//!
//! Services fold names: WSGI and PHP turn `X-Auth-User`, `X_Auth_User` and `x.auth.user` into one variable.
//! So names are compared folded, and everything that resembles a header of ours is deleted.

use std::borrow::Cow;
use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue};

/// A header that is set, or with no value removed.
pub type Said = (HeaderName, Option<HeaderValue>);

/// The names a client may not send, folded.
#[derive(Clone, Debug)]
pub struct Reserved {
    /// By the byte that they begin with: of most names that come, nothing reserved begins alike, or very little.
    by_initial: BTreeMap<u8, Alike>,
}

/// Reserved names, and beginnings of reserved names, that begin with one byte.
#[derive(Clone, Debug, Default)]
struct Alike {
    names: Vec<Box<str>>,
    families: Vec<&'static str>,
}

/// Families of names that gateways and proxies speak in, those that tell of a client's certificate among them
/// (RFC 9440); a service that trusts one must hear only us.
const FAMILIES: [&str; 16] = [
    "x-auth-",
    "x-forwarded-",
    "x-original-",
    "x-envoy-",
    "x-remote-",
    "x-webauth-",
    "remote-",
    "x-portcullis-",
    "client-cert",
    "x-client-cert",
    "ssl-client-",
    "x-ssl-",
    "x-tls-client-",
    "x-mtls-",
    "x-amzn-mtls-",
    "x-appengine-",
];

/// Single names of the same kind: client addresses, rewritten targets (`Script-Name` makes gunicorn cut the
/// path it serves), method overrides, file senders, and `Proxy`, which CGI turns into a proxy setting
/// (CVE-2016-5385).
const NAMES: [&str; 47] = [
    "script-name",
    "path-info",
    "x-script-name",
    "x-sendfile-type",
    "x-accel-mapping",
    "forwarded",
    "forwarded-for",
    "proxy",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "client-ip",
    "x-originating-ip",
    "proxy-client-ip",
    "x-proxyuser-ip",
    "x-azure-clientip",
    "fastly-client-ip",
    "ali-cdn-real-ip",
    "cdn-real-ip",
    "cdn-src-ip",
    "x-true-client-ip",
    "x-coming-from",
    "x-nginx-proxy",
    "x-rewrite-url",
    "x-override-url",
    "x-host",
    "x-http-host-override",
    "x-scheme",
    "x-url-scheme",
    "front-end-https",
    "x-request-id",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-http-verb-override",
    "x-forwarded",
    "x-auth",
    "x-remote-user",
    // Certificates of clients, as other proxies and servers tell them.
    "x-arr-clientcert",
    "x-cert-subject",
    "x-client-verify",
    "x-client-dn",
    "x-client-cn",
    "x-client-subject",
];

/// Families in which single proxies, login servers and meshes name who and what it is without a signature: what they sign is
/// for a service to verify. No client may say them; the file may, for a service that comes from behind one of those.
const FOREIGN_FAMILIES: [&str; 28] = [
    "wl-proxy-",
    "proxy-ssl-",
    "proxy-auth-",
    "sslclient",
    "cf-client-cert",
    "cf-cert-",
    "iv-",
    "shib-",
    "sm-",
    "oidc-claim-",
    "x-oidc-claim-",
    "redirect-remote-",
    "x-ms-client-principal",
    "x-goog-authenticated-user-",
    "cf-access-authenticated-",
    "tailscale-user-",
    "x-authentik-",
    "x-authenticated-",
    "x-consumer-",
    "x-credential-",
    "x-vouch-",
    "x-pomerium-claim-",
    "x-token-user",
    "x-shib-",
    // Whom a request to Kubernetes is made for, by whoever may make it for others.
    "impersonate-",
    "l5d-",
    "cloudfront-viewer-",
    // What one part of Next.js tells the next.
    "x-invoke-",
];

/// Single names of that kind, of the client's address and scheme, and `X-Middleware-Subrequest`, by which Next.js left out its
/// own checks (CVE-2025-29927).
const FOREIGN_NAMES: [&str; 33] = [
    "x-client-s-dn",
    "x-client-i-dn",
    "eppn",
    "x-amzn-oidc-identity",
    "x-anonymous-consumer",
    "x-apigateway-api-userinfo",
    "x-endpoint-api-userinfo",
    "x-userinfo",
    "x-token-subject",
    "x-proxy-user",
    "x-proxy-remote-user",
    "x-proxy-roles",
    "x-proxiedentitieschain",
    "x-proxiedentitygroups",
    "x-scope-orgid",
    "thanos-tenant",
    "es-security-runas-user",
    "x-sso-user",
    "x-middleware-subrequest",
    "x-matched-path",
    "x-proxied-https",
    "x-arr-ssl",
    "fastly-ssl",
    "cf-visitor",
    "cf-pseudo-ipv4",
    "fly-client-ip",
    "do-connecting-ip",
    "incap-client-ip",
    "x-sucuri-clientip",
    "x-azure-socketip",
    "x-nf-client-connection-ip",
    "x-vercel-forwarded-for",
    "x-vercel-proxied-for",
];

impl Reserved {
    /// What no client may say: the built-in names, and those that `identity:` sets.
    #[must_use]
    pub fn new<'a>(own: impl IntoIterator<Item = &'a str>) -> Self {
        let mut all = Self::of_gateway(own);
        all.hold(FOREIGN_NAMES.map(Box::from), &FOREIGN_FAMILIES);
        all
    }

    /// What the file may not say either, because the gateway does.
    #[must_use]
    pub fn of_gateway<'a>(own: impl IntoIterator<Item = &'a str>) -> Self {
        let own = own.into_iter().map(|name| fold(name).into());
        let mut all = Self {
            by_initial: BTreeMap::new(),
        };
        all.hold(NAMES.into_iter().map(Box::from).chain(own), &FAMILIES);
        all
    }

    fn hold(&mut self, names: impl IntoIterator<Item = Box<str>>, families: &[&'static str]) {
        for name in names {
            let alike = self.by_initial.entry(initial(&name)).or_default();
            alike.names.push(name);
        }
        for family in families {
            let alike = self.by_initial.entry(initial(family)).or_default();
            alike.families.push(family);
        }
    }

    /// Whether a header of this name must be deleted before anything else is done.
    ///
    /// Names with other characters than letters, digits and `-` always are: to WSGI and CGI services
    /// `Content_Length` is `Content-Length`, and `Script_Name` moves the path they serve.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        // Folding changes nothing about the first byte of a plain name but its case.
        let alike = self.by_initial.get(&initial(name));
        !name.bytes().all(plain) || alike.is_some_and(|alike| alike.hold(&fold(name)))
    }
}

impl Alike {
    fn hold(&self, folded: &str) -> bool {
        self.families
            .iter()
            .any(|family| folded.starts_with(family))
            || self.names.iter().any(|name| **name == *folded)
    }
}

/// A name's first byte, in lower case.
fn initial(name: &str) -> u8 {
    name.bytes().next().unwrap_or(0).to_ascii_lowercase()
}

/// Lower case, everything but letters and digits as `-`, runs of `-` as one: the coarsest way in which a
/// service is known to fold names (CGI bridges turn any other character into `_`).
#[must_use]
pub fn fold(name: &str) -> Cow<'_, str> {
    if is_folded(name) {
        return Cow::Borrowed(name);
    }
    let mut folded = String::with_capacity(name.len());
    for character in name.chars() {
        if character.is_ascii_alphanumeric() {
            folded.push(character.to_ascii_lowercase());
        } else if !folded.ends_with('-') {
            folded.push('-');
        }
    }
    Cow::Owned(folded)
}

fn is_folded(name: &str) -> bool {
    let mut before = 0;
    name.bytes().all(|byte| {
        let run = byte == b'-' && before == b'-';
        before = byte;
        !run && (byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    })
}

/// One header value from items: joined by commas; `%`, `,`, controls and everything outside ASCII are
/// percent-encoded within items, so that splitting at commas and decoding gives back exactly the items.
#[must_use]
pub fn join<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    let mut value = String::new();
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            value.push(',');
        }
        value.extend(percent_encoding::utf8_percent_encode(item, ITEM));
    }
    value
}

/// What is encoded within an item.
const ITEM: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS.add(b'%').add(b',');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h_02_every_spelling_is_reserved() {
        let reserved = Reserved::new(["X-Team"]);
        let ours = [
            "x-auth-user",
            "X_Auth_User",
            "X.Auth.User",
            "X-AUTH-USER",
            "X-Auth_User",
            "X--Auth-User",
            "X~Auth~User",
            "x!auth-user",
            "x-auth-anything",
            "X_Forwarded_For",
            "Forwarded",
            "x-forwarded",
            "Remote-User",
            "remote_user",
            "X-Original-URL",
            "X-Rewrite-Url",
            "X-HTTP-Method-Override",
            "CF-Connecting-IP",
            "Proxy",
            "Script_Name",
            "script-name",
            "content_length",
            "a.b",
            "X-Team",
            "x__team",
            "X-Client-Cert",
            "x_ssl_client_s_dn",
            "SSL-Client-Verify",
            "X-Forwarded-Client-Cert",
            "Client-Cert-Chain",
            "X-Amzn-Mtls-Clientcert-Subject",
            "X-Tls-Client-Subject",
        ];
        for name in ours {
            assert!(reserved.contains(name), "{name}");
        }
        let theirs = [
            "accept",
            "x-authority",
            "x-teams",
            "x-client-version",
            "x-ssltest",
            "authorization",
            "cookie",
            "x-requested-with",
            "proxy-authorization",
            "x-token",
            "x-access-token",
        ];
        for name in theirs {
            assert!(!reserved.contains(name), "{name}");
        }
    }

    #[test]
    fn h_10_what_only_the_file_may_say_of_others() {
        let (clients, file) = (
            Reserved::new(["X-Consumer-Groups"]),
            Reserved::of_gateway(["X-Consumer-Groups"]),
        );
        for (name, to_file) in [
            ("X-Consumer-Username", false),
            ("iv-user", false),
            ("SM-User", false),
            // What `identity:` sets is ours, whatever it is called.
            ("X-Consumer-Groups", true),
            ("X-Auth-User", true),
            ("X-Forwarded-For", true),
            ("X_Mine", true),
        ] {
            assert!(clients.contains(name), "{name}");
            assert_eq!(file.contains(name), to_file, "{name}");
        }
        assert!(!clients.contains("X-Mine") && !file.contains("X-Mine"));
    }

    #[test]
    fn h_09_values_cannot_be_misread() {
        let cases: [(&[&str], &str); 6] = [
            (&["alice"], "alice"),
            (&["a,b", "c%d"], "a%2Cb,c%25d"),
            (&["zoë"], "zo%C3%AB"),
            (&["a\r\nX: y\0"], "a%0D%0AX: y%00"),
            (&["", "x"], ",x"),
            (&[], ""),
        ];
        for (items, value) in cases {
            assert_eq!(join(items.iter().copied()), value);
        }
    }
}
