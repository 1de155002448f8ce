"""What Prisma's URLs say to its own engine, which libpq knows by another name or not at all."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from supercompat.errors import ConfigurationError

if TYPE_CHECKING:
    import sqlalchemy as sa

_FOR_PRISMA: Final = {
    "connection_limit",
    "pgbouncer",
    "pool_timeout",
    "schema",
    "socket_timeout",
    "sslaccept",
    "statement_cache_size",
}


def for_driver(url: "sa.URL") -> "sa.URL":
    """The URL without what only Prisma understands.

    Raises:
        ConfigurationError: it names a certificate in a form that libpq does not read.
    """
    if "sslidentity" in url.query:
        raise ConfigurationError(
            "'sslidentity' in the URL names a PKCS #12 archive, which libpq does not read. Take the certificate and "
            "the key out of it (openssl pkcs12), and name them as 'sslcert' and 'sslkey'."
        )
    said = _encryption(url)
    return url.difference_update_query(_FOR_PRISMA | said.keys()).update_query_dict(
        {name: value for name, value in said.items() if value}
    )


def schema_of(url: "sa.URL") -> str | None:
    """The schema with Prisma's tables, if the URL says it."""
    return _given(url, "schema")


def pool_options(url: "sa.URL") -> Mapping[str, Any]:
    """What the URL says to Prisma's pool, for ours.

    Raises:
        ConfigurationError: it makes no sense.
    """
    options: dict[str, Any] = {}
    for theirs, ours in (("connection_limit", "pool_size"), ("pool_timeout", "pool_timeout")):
        value = _given(url, theirs)
        if value is None or value == "0":
            continue
        if not value.isdecimal():
            raise ConfigurationError(f"'{theirs}' in the URL has to be a number.")
        options[ours] = int(value)
    if _given(url, "pgbouncer") == "true":
        if url.get_driver_name() != "psycopg":
            raise ConfigurationError(
                "'pgbouncer' in the URL is served through psycopg. Write 'postgresql://'."
            )
        # Its connections change between transactions, and with them what was prepared.
        options["connect_args"] = {"prepare_threshold": None}
    return options


def _encryption(url: "sa.URL") -> dict[str, str | None]:
    """How the server proves who it is, in libpq's words; None for what is not to be said.

    Prisma's `sslcert` is whom to trust. libpq's is who we are, and comes with a key.
    """
    said: dict[str, str | None] = {}
    authority = _given(url, "sslcert")
    if authority is not None and "sslkey" not in url.query:
        said |= {"sslcert": None, "sslrootcert": authority}
    if _given(url, "sslaccept") == "strict" and _given(url, "sslmode") != "disable":
        known = said.get("sslrootcert") or _given(url, "sslrootcert") or "system"
        said |= {"sslmode": "verify-full", "sslrootcert": known}
    return said


def _given(url: "sa.URL", name: str) -> str | None:
    value = url.query.get(name)
    return value if isinstance(value, str) and value else None
