"""The C heap, which tensors of ever other sizes leave full of holes."""

import ctypes
import os


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
