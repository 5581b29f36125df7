"""Which certificate the webhook is to serve, and which authorities the API server is to trust, given the time. Pure.

A pair is a serving certificate and an authority of its own, whose key is thrown away once it has signed: an authority
that nobody can use again may be trusted for as long as it lasts. A rotation takes two steps. First the authority of the
next pair is trusted, beside the one in use. When the API server has been told so for a while, the next pair is served.
The authority of the pair before stays trusted until the next rotation, for the replica that has not heard of it yet.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sluicegate_operator.errors import ControlError

BACKDATE = timedelta(minutes=5)
"""The API server's clock may be behind ours."""
LIFETIME = timedelta(days=90)
SPREAD = timedelta(minutes=5)
"""So long an authority is trusted, as far as we know, before it is relied upon: there may be several API servers."""
MOST_BYTES = 64 * 1024
"""Of anything in PEM that is read."""

Secret = Mapping[str, bytes]
"""The content of the Secret: `tls.crt`, `tls.key` and `ca.crt`, and in a rotation `next.crt` and `next.key`."""


class Unusable(ControlError):
    """What is in the Secret cannot be served."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A serving certificate and the authority that signed it."""

    chain: bytes
    """The certificate, PEM."""
    key: bytes
    """PEM, not encrypted."""
    authority: bytes
    """PEM."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What the Secret holds."""

    current: Pair
    next: Pair | None = None
    """In a rotation: the pair that is not served yet."""
    previous: bytes = b""
    """The authority of the pair before; empty if there was none."""

    @property
    def trusted(self) -> tuple[bytes, ...]:
        """The authorities for the API server, PEM each."""
        authorities = (self.previous, self.current.authority, self.next.authority if self.next else b"")
        return tuple(one for one in authorities if one)


def decide(
    stored: Kept | None,
    served: Kept | None,
    known: bytes,
    names: Sequence[str],
    now: datetime,
    lifetime: timedelta = LIFETIME,
) -> Kept:
    """What the Secret is to hold: `stored` itself if all is well with it.

    `stored` is what it holds (None: nothing that can be used), `served` what this process has in memory, and `known`
    the authorities that the API server has now, PEM. `names` are DNS names or addresses.
    """
    kept = stored
    if kept is None or not _serves(kept.current, names, now):
        # What was lost is put back: no call need fail, the other replica serves it too.
        kept = served if served and _serves(served.current, names, now) else None
    if kept is None:
        return Kept(new_pair(names, now, lifetime))
    if kept.next and not _serves(kept.next, names, now):
        kept = Kept(kept.current, None, kept.previous)
    if kept.next and _is_known(kept.next.authority, known) and _age(kept.next, now) >= _spread(lifetime):
        return Kept(kept.next, None, kept.current.authority)
    if kept.next is None and _age(kept.current, now) >= lifetime * 2 / 3:
        return Kept(kept.current, new_pair(names, now, lifetime))
    return kept


def next_look(kept: Kept, now: datetime, lifetime: timedelta = LIFETIME) -> timedelta:
    """How long nothing needs to be decided, if nobody changes anything."""
    due = _spread(lifetime) - _age(kept.next, now) if kept.next else lifetime * 2 / 3 - _age(kept.current, now)
    if due <= timedelta(0):
        # It is not ours to do: the API server has not been told, which is seen when it is.
        return timedelta(seconds=10)
    return max(min(due, timedelta(hours=1)), timedelta(seconds=0.5))


def expires(chain: bytes) -> datetime:
    return x509.load_pem_x509_certificate(chain).not_valid_after_utc


def _spread(lifetime: timedelta) -> timedelta:
    return min(SPREAD, lifetime / 20)


def _age(pair: Pair, now: datetime) -> timedelta:
    return now - (x509.load_pem_x509_certificate(pair.chain).not_valid_before_utc + BACKDATE)


def _serves(pair: Pair, names: Sequence[str], now: datetime) -> bool:
    """Whether a client that trusts the authority takes the certificate for these names, for some time to come."""
    certificate = x509.load_pem_x509_certificate(pair.chain)
    authority = x509.load_pem_x509_certificate(pair.authority)
    try:
        certificate.verify_directly_issued_by(authority)
        told = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (InvalidSignature, ValueError, TypeError, x509.ExtensionNotFound):
        return False
    has = {*told.get_values_for_type(x509.DNSName), *map(str, told.get_values_for_type(x509.IPAddress))}
    ends = min(certificate.not_valid_after_utc, authority.not_valid_after_utc)
    starts = max(certificate.not_valid_before_utc, authority.not_valid_before_utc)
    return set(names) <= has and starts <= now < ends


def _is_known(authority: bytes, known: bytes) -> bool:
    return x509.load_pem_x509_certificate(authority) in _certificates(known)


def new_pair(names: Sequence[str], now: datetime, lifetime: timedelta = LIFETIME) -> Pair:
    """A serving certificate for these names, and the authority that signed it and nothing else."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    number = x509.random_serial_number()
    # Each authority has a subject of its own: of two with the same one, a client may look at the wrong one alone.
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"sluicegate-injector-{number:040x}"[:64])])
    whole_second = now.replace(microsecond=0)

    def signed(of: x509.Name, public: ec.EllipticCurvePublicKey, serial: int) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .issuer_name(subject)
            .subject_name(of)
            .public_key(public)
            .serial_number(serial)
            .not_valid_before(whole_second - BACKDATE)
            .not_valid_after(whole_second + lifetime)
        )

    authority = (
        signed(subject, authority_key.public_key(), number)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    serving = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    certificate = (
        signed(serving, key.public_key(), x509.random_serial_number())
        .add_extension(x509.SubjectAlternativeName([_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Pair(_pem(certificate), secret, _pem(authority))


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def to_secret(kept: Kept) -> dict[str, bytes]:
    """The content of the Secret."""
    following = {"next.crt": kept.next.chain, "next.key": kept.next.key} if kept.next else {}
    return {
        "tls.crt": kept.current.chain,
        "tls.key": kept.current.key,
        "ca.crt": b"".join(kept.trusted),
        **following,
    }


def from_secret(secret: Secret) -> Kept:
    """What the Secret holds; Unusable says what is wrong with it."""
    authorities = {one.subject: one for one in _certificates(secret.get("ca.crt", b""))}
    current = _pair(secret, "tls", authorities)
    following = _pair(secret, "next", authorities) if secret.get("next.crt") else None
    in_use = {one.authority for one in (current, following) if one}
    others = [_pem(one) for one in authorities.values() if _pem(one) not in in_use]
    return Kept(current, following, others[0] if others else b"")


def _pair(secret: Secret, name: str, authorities: Mapping[x509.Name, x509.Certificate]) -> Pair:
    chain, key = secret.get(f"{name}.crt", b""), secret.get(f"{name}.key", b"")
    certificates = _certificates(chain)
    if not certificates or not key:
        raise Unusable(f"{name}.crt, {name}.key: one of them is empty, or no certificate")
    if not _belongs(key, certificates[0]):
        raise Unusable(f"{name}.key: not the key of {name}.crt")
    authority = authorities.get(certificates[0].issuer)
    if authority is None:
        raise Unusable(f"ca.crt: without the authority of {name}.crt")
    return Pair(chain, key, _pem(authority))


def _belongs(key: bytes, certificate: x509.Certificate) -> bool:
    try:
        private = serialization.load_pem_private_key(key, None)
    except (ValueError, TypeError):
        return False
    return private.public_key() == certificate.public_key()


def _certificates(pem: bytes) -> list[x509.Certificate]:
    """None at all if one of them cannot be read."""
    if len(pem) > MOST_BYTES:
        return []
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        return []


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def utc_now() -> datetime:
    return datetime.now(UTC)
