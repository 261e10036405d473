"""A private S3 server: OpenStack Swift with its S3 API, from Debian's packages.

Five processes (memcached, account, container, object, proxy), one replica, data in a temporary folder whose file
system keeps extended attributes (ext4, xfs; tmpfs from Linux 6.6).
"""

from __future__ import annotations

import getpass
import itertools
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import httpx

from servers.process import Server, accepts, free_port, program

_PYTHON = "/usr/bin/python3"  # Debian's own: the swift packages are installed for it
# The stock programs read /etc/swift; set_swift_dir is Swift's own way to another folder.
_LAUNCH = (
    "import runpy, sys; from swift.common import utils; utils.set_swift_dir(sys.argv.pop(1)); "
    "sys.argv.pop(0); runpy.run_path(sys.argv[0], run_name='__main__')"
)
# One ring for each backend: 2^6 partitions, one replica, one device (as swift-ring-builder would make it).
_RINGS = """
import sys
from swift.common.ring import RingBuilder
folder, *backends = sys.argv[1:]
for name, port in (b.split(":") for b in backends):
    builder = RingBuilder(6, 1, 1)
    builder.add_dev({"region": 1, "zone": 1, "ip": "127.0.0.1", "port": int(port), "device": "d1", "weight": 1.0})
    builder.rebalance()
    builder.get_ring().save(f"{folder}/{name}.ring.gz")
"""
_COMMON = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
user = {user}
swift_dir = {folder}
workers = 0
log_level = WARNING
log_address = /dev/null
"""
_BACKEND = """
devices = {folder}/devices
mount_check = false
[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
"""
_PROXY = """
[pipeline:main]
pipeline = catch_errors cache listing_formats s3api tempauth copy slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
allow_account_management = true
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{memcached}
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:s3api]
use = egg:swift#s3api
s3_acl = false
location = us-east-1
allow_multipart_uploads = true
check_bucket_owner = false
dns_compliant_bucket_names = false
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = {secret} .admin
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
min_segment_size = 1
[filter:dlo]
use = egg:swift#dlo
"""
_SWIFT = """
[swift-hash]
swift_hash_path_suffix = saccade
[storage-policy:0]
name = Policy-0
default = yes
[swift-constraints]
max_file_size = 5368709122
"""
_BACKENDS = ("account", "container", "object")


class SwiftServer:
    """The S3 API at ``endpoint`` for ``access_key`` and ``secret_key``; ``stop_api``, ``start_api`` for fault tests."""

    access_key = "test:tester"
    secret_key = "testing"
    region = "us-east-1"

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="saccade-swift-"))
        self._numbers = itertools.count(1)
        self._ports = {name: free_port() for name in (*_BACKENDS, "proxy", "memcached")}
        self._write_configuration()
        memcached = program("memcached", "memcached")
        self._servers = [self._server("memcached", [memcached, "-u", getpass.getuser(), "-l", "127.0.0.1", "-m", "64"])]
        self._servers += [self._swift(name) for name in (*_BACKENDS, "proxy")]
        self._write_rings()

    @property
    def endpoint(self) -> str:
        """Base address of the S3 API."""
        return f"http://127.0.0.1:{self._ports['proxy']}"

    def start(self) -> None:
        """Start all five processes."""
        for server in self._servers:
            server.launch()
        for server in self._servers:
            server.wait_until(self._listens(server))

    def stop_api(self) -> None:
        """Take the S3 API away; the data stays."""
        self._servers[-1].stop()

    def start_api(self) -> None:
        """Bring the S3 API back on the same port."""
        proxy = self._servers[-1]
        proxy.start(self._listens(proxy))

    def close(self) -> None:
        """Stop all and remove the data."""
        for server in reversed(self._servers):
            server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def fresh_bucket(self) -> str:
        """Name of a new, empty bucket."""
        name = f"bucket-{next(self._numbers)}"
        self._ask(name, "PUT")
        return name

    def containers(self) -> dict[str, list[str]]:
        """Every container with its objects, those of unfinished uploads (``<bucket>+segments``) too."""
        names = [c["name"] for c in json.loads(self._ask("?format=json"))]
        return {n: [o["name"] for o in json.loads(self._ask(f"{n}?format=json"))] for n in names}

    def _ask(self, path: str, method: str = "GET") -> bytes:
        """One call of Swift's native API, as its administrator."""
        login = {"X-Auth-User": self.access_key, "X-Auth-Key": self.secret_key}
        with httpx.Client(timeout=10) as client:
            session = client.get(f"{self.endpoint}/auth/v1.0", headers=login).raise_for_status().headers
            url, token = session["X-Storage-Url"], session["X-Auth-Token"]
            return client.request(method, f"{url}/{path}", headers={"X-Auth-Token": token}).raise_for_status().content

    def _listens(self, server: Server) -> Callable[[], bool]:
        return lambda: accepts(self._ports[server.name])

    def _server(self, name: str, command: list[str]) -> Server:
        port = ["-p", str(self._ports[name])] if name == "memcached" else []
        return Server([*command, *port], self.folder, name)

    def _swift(self, name: str) -> Server:
        stock = program(f"swift-{name}-server", f"swift-{name}")
        config = str(self.folder / f"{name}-server.conf")
        return self._server(name, [_PYTHON, "-c", _LAUNCH, str(self.folder), stock, config])

    def _write_configuration(self) -> None:
        (self.folder / "devices/d1").mkdir(parents=True)
        (self.folder / "swift.conf").write_text(_SWIFT)
        user = getpass.getuser()
        for name in (*_BACKENDS, "proxy"):
            text = _COMMON.format(port=self._ports[name], user=user, folder=self.folder)
            text += _PROXY if name == "proxy" else _BACKEND
            text = text.replace("{memcached}", str(self._ports["memcached"])).replace("{secret}", self.secret_key)
            text = text.replace("{name}", name).replace("{folder}", str(self.folder))
            (self.folder / f"{name}-server.conf").write_text(text)

    def _write_rings(self) -> None:
        ports = [f"{name}:{self._ports[name]}" for name in _BACKENDS]
        subprocess.run([_PYTHON, "-c", _RINGS, str(self.folder), *ports], check=True, capture_output=True)
