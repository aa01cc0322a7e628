"""How samples hang together with those behind them: sums of their products over each lag."""

import numpy as np
from numpy.typing import NDArray

_BLOCK_PER_LAG = 3
_BLOCKS_AT_ONCE = 32


def lagged_products(centred: NDArray[np.float64], n_lags: int) -> NDArray[np.float64]:
    """Σ_j x_j x_(j + k) for the lags k from 0 to `n_lags` - 1.

    Each block is multiplied, by way of short Fourier transforms, with itself and the `n_lags` samples behind it: one
    transform of all the samples takes several times as long, for it outgrows the processor's caches.
    """
    block, length = _BLOCK_PER_LAG * n_lags, (_BLOCK_PER_LAG + 1) * n_lags
    spectrum = np.zeros(length // 2 + 1, dtype=np.complex128)
    for start in range(0, centred.size, _BLOCKS_AT_ONCE * block):
        n_blocks = min(_BLOCKS_AT_ONCE, -(-(centred.size - start) // block))
        stretch = centred[start : start + n_blocks * block + n_lags]
        if stretch.size < n_blocks * block + n_lags:  # the end: nothing lies behind it
            stretch = np.concatenate([stretch, np.zeros(n_blocks * block + n_lags - stretch.size)])
        whole = np.lib.stride_tricks.sliding_window_view(stretch, length)[::block]
        own = np.fft.rfft(whole[:, :block], length)
        spectrum += (own.conj() * np.fft.rfft(whole)).sum(axis=0)
    return np.fft.irfft(spectrum, length)[:n_lags]
