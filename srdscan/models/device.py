"""Which device to compute on, in which precision, and which weights these are."""

import ctypes
import gc
import hashlib
import os

import torch


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


def reuse_large_allocations() -> None:
    """Keeps glibc from returning every freed activation to the kernel, and faulting its pages in again a layer later.

    On two CPU cores this takes the embedded encoder from 106 to 300 images/s. Blocks over 16 MB still come and go on
    their own: kept in the heap, ever other sizes of them leave ever more holes.
    Where the C library is not glibc, none of this happens. oneDNN keeps 32 compiled kernels in place of 1,024: captions
    of ever other lengths make ever other shapes, and a quarter of a gigabyte of kernels that are hardly used again.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "32")
    m_trim_threshold, m_top_pad, m_mmap_threshold, m_arena_max = -1, -2, -3, -8  # malloc.h
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(m_mmap_threshold, 2**24)
    mallopt(m_trim_threshold, 2**31 - 1)
    mallopt(m_top_pad, 2**26)
    mallopt(m_arena_max, 1)  # threads decode and compute in turn; holes of their own only add up


def trim_heap() -> None:
    """Gives the pages of freed activations back to the kernel, where the C library is glibc; about 0.1 s.

    Kept allocations of ever other sizes leave holes, and the heap creeps up with every batch. Trimming after every few
    batches bounds it, and costs one round of page faults each time.
    """
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):
        return


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
