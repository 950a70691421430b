"""What the service offers is what it takes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from starlette.testclient import TestClient

from autokd.errors import ConflictError
from autokd.spec import TEACHERS, TORCHVISION_SETS, read_study
from autokd.spec.text import read_yaml
from service.settings import Settings

from .conftest import Service

STUDIES = sorted((Path(__file__).parents[2] / "studies").glob("*.yaml"))
DIGEST = "ab" * 32


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    """Of a service with an image folder."""
    return settings.model_copy(update={"image_folders": {"flowers": tmp_path / "srv" / "flowers"}})


@pytest.fixture
def uploads(service: Service) -> None:
    """Two that are ready, and one that is not."""
    store = service.store
    images = {"train": 60, "test": 20, "shape": [5, 4], "unpacked_bytes": 1600}
    for kind, summary in (("data", images), ("teacher", {"tensors": 2})):
        made = store.add_upload(kind, f"my {kind}")
        store.end_upload(made.id, size_bytes=1, sha256=DIGEST, summary=summary)
    store.add_upload("data", "late")


def _items(client: TestClient, path: str) -> dict[str, dict[str, Any]]:
    page = client.get(path).json()
    assert (page["total"], page["next_page_token"]) == (len(page["items"]), None)
    return {item["name"]: item for item in page["items"]}


def _is_valid(schema: Mapping[str, Any], spec: Mapping[str, Any]) -> bool:
    return jsonschema_rs.Draft202012Validator(dict(schema)).is_valid(spec)


class _Spaces:
    """Knows what a space is made of, without loading it."""

    def space(self, name: str) -> dict[str, Any]:
        if name != "hierarchical_graph":
            raise ConflictError(f"{name} could not be loaded")
        return {
            "name": name,
            "summary": "Random graphs.",
            "parameters": [{"name": "nodes", "range": "3 to 10", "condition": ""}],
            "options": [
                {"name": "nodes", "default": [3, 10]},
                {"name": "share", "default": [0.1, 0.9]},
                {"name": "norm", "default": "batch"},
                {"name": "depth", "default": 3},
                {"name": "width", "default": 0.5},
                {"name": "skip", "default": True},
                {"name": "other", "default": None},
                {"name": "none", "default": []},
            ],
        }

    def close(self) -> None:
        pass


_ASKED: list[tuple[str, Any, bool]] = [
    ("name", "digits-2", True),
    ("name", "std_7", False),
    ("data", {"name": "npz", "path": "upl_1"}, True),
    ("data", {"name": "npz", "path": "upl_2"}, False),
    ("data", {"name": "npz", "path": "/etc/passwd"}, False),
    ("data", {"name": "image_folder", "root": "flowers", "image_size": 8}, True),
    ("data", {"name": "image_folder", "root": "/srv/flowers", "image_size": 8}, False),
    ("data", {"name": "cifar10"}, True),
    ("data", {"name": "cifar10", "root": "/srv"}, False),
    ("data", {"name": "cifar10", "download": True}, False),
    ("data", {"name": "custom"}, False),
    ("teacher", {"model": "resnet8", "weights": "upl_2"}, True),
    ("teacher", {"model": "resnet8", "weights": "upl_1"}, False),
    ("teacher", {"model": "resnet8", "weights": None}, True),
    ("teacher", {"model": "custom"}, False),
    ("space", {"name": "custom"}, False),
    ("strategy", {"name": "optuna", "sampler": "QMCSampler"}, True),
    ("strategy", {"name": "optuna", "hub": "samplers/any", "sampler": "Any"}, False),
]


class TestItems:
    def test_whoever_has_a_token_may_read_them(self, reader: TestClient, service: Service) -> None:
        service.anonymous.app.state.inspector = _Spaces()  # type: ignore[attr-defined]
        for name in ("spaces", "strategies", "losses", "datasets", "teachers", "spec_schema"):
            assert reader.get(f"/{name}").status_code == 200
            assert service.anonymous.get(f"/{name}").status_code == 401

    def test_each_names_what_a_study_then_has(
        self, reader: TestClient, uploads: None, spec: dict[str, Any]
    ) -> None:
        for path, place in (
            ("/strategies", "strategy"),
            ("/datasets", "data"),
            ("/teachers", "teacher"),
        ):
            for name, item in _items(reader, path).items():
                assert item["summary"]
                required = {"image_size": 8} if name == "flowers" else {}
                required |= {"sampler": "BruteForceSampler"} if name == "optuna" else {}
                part = {**item["spec"], **required}
                assert _is_valid(item["schema"], part), (name, part)
                assert not _is_valid(item["schema"], {**part, "unheard_of": 1})
                read_study({**spec, place: part})

    def test_strategies_are_told_apart_by_their_names(self, reader: TestClient) -> None:
        items = _items(reader, "/strategies")
        assert {"bayesian", "random", "tpe", "nsga2", "autokd_gp", "trade"} <= items.keys()
        assert items["tpe"]["schema"]["properties"]["name"]["const"] == "tpe"
        assert items["bayesian"]["summary"].startswith("A model of the unknown objectives")
        assert "hub" not in items["optuna"]["schema"]["properties"]

    def test_losses_have_their_fields(self, reader: TestClient) -> None:
        kd = _items(reader, "/losses")["kd"]
        assert {"name", "temperature", "weight"} <= kd["schema"]["properties"].keys()
        assert _is_valid(kd["schema"], {"name": "kd", "temperature": {"low": 1, "high": 20}})

    def test_teachers_are_those_that_a_study_may_name(
        self, reader: TestClient, uploads: None
    ) -> None:
        items = _items(reader, "/teachers")
        assert [*items] == [*TEACHERS, "torchvision/NAME"]
        assert items["resnet8x4"]["summary"] == (
            "ResNet of 8 layers, 4 times as wide, for small images."
        )
        schema = items["torchvision/NAME"]["schema"]
        assert _is_valid(schema, {"model": "torchvision/vgg11"})
        assert not _is_valid(schema, {"model": "custom"})
        weights = items["resnet20"]["schema"]["properties"]["weights"]
        assert weights["anyOf"][0]["enum"] == ["upl_2"]

    def test_data_sets_are_torchvisions_the_operators_and_ones_own(
        self, reader: TestClient, uploads: None
    ) -> None:
        items = _items(reader, "/datasets")
        assert [*items] == ["digits", "flowers", "my data", *TORCHVISION_SETS]
        assert items["flowers"]["spec"] == {"name": "image_folder", "root": "flowers"}
        assert items["my data"]["spec"] == {"name": "npz", "path": "upl_1"}
        assert items["my data"]["summary"] == "Upload of 60 and 20 images, 5x4."
        assert not {"root", "download"} & items["cifar10"]["schema"]["properties"].keys()

    def test_spaces_say_what_varies_and_what_may_be_set(
        self, reader: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        service.anonymous.app.state.inspector = _Spaces()  # type: ignore[attr-defined]
        spaces = {"broken": None, "hierarchical_graph": None}
        monkeypatch.setattr("service.routes.catalogue.installed_spaces", lambda: spaces)
        items = _items(reader, "/spaces")
        graph = items["hierarchical_graph"]
        assert graph["summary"] == "Random graphs."
        assert graph["parameters"] == [{"name": "nodes", "range": "3 to 10", "condition": ""}]
        assert graph["schema"]["properties"] == {
            "name": {"const": "hierarchical_graph"},
            "nodes": {"type": "array", "items": {"type": "integer"}, "default": [3, 10]},
            "share": {"type": "array", "items": {"type": "number"}, "default": [0.1, 0.9]},
            "norm": {"type": "string", "default": "batch"},
            "depth": {"type": "integer", "default": 3},
            "width": {"type": "number", "default": 0.5},
            "skip": {"type": "boolean", "default": True},
            "other": {"default": None},
            "none": {"type": "array", "items": {}, "default": []},
        }
        assert items["broken"]["summary"] == "Can not be described: broken could not be loaded"
        assert items["broken"]["parameters"] == []

    def test_the_spaces_that_come_along_are_described(self, reader: TestClient) -> None:
        """The only test that waits for torch."""
        graph = _items(reader, "/spaces")["hierarchical_graph"]
        assert "top_nodes" in {each["name"] for each in graph["parameters"]}
        assert graph["schema"]["properties"]["top_nodes"]["type"] == "array"


class TestSpecSchema:
    @pytest.fixture
    def schema(self, reader: TestClient, uploads: None) -> dict[str, Any]:
        schema: dict[str, Any] = reader.get("/spec_schema").json()
        return schema

    @pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
    def test_the_studies_that_come_along_may_be_asked_for(
        self, schema: dict[str, Any], path: Path
    ) -> None:
        content, _ = read_yaml(path.read_text(encoding="utf-8"))
        assert isinstance(content, dict)
        for field in ("root", "download"):  # where files lie is the server's affair
            content["data"].pop(field, None)
        jsonschema_rs.validate(schema, content)

    def test_it_takes_what_the_service_takes_and_nothing_that_it_refuses(
        self, schema: dict[str, Any], launcher: TestClient, spec: dict[str, Any]
    ) -> None:
        for number, (part, value, is_taken) in enumerate(_ASKED):
            asked = {**spec, "name": f"study-{number}", part: value}
            assert (value, _is_valid(schema, asked)) == (value, is_taken)
            launched = launcher.post("/studies", json={"spec": asked, "paused": True})
            assert (value, launched.status_code) == (value, 201 if is_taken else 422)

    def test_sizes_have_defaults_as_people_write_them(self, schema: dict[str, Any]) -> None:
        for part in ("DigitsSpec", "TorchvisionSpec"):
            properties = schema["$defs"][part]["properties"]
            assert properties["memory_limit"]["default"] == "2GiB"

    def test_what_is_not_there_is_not_offered(
        self, service: Service, schema: dict[str, Any]
    ) -> None:
        assert "CustomDataSpec" not in str(schema)
        store = service.store
        for upload in store.uploads():
            store.remove_upload(upload.id)
        without = service.client("read").get("/spec_schema").json()
        assert "pattern" in without["$defs"]["NpzSpec"]["properties"]["path"]


def test_a_server_without_image_folders_offers_none(tmp_path: Path) -> None:
    from autokd.store import Store
    from service.spec_schema import Known, spec_schema

    settings = Settings(storage=str(tmp_path / "autokd.db"))
    with Store.open(settings.storage) as store:
        schema = spec_schema(Known.of(settings, store))
    assert "ImageFolderSpec" not in str(schema)
    assert len(schema["properties"]["data"]["oneOf"]) == 3
