"""What usually stands behind an error that a student's code raises."""

from __future__ import annotations

import re

#: By a part of the error's message.
_ADVICE = (
    (
        r'is missing the required "forward"',
        "There is no method called forward: is its name misspelt, or is it indented too far?",
    ),
    (
        r"before Module.__init__|has no attribute '_(modules|parameters|buffers)'",
        "__init__ must begin with super().__init__().",
    ),
    (
        r"does not require grad",
        "The loss has no way back to the weights: is something detached, in no_grad, or made by argmax?",
    ),
    (
        r"takes \d+ positional arguments? but \d+ (was|were) given|unexpected keyword argument",
        "It is called with other arguments than it takes: compare the first "
        "line with the one in the exercise, "
        "and see that `self` comes first in a method.",
    ),
    (
        r"missing \d+ required positional arguments?",
        "It is called with fewer arguments than it takes: compare its first line with the exercise's.",
    ),
    (
        r"a leaf Variable that requires grad",
        "A parameter is changed in place: do that under torch.no_grad(), or make another tensor.",
    ),
    (
        r"modified by an inplace operation",
        "A tensor that the gradient needs is changed in place (+=, or a name ending in _): make a new one.",
    ),
    (
        r"Only Tensors of floating point",
        "Only floating-point tensors can be trained: divide first, or convert with .float().",
    ),
    (
        r"unhashable type: '(numpy.ndarray|list)'",
        "An array or list cannot stand in a set or be a key: bytes can, image.tobytes().",
    ),
    (
        r"truth value of an array|Boolean value of Tensor",
        "`if` and `in` want one answer, and a comparison of arrays gives many: .all() or .any().",
    ),
    (
        r"mat1 and mat2 shapes cannot be multiplied",
        "A dense layer gets another number of values than it was made for: look at the shape before it.",
    ),
    (
        r"to have \d+ channels|should contain \d+ elements|running_mean",
        "A layer gets another number of channels than it was made for.",
    ),
    (
        r"divisible by groups",
        "groups must divide input and output channels: a depthwise convolution has groups and "
        "both of them equal.",
    ),
    (
        r"must match the size of tensor|shapes? .* (mismatch|not aligned)|not be broadcast|not broadcastable",
        "Two arrays or tensors of different shapes meet: print both shapes.",
    ),
    (
        r"name '(self|mean|std|dense|fc|logits|layers|conv\w*|norm\w*|bn\w*)' is not defined",
        "What belongs to the object is reached by self: self.name = ... in __init__, self.name in forward.",
    ),
    (r"name '\w+' is not defined", "That name is not known there: is it misspelt, or not imported?"),
    (
        r"cannot access local variable|referenced before assignment",
        "On this path the name has no value yet: give it one before the loop or the `if`.",
    ),
    (
        r"Expected state_dict to be dict-like, got <class 'NoneType'>|'NoneType' object has no attribute",
        "Something is still None: on this input it never got a value.",
    ),
    (
        r"cannot assign '.*' as parameter",
        "A layer's weight is a parameter: nn.Parameter(value), or copy the value "
        "into it under torch.no_grad().",
    ),
    (
        r"unsupported operand type.*'NoneType'",
        "One side is None: a layer without bias has `bias` None, a function without `return` gives None.",
    ),
    (r"'NoneType' object is not", "Something is None: is a `return` missing, or a value never set?"),
    (
        r"Missing key\(s\) in state_dict",
        "Some of what state_dict() holds was not kept, such as running statistics.",
    ),
    (r"' object is not callable", "Something that is no function is called: are there brackets too many?"),
    (
        r"result type Float can't be cast|can't be cast to the desired output type",
        "Whole numbers cannot hold the result: convert to float first.",
    ),
    (
        r"'builtin_function_or_method'|'(method|function)' (object|and)|and '(method|function)'",
        "A function is used without being called: brackets are missing after its name.",
    ),
    (
        r"not implemented for '(Long|Int|Byte|Bool)'|expected scalar type",
        "Whole numbers come where others are expected: look at the order of the arguments (logits, then "
        "labels) and at the dtype.",
    ),
    (
        r"object has no attribute '(in|out)_(channels|features)'",
        "That layer is no convolution or dense layer, or the other of the two: look for "
        "the last that is one.",
    ),
    (r"has no attribute", "Is the name spelt as it was where it was made (self.name = ...)?"),
    (r"division by zero", "Something is divided by nothing: what if a count or a difference is zero?"),
    (
        r"index \d+ is out of bounds|index out of range",
        "The index runs past the end: where does the loop stop?",
    ),
    (
        r"Dimension out of range|AxisError|is out of bounds for array of dimension",
        "There is no such axis: count from 0.",
    ),
    (r"maximum recursion depth", "It calls itself without end: is there a case in which it stops?"),
    (
        r"not enough values to unpack|too many values to unpack",
        "Another number of names stands on the left than values come.",
    ),
    (r"Can't call numpy\(\) on Tensor that requires grad", "NumPy cannot follow gradients: stay in torch."),
    (r"KeyError", "There is no such key."),
)


def advice_for(message: str) -> str | None:
    """Return what to look at for an error with this message, or None."""
    return next((advice for pattern, advice in _ADVICE if re.search(pattern, message)), None)
