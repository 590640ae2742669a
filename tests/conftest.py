"""One thread for torch: the matrices here are small, and on a busy machine threads that wait for each other cost most."""

import torch

torch.set_num_threads(1)
