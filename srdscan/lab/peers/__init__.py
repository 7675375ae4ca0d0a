"""Other people's defences, rendered faithfully, to compare with on the same models."""

from srdscan.lab.peers.base import PEERS, Judgement, Peer, Seen

__all__ = ["PEERS", "Judgement", "Peer", "Seen"]
