"""Who is who in the cluster: one authority, the serving certificates, and a token for each part."""

import secrets
from string import Template

import trustme

from one_node.places import API_SERVICE, NODE, NODE_ADDRESS, Places

USERS = {
    "admin": ("admin", "system:masters"),
    "kubelet": (f"system:node:{NODE}", "system:nodes"),
    "controllers": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
    "proxy": ("system:kube-proxy", ""),
    "coredns": ("coredns", ""),
}
"""Each part's user and group; a kubeconfig is written for each."""

API_NAMES = (
    "127.0.0.1",
    NODE_ADDRESS,
    API_SERVICE,
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)


def write(places: Places, kubeconfig: str) -> None:
    """Fills the folder `pki`. `kubeconfig` is the text of a user's, with $USER and $TOKEN in it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(places.pki / "ca.crt"))
    authority.private_key_pem.write_to_path(str(places.pki / "ca.key"))
    leaves = {
        "apiserver": authority.issue_cert(*API_NAMES),
        "apiserver-to-kubelet": authority.issue_cert(
            "apiserver", common_name="apiserver", organization_name="system:masters"
        ),
        "kubelet": authority.issue_cert(NODE_ADDRESS, NODE),
        "service-accounts": authority.issue_cert("service-accounts", key_type=trustme.KeyType.RSA),
    }
    for name, leaf in leaves.items():
        leaf.cert_chain_pems[0].write_to_path(str(places.pki / f"{name}.crt"))
        leaf.private_key_pem.write_to_path(str(places.pki / f"{name}.key"))
    lines = []
    for name, (user, group) in USERS.items():
        token = secrets.token_hex(16)
        lines.append(f'{token},{user},{name},"{group}"')
        named = {**places.named(), "USER": name, "TOKEN": token}
        (places.pki / f"{name}.kubeconfig").write_text(Template(kubeconfig).substitute(named))
    (places.pki / "tokens.csv").write_text("\n".join(lines) + "\n")
