//! Names by which proxies, login servers and frameworks tell one another who and what a request is (H-10).

use crate::harness::{Setup, Trial};

/// What proxies, frameworks and servers are known to believe of an address, a host, a target, a method, a certificate or
/// a person, as their own manuals spell it.
const BELIEVED: [&str; 113] = [
    "Ali-CDN-Real-IP",
    "CDN-Real-IP",
    "CDN-Src-IP",
    "CF-Connecting-IP",
    "CF-Connecting-IPv6",
    "Client-Cert",
    "Client-Cert-Chain",
    "Client-IP",
    "Fastly-Client-IP",
    "Forwarded",
    "Forwarded-For",
    "Front-End-Https",
    "Path-Info",
    "Proxy",
    "Proxy-Client-IP",
    "Remote-User",
    "SSL-Client-Verify",
    "Script-Name",
    "True-Client-IP",
    "WL-Proxy-Client-IP",
    "X-ARR-ClientCert",
    "X-Accel-Mapping",
    "X-Amzn-Mtls-Clientcert",
    "X-Appengine-User-IP",
    "X-Auth-User",
    "X-Azure-ClientIP",
    "X-Client-Cert",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "X-Coming-From",
    "X-Envoy-External-Address",
    "X-Forwarded",
    "X-Forwarded-Client-Cert",
    "X-Forwarded-For",
    "X-Forwarded-User",
    "X-HTTP-Host-Override",
    "X-HTTP-Method-Override",
    "X-Host",
    "X-Method-Override",
    "X-Nginx-Proxy",
    "X-Original-Forwarded-For",
    "X-Original-URL",
    "X-Originating-IP",
    "X-ProxyUser-Ip",
    "X-Real-IP",
    "X-Remote-Addr",
    "X-Remote-IP",
    "X-Remote-User",
    "X-Rewrite-URL",
    "X-Scheme",
    "X-Script-Name",
    "X-True-Client-IP",
    "X-WEBAUTH-USER",
    "CF-Access-Authenticated-User-Email",
    "CF-Cert-Subject-DN",
    "CF-Client-Cert-Sha256",
    "Eppn",
    "IV-Groups",
    "IV-User",
    "OIDC-CLAIM-email",
    "Proxy-Auth-Cert",
    "Proxy-SSL-Id",
    "SM-User",
    "SSLClientCert",
    "Shib-Identity-Provider",
    "Tailscale-User-Login",
    "WL-Proxy-Client-Cert",
    "WL-Proxy-SSL",
    "X-Amzn-Oidc-Identity",
    "X-Authentik-Username",
    "X-Client-S-DN",
    "X-Consumer-Username",
    "X-Credential-Identifier",
    "X-Goog-Authenticated-User-Email",
    "X-MS-CLIENT-PRINCIPAL-NAME",
    "X-Proxied-Https",
    "X-Authenticated-User",
    "X-Pomerium-Claim-Email",
    "X-SSO-User",
    "X-Shib-User",
    "X-Token-Subject",
    "X-Token-User-Email",
    "X-Userinfo",
    "X-Vouch-User",
    "CF-Pseudo-IPv4",
    "CF-Visitor",
    "CloudFront-Viewer-Address",
    "DO-Connecting-IP",
    "Fastly-SSL",
    "Fly-Client-IP",
    "Impersonate-Extra-Scopes",
    "Impersonate-User",
    "Incap-Client-IP",
    "L5d-Client-Id",
    "L5d-Dst-Override",
    "Redirect-Remote-User",
    "SM-UniversalId",
    "X-ARR-SSL",
    "X-Anonymous-Consumer",
    "X-Apigateway-Api-Userinfo",
    "X-Authenticated-Groups",
    "X-Authenticated-Scope",
    "X-Azure-SocketIP",
    "X-Credential-Username",
    "X-Endpoint-API-UserInfo",
    "X-Invoke-Path",
    "X-Matched-Path",
    "X-Middleware-Subrequest",
    "X-NF-Client-Connection-IP",
    "X-OIDC-Claim-Sub",
    "X-Proxy-Remote-User",
    "X-Sucuri-ClientIP",
    "X-Vercel-Forwarded-For",
];

#[test]
fn h_10_no_name_that_a_service_may_believe_is_passed_on() {
    let rules = "  - { path: /public/**, allow: anyone }\n";
    let gateway = Setup::new().rules(rules).start();
    let mut trial = Trial::new(&gateway, "H-10-names");
    let told: Vec<&str> = BELIEVED
        .into_iter()
        .filter(|name| {
            let lines = format!("{name}: believe-me\r\nX-Mine: passed-on\r\n");
            let seen = trial.allowed(trial.get("/public/x", &lines));
            assert_eq!(seen.values("X-Mine"), ["passed-on"], "beside {name}");
            seen.mentions("believe-me")
        })
        .collect();
    assert_eq!(told, [""; 0], "passed on as they came");
}

/// What a proxy may write that does not tell who its client is.
const NAMELESS: [&str; 5] = [
    "",
    "X-Forwarded-For: \r\n",
    "X-Forwarded-For: ,\r\n",
    "X-Forwarded-For: unknown\r\n",
    "Forwarded: for=127.0.0.9\r\nX-Real-IP: 127.0.0.9\r\n",
];

/// Its own address is not its client's: strangers would be inside with it.
#[test]
fn h_10_a_proxy_that_names_no_client_is_in_no_network() {
    let rules = "  - { path: /inside/**, allow: anyone, from: [127.0.0.0/8] }\n";
    let alone = Setup::new().rules(rules).start();
    let mut trial = Trial::new(&alone, "H-10-alone");
    trial.allowed(trial.get("/inside/x", ""));
    let gateway = Setup::new()
        .set("trusted_proxies", "[127.0.0.1]")
        .rules(rules)
        .start();
    let mut trial = Trial::new(&gateway, "H-10-nobody");
    trial.allowed(trial.get("/inside/x", "X-Forwarded-For: 127.0.0.9\r\n"));
    for lines in NAMELESS {
        trial.denied(trial.get("/inside/x", lines), "alice");
    }
    trial.denied(
        trial.get("/inside/x", "X-Forwarded-For: 8.8.8.8\r\n"),
        "alice",
    );
}

/// Nor with `::/0`: that holds every address, and they have none.
#[test]
fn h_10_a_proxy_that_names_no_client_is_not_in_the_network_of_all_either() {
    let rules = "  - { path: /all/**, allow: anyone, from: [0.0.0.0/0, \"::/0\"] }\n";
    let gateway = Setup::new()
        .set("trusted_proxies", "[127.0.0.1]")
        .rules(rules)
        .start();
    let mut trial = Trial::new(&gateway, "H-10-all");
    for known in ["8.8.8.8", "2001:db8::1", "::1"] {
        trial.allowed(trial.get("/all/x", &format!("X-Forwarded-For: {known}\r\n")));
    }
    for lines in NAMELESS {
        trial.denied(trial.get("/all/x", lines), "alice");
    }
    trial.denied(trial.get("/all/x", "X-Forwarded-For: ::\r\n"), "alice");
}
