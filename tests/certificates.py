"""Certificates of an authority of our own, for servers on loopback."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def issue(
    name: str, signer: Any = None, *, loopback: bool = True, old: bool = False
) -> tuple[Any, x509.Certificate]:
    """A key and a certificate: a CA without `signer`, else one for a server."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signing_key, signing_certificate = signer or (key, None)
    now = datetime.datetime.now(datetime.UTC)
    names: list[x509.GeneralName] = [x509.DNSName("elsewhere.example")]
    if loopback:
        names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signing_certificate.subject if signing_certificate else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=10))
        .not_valid_after(now + datetime.timedelta(days=-1 if old else 1))
        .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
    )
    return key, builder.sign(signing_key, hashes.SHA256())


def write_authority(folder: Path) -> tuple[Any, Path]:
    """An authority to sign with, and the file of its certificate."""
    signer = issue("Test authority")
    path = folder / "ca.pem"
    path.write_bytes(pem(signer[1]))
    return signer, path


def server_context(folder: Path, signer: Any, **options: bool) -> ssl.SSLContext:
    """For a server on loopback with a certificate of this authority; `options` as of `issue`."""
    key, certificate = issue("server", signer, **options)
    chain = folder / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    chain.write_bytes(private + pem(certificate))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain)
    return context


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
