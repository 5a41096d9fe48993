"""Muon: what makes a matrix orthogonal, a stack worked on as its matrices alone, and the step that follows from it."""

import pytest
import torch

from posttrain.toy.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(5, 16, 16), (3, 8, 32), (3, 32, 8)])
def test_singular_values_come_near_one(shape: tuple[int, int, int]) -> None:
    stack = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonal(stack))
    assert values.max() < 1.3
    assert (
        values > 0.6
    ).float().mean() > 0.9  # of a random square matrix the smallest begin near 0 and take more steps than these


def test_a_stack_is_worked_on_as_its_matrices_alone() -> None:
    stack = torch.randn((4, 8, 24), generator=torch.Generator().manual_seed(1))
    apart = torch.cat([orthogonal(matrix.unsqueeze(0)) for matrix in stack])
    assert torch.allclose(orthogonal(stack), apart, atol=1e-5)


def test_matrices_of_several_shapes_each_take_a_step_of_their_own_size() -> None:
    generator = torch.Generator().manual_seed(2)
    first, second, third = (torch.nn.Parameter(torch.zeros(shape)) for shape in ((16, 16), (16, 64), (16, 16)))
    unused = torch.nn.Parameter(torch.zeros(16, 16))
    for parameter in (first, second, third):
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    Muon([first, second, third, unused], learning_rate=0.01).step()
    for parameter, longer in ((first, 16), (second, 64), (third, 16)):
        assert parameter.grad is not None
        step = orthogonal(parameter.grad.unsqueeze(0))[0]
        assert torch.allclose(parameter.detach(), -0.01 * 0.2 * longer**0.5 * step, atol=1e-4)
    assert not unused.any()
