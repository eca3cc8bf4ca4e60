"""What is around the store: versions, limits, certificates, the proxy, checksums."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from typing import Any

from .. import checksums, forksafe
from .._version import __version__
from ..core import Core
from ..executor import CONCURRENCY_VARIABLE
from ..messages import Origin
from ..spec.endpoint_url import masked_url
from .probe import Probe
from .report import Check

# Loaded or not, they matter once they are.
_LIBRARIES = ("boto3", "botocore", "requests", "urllib3")


def look_at_versions() -> Check:
    """Of this package, of Python, and of the libraries that are loaded."""
    libraries = [
        f"{name} {getattr(module, '__version__', '?')}"
        for name in _LIBRARIES
        if (module := sys.modules.get(name)) is not None
    ]
    parts = [
        f"s3kv {__version__}",
        f"Python {platform.python_version()}",
        f"{platform.system()} {platform.machine()}",
        *libraries,
    ]
    return Check("versions", "ok", ", ".join(parts))


def look_at_limits(probe: Probe) -> Check:
    """How many requests, how often, how long."""

    def look() -> Check:
        core, timeout = probe.core, probe.store._timeout
        limit = core._find_executor().limit
        whose = "the store's own"
        if core.resolved.s3_request_concurrency.limit is None:
            whose = "shared by all stores"
            if os.environ.get(CONCURRENCY_VARIABLE, "").strip() == str(limit):
                whose += f", from {CONCURRENCY_VARIABLE}"
        parts = [f"{limit} requests at once ({whose})", f"up to {core.policy.max_retries} attempts"]
        for limiter, what in ((core.rates.reads, "reads"), (core.rates.writes, "writes")):
            if limiter is not None:
                parts.append(f"{limiter.rate:g} {what} a second")
        parts.append("no timeout" if timeout is None else f"a timeout of {timeout:g} s")
        return Check("limits", "ok", ", ".join(parts))

    found = probe.check("limits", look)
    if found.outcome == "failure":
        probe.stopped = "no request can be sent"
    return found


def look_at_tls(probe: Probe, origin: Origin) -> Check:
    """Which certificates are trusted, and who says so."""
    if origin.scheme != "https":
        return Check("TLS", "ok", "none: the endpoint is plain http")
    if probe.core.session is not None:
        return _tls_of_session(_options(probe.core, origin))

    def look() -> Check:
        with forksafe.importing:
            from ..transport.tls import ca_bundle

        bundle = ca_bundle(os.environ)
        trusted = _usual_bundle() if bundle is None else f"{bundle[0]} ({bundle[1]})"
        return Check("TLS", "ok", f"certificates are verified, by those in {trusted}")

    return probe.check("TLS", look)


def _usual_bundle() -> str:
    """The certificates that are trusted where the environment names none."""
    import ssl

    paths = ssl.get_default_verify_paths()
    for path, variable in (
        (paths.cafile, paths.openssl_cafile_env),
        (paths.capath, paths.openssl_capath_env),
    ):
        if path and (os.path.isfile(path) or os.listdir(path)):
            return f"{path} ({variable if os.environ.get(variable) else 'the system'})"
    if os.name == "nt":
        return "the system's store"
    import certifi

    return f"{certifi.where()} (certifi)"


def _tls_of_session(options: Mapping[str, Any]) -> Check:
    verify = options["verify"]
    if verify is False:
        return Check(
            "TLS",
            "warning",
            "certificates are not verified: so the session= says, or its environment",
            "anybody on the way can pretend to be the store: set session.verify to True, or to a file of "
            "trusted certificates",
        )
    trusted = "certifi's" if verify is True else f"those in {verify}"
    return Check("TLS", "ok", f"certificates are verified by the session=, by {trusted}")


def look_at_proxy(probe: Probe, origin: Origin) -> Check:
    """Which proxy requests go through, and who says so."""
    if probe.core.session is not None:
        return _proxy_of_session(origin, _options(probe.core, origin))

    def look() -> Check:
        with forksafe.importing:
            from ..transport.proxy import find_proxy

        found = find_proxy(origin)
        variable = _proxy_variable(origin.scheme)
        if found is not None:
            return Check("proxy", "ok", f"{found} ({variable or 'the settings of the system'})")
        if variable is not None:
            return Check("proxy", "ok", f"none: NO_PROXY makes an exception from {variable}")
        return Check("proxy", "ok", "none")

    return probe.check("proxy", look)


def _proxy_variable(scheme: str) -> str | None:
    """The variable that names a proxy for a scheme, if any."""
    for name in (f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY"):
        if os.environ.get(name):
            return name
    return None


def _proxy_of_session(origin: Origin, options: Mapping[str, Any]) -> Check:
    from requests.utils import select_proxy

    found = select_proxy(str(origin), options["proxies"])
    detail = "none" if found is None else f"{masked_url(found)} (the session=, or its environment)"
    return Check("proxy", "ok", detail)


def _options(core: Core, origin: Origin) -> Mapping[str, Any]:
    """What a session makes of its settings and the environment."""
    assert core.session is not None
    return core.session.merge_environment_settings(str(origin), {}, True, None, None)


def look_at_checksums() -> Check:
    """Which algorithms cannot be checked."""
    missing = checksums.missing()
    if not missing:
        return Check("checksums", "ok", "all that S3 sends along are checked")
    names = " and ".join(name.upper() for name in missing)
    return Check(
        "checksums",
        "warning",
        f"{names} of objects that were stored with one are not checked; the others are",
        "install the extra 'checksums' (pip install 's3kv[checksums]')",
    )
