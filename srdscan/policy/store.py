"""The policy file: `policy.safetensors`, weights in float16 with a JSON document in the header. No pickle."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from srdscan.models.fetch import ModelError, models_folder
from srdscan.policy.actions import ActionSpace
from srdscan.policy.episodes import HEADS, PICTURE, PLANES, Lane, observe
from srdscan.policy.qnet import QNetwork

SCHEMA_VERSION = 1
EMBEDDED = "embedded"
FILE_NAME = "policy.safetensors"


class PolicyError(ModelError):
    """The policy cannot be used; the message says which file, why, and what to do."""


@dataclass(frozen=True)
class Policy:
    """A learned policy.

    Attributes:
        network: Q values of all actions.
        space: the actions.
        steps: perturbations of one image at most.
        captioner: sha256 of the captioner that it was trained with.
        training: a summary of the training.
        name: where it was loaded from.
    """

    network: QNetwork
    space: ActionSpace
    steps: int
    captioner: str
    training: Mapping[str, Any]
    name: str = EMBEDDED

    @torch.inference_mode()
    def values(self, lanes: Sequence[Lane]) -> npt.NDArray[np.float32]:
        """(N, len(space)) Q values, from one call of the network."""
        seen = observe(lanes, self.steps)
        device = next(self.network.parameters()).device
        inputs = (torch.from_numpy(seen[name]).to(device) for name in ("image", "planes"))
        values: npt.NDArray[np.float32] = self.network(*inputs).float().cpu().numpy()
        return values

    def act(self, lanes: Sequence[Lane], may_stop: Sequence[bool] | None = None) -> list[int]:
        """The best action in each lane; from one call of the network. Ties go to the lowest index.

        Args:
            may_stop: lanes in which stop is an action; all by default.
        """
        values = self.values(lanes)
        if may_stop is not None:
            values[~np.asarray(may_stop, dtype=bool), self.space.stop] = -np.inf
        return [int(index) for index in values.argmax(axis=1)]


def observation_spec() -> dict[str, Any]:
    """What a network sees; a policy for another spec is refused."""
    return {"picture": PICTURE, "planes": list(PLANES), "heads": HEADS}


def save_policy(policy: Policy, folder: Path) -> Path:
    """Writes `policy.safetensors` into a folder, whole or not at all; the same policy gives the same bytes."""
    document = {
        "schema_version": SCHEMA_VERSION,
        "actions": policy.space.names,
        "observation": observation_spec(),
        "network": {"width": policy.network.width, "hidden": list(policy.network.hidden)},
        "steps": policy.steps,
        "captioner": policy.captioner,
        "training": dict(policy.training),
    }
    tensors = {
        name: tensor.detach().to("cpu", torch.float16).contiguous()
        for name, tensor in sorted(policy.network.state_dict().items())
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE_NAME
    partial = path.with_name(path.name + ".partial")
    save_file(tensors, partial, {"srdscan.policy": json.dumps(document, sort_keys=True)})
    os.replace(partial, path)
    return path


def load_policy(spec: str = EMBEDDED, device: str = "cpu") -> Policy:
    """A policy from a folder or a file; `embedded` is models/policy.

    Raises:
        PolicyError: the file is missing, damaged, or made for other actions or another schema.
    """
    path = models_folder() / "policy" if spec == EMBEDDED else Path(spec)
    path = path / FILE_NAME if path.is_dir() else path
    if not path.is_file():
        raise PolicyError(f"--policy {spec}: there is no {path}; `srdscan train` writes one")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise PolicyError(f"--policy {spec}: {path} cannot be read: {error}") from error
    document = _document(header, spec, path)
    space = ActionSpace()
    try:
        network = QNetwork(space, int(document["network"]["width"]), _hidden(document["network"]))
        network.load_state_dict(tensors)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise PolicyError(f"--policy {spec}: {path} does not hold the network it describes: {error}") from error
    if not all(torch.isfinite(tensor).all() for tensor in tensors.values()):
        raise PolicyError(f"--policy {spec}: {path} holds weights that are not finite; train it again")
    return Policy(
        network.to(device).eval(), space, int(document["steps"]), document["captioner"], document["training"], spec
    )


def _document(header: Mapping[str, str], spec: str, path: Path) -> dict[str, Any]:
    """The JSON document of a policy file, checked against this version's actions and observations."""
    try:
        document = json.loads(header["srdscan.policy"])
        version = document["schema_version"]
    except (KeyError, TypeError, ValueError) as error:
        raise PolicyError(f"--policy {spec}: {path} is not a policy of srdscan") from error
    if version != SCHEMA_VERSION:
        raise PolicyError(
            f"--policy {spec}: {path} has schema version {version}, this srdscan reads {SCHEMA_VERSION}; train it again"
        )
    for what, found, wanted in (
        ("actions", document.get("actions"), ActionSpace().names),
        ("observations", document.get("observation"), observation_spec()),
    ):
        if found != wanted:
            raise PolicyError(
                f"--policy {spec}: {path} was trained for other {what} than this srdscan has"
                f"{_first_difference(found, wanted)}; train it again with `srdscan train`"
            )
    if not {"network", "steps", "captioner", "training"} <= document.keys() or int(document["steps"]) < 1:
        raise PolicyError(f"--policy {spec}: {path} lacks a part of its description")
    return dict(document)


def _hidden(network: Mapping[str, Any]) -> list[str]:
    """Inputs that the network does not see; the first policy files say of the attention alone whether it is seen."""
    if "hidden" in network:
        return list(network["hidden"])
    return [] if network["attention"] else ["attention"]


def _first_difference(found: Any, wanted: Any) -> str:
    if not (isinstance(found, list) and isinstance(wanted, list)):
        return ""
    for here, there in zip(found, wanted, strict=False):
        if here != there:
            return f" ('{here}' where this one has '{there}')"
    return f" ({len(found)} against {len(wanted)})"
