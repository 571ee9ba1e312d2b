import os

# Tests share the processor with one another: threads that wait in turns for the same sum take ten times as long as one. Before NumPy and PyTorch are
# imported, which read it then; processes that tests start have it too.
os.environ.setdefault("OMP_NUM_THREADS", "1")
