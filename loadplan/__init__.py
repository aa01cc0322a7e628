"""loadplan: which hardware serves this model at this traffic within this latency, at what price, and how we know.

The road the data takes: scenario → export → bench → load → fit → plan → verify → report.
Every stage is a function; `loadplan.pipeline.run` walks them all. Nothing is imported until it is asked for.
"""

__version__ = "0.1.0.dev0"
