"""A reversible sequence inside DistributedDataParallel: two processes over gloo, gradients as on one."""

import os
import time
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from rackmath.experiments.reversible import ReversibleSequence


def network():
    torch.manual_seed(0)
    pairs = [(nn.Sequential(nn.Linear(8, 8), nn.Tanh()), nn.Linear(8, 8)) for _ in range(3)]
    return nn.Sequential(nn.Linear(4, 16), ReversibleSequence(pairs), nn.Linear(16, 1)).double()


def batch():
    return torch.randn(8, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


PATIENCE = 1800.0  # seconds until the two processes are given up


def work(rank, kept):
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", init_method=f"file://{kept}/meeting", rank=rank, world_size=2, timeout=timedelta(seconds=PATIENCE))
    net = DistributedDataParallel(network())
    net(batch().chunk(2)[rank]).square().mean().backward()
    torch.save([p.grad for p in net.parameters()], f"{kept}/{rank}.pt")
    dist.barrier()  # neither leaves while the other still talks to it
    dist.destroy_process_group()


def test_two_processes_average_their_gradients(tmp_path):
    both = mp.spawn(work, args=(str(tmp_path),), nprocs=2, join=False)
    end = time.monotonic() + PATIENCE
    while not both.join(timeout=1.0):
        if time.monotonic() > end:
            for one in both.processes:
                one.kill()
            pytest.fail(f"the two processes did not finish within {PATIENCE:.0f} s")
    alone = network()
    alone(batch()).square().mean().backward()
    for rank in (0, 1):
        for ours, theirs in zip(torch.load(tmp_path / f"{rank}.pt"), alone.parameters(), strict=True):
            torch.testing.assert_close(ours, theirs.grad, rtol=0, atol=1e-12)
