"""Other people's defences, rendered faithfully, on the same models; importing registers the detectors."""

from srdscan.lab.peers import activations, bye, density, strip, text
from srdscan.lab.peers.base import PEERS, Judgement, Peer, Seen

__all__ = ["PEERS", "Judgement", "Peer", "Seen", "activations", "bye", "density", "strip", "text"]
