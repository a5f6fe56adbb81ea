"""From a dense network to experts: TokenMixer-Large's "first enlarge, then sparse"."""

from typing import Any

from keras import ops

from rankup_keras.layers.mixers.per_token_swiglu import PerTokenSwiGLU
from rankup_keras.layers.mixers.per_token_top_k_moe import PerTokenTopKMoE


def split_experts(
    network: PerTokenSwiGLU, num_experts: int, num_active: int | None = None, **settings: Any
) -> PerTokenTopKMoE:
    """Cuts the hidden layer of a trained SwiGLU into experts of equal width.

    The first slice becomes the shared expert. With all experts active and
    `scale` left at E - 1, which makes every gate 1 as the router starts at
    zero, the mixture is the network that it was made of.

    Args:
        network: a built `PerTokenSwiGLU` without biases.
        num_experts: int. E, a divisor of the hidden width.
        num_active: int or `None`. k. `None` (default) for all.
        **settings: further arguments of `PerTokenTopKMoE`. `scale` defaults to
            k - 1 here.

    Returns:
        A built `PerTokenTopKMoE` with the network's weights and activation. With
        fewer than all active its router is drawn at random.

    Raises:
        ValueError: `network` is not built, has biases, or E does not divide its
            hidden width.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    tokens = np.random.normal(size=(8, 4, 16)).astype("float32")
    network = rk.layers.PerTokenSwiGLU(expansion=2)
    y = network(tokens)
    experts = rk.layers.split_experts(network, num_experts=4)
    print(np.abs(experts(tokens) - y).max())    # about 1e-7
    ```

    References:
        - TokenMixer-Large, arXiv 2602.06563, section 3.4.
    """
    hidden = network.down.kernel.shape[1] if network.built else 0
    if not hidden or network.use_bias or hidden % num_experts:
        raise ValueError(
            "`network` must be a built PerTokenSwiGLU without biases, whose hidden width "
            f"`num_experts` divides. Received: num_experts={num_experts}, and a network with "
            + (f"hidden width {hidden}, use_bias={network.use_bias}." if hidden else "no weights.")
        )
    num_active = num_experts if num_active is None else num_active
    tokens, dim, _ = network.up.kernel.shape
    given = {"scale": num_active - 1, "name": network.name, "dtype": network.dtype_policy}
    given |= {"down_scale": network.down_scale, "activation": network.activation, **settings}
    experts = PerTokenTopKMoE(num_experts, num_active, hidden / dim, **given)
    experts.build((None, tokens, dim))
    gate, value = ops.split(ops.convert_to_tensor(network.up.kernel), 2, axis=-1)
    down = ops.convert_to_tensor(network.down.kernel)
    width = hidden // num_experts if experts.shared else 0
    if experts.shared:
        shared = [part[..., :width] for part in (gate, value)]
        experts.shared_expert.up.kernel.assign(ops.concatenate(shared, axis=-1))
        experts.shared_expert.down.kernel.assign(down[:, :width])
    routed = [part[..., width:] for part in (gate, value)]
    experts.up.kernel.assign(ops.concatenate(routed, axis=-1))
    experts.down.kernel.assign(down[:, width:])
    if num_active == num_experts:
        experts.router.kernel.assign(ops.zeros_like(experts.router.kernel))
    return experts
