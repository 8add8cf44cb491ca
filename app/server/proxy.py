"""What a reverse proxy needs to know to stand before several processes of the app.

A visitor stays with one process, which holds the page: a cookie says which. A process that ends
says so at ``/healthz`` first, and gets no new visitors. That address is for the proxy alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.server.health import PATH

__all__ = ["COOKIE", "caddyfile", "nginx"]

COOKIE = "lolora"


def caddyfile(listen: str, upstreams: Sequence[str]) -> str:
    """Return the configuration for Caddy.

    Parameters
    ----------
    listen : str
        Port such as ``:8501``, or the name of a site, which then gets a certificate.
    upstreams : sequence of str
        Host and port of each process.

    Returns
    -------
    str
    """
    return f"""\
{{
	admin off
}}

{listen} {{
	respond {PATH} 404
	reverse_proxy {" ".join(upstreams)} {{
		lb_policy cookie {COOKIE}
		lb_try_duration 5s
		health_uri {PATH}
		health_interval 1s
		health_timeout 5s
	}}
}}
"""


def nginx(listen: str, upstreams: Sequence[str], max_upload_mb: int) -> str:
    """Return the configuration for nginx, to be included in its ``http`` block.

    Parameters
    ----------
    listen : str
    upstreams : sequence of str
    max_upload_mb : int
        Of one file, which a form around it makes a little larger.

    Returns
    -------
    str
    """
    servers = "\n".join(f"    server {name} max_fails=2 fail_timeout=5s;" for name in upstreams)
    return f"""\
# A visitor without the cookie gets one, and stays with the process that it names.
map $cookie_{COOKIE} $lolora_visitor {{
    ""      $request_id;
    default $cookie_{COOKIE};
}}

map $http_upgrade $lolora_connection {{
    ""      "";
    default upgrade;
}}

upstream lolora {{
    hash $lolora_visitor consistent;
{servers}
}}

server {{
    listen {listen};
    client_max_body_size {max_upload_mb + 1}m;

    location / {{
        proxy_pass http://lolora;
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $lolora_connection;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_next_upstream error timeout http_503;
        proxy_read_timeout 1h;
        add_header Set-Cookie "{COOKIE}=$lolora_visitor; Path=/; HttpOnly; SameSite=Lax";
    }}

    location = {PATH} {{
        return 404;
    }}
}}
"""
