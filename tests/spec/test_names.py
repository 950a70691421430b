from __future__ import annotations

import re
from importlib.metadata import EntryPoint
from typing import get_args

import pytest

import autokd.data
import autokd.export
import autokd.teacher.resnet
from autokd.spec import names
from autokd.spec.names import (
    DATA_SETS,
    TEACHERS,
    TORCHVISION_SETS,
    ExportFormat,
    UnknownWordError,
    check_data_set,
    check_teacher,
)


def test_the_data_sets_are_those_that_can_be_loaded() -> None:
    assert set(TORCHVISION_SETS) == set(autokd.data.TORCHVISION_SETS)
    assert set(DATA_SETS) == {*TORCHVISION_SETS, "digits", "npz", "image_folder", "custom"}


def test_the_teachers_are_those_that_can_be_built() -> None:
    resnets = set(autokd.teacher.resnet.RESNETS)
    for name in (*resnets, *TEACHERS, "wrn10_1", "wrn16_2", "wrn40_10", "torchvision/resnet18"):
        assert check_teacher(name) == name
    with pytest.raises(UnknownWordError) as caught:
        check_teacher("resnet")
    assert set(re.findall(r"'(resnet\w+)'", str(caught.value))) == resnets


def test_the_formats_are_those_that_are_written() -> None:
    assert set(get_args(ExportFormat)) == set(autokd.export.FORMATS)


@pytest.mark.parametrize("name", ["wrn17_2", "wrn4_1", "wrn16_0"])
def test_a_wide_resnet_that_cannot_be_built_is_told_apart_from_an_unknown_name(name: str) -> None:
    with pytest.raises(ValueError, match=r"expected wrn<depth>_<widening> with a depth of 10, 16"):
        check_teacher(name)


def test_a_wide_resnet_that_fits_into_no_memory_is_refused() -> None:
    with pytest.raises(ValueError, match=r"at most 20,000; got 'wrn994_99', which has 9,742,194"):
        check_teacher("wrn994_99")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("resnet_20", "did you mean 'resnet20'?"),
        ("torchvision/", "did you mean 'torchvision/<name>'?"),
        ("vgg", None),
    ],
)
def test_an_unknown_teacher_is_refused_with_the_nearest_name(name: str, hint: str | None) -> None:
    with pytest.raises(UnknownWordError) as caught:
        check_teacher(name)
    assert caught.value.hint == hint


def test_an_unknown_data_set_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UnknownWordError) as caught:
        check_data_set("fashionmnist")
    assert caught.value.hint == "did you mean 'fashion_mnist'?"


def test_search_spaces_are_found_without_importing_them(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        EntryPoint(name, "module_that_does_not_exist:Space", names.SEARCH_SPACE_GROUP)
        for name in ("wide", "deep")
    ]
    monkeypatch.undo()  # of the fixture that fakes them
    monkeypatch.setattr(
        names, "entry_points", lambda group: points if group == names.SEARCH_SPACE_GROUP else []
    )
    assert names.search_space_names() == ("custom", "deep", "wide")
