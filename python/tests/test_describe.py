"""What `describe` tells of components."""

import dataclasses

import pytest
from tidemill import SpecError, Threshold, describe, sinks, sources


class Google:
    """Predicts the rest of the day.

    It needs a model.

    Args:
        path: Of the model,
            as it was saved.
        scale, offset (float): Of the result.
    """

    def __init__(self, path: str, scale: float = 2.0, offset=None, **others: int) -> None:
        self.path, self.scale = path, scale

    def process(self, stream): ...


class Numpy:
    """Waits.

    Parameters
    ----------
    seconds : float
        How long.

    Notes
    -----
    nothing : important
    """

    def __init__(self, seconds=1.0): ...

    def stream(self): ...


class Sphinx:
    def __init__(self, url="http://localhost"):
        """Posts.

        :param str url: Where to,
            with its port.
        """

    def consume(self, stream): ...


@dataclasses.dataclass
class Scaled:
    factor: float = 2.0

    def process(self, stream): ...


def test_signatures_and_docstrings_of_all_styles():
    google = describe(Google)
    assert (google.name, google.kind, google.type) == ("Google", "stage", f"python:{__name__}:Google")
    assert google.doc == "Predicts the rest of the day."
    assert [(parameter.name, parameter.type, parameter.is_required, parameter.default) for parameter in google.parameters] == [
        ("path", "str", True, None),
        ("scale", "float", False, 2.0),
        ("offset", "", False, None),
        ("others", "int", False, None),
    ]
    assert google["path"].doc == "Of the model, as it was saved."
    assert google["offset"].doc == google["scale"].doc == "Of the result."
    assert (describe(Numpy)["seconds"].doc, describe(Numpy).kind) == ("How long.", "source")
    assert (describe(Sphinx)["url"].doc, describe(Sphinx).kind) == ("Where to, with its port.", "sink")
    assert describe(Scaled(3.0))["factor"].value == 3.0
    assert describe(Scaled).doc == ""
    with pytest.raises(KeyError):
        google["nothing"]


def test_values_are_those_of_the_object():
    assert [parameter.value for parameter in describe(Google("m", 3.0)).parameters] == ["m", 3.0, None, None]
    assert describe(Threshold(max=100))["max"].value == 100
    assert describe(sources.Csv(path="in.csv", from_="2026-01-01"))["from_"].value == "2026-01-01"


def test_components_of_the_engine_have_their_defaults():
    threshold = describe(Threshold)
    assert (threshold.kind, threshold.type) == ("stage", "threshold")
    assert threshold["action"].type == "Literal['drop', 'mask', 'flag'] | None"
    assert threshold["action"].default == "drop"
    assert threshold["max"].doc == "The highest value that passes; no upper bound if not given."
    for module in (sources, sinks):
        for name in module.__all__:
            assert all(parameter.doc for parameter in describe(getattr(module, name)).parameters), name


def test_it_is_shown_as_text_and_html_and_given_as_dicts():
    class Html:
        """A <b>bold</b> stage."""

        def __init__(self, text: str = "<script>"): ...

        def process(self, stream): ...

    description = describe(Html)
    assert "<b>" not in description._repr_html_() and "<script>" not in description._repr_html_()
    assert "A &lt;b&gt;bold&lt;/b&gt; stage." in description._repr_html_()
    assert str(description).splitlines()[1:] == ["A <b>bold</b> stage.", "  text: str = '<script>'"]
    assert description.to_dict()["parameters"] == [
        {"name": "text", "type": "str", "is_required": False, "default": "<script>", "value": None, "doc": ""}
    ]


def test_what_is_no_component_is_refused():
    for wrong in (5, "text", object(), dict):
        with pytest.raises(SpecError, match="is no source, stage or sink"):
            describe(wrong)
