"""The layouts that known layers and functions make of the layouts they are given, by canonical operation name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Union

from nnlint.knowledge.notation import words
from nnlint.trace.layout import Layout, broadcast, cat, einsum, matmul, some_size, stack
from nnlint.trace.relabel import PADDED, Atom, Axis, DerivedKey
from nnlint.trace.size import Size

Layouts = Union[Layout, tuple["Layouts", ...]]


class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = _Unknown()
"""The value of an argument that was given but is not known."""


def layout_of(op: str, inputs: Sequence[Union[Layout, None]], arguments: Mapping[str, object]) -> Union[Layouts, None]:
    """The layout of the output, or a tuple where there are several (an LSTM: `(output, (h_n, c_n))`).

    Of `split`, `chunk` and `unbind` into parts of unknown number, the one layout is that of every part.

    `inputs` are the tensors in the order of the parameters (`linear`: input, then the weight if it is the function), for `cat`, `stack`
    and `einsum` the tensors alone; `arguments` are those of constructor and call by torch's parameter name (`dim`, `kernel_size`, `size`
    as a tuple, ...), with `count` the length of a list of alike tensors and `directions` for a recurrent layer whose `bidirectional` is
    only known as a size. An argument that is missing has the default of the function: `nn.Flatten` has to pass its `start_dim=1`. None
    where the operation is not in the table.
    """
    made = _SPECIAL.get(op)
    if made is not None:
        return made(_Call(inputs, arguments))
    first = next((one for one in inputs if one is not None), None)
    if op in _SAME:
        return inputs[0] if inputs and inputs[0] is not None else Layout.unknown()
    if op in _BROADCAST:
        if first is None:
            return Layout.unknown()
        result = first
        for other in inputs[inputs.index(first) + 1 :]:
            if other is not None:
                result = broadcast(result, other)
        return result if inputs[0] is not None else Layout.unknown()
    return None


class _Call:
    __slots__ = ("arguments", "inputs")

    def __init__(self, inputs: Sequence[Union[Layout, None]], arguments: Mapping[str, object]) -> None:
        self.inputs = inputs
        self.arguments = arguments

    def tensor(self, at: int = 0) -> Layout:
        found = self.inputs[at] if at < len(self.inputs) else None
        return Layout.unknown() if found is None else found

    def given(self, at: int) -> Union[Layout, None]:
        return self.inputs[at] if at < len(self.inputs) else None

    def has(self, *names: str) -> bool:
        return any(self.arguments.get(name) is not None for name in names)

    def size(self, name: str, default: Union[int, None] = None) -> Union[Size, None]:
        """A size; None where it is not known."""
        value = self.arguments.get(name, default)
        if isinstance(value, Size):
            return value
        return Size.of(value) if isinstance(value, int) and not isinstance(value, bool) else None

    def number(self, name: str, default: Union[int, None] = None) -> Union[int, None]:
        value = self.size(name, default)
        return None if value is None else value.known

    def flag(self, name: str, default: bool = False) -> Union[bool, None]:
        value = self.arguments.get(name, default)
        if isinstance(value, Size):
            value = value.known
        return bool(value) if isinstance(value, (bool, int)) else None

    def dims(self, *names: str) -> Union[int, list[int], _Unknown, None]:
        """Dims of a reduction: None means all."""
        value = next((self.arguments[name] for name in names if name in self.arguments), None)
        if value is None:
            return None
        if isinstance(value, Size):
            value = value.known
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, (tuple, list)):
            dims = [item.known if isinstance(item, Size) else item for item in value]
            if all(isinstance(dim, int) for dim in dims):
                return [dim for dim in dims if isinstance(dim, int)]
        return UNKNOWN

    def sizes(self, name: str) -> Union[list[Union[Size, None]], None]:
        """A tuple of sizes, -1 as None; None where it is not known."""
        value = self.arguments.get(name)
        if isinstance(value, (int, Size)):
            value = (value,)
        if not isinstance(value, (tuple, list)):
            return None
        if len(value) == 1 and isinstance(value[0], (tuple, list)):
            value = value[0]
        result: list[Union[Size, None]] = []
        for item in value:
            size = Size.of(item) if isinstance(item, int) else item
            if size is not None and not isinstance(size, Size):
                return None
            result.append(None if size is None or size == -1 else size)
        return result

    def per_axis(self, name: str, count: int, default: Union[int, None]) -> list[Union[Size, None]]:
        """One number for each of `count` spatial axes."""
        value = self.arguments.get(name, default)
        if value is None and default is not None:
            value = default
        items = list(value) if isinstance(value, (tuple, list)) else [value]
        if len(items) == 1:
            items *= count
        if len(items) != count:
            return [None] * count
        items = [int(v) if isinstance(v, float) and v.is_integer() else v for v in items]
        return [Size.of(v) if isinstance(v, int) else v if isinstance(v, Size) else None for v in items]


_DEPTH_LIMIT = 30  # keys of keys of keys: further ones are just new unknowns

Maker = Callable[[_Call], Union[Layouts, None]]


def _new(size: Union[Size, None]) -> Axis:
    size = some_size() if size is None else size
    return () if size == 1 else (Atom(size),)


def _derived(size: Size, *formula: object) -> Size:
    depth = 1 + max((symbol.key.depth for symbol in size.symbols if isinstance(symbol.key, DerivedKey)), default=0)
    if depth > _DEPTH_LIMIT:
        return some_size(_primed(size))
    return Size.symbol(DerivedKey((size, *formula), depth), _primed(size))


def _primed(size: Size) -> str:
    """What to call a length that was made from another."""
    text = str(size)
    if text.endswith("'"):
        return text
    return f"{text}'" if text.isidentifier() else f"({text})'" if len(text) < 30 else "length"


def _window(
    size: Size,
    kernel: Union[Size, None],
    stride: Union[Size, None],
    padding: Union[Size, None],
    dilation: Union[Size, None],
    ceil: Union[bool, None] = False,
) -> Size:
    """The length of an axis after a window went over it; halving and thirding are taken as the user means them."""
    parts = [size, kernel, stride, padding, dilation]
    known = [None if part is None else part.known for part in parts]
    n, k, s, p, d = known
    if n is not None and k is not None and s and p is not None and d is not None and ceil is not None:
        room = n + 2 * p - d * (k - 1) - 1
        out = (-(-room // s) if ceil else room // s) + 1
        if ceil and (out - 1) * s >= n + p:
            out -= 1
        return Size.of(max(out, 0))
    if kernel is None or stride is None or padding is None or dilation is None:
        return some_size(_primed(size))
    spare = padding * 2 - dilation * (kernel - 1) - 1
    if stride == 1:
        return size + (spare + 1)
    if (spare + stride) == 0 or (s is not None and spare.known is not None and 0 <= spare.known + s < s):
        return size // stride
    return _derived(size, "window", *parts, ceil)


def _spatial(
    call: _Call, count: int, channels: Union[Size, None], resize: Callable[[int, Size], Size], wide: Sequence[bool] = ()
) -> Layout:
    """(batch, channels, spatial...) or the same without batch; `channels` None keeps them.

    An axis that a window `wide`r than one leaves as long as it was is taken to be longer than one itself.
    """
    several = list(wide) or [False] * count
    layout = call.tensor()
    rank = layout.rank
    if rank is None:
        layout = layout.with_rank(count + 2)
        rank = count + 2
    if rank not in (count + 1, count + 2) or layout.rank is None:
        return Layout.unknown()
    axes = list(layout.prefix)
    if channels is not None:
        axes[-count - 1] = _new(channels)
    for at in range(count):
        axis = axes[rank - count + at]
        before = layout.size(rank - count + at)
        after = resize(at, before)
        if after != before:
            axes[rank - count + at] = _new(after)
        elif several[at] and len(axis) == 1:
            axes[rank - count + at] = (Atom(after, mark=axis[0].mark, several=True),)
    return Layout(axes)


def _conv(count: int) -> Maker:
    def make(call: _Call) -> Layout:
        weight = call.given(1)
        channels = call.size("out_channels") or (weight.size(0) if weight is not None and weight.rank else None) or some_size("channels")
        kernel = call.per_axis("kernel_size", count, None)
        if weight is not None and weight.rank == count + 2:
            kernel = [weight.size(2 + at) for at in range(count)]
        stride, dilation = call.per_axis("stride", count, 1), call.per_axis("dilation", count, 1)
        mode = call.arguments.get("padding")
        padding = call.per_axis("padding", count, 0)

        def resize(at: int, size: Size) -> Size:
            if mode == "same":
                return size
            pad = Size.of(0) if mode == "valid" else padding[at]
            return _window(size, kernel[at], stride[at], pad, dilation[at])

        wide = [k is not None and k.plural for k in kernel]
        return _spatial(call, count, channels, resize, wide)

    return make


def _conv_transpose(count: int) -> Maker:
    def make(call: _Call) -> Layout:
        weight = call.given(1)
        groups = call.size("groups", 1)
        channels = call.size("out_channels")
        kernel = call.per_axis("kernel_size", count, None)
        if weight is not None and weight.rank == count + 2:
            kernel = [weight.size(2 + at) for at in range(count)]
            channels = channels or (None if groups is None else weight.size(1) * groups)
        parts = [kernel, *(call.per_axis(n, count, d) for n, d in (("stride", 1), ("padding", 0), ("dilation", 1), ("output_padding", 0)))]

        def resize(at: int, size: Size) -> Size:
            k, s, p, d, extra = (part[at] for part in parts)
            if k is None or s is None or p is None or d is None or extra is None:
                return some_size(_primed(size))
            return (size - 1) * s - 2 * p + d * (k - 1) + extra + 1

        return _spatial(call, count, channels or some_size("channels"), resize)

    return make


def _pool(count: int, norm: bool = False) -> Maker:
    def make(call: _Call) -> Layout:
        kernel = call.per_axis("kernel_size", count, None)
        stride = call.per_axis("stride", count, None) if call.has("stride") else kernel
        padding = [Size.of(0)] * count if norm else call.per_axis("padding", count, 0)
        dilation = call.per_axis("dilation", count, 1)
        ceil = call.flag("ceil_mode")
        return _spatial(call, count, None, lambda at, size: _window(size, kernel[at], stride[at], padding[at], dilation[at], ceil))

    return make


def _with_indices(make: Maker) -> Maker:
    def both(call: _Call) -> Union[Layouts, None]:
        result = make(call)
        return result if call.flag("return_indices") is False or result is None else (result, result)

    return both


def _adaptive_pool(count: int) -> Maker:
    def make(call: _Call) -> Layout:
        value = call.arguments.get("output_size")
        goal = list(value) if isinstance(value, (tuple, list)) else [value] * count
        if len(goal) != count:
            goal = [UNKNOWN] * count

        def resize(at: int, size: Size) -> Size:
            one = goal[at]
            if one is None and isinstance(value, (tuple, list)):
                return size
            return one if isinstance(one, Size) else Size.of(one) if isinstance(one, int) else some_size(_primed(size))

        return _spatial(call, count, None, resize)

    return make


def _linear(call: _Call) -> Layout:
    weight = call.given(1)
    return call.tensor().replaced(-1, call.size("out_features") or (weight.size(0) if weight is not None else None) or some_size())


def _bilinear(call: _Call) -> Layout:
    return call.tensor().replaced(-1, call.size("out_features") or some_size())


def _embedding(call: _Call) -> Layout:
    weight, layout = call.given(1), call.tensor()
    size = call.size("embedding_dim") or (weight.size(1) if weight is not None else None) or some_size()
    return _append(layout, size)


def _append(layout: Layout, size: Union[Size, None]) -> Layout:
    """A new last axis."""
    last = layout.rank if layout.hidden is None else -1
    return layout.unsqueeze(-1 if last is None else last).replaced(-1, some_size() if size is None else size)


def _embedding_bag(call: _Call) -> Layout:
    layout = call.tensor()
    size = call.size("embedding_dim")
    return Layout((layout.prefix[0], _new(size))) if layout.rank == 2 else Layout.unknown(2).replaced(1, size or some_size())


def _recurrent(cells: int) -> Maker:
    """(output, h_n), or (output, (h_n, c_n)) with two cells. h_n is (layers * directions, batch, hidden), whatever batch_first says."""

    def make(call: _Call) -> Layouts:
        layout = call.tensor()
        packed = layout.packed
        batch_first = True if packed else call.flag("batch_first")
        if not packed and layout.rank is None:
            layout = layout.with_rank(3)
        hidden = call.size("hidden_size") or some_size("hidden")
        layers = call.size("num_layers", 1) or some_size("layers")
        directions = call.size("directions")
        if directions is None:
            both = call.flag("bidirectional")
            directions = some_size("directions") if both is None else Size.of(2 if both else 1)
        out = call.size("proj_size", 0)
        out = some_size("hidden") if out is None else hidden if out == 0 else out
        if layout.rank == 2 and not packed:
            batch: tuple[Axis, ...] = ()
            output = Layout((layout.prefix[0], (*_new(directions), *_new(out))))
        else:
            if layout.rank != 3 or batch_first is None:
                layout = Layout.unknown(3)
                batch_first = bool(batch_first)
            batch = (layout.prefix[0 if batch_first else 1],)
            output = Layout((*layout.prefix[:2], (*_new(directions), *_new(out))), packed=packed)

        def state(size: Size) -> Layout:
            return Layout(((*_new(layers), *_new(directions)), *batch, _new(size)))

        h = state(out)
        return (output, (h, state(hidden))) if cells == 2 else (output, h)

    return make


def _cell(cells: int) -> Maker:
    def make(call: _Call) -> Layouts:
        size = call.size("hidden_size")
        if size is None and call.given(1) is not None:
            size = call.tensor(1).size(-1)
        h = call.tensor().replaced(-1, size or some_size("hidden"))
        return (h, h.replaced(-1, size or some_size("hidden"))) if cells == 2 else h

    return make


def _multi_head_attention(call: _Call) -> Layouts:
    query, key = call.tensor(), call.given(1)
    size = call.size("embed_dim") or query.size(-1)
    output = query.replaced(-1, size)
    if call.flag("need_weights", True) is not True or query.rank is None or key is None or key.rank is None:
        return output, Layout.unknown()
    first, average = call.flag("batch_first"), call.flag("average_attn_weights", True)
    if query.rank not in (2, 3) or key.rank != query.rank or first is None or average is None:
        return output, Layout.unknown()
    if query.rank == 2:
        return output, Layout((*(() if average else (_new(call.size("num_heads")),)), query.prefix[0], key.prefix[0]))
    batch, length = (0, 1) if first else (1, 0)
    heads: tuple[Axis, ...] = () if average else (_new(call.size("num_heads")),)
    return output, Layout((query.prefix[batch], *heads, query.prefix[length], key.prefix[length]))


def _attention(call: _Call) -> Layout:
    query, value = call.tensor(), call.tensor(2)
    return query.replaced(-1, value.size(-1))


def _transformer(call: _Call) -> Layout:
    return call.tensor(1)


def _interpolate(call: _Call) -> Layout:
    layout = call.tensor()
    rank = layout.rank
    if rank is None or rank < 3:
        return Layout.unknown()
    count = rank - 2
    size = call.arguments.get("size")
    if size is not None:
        goal = call.per_axis("size", count, None)
        return _spatial(call, count, None, lambda at, before: goal[at] or some_size(_primed(before)))
    factor = call.per_axis("scale_factor", count, None)

    def resize(at: int, before: Size) -> Size:
        scale = factor[at]
        return some_size(_primed(before)) if scale is None else before * scale

    return _spatial(call, count, None, resize)


def _pad(call: _Call) -> Layout:
    layout = call.tensor()
    pad = call.arguments.get("pad", call.arguments.get("padding"))
    if not isinstance(pad, (tuple, list)) or len(pad) % 2:
        return Layout.unknown(layout.rank)
    for at in range(len(pad) // 2):
        before, after = (Size.of(v) if isinstance(v, int) else v for v in pad[2 * at : 2 * at + 2])
        if before == 0 and after == 0:
            continue
        known = isinstance(before, Size) and isinstance(after, Size)
        size = layout.size(-1 - at) + before + after if known and isinstance(before, Size) and isinstance(after, Size) else some_size()
        layout = layout.replaced(-1 - at, size, PADDED)
    return layout


def _flatten(call: _Call) -> Layout:
    start, end = call.number("start_dim", 0), call.number("end_dim", -1)
    return Layout.unknown() if start is None or end is None else call.tensor().flatten(start, end)


def _unflatten(call: _Call) -> Layout:
    dim = call.number("dim")
    sizes = call.sizes("unflattened_size") or call.sizes("sizes")
    return Layout.unknown() if dim is None or sizes is None else call.tensor().unflatten(dim, sizes)


def _pixel_shuffle(call: _Call) -> Layout:
    layout, factor = call.tensor(), call.size("upscale_factor")
    rank = layout.rank
    if factor is None or rank is None or rank < 3:
        return Layout.unknown(rank)
    channels = layout.size(-3) // (factor * factor)
    height, width = ((*layout.prefix[at], *_new(factor)) for at in (-2, -1))
    return Layout((*layout.prefix[:-3], _new(channels), height, width))


def _pixel_unshuffle(call: _Call) -> Layout:
    layout, factor = call.tensor(), call.size("downscale_factor")
    rank = layout.rank
    if factor is None or rank is None or rank < 3:
        return Layout.unknown(rank)
    channels = (*layout.prefix[-3], *_new(factor), *_new(factor))
    return Layout((*layout.prefix[:-3], channels, _new(layout.size(-2) // factor), _new(layout.size(-1) // factor)))


def _one_hot(call: _Call) -> Layout:
    size = call.size("num_classes")
    if size is None or size == -1:
        size = some_size("classes")
    layout = call.tensor()
    return _append(layout, size)


def _reduce(always: bool = False, pair: bool = False, default: Union[int, None] = None) -> Maker:
    """A reduction; with `pair`, values and indices where a dim is given; `always` a pair, over `default` unless told."""

    def make(call: _Call) -> Layouts:
        dims = call.dims("dim", "axis")
        dims = default if dims is None else dims
        keep = call.flag("keepdim")
        if pair and not always and len(call.inputs) > 1:
            return broadcast(call.tensor(), call.tensor(1))  # torch.max(a, b)
        result = Layout.unknown() if isinstance(dims, _Unknown) or keep is None else call.tensor().reduce(dims, keep)
        return (result, result) if always or (pair and dims is not None) else result

    return make


def _topk(call: _Call) -> Layouts:
    dim, size = call.number("dim", -1), call.size("k")
    if dim is None:
        return Layout.unknown(), Layout.unknown()
    result = call.tensor().replaced(dim, size or some_size("k"))
    return result, result


def _kept(count: int) -> Maker:
    return lambda call: (call.tensor(),) * count


def _matmul(call: _Call) -> Layout:
    return matmul(call.tensor(), call.tensor(1))


def _addmm(call: _Call) -> Layout:
    return matmul(call.tensor(1), call.tensor(2))


def _outer(call: _Call) -> Layout:
    left, right = call.tensor().with_rank(1), call.tensor(1).with_rank(1)
    return Layout((*left.prefix, *right.prefix))


def _einsum(call: _Call) -> Layout:
    equation = call.arguments.get("equation")
    return einsum(equation, [call.tensor(at) for at in range(len(call.inputs))]) if isinstance(equation, str) else Layout.unknown()


def _einops(call: _Call) -> Layout:
    pattern = call.arguments.get("pattern")
    sizes = {name: value for name, value in call.arguments.items() if isinstance(value, (int, Size)) and not isinstance(value, bool)}
    unknown = {name: some_size(name) for name, value in call.arguments.items() if value is UNKNOWN}
    return call.tensor().rearrange(pattern, {**sizes, **unknown}) if isinstance(pattern, str) else Layout.unknown()


def _cat(call: _Call) -> Layout:
    dim = call.number("dim", 0)
    return Layout.unknown() if dim is None else cat([call.tensor(at) for at in range(len(call.inputs))], dim, call.size("count"))


def _stack(call: _Call) -> Layout:
    dim = call.number("dim", 0)
    return Layout.unknown() if dim is None else stack([call.tensor(at) for at in range(len(call.inputs))], dim, call.size("count"))


def _grid(call: _Call) -> Layout:
    axes = [call.tensor(at).with_rank(1).prefix[0] for at in range(len(call.inputs))]
    if call.arguments.get("indexing", "ij") == "xy":
        axes[:2] = axes[1::-1]
    return Layout(axes)


def _joined(dim: int) -> Maker:
    """`hstack` and `vstack`: along this dim of tensors that have it."""

    def make(call: _Call) -> Layout:
        if any(one is None or one.rank is None or one.rank < 2 for one in call.inputs):
            return Layout.unknown()
        return cat([call.tensor(at) for at in range(len(call.inputs))], dim, call.size("count"))

    return make


def _gather(call: _Call) -> Layout:
    return call.given(1) or Layout.unknown()


def _index_select(call: _Call) -> Layout:
    dim, index = call.number("dim"), call.given(1)
    if dim is None:
        return Layout.unknown()
    return call.tensor().replaced(dim, index.size(0) if index is not None and index.rank == 1 else some_size())


def _sliding(call: _Call) -> Layout:
    layout, dim, size, step = call.tensor(), call.number("dimension"), call.size("size"), call.size("step")
    if dim is None or size is None or step is None or layout.rank is None or not -layout.rank <= dim < layout.rank:
        return Layout.unknown()
    out = layout.replaced(dim, _window(layout.size(dim), size, step, Size.of(0), Size.of(1)))
    return Layout((*out.prefix, _new(size)))


def _im2col(call: _Call) -> Layout:
    layout = call.tensor().with_rank(4) if call.tensor().rank is None else call.tensor()
    kernel = call.per_axis("kernel_size", 2, None)
    if layout.rank != 4 or kernel[0] is None or kernel[1] is None:
        return Layout.unknown(3)
    rest = [call.per_axis(name, 2, default) for name, default in (("stride", 1), ("padding", 0), ("dilation", 1))]
    blocks = [_new(_window(layout.size(2 + at), kernel[at], rest[0][at], rest[1][at], rest[2][at])) for at in range(2)]
    return Layout((layout.prefix[0], (*layout.prefix[1], *_new(kernel[0]), *_new(kernel[1])), (*blocks[0], *blocks[1])))


def _filled(call: _Call) -> Layout:
    sizes = call.sizes("size")
    if sizes is None:
        sizes = call.sizes("shape")
    if sizes is None or None in sizes:
        return Layout.unknown()
    return Layout.uniform([size for size in sizes if size is not None])


def _like(call: _Call) -> Layout:
    layout = call.tensor()
    sizes = layout.sizes
    return layout.copied() if sizes is None else Layout.uniform(sizes)


def _arange(call: _Call) -> Layout:
    start, end, step = call.size("start", 0), call.size("end"), call.size("step", 1)
    if not call.has("end"):
        start, end = Size.of(0), start
    if start is None or end is None or step is None:
        return Layout.unknown(1)
    if start.known is not None and end.known is not None and step.known:
        return Layout.fresh([len(range(start.known, end.known, step.known))])
    return Layout.fresh([end - start if step == 1 else (end - start) // step])


def _range_of(name: str) -> Maker:
    return lambda call: Layout((_new(call.size(name)),))


def _eye(call: _Call) -> Layout:
    rows = call.size("n")
    columns = call.size("m") if call.has("m") else rows
    return Layout.uniform([rows, columns]) if rows is not None and columns is not None else Layout.unknown(2)


def _tensor(call: _Call) -> Layout:
    if call.given(0) is not None:
        return call.tensor()
    sizes: list[Size] = []
    data = call.arguments.get("data")
    if isinstance(data, (bool, int, float, Size)):
        return Layout()
    while isinstance(data, (tuple, list)):
        sizes.append(Size.of(len(data)))
        if not data:
            break
        data = data[0]
        if not isinstance(data, (tuple, list, bool, int, float, Size)):
            return Layout.unknown()
    return Layout.uniform(sizes) if sizes else Layout.unknown()


def _view(call: _Call) -> Layout:
    sizes = call.sizes("shape")
    return Layout.unknown() if sizes is None else call.tensor().view(sizes)[0]


def _permute(call: _Call) -> Layout:
    dims = call.dims("dims")
    if dims is None:
        return call.tensor().reversed()  # numpy's transpose() without axes
    return call.tensor().permute(*dims) if isinstance(dims, list) else Layout.unknown()


def _transpose(call: _Call) -> Layout:
    first, second = ("axis1", "axis2") if call.has("axis2") else ("axis0", "axis1")  # numpy counts from one
    left, right = call.number("dim0", call.number(first)), call.number("dim1", call.number(second))
    return Layout.unknown() if left is None or right is None else call.tensor().transpose(left, right)


def _movedim(call: _Call) -> Layout:
    source, goal = call.dims("source"), call.dims("destination")
    if source is None or goal is None or isinstance(source, _Unknown) or isinstance(goal, _Unknown):
        return Layout.unknown()
    return call.tensor().movedim(source, goal)


def _squeeze(call: _Call) -> Layout:
    dim = call.dims("dim")
    return Layout.unknown() if isinstance(dim, _Unknown) else call.tensor().squeeze(dim)


def _unsqueeze(call: _Call) -> Layout:
    dim = call.number("dim")
    return Layout.unknown() if dim is None else call.tensor().unsqueeze(dim)


def _expand(call: _Call) -> Layout:
    sizes = call.sizes("size")
    return Layout.unknown() if sizes is None else call.tensor().expand(sizes)


def _like_other(call: _Call) -> Layout:
    other = call.given(1)
    if other is None or other.sizes is None:
        return Layout.unknown()
    return call.tensor().expand(other.sizes)


def _repeat(call: _Call) -> Layout:
    sizes = call.sizes("repeats") or call.sizes("dims")
    return Layout.unknown() if sizes is None or None in sizes else call.tensor().repeat([size for size in sizes if size is not None])


def _tile(call: _Call) -> Layout:
    sizes, rank = call.sizes("dims"), call.tensor().rank
    if sizes is None or None in sizes or rank is None:
        return Layout.unknown()
    given = [size for size in sizes if size is not None]
    return call.tensor().repeat([Size.of(1)] * (rank - len(given)) + given)


def _repeat_interleave(call: _Call) -> Layout:
    dim = call.dims("dim")
    return Layout.unknown() if isinstance(dim, (_Unknown, list)) else call.tensor().repeat_interleave(call.size("repeats"), dim)


def _chunk(call: _Call) -> Layouts:
    dim = call.number("dim", 0)
    if dim is None:
        return Layout.unknown()
    return call.tensor().chunk(call.size("chunks"), dim) or call.tensor().narrow(dim)


def _split(call: _Call) -> Layouts:
    dim = call.number("dim", 0)
    name = next((n for n in ("split_size_or_sections", "split_size", "split_sizes") if n in call.arguments), "split_size")
    if dim is None:
        return Layout.unknown()
    value: object = call.size(name)
    if isinstance(call.arguments.get(name), (tuple, list)):
        value = [some_size() if size is None else size for size in call.sizes(name) or ()] or None
    made = call.tensor().split(value, dim) if isinstance(value, (Size, list)) else None
    return made or call.tensor().narrow(dim)


def _unbind(call: _Call) -> Layouts:
    dim = call.number("dim", 0)
    layout = call.tensor()
    if dim is None:
        return Layout.unknown()
    fits = layout.rank is not None and -layout.rank <= dim < layout.rank
    number = layout.size(dim).known if fits else None
    return layout.select(dim) if number is None else (layout.select(dim),) * number


def _select(call: _Call) -> Layout:
    dim = call.number("dim")
    return Layout.unknown() if dim is None else call.tensor().select(dim)


def _narrow(call: _Call) -> Layout:
    dim = call.number("dim")
    return Layout.unknown() if dim is None else call.tensor().narrow(dim, call.size("length"))


def _t(call: _Call) -> Layout:
    return call.tensor().t()


def _matrix_transpose(call: _Call) -> Layout:
    return call.tensor().transpose(-2, -1)


def _reversed(call: _Call) -> Layout:
    return call.tensor().reversed()


def _diff(call: _Call) -> Layout:
    dim = call.number("dim", -1)
    return Layout.unknown() if dim is None else call.tensor().narrow(dim)


def _glu(call: _Call) -> Layout:
    dim = call.number("dim", -1)
    return Layout.unknown() if dim is None else call.tensor().narrow(dim, call.tensor().size(dim) // 2)


def _cosine(call: _Call) -> Layout:
    dim = call.number("dim", 1)
    return Layout.unknown() if dim is None else broadcast(call.tensor(), call.tensor(1)).reduce(dim)


def _pack(call: _Call) -> Layout:
    layout, first = call.tensor(), call.flag("batch_first")
    if layout.rank is None:
        layout = layout.with_rank(3)
    if layout.rank is None or layout.rank < 2 or first is None:
        return Layout(Layout.unknown(3).prefix, packed=True)
    axes = list(layout.prefix)
    if not first:
        axes[:2] = axes[1], axes[0]
    return Layout(axes, packed=True)


def _unpack(call: _Call) -> Layouts:
    layout, first = call.tensor(), call.flag("batch_first")
    if not layout.packed or first is None:
        return Layout.unknown(), Layout.unknown(1)
    axes = [layout.prefix[0], _new(None), *layout.prefix[2:]]  # the time axis shrinks to the longest sequence
    batch = axes[0]
    if not first:
        axes[:2] = axes[1], axes[0]
    return Layout(axes), Layout((batch,))


_SPECIAL: dict[str, Maker] = {
    **{f"conv{n}d": _conv(n) for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": _conv_transpose(n) for n in (1, 2, 3)},
    **{f"max_pool{n}d": _with_indices(_pool(n)) for n in (1, 2, 3)},
    **{f"avg_pool{n}d": _pool(n) for n in (1, 2, 3)},
    **{f"lp_pool{n}d": _pool(n, norm=True) for n in (1, 2, 3)},
    **{f"adaptive_avg_pool{n}d": _adaptive_pool(n) for n in (1, 2, 3)},
    **{f"adaptive_max_pool{n}d": _with_indices(_adaptive_pool(n)) for n in (1, 2, 3)},
    "linear": _linear,
    "bilinear": _bilinear,
    "embedding": _embedding,
    "embedding_bag": _embedding_bag,
    "rnn": _recurrent(1),
    "gru": _recurrent(1),
    "lstm": _recurrent(2),
    "rnn_cell": _cell(1),
    "gru_cell": _cell(1),
    "lstm_cell": _cell(2),
    "multi_head_attention": _multi_head_attention,
    "scaled_dot_product_attention": _attention,
    "transformer": _transformer,
    "interpolate": _interpolate,
    "pad": _pad,
    "flatten": _flatten,
    "unflatten": _unflatten,
    "pixel_shuffle": _pixel_shuffle,
    "pixel_unshuffle": _pixel_unshuffle,
    "one_hot": _one_hot,
    **dict.fromkeys(words("sum nansum mean nanmean prod amax amin logsumexp std var norm vector_norm all any"), _reduce()),
    **dict.fromkeys(words("argmax argmin count_nonzero"), _reduce()),
    **dict.fromkeys(words("max min median nanmedian"), _reduce(pair=True)),
    **dict.fromkeys(words("mode kthvalue"), _reduce(always=True, default=-1)),
    **dict.fromkeys(words("std_mean var_mean aminmax"), _reduce(always=True)),
    "topk": _topk,
    "sort": _kept(2),
    "cummax": _kept(2),
    "cummin": _kept(2),
    "frexp": _kept(2),
    **dict.fromkeys(words("matmul mm bmm mv dot"), _matmul),
    **dict.fromkeys(words("addmm baddbmm addmv"), _addmm),
    "outer": _outer,
    "einsum": _einsum,
    "rearrange": _einops,
    "einops.repeat": _einops,
    "einops.reduce": _einops,
    "cat": _cat,
    "stack": _stack,
    "meshgrid": _grid,
    "hstack": _joined(1),
    "vstack": _joined(0),
    "gather": _gather,
    "take_along_dim": _gather,
    "index_select": _index_select,
    "sliding": _sliding,
    "im2col": _im2col,
    **dict.fromkeys(
        words(
            "zeros ones empty full rand randn randint new_zeros new_ones new_empty new_full standard_normal random uniform normal choice "
            "integers"
        ),
        _filled,
    ),
    **dict.fromkeys(words("zeros_like ones_like empty_like full_like rand_like randn_like randint_like"), _like),
    "arange": _arange,
    "linspace": _range_of("steps"),
    "logspace": _range_of("steps"),
    "randperm": _range_of("n"),
    "eye": _eye,
    "tensor": _tensor,
    "as_tensor": _tensor,
    "asarray": _tensor,
    "view": _view,
    "reshape": _view,
    "permute": _permute,
    "transpose": _transpose,
    "movedim": _movedim,
    "squeeze": _squeeze,
    "unsqueeze": _unsqueeze,
    "expand": _expand,
    "broadcast_to": _expand,
    "expand_as": _like_other,
    "repeat": _repeat,
    "tile": _tile,
    "repeat_interleave": _repeat_interleave,
    "chunk": _chunk,
    "split": _split,
    "unbind": _unbind,
    "select": _select,
    "narrow": _narrow,
    "t": _t,
    "mT": _matrix_transpose,
    "T": _reversed,
    "diff": _diff,
    "glu": _glu,
    "cosine_similarity": _cosine,
    "pack_padded_sequence": _pack,
    "pad_packed_sequence": _unpack,
}

_SAME = frozenset(
    words(
        "abs acos acosh angle argsort as_subclass asin asinh atan atanh batch_norm bernoulli bfloat16 bool byte ceil celu channel_shuffle "
        "char clamp clamp_max clamp_min clip clone conj contiguous copy cos cosh cpu cuda cumprod cumsum data deg2rad dequantize detach "
        "digamma double dropout elu entmax15 erf erfc erfinv exp exp2 expm1 fill flip fliplr flipud float floor frac from_numpy "
        "frozen_batch_norm gelu group_norm gumbel_softmax half hardshrink hardsigmoid hardswish hardtanh i0 identity imag index_add "
        "index_copy index_fill instance_norm int isfinite isinf isnan layer_norm leaky_relu lgamma local_response_norm log log10 log1p "
        "log_softmax logcumsumexp logical_not logit logsigmoid long masked_fill masked_scatter mish nan_to_num neg normalize numpy "
        "parameter pin_memory positive pow prelu rad2deg real reciprocal relu relu6 renorm requires_grad resolve_conj rms_norm roll round "
        "rrelu rsqrt scatter scatter_add selu sgn share_memory short sigmoid sign signbit silu sin sinc sinh softmax softmin softplus "
        "softshrink softsign sparsemax sqrt square tan tanh tanhshrink threshold to transformer_decoder transformer_decoder_layer "
        "transformer_encoder transformer_encoder_layer tril triu trunc variable zero"
    )
)

_BROADCAST = frozenset(
    words(
        "add addcdiv addcmul atan2 bitwise_and bitwise_not bitwise_or bitwise_xor copysign div eq floor_divide fmax fmin fmod ge gt "
        "heaviside hypot isclose le lerp logaddexp logical_and logical_or logical_xor lt maximum minimum mul ne remainder rsub sub where "
        "xlogy"
    )
)
