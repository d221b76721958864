"""Graphs shown as text, as DOT and as a drawing: everything is told, nothing overlaps, and odd names do no harm."""

import re
import xml.etree.ElementTree as ElementTree
from html import escape

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wimmel.graph import Graph, Trace, Variable, array, gradients, primitives, scope, simplified, trace
from wimmel.graph.show import to_dot, to_svg, to_text
from wimmel.graph.show.layout import Extent, Spacing, arrange, rows_of
from wimmel.graph.tensor import as_tensor, input_tensor

SVG = "{http://www.w3.org/2000/svg}"


def layer(path, record):
    """The layer's result, labelled as a module labels it."""
    with scope(path):
        return record()


class Net:
    """A small LeNet of primitives: its parameters are variables, and its layers have names."""

    def __init__(self):
        self.weights = {
            "conv1": (6, 1, 5, 5),
            "conv2": (16, 6, 5, 5),
            "full1": (32, 400),
            "full2": (10, 32),
        }
        self.variables = {
            path: (Variable(np.ones(shape, np.float32), "weight"), Variable(np.ones(shape[0], np.float32), "bias"))
            for path, shape in self.weights.items()
        }

    def convolution(self, path, x, padding):
        weight, bias = (variable.read() for variable in self.variables[path])
        settings = {"stride": (1, 1), "padding": ((padding, padding),) * 2, "dilation": (1, 1), "groups": 1}
        return primitives.convolution(x, weight, **settings) + array.reshape(bias, (-1, 1, 1))

    def full(self, path, x):
        weight, bias = (variable.read() for variable in self.variables[path])
        return x @ weight.T + bias

    def pool(self, x):
        sizes = tuple(size // 2 for size in x.shape[2:])
        settings = {"kernel": (2, 2), "stride": (2, 2), "padding": ((0, 0),) * 2, "dilation": (1, 1)}
        return primitives.max_pool(x, outputs=sizes, **settings)

    def __call__(self, x):
        labels = {}
        for path, record in {
            "conv1": lambda x: self.convolution("conv1", x, 2),
            "relu1": lambda x: array.maximum(x, 0),
            "pool1": self.pool,
            "conv2": lambda x: self.convolution("conv2", x, 0),
            "relu2": lambda x: array.maximum(x, 0),
            "pool2": self.pool,
            "flatten": lambda x: array.reshape(x, (x.shape[0], -1)),
            "full1": lambda x: self.full("full1", x),
            "relu3": lambda x: array.maximum(x, 0),
            "full2": lambda x: self.full("full2", x),
        }.items():
            x = labels[path] = layer(path, lambda record=record, x=x: record(x))
        self.labels = labels
        return x


def lenet() -> Trace:
    net = Net()
    traced = trace(net, np.zeros((1, 1, 28, 28), np.float32))
    return Graph(traced.graph.inputs, traced.graph.outputs, net.labels)


def lenet_gradients():
    net = Net()

    def loss(x, target):
        scores = net(x)
        shifted = scores - array.max(scores, 1, keepdims=True)
        likely = shifted - array.log(array.sum(array.exp(shifted), 1, keepdims=True))
        value = -array.mean(array.sum(likely * array.one_hot(target, 10), 1))
        return value, gradients(value, [variable.read() for pair in net.variables.values() for variable in pair])

    traced = trace(loss, np.zeros((8, 1, 28, 28), np.float32), np.zeros(8, np.int64))
    return simplified(Graph(traced.graph.inputs, traced.graph.outputs, net.labels))


GRAPHS = {
    "nothing": Graph((), ()),
    "an input given back": trace(lambda x: x, np.zeros(3)).graph,
    "a number": trace(lambda x: as_tensor(np.float32(2)), np.zeros(3)).graph,
    "an unused parameter": Graph((input_tensor("w", (2,), np.float32),), ()),
    "the same twice": trace(lambda x: (x * x, x * x), np.zeros(3)).graph,
    "a constant given back": trace(lambda x: array.reshape(as_tensor(np.arange(6)), (2, 3)), np.zeros(3)).graph,
    "lenet": lenet(),
    "lenet's gradients": lenet_gradients(),
}
every_graph = pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS.keys())


# Text


LENET = """\
x = input                                     : float32 (1, 1, 28, 28)
conv1.weight = input                          : float32 (6, 1, 5, 5)     # conv1
conv1.bias = input                            : float32 (6,)             # conv1
conv2.weight = input                          : float32 (16, 6, 5, 5)    # conv2
conv2.bias = input                            : float32 (16,)            # conv2
full1.weight = input                          : float32 (32, 400)        # full1
full1.bias = input                            : float32 (32,)            # full1
full2.weight = input                          : float32 (10, 32)         # full2
full2.bias = input                            : float32 (10,)            # full2
%0 = convolution(x, conv1.weight, padding=2)  : float32 (1, 6, 28, 28)   # conv1
%1 = reshape(conv1.bias)                      : float32 (6, 1, 1)        # conv1
@conv1 = add(%0, %1)                          : float32 (1, 6, 28, 28)   # conv1
@relu1 = maximum(@conv1, 0)                   : float32 (1, 6, 28, 28)   # relu1
@pool1 = max_pool(@relu1, kernel=2, stride=2) : float32 (1, 6, 14, 14)   # pool1
%2 = convolution(@pool1, conv2.weight)        : float32 (1, 16, 10, 10)  # conv2
%3 = reshape(conv2.bias)                      : float32 (16, 1, 1)       # conv2
@conv2 = add(%2, %3)                          : float32 (1, 16, 10, 10)  # conv2
@relu2 = maximum(@conv2, 0)                   : float32 (1, 16, 10, 10)  # relu2
@pool2 = max_pool(@relu2, kernel=2, stride=2) : float32 (1, 16, 5, 5)    # pool2
@flatten = reshape(@pool2)                    : float32 (1, 400)         # flatten
%4 = transpose(full1.weight, axes=(1, 0))     : float32 (400, 32)        # full1
%5 = matmul(@flatten, %4)                     : float32 (1, 32)          # full1
@full1 = add(%5, full1.bias)                  : float32 (1, 32)          # full1
@relu3 = maximum(@full1, 0)                   : float32 (1, 32)          # relu3
%6 = transpose(full2.weight, axes=(1, 0))     : float32 (32, 10)         # full2
%7 = matmul(@relu3, %6)                       : float32 (1, 10)          # full2
@full2 = add(%7, full2.bias)                  : float32 (1, 10)          # full2
return @full2"""


def test_a_lenet_reads_like_this():
    assert to_text(lenet()) == LENET


@every_graph
def test_text_has_a_line_for_every_input_and_step_and_names_before_they_are_used(graph):
    lines = to_text(graph).splitlines()
    steps = [node for node in graph.nodes() if node.inputs or (node.size > 1 and "value" in node.attributes)]
    assert len(lines) == len(graph.inputs) + len(steps) + 1
    known = set()
    for line in lines[:-1]:
        name, _, made = line.partition(" = ")
        assert name not in known
        used = re.findall(r"[%@][\w.]+", made.partition("#")[0])
        assert set(used) <= known
        known.add(name)
    assert lines[-1].startswith("return")


def test_str_of_a_graph_is_its_text():
    assert str(GRAPHS["lenet"]) == to_text(GRAPHS["lenet"])


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (lambda x: x[:, 2:, ::3], "slice(x, [:, 2:, ::3])"),
        (lambda x: x[1:2], "slice(x, [1:2, :, :])"),
        (lambda x: array.pad(x, ((0, 1), (2, 0), (0, 0))), "pad(x, ((0, 1), (2, 0), (0, 0)))"),
        (
            lambda x: primitives.pad(x, low=(0, 0, 0), high=(0, 0, 1), interior=(0, 1, 0), value=-1.5),
            "pad(x, ((0, 0), (0, 0), (0, 1)), interior=(0, 1, 0), value=-1.5)",
        ),
        (lambda x: array.stop_gradient(x), "identity(x, stop_gradient)"),
        (lambda x: primitives.identity(x, stop_gradient=False), "identity(x)"),
        (lambda x: x.astype(np.float32), "cast(x)"),
        (lambda x: array.max(x, (0, 2)), "max(x, axes=(0, 2))"),
        (lambda x: array.concatenate([x, x], 1), "concatenate(x, x, axis=1)"),
        (lambda x: x * 1e-5, "multiply(x, 1e-05)"),
        (lambda x: x + as_tensor(np.array([[-0.0]])), "add(x, -0)"),
        (lambda x: array.where(True, x, 0), "where(True, x, 0)"),
        (lambda x: convolved(x, stride=(2, 1), padding=((1, 2),) * 2), "stride=(2, 1), padding=((1, 2), (1, 2))"),
        (lambda x: convolved(x, padding=((1, 1), (2, 2)), dilation=(2, 2)), "padding=(1, 2), dilation=2"),
        (lambda x: convolved(x, groups=2), "%2 = convolution(%0, %1, groups=2)"),
    ],
)
def test_settings_are_short(record, said):
    assert said in to_text(trace(record, np.zeros((4, 7, 9))).graph)


def convolved(x, stride=(1, 1), padding=((0, 0),) * 2, dilation=(1, 1), groups=1):
    weight = as_tensor(np.ones((2, 4 // groups, 2, 2)))
    settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return primitives.convolution(array.reshape(x, (1, *x.shape)), weight, **settings)


def test_constants_show_their_first_elements():
    text = to_text(trace(lambda x: x + np.array([1.0, 2.5, -3.0, 0.1, 7.0]), np.zeros(5)).graph)
    assert "%0 = constant [1, 2.5, -3, 0.1, ...] : float64 (5,)" in text
    text = to_text(trace(lambda x: array.where(np.array([True, False]), x, 0), np.zeros(2)).graph)
    assert "constant [True, False]" in text


def test_inputs_of_one_name_are_told_apart_and_parameters_take_the_name_of_the_layer_that_reads_them():
    x, first, second = (input_tensor(name, (2,), np.float32) for name in ("x", "weight", "weight"))
    with scope("0"):
        y = x * first
    graph = Graph((x, first, second), (y * second,))
    names = [line.split(" ")[0] for line in to_text(graph).splitlines()]
    assert names == ["x", "0.weight", "weight", "%0", "%1", "return"]
    twice = Graph((first, second), (first + second,))
    assert to_text(twice).splitlines()[2].startswith("%0 = add(weight, weight#2)")


# DOT


@every_graph
def test_dot_is_balanced_and_every_arrow_joins_boxes_that_are_there(graph):
    dot = to_dot(graph)
    outside_quotes = re.sub(r'"(?:[^"\\]|\\.)*"', "", dot)
    assert '"' not in outside_quotes
    assert outside_quotes.count("{") == outside_quotes.count("}")
    boxes = re.findall(r"^ *(\w+) \[label=", dot, re.MULTILINE)
    assert len(boxes) == len(set(boxes))
    arrows = re.findall(r"^ *(\w+) -> (\w+);$", dot, re.MULTILINE)
    assert {end for arrow in arrows for end in arrow} <= set(boxes)
    assert sum(box.startswith("output") for box in boxes) == len(graph.outputs)
    assert len([arrow for arrow in arrows if arrow[1].startswith("output")]) == len(graph.outputs)


def test_dot_frames_the_layers():
    dot = to_dot(GRAPHS["lenet"])
    assert re.findall(r"^ +label=\"(\w+)\"", dot, re.MULTILINE) == [
        "conv1", "conv2", "full1", "full2", "relu1", "pool1", "relu2", "pool2", "flatten", "relu3",
    ]  # fmt: skip


# The drawing


def drawing(graph):
    return ElementTree.fromstring(to_svg(graph))


def texts(svg):
    return [text.text for text in svg.iter(f"{SVG}text")]


def rectangles(svg):
    """Left, top, right, bottom of each box and of each tag."""
    found = {"box": [], "tag": [], "frame": []}
    for rectangle in svg.iter(f"{SVG}rect"):
        x, y, width, height = (float(rectangle.get(name)) for name in ("x", "y", "width", "height"))
        kind = "box" if rectangle.get("stroke") else "frame" if rectangle.get("rx") == "10" else "tag"
        found[kind].append((x, y, x + width, y + height))
    return found


def overlap(one, other):
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@every_graph
def test_the_drawing_is_xml_and_lies_within_its_frame(graph):
    svg = drawing(graph)
    left, top, width, height = map(float, svg.get("viewBox").split())
    for boxes in rectangles(svg).values():
        for box in boxes:
            assert box[0] >= left and box[1] >= top
            assert box[2] <= left + width + 1 and box[3] <= top + height + 1
    for path in svg.iter(f"{SVG}path"):
        numbers = [float(number) for number in re.findall(r"-?\d+\.\d+", path.get("d"))]
        assert all(np.isfinite(numbers))


@every_graph
def test_boxes_and_tags_do_not_overlap(graph):
    found = rectangles(drawing(graph))
    solid = found["box"] + found["tag"]
    for place, one in enumerate(solid):
        assert not any(overlap(one, other) for other in solid[:place])
    for place, one in enumerate(found["frame"]):
        assert not any(overlap(one, other) for other in found["frame"][:place])


def test_every_step_is_a_box_or_a_rearranged_parameter_beside_one():
    graph = GRAPHS["lenet's gradients"]
    said = " ".join(texts(drawing(graph)))
    for primitive in {node.primitive.name for node in graph.nodes() if node.inputs}:
        count = sum(node.primitive.name == primitive for node in graph.nodes())
        assert len(re.findall(rf"\b{primitive}\b", said)) >= count


def test_lenet_is_one_straight_line_of_framed_layers():
    svg = drawing(GRAPHS["lenet"])
    found = rectangles(svg)
    middles = {round((box[0] + box[2]) / 2) for box in found["box"]}
    assert len(found["box"]) == 15
    assert len(middles) == 1
    assert len(found["frame"]) == 10
    said = texts(svg)
    for text in ("conv1", "conv1.weight  6×1×5×5", "reshape(conv1.bias)  6×1×1", "kernel=2, stride=2", "maximum(·, 0)"):
        assert text in said
    assert said.count("output 0") == 1


def test_lines_lead_downwards_and_far_ones_are_named_instead():
    svg = drawing(GRAPHS["lenet's gradients"])
    for path in svg.iter(f"{SVG}path"):
        if path.get("fill") == "none":
            pieces = re.findall(r"([MCV])([^MCV]*)", path.get("d"))
            heights = [float(y) for kind, numbers in pieces for y in numbers.split()[kind != "V" :: 2]]
            assert heights == sorted(heights)
    said = texts(svg)
    assert "↑ @conv1" in said or "↑ @relu1" in said
    for name in {text.removeprefix("↑ ") for text in said if text.startswith("↑")}:
        assert name in said


def test_dtypes_are_told_where_they_are_not_the_usual_one():
    said = texts(drawing(GRAPHS["lenet's gradients"]))
    assert "8 int64" in said
    assert any(text.endswith(" bool") for text in said)
    assert not any("float32" in text for text in said)


def test_colours_and_text_fit_light_and_dark_pages():
    svg = drawing(GRAPHS["lenet"])
    assert svg.get("fill") == "currentColor"
    assert all(text.get("fill") is None for text in svg.iter(f"{SVG}text"))
    assert all(float(box.get("fill-opacity")) < 0.3 for box in svg.iter(f"{SVG}rect"))


def test_names_with_markup_and_quotes_do_no_harm():
    name = '<b a="1">&\\"; }\n'
    x = input_tensor("x", (2,), np.float32)
    with scope(name):
        weight = input_tensor(name, (2,), np.float32)
        y = x * weight
    graph = Graph((x, weight), (array.exp(y),), {name: y})
    svg = to_svg(graph)
    assert name.strip() not in svg
    assert escape(name.strip()) in svg
    assert f"{name.strip()} .{name.strip()}  2" in texts(ElementTree.fromstring(svg))
    dot = re.sub(r'"(?:[^"\\]|\\.)*"', "", to_dot(graph))
    assert dot.count("{") == dot.count("}") == 2
    assert '"' not in dot
    assert len(to_text(graph).splitlines()) == 5


def test_notebooks_show_the_drawing():
    assert GRAPHS["lenet"]._repr_html_() == to_svg(GRAPHS["lenet"])


# Layout


@st.composite
def diagrams(draw):
    count = draw(st.integers(1, 14))
    pairs = [(a, b) for b in range(count) for a in range(b)]
    lines = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=25)) if pairs else []
    sizes = st.integers(5, 60)
    return [Extent(draw(sizes), draw(sizes), draw(sizes)) for _ in range(count)], lines


@settings(max_examples=60, deadline=None)
@given(diagrams())
def test_rows_lead_downwards_and_boxes_keep_their_distance(diagram):
    extents, lines = diagram
    rows = rows_of(len(extents), lines)
    assert all(rows[source] < rows[target] for source, target in lines)
    assert min(rows) >= 0
    spacing = Spacing()
    layout = arrange(extents, lines, rows, spacing)
    for one, (x, y) in enumerate(layout.places):
        for other, (next_x, next_y) in enumerate(layout.places):
            if rows[one] == rows[other] and x < next_x:
                assert next_x - extents[other].left - x - extents[one].right >= spacing.lines - 1e-6
            if rows[one] < rows[other]:
                free = next_y - extents[other].height / 2 - y - extents[one].height / 2
                assert free >= spacing.rows - 1e-6
    for (source, target), bends in zip(lines, layout.bends, strict=True):
        assert len(bends) == rows[target] - rows[source] - 1
        for x, top, bottom in bends:
            for box, (place, y) in enumerate(layout.places):
                if top < y < bottom:
                    assert not place - extents[box].left < x < place + extents[box].right


def test_a_chain_is_straight_whatever_hangs_beside_it():
    lines = [(0, 1), (1, 2), (2, 3), (3, 4), (0, 3), (1, 5), (2, 5)]
    layout = arrange([Extent(20, 20 + 9 * box, 10) for box in range(6)], lines, rows_of(6, lines))
    assert len({round(x, 1) for x, _ in layout.places[:5]}) == 1
