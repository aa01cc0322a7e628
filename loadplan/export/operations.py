"""How many arithmetic operations a node of a graph does, by the shapes of what it takes and gives.

A multiplication and an addition count one each, so that a product of matrices m x k and k x n has 2 m n k, whether its
numbers are floats or eight-bit integers. A function of one number (exp, tanh, a comparison) counts one; an operator
that is a formula counts the operations of the formula, for each element. What only moves numbers counts none. What is
not known is None, never 0.

The decision a reader would question: the gates' own arithmetic in recurrent cells is left out, since from a hundred
units on it is below one percent of their products, and a row is taken to walk the longest path of each decision tree.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """A node with the shapes around it. An input that is left out has no shape."""

    node: onnx.NodeProto
    inputs: Sequence[Shape | None]
    outputs: Sequence[Shape | None]

    def given(self, i: int) -> Shape:
        """The shape of an input that the operator can't do without.

        Raises:
            LookupError: when it isn't there or isn't known.
        """
        shape = self.inputs[i]
        if shape is None:
            raise LookupError(f"{self.node.op_type} without input {i}")
        return shape

    def has(self, i: int) -> bool:
        """Whether an optional input is there."""
        return i < len(self.inputs) and self.inputs[i] is not None

    @property
    def n_out(self) -> int:
        """Elements of the first output."""
        shape = self.outputs[0]
        if shape is None:
            raise LookupError(f"{self.node.op_type} of an unknown shape")
        return math.prod(shape)

    @property
    def n_in(self) -> int:
        """Elements of the first input."""
        return math.prod(self.given(0))

    def integer(self, name: str, default: int = 0) -> int:
        """A whole number among the node's attributes."""
        return next((attribute.i for attribute in self.node.attribute if attribute.name == name), default)

    def numbers(self, name: str) -> Sequence[int]:
        """A list of whole numbers among the node's attributes."""
        return next((attribute.ints for attribute in self.node.attribute if attribute.name == name), ())

    def n_floats(self, name: str) -> int:
        """Length of a list of floats among the node's attributes."""
        return next((len(attribute.floats) for attribute in self.node.attribute if attribute.name == name), 0)


def operations_of(call: Call) -> int | None:
    """Operations of one call; None where the operator, or a shape that it needs, isn't known."""
    name = call.node.op_type
    try:
        if name in _FORMULAS:
            return _FORMULAS[name](call)
        if name in _PER_OUTPUT_ELEMENT:
            return _PER_OUTPUT_ELEMENT[name] * call.n_out
        if name in _PER_INPUT_ELEMENT:
            return _PER_INPUT_ELEMENT[name] * call.n_in
    except LookupError:
        return None
    return 0 if name in _MOVING else None


def _matmul(call: Call, *, right: int = 1) -> int:
    """2 m n k, for each matrix of the stack."""
    left = call.given(0)
    call.given(right)
    is_turned = call.integer("transA") == 1 and len(left) > 1
    return 2 * call.n_out * left[-2 if is_turned else -1]


def _gemm(call: Call, *, bias: int = 2) -> int:
    rows, columns = call.given(0)
    inner = rows if call.integer("transA") else columns
    is_fused = any(attribute.name == "activation" for attribute in call.node.attribute)
    return call.n_out * (2 * inner + call.has(bias) + is_fused)


def _conv(call: Call, *, weights: int = 1, bias: int = 2) -> int:
    """Each output sums products over the window and the channels of its group: W is (out, in / groups, window)."""
    is_fused = any(attribute.name == "activation" for attribute in call.node.attribute)
    return call.n_out * (2 * math.prod(call.given(weights)[1:]) + call.has(bias) + is_fused)


def _conv_transpose(call: Call) -> int:
    """Each input is spread over the window and the channels of its group: W is (in, out / groups, window)."""
    return 2 * call.n_in * math.prod(call.given(1)[1:]) + call.has(2) * call.n_out


def _recurrent(call: Call) -> int:
    """Each step of each row multiplies all input weights and all recurrent ones, of every direction."""
    n_steps_of_rows = math.prod(call.given(0)[:2])
    return 2 * n_steps_of_rows * (math.prod(call.given(1)) + math.prod(call.given(2)))


def _attention(call: Call) -> int:
    """ONNX Runtime's Attention holds its projections; ONNX's own is given queries, keys and values."""
    if call.node.domain != "com.microsoft":
        return _multi_head(call, heads="q_num_heads", bias=None)
    if call.has(4):
        raise LookupError("keys of an earlier call")
    batch, length, width = call.given(0)
    n_projected, n_value = call.given(1)[1], call.n_out // (batch * length)
    projections = batch * length * n_projected * (2 * width + call.has(2))
    n_pairs = batch * length * length
    scores_and_sums = 2 * n_pairs * ((n_projected - n_value) // 2 + n_value)
    return projections + scores_and_sums + _SOFTMAX * n_pairs * call.integer("num_heads", 1)


def _multi_head(call: Call, *, heads: str = "num_heads", bias: int | None = 3) -> int:
    """Scores of each query with each key, their softmax, and the sums of values: (batch[, heads], length, width)."""
    query, key = call.given(0), call.given(1)
    n_keys = key[-2]
    n_rows_of_scores = math.prod(query[:-1]) * (1 if len(query) == 4 else call.integer(heads, 1))
    products = 2 * n_keys * (math.prod(query) + call.n_out)
    biases = 0 if bias is None or not call.has(bias) else math.prod(query) + 2 * math.prod(key)
    return products + biases + _SOFTMAX * n_keys * n_rows_of_scores


def _pool(call: Call) -> int:
    return call.n_out * math.prod(call.numbers("kernel_shape"))


def _variadic(call: Call) -> int:
    return call.n_out * max(len(call.inputs) - 1, 1)


def _linear(call: Call) -> int:
    return call.given(0)[0] * (2 * call.n_floats("coefficients") + call.n_floats("intercepts"))


def _support_vectors(call: Call) -> int:
    n_rows = call.given(0)[0]
    return n_rows * 2 * (call.n_floats("support_vectors") + call.n_floats("coefficients"))


def _trees(call: Call) -> int:
    """One comparison for each level of each tree, along its longest path."""
    return call.given(0)[0] * sum(tree_depths(call.node))


def tree_depths(node: onnx.NodeProto) -> list[int]:
    """Comparisons along the longest path of each tree of an ensemble; 0 for a tree that is a leaf."""
    columns = {attribute.name: attribute for attribute in node.attribute}
    trees = np.asarray(columns["nodes_treeids"].ints, dtype=np.int64)
    nodes = np.asarray(columns["nodes_nodeids"].ints, dtype=np.int64)
    modes = columns["nodes_modes"].strings
    children = zip(columns["nodes_truenodeids"].ints, columns["nodes_falsenodeids"].ints, strict=True)
    below = {
        (tree, number): pair if mode != b"LEAF" else ()
        for tree, number, mode, pair in zip(trees.tolist(), nodes.tolist(), modes, children, strict=True)
    }
    return [_depth(below, tree) for tree in dict.fromkeys(trees.tolist())]


def _depth(below: Mapping[tuple[int, int], tuple[int, ...]], tree: int) -> int:
    depth, level = 0, below.get((tree, 0), ())
    while level:
        depth += 1
        level = tuple(child for number in level for child in below.get((tree, number), ()))
    return depth


_SOFTMAX = 5  # largest, difference, exponential, sum, quotient
_NORMAL = 7  # sum, difference, square, sum, quotient, weight, bias

_FORMULAS: dict[str, Callable[[Call], int]] = {
    "MatMul": _matmul,
    "FusedMatMul": _matmul,
    "MatMulInteger": _matmul,
    "MatMulIntegerToFloat": _matmul,
    "DynamicQuantizeMatMul": _matmul,
    "QLinearMatMul": lambda call: _matmul(call, right=3),
    "Gemm": _gemm,
    "FusedGemm": _gemm,
    "QGemm": lambda call: _gemm(call, bias=6),
    "Conv": _conv,
    "FusedConv": _conv,
    "ConvInteger": lambda call: _conv(call, bias=len(call.inputs)),
    "QLinearConv": lambda call: _conv(call, weights=3, bias=8),
    "ConvTranspose": _conv_transpose,
    "LSTM": _recurrent,
    "GRU": _recurrent,
    "RNN": _recurrent,
    "DynamicQuantizeLSTM": _recurrent,
    "Attention": _attention,
    "MultiHeadAttention": _multi_head,
    "AveragePool": _pool,
    "MaxPool": _pool,
    "LinearClassifier": _linear,
    "LinearRegressor": _linear,
    "SVMClassifier": _support_vectors,
    "SVMRegressor": _support_vectors,
    "TreeEnsembleClassifier": _trees,
    "TreeEnsembleRegressor": _trees,
    **dict.fromkeys(("Max", "Mean", "Min", "Sum"), _variadic),
}

# Operations for each element of the first output.
_PER_OUTPUT_ELEMENT: dict[str, int] = {
    **dict.fromkeys(
        (
            *("Abs", "Acos", "Acosh", "Add", "And", "Asin", "Asinh", "Atan", "Atanh", "BitShift", "BitwiseAnd"),
            *("BitwiseNot", "BitwiseOr", "BitwiseXor", "Ceil", "Celu", "Clip", "Cos", "Cosh", "Div", "Elu", "Equal"),
            *("Erf", "Exp", "Floor", "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish", "IsInf", "IsNaN"),
            *("LeakyRelu", "Less", "LessOrEqual", "Log", "Mish", "Mod", "Mul", "Neg", "Not", "Or", "PRelu", "Pow"),
            *("Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt"),
            *("Sub", "Tan", "Tanh", "ThresholdedRelu", "Where", "Xor", "Binarizer", "Imputer"),
        ),
        1,
    ),
    "BatchNormalization": 2,  # mean and variance are known beforehand: a weight and a bias
    "QuantizeLinear": 2,
    "DequantizeLinear": 2,
    "Scaler": 2,
    "Normalizer": 3,
    "LpNormalization": 3,
    "RotaryEmbedding": 3,
    "SimplifiedLayerNormalization": 4,
    "RMSNormalization": 4,
    "SkipSimplifiedLayerNormalization": 5,
    "Softmax": _SOFTMAX,
    "LogSoftmax": _SOFTMAX,
    "Gelu": 5,
    "QuickGelu": 5,
    "BiasGelu": 6,
    "LayerNormalization": _NORMAL,
    "GroupNormalization": _NORMAL,
    "InstanceNormalization": _NORMAL,
    "SkipLayerNormalization": _NORMAL + 1,
    "EmbedLayerNormalization": _NORMAL + 2,
    "FastGelu": 9,
}

_PER_INPUT_ELEMENT: dict[str, int] = {
    **dict.fromkeys(
        (
            *("ArgMax", "ArgMin", "CumSum", "GlobalAveragePool", "GlobalMaxPool", "ReduceMax", "ReduceMean"),
            *("ReduceMin", "ReduceProd", "ReduceSum", "TopK"),
        ),
        1,
    ),
    **dict.fromkeys(("ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp"), 2),
    "DynamicQuantizeLinear": 4,  # least, largest, quotient, rounding
}

_MOVING = frozenset(
    {
        *("ArrayFeatureExtractor", "Cast", "CastLike", "CategoryMapper", "Compress", "Concat", "Constant"),
        *("ConstantOfShape", "DepthToSpace", "DictVectorizer", "Dropout", "Expand", "EyeLike", "FeatureVectorizer"),
        *("Flatten", "Gather", "GatherElements", "GatherND", "Identity", "LabelEncoder", "NonZero", "OneHot"),
        *("OneHotEncoder", "Pad", "Range", "Reshape", "ScatterElements", "ScatterND", "Shape", "Size", "Slice"),
        *("SpaceToDepth", "Split", "Squeeze", "StringNormalizer", "Tile", "Transpose", "Trilu", "Unsqueeze"),
    }
)
