"""Which device to compute on, in which precision, and which weights these are."""

import gc
import hashlib

import torch

from srdscan.models.heap import trim_heap


def pick_device(wanted: str = "auto") -> str:
    """`auto` takes CUDA, then Apple's MPS, then the CPU; anything else is taken as it is.

    Raises:
        ValueError: the device is unknown or not present.
    """
    if wanted == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(0, device=wanted)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"--device {wanted}: not available here ({str(error).splitlines()[0]}). Try --device cpu"
        ) from error
    return wanted


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether a device, or the machine itself, had no room for a tensor."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def free_memory() -> None:
    """Gives cached device memory back, so that a smaller batch finds room."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    trim_heap()


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """The half precision that this device computes natively, for encoders; None where float32 is faster."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if device.type == "cpu" and torch.cpu._is_avx512_bf16_supported():
        return torch.bfloat16
    return None


def module_fingerprint(module: torch.nn.Module) -> str:
    """sha256 over names, shapes and bytes of all weights and buffers, hex."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
