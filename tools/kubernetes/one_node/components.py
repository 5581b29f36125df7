"""The command lines of the parts."""

from one_node.places import CONTAINERD, NODE, NODE_ADDRESS, SERVICES, Places

ETCD = "http://127.0.0.1:2379"

CTR = ["ctr", "--address", CONTAINERD, "--namespace", "k8s.io"]
"""containerd's own command line, for what the kubelet looks after."""


def etcd(places: Places) -> list[str]:
    peer = "http://127.0.0.1:2380"
    return [
        "etcd",
        "--name=node",
        f"--data-dir={places.home}/etcd",
        f"--listen-client-urls={ETCD}",
        f"--advertise-client-urls={ETCD}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=node={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def containerd(places: Places) -> list[str]:
    return ["containerd", f"--config={places.conf}/containerd.toml"]


def api_server(places: Places) -> list[str]:
    return [
        "kube-apiserver",
        f"--etcd-servers={ETCD}",
        f"--advertise-address={NODE_ADDRESS}",
        "--bind-address=0.0.0.0",
        "--secure-port=6443",
        f"--tls-cert-file={places.pki}/apiserver.crt",
        f"--tls-private-key-file={places.pki}/apiserver.key",
        f"--client-ca-file={places.pki}/ca.crt",
        f"--kubelet-client-certificate={places.pki}/apiserver-to-kubelet.crt",
        f"--kubelet-client-key={places.pki}/apiserver-to-kubelet.key",
        f"--kubelet-certificate-authority={places.pki}/ca.crt",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={places.pki}/service-accounts.key",
        f"--service-account-signing-key-file={places.pki}/service-accounts.key",
        f"--token-auth-file={places.pki}/tokens.csv",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--service-cluster-ip-range={SERVICES}",
    ]


def controllers(places: Places) -> list[str]:
    return [
        "kube-controller-manager",
        f"--kubeconfig={places.pki}/controllers.kubeconfig",
        "--leader-elect=false",
        "--kube-api-qps=300",
        "--kube-api-burst=600",
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={places.pki}/service-accounts.key",
        f"--root-ca-file={places.pki}/ca.crt",
        "--bind-address=127.0.0.1",
    ]


def scheduler(places: Places) -> list[str]:
    return [
        "kube-scheduler",
        f"--kubeconfig={places.pki}/scheduler.kubeconfig",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
    ]


def kubelet(places: Places) -> list[str]:
    return [
        "kubelet",
        f"--config={places.conf}/kubelet.yaml",
        f"--kubeconfig={places.pki}/kubelet.kubeconfig",
        f"--hostname-override={NODE}",
        f"--node-ip={NODE_ADDRESS}",
        f"--root-dir={places.home}/kubelet",
        f"--cert-dir={places.home}/kubelet-pki",
    ]


def proxy(places: Places) -> list[str]:
    return ["kube-proxy", f"--config={places.conf}/kube-proxy.yaml"]


def coredns(places: Places) -> list[str]:
    return ["coredns", f"-conf={places.conf}/Corefile"]
