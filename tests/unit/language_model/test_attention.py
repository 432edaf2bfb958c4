"""Attention by the kernel against torch's own over everything at once."""

import pytest
import torch
from torch import nn

from sparklabel.language_model.attention.flash_cpu import flash_attention
from sparklabel.language_model.attention.prefix import causal_mask


@pytest.mark.parametrize("shared", [0, 11, 128, 200])
def test_attention_behind_a_prefix_is_that_over_all_keys_at_once(shared):
    torch.manual_seed(0)
    batch, heads, groups, length, size = 3, 6, 2, 7, 8
    query = torch.randn(batch, length, heads, size).transpose(1, 2)
    key, value = torch.randn(2, batch, groups, length, size)
    prefix = tuple(torch.randn(2, groups, shared, size))
    mask = causal_mask(length, torch.float32, torch.device("cpu")).repeat(batch, 1, 1, 1)
    mask[1, :, 4:, 2] = float("-inf")
    found = flash_attention(query, key, value, mask, prefix, 0.3)
    keys, values = (
        torch.cat([before.expand(batch, -1, -1, -1), own], dim=2)
        for before, own in zip(prefix, (key, value), strict=True)
    )
    expected = nn.functional.scaled_dot_product_attention(
        query, keys, values, attn_mask=nn.functional.pad(mask, (shared, 0)), scale=0.3, enable_gqa=True
    )
    torch.testing.assert_close(found, expected.transpose(1, 2), atol=1e-6, rtol=1e-5)
